-- Runners on other machines. Each is joined to one workspace by a token that works once, and proves over each of its links that it has
-- the key whose public half it gave then.
alter table runner
  add column public_key bytea check (length(public_key) = 32),
  -- whether it may be given repositories that are paths: only those on a disk that it shares with whoever named them
  add column paths      boolean not null default true,
  add column joined_by  text,
  add column removed_at timestamptz,
  -- the task that shows, when it joins, whether it works
  add column trial_task_id uuid,
  add constraint joined_into_a_workspace check (public_key is null or workspace_id is not null and joined_by is not null);
create unique index runner_public_key on runner (public_key) where public_key is not null and removed_at is null;
create unique index runner_workspace_name on runner (workspace_id, name) where workspace_id is not null and removed_at is null;

-- A workspace may remove its own runners, and changes nothing of the installation's.
drop policy tenant on runner;
create policy tenant on runner to muster_app
  using (workspace_id is null or workspace_id = (select current_workspace()))
  with check (workspace_id = (select current_workspace()));
grant update (removed_at, trial_task_id) on runner to muster_app;

create table runner_token (
  id           uuid primary key,
  workspace_id uuid not null references workspace,
  hash         bytea not null unique check (length(hash) = 32),
  created_at   timestamptz not null,
  created_by   text not null,
  expires_at   timestamptz not null check (expires_at <= created_at + interval '1 hour'),
  -- the runner that it was used for
  runner_id    uuid references runner
);
call separate_tenants('runner_token');
grant select, insert on runner_token to muster_app;

alter table repository
  add column is_path boolean not null generated always as (left(location, 1) = '/') stored;
