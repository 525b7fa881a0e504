-- A process that executes attempts. Without a workspace it belongs to the installation and serves every one.
create table runner (
  id           uuid primary key,
  workspace_id uuid references workspace,
  name         text not null check (length(name) between 1 and 100),
  slots        int not null check (slots between 1 and 1000),
  created_at   timestamptz not null,
  last_seen_at timestamptz not null
);
create unique index runner_name_key on runner (coalesce(workspace_id, '00000000-0000-0000-0000-000000000000'), name);

alter table runner enable row level security;
alter table runner force row level security;
create policy tenant on runner to muster_app using (workspace_id is null or workspace_id = (select current_workspace()));
create policy system on runner to muster_system using (true) with check (true);
grant select on runner to muster_app;
grant select, insert, update on runner to muster_system;
