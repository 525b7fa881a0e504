-- Up to where events of a workspace may have been deleted, in the order of its stream: whoever resumes from before it is told so.
create table event_horizon (
  workspace_id uuid primary key references workspace,
  xid          xid8 not null,
  id           bigint not null
);
call separate_tenants('event_horizon');
grant select on event_horizon to muster_app;

-- A run that is being deleted task by task: for people it is gone from then on.
alter table workflow_run add column forgotten_at timestamptz;
create index workflow_run_forgotten on workflow_run (workspace_id) where forgotten_at is not null;
create index workflow_run_restart_of on workflow_run (restart_of) where restart_of is not null;
