-- A run that is changed while it runs has a graph of its own.
alter table workflow_run
  -- in place of that of its version; absent while nobody has changed it
  add column definition jsonb check (jsonb_typeof(definition) = 'object');

alter table workflow_step
  -- taken out of the run by a change: it is shown, and counts for nothing
  add column removed boolean not null default false;
grant update (removed) on workflow_step to muster_app;
grant delete on task_dependency to muster_app;

-- What was changed, when and by whom.
create table workflow_run_change (
  workspace_id uuid not null,
  run_id       uuid not null,
  number       int not null check (number > 0),
  -- as its author wrote it
  source       text not null check (length(source) <= 1000000),
  added        text[] not null,
  removed      text[] not null,
  rewired      text[] not null,
  changed_at   timestamptz not null,
  changed_by   text not null,
  primary key (run_id, number),
  foreign key (workspace_id, run_id) references workflow_run (workspace_id, id)
);
call separate_tenants('workflow_run_change');
grant select, insert on workflow_run_change to muster_app;
