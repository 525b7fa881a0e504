-- What has happened to a runner that no other row tells: when it joined, was back, was stopped, drained and let work again, made no sandbox, had
-- something of attempts left on its machine, or did not take what it was given. It grows with what happens, and what is older than 90 days goes.
create table runner_log (
  number       bigint generated always as identity primary key,
  runner_id    uuid not null references runner,
  -- whose it is alone, of a runner that works for every workspace
  workspace_id uuid references workspace,
  at           timestamptz not null,
  kind         text not null check (kind in
    ('joined', 'back', 'stopped', 'drained', 'resumed', 'no_sandbox', 'sandbox', 'left_behind', 'cleared', 'not_taken')),
  -- since when that was so which has come to its end with it
  since        timestamptz check (since <= at),
  -- who has done it, and what there is to be said
  actor        text,
  detail       text check (length(detail) between 1 and 1000),
  task_id      uuid,
  attempt      int,
  constraint somebody_did_it check ((actor is not null) = (kind in ('joined', 'drained', 'resumed'))),
  constraint what_it_was check ((detail is not null) = (kind in ('no_sandbox', 'left_behind'))),
  constraint what_was_not_taken check
    ((kind = 'not_taken') = (task_id is not null) and (task_id is null) = (attempt is null) and (task_id is null) = (workspace_id is null))
);
create index runner_log_runner on runner_log (runner_id, number desc);
create index runner_log_task on runner_log (task_id) where task_id is not null;

alter table runner_log enable row level security;
alter table runner_log force row level security;
-- of the runners that one sees; a workspace writes what its people do to its own
create policy tenant on runner_log to muster_app
  using (exists (select from runner where runner.id = runner_id) and (workspace_id is null or workspace_id = (select current_workspace())))
  with check (kind in ('drained', 'resumed')
              and exists (select from runner where runner.id = runner_id and runner.workspace_id = (select current_workspace())));
create policy system on runner_log to muster_system using (true) with check (true);
grant select, insert on runner_log to muster_app;
grant select, insert, delete on runner_log to muster_system;

-- those that have joined before
set local role muster_system;
insert into runner_log (runner_id, at, kind, actor)
select id, created_at, 'joined', joined_by from runner where joined_by is not null and removed_at is null order by created_at;
reset role;
