-- What a task waits for has a kind, what it is given has names, and some tasks execute nothing: gates and groups.
alter table task
  -- a gate or a group instead of a command or a prompt
  add column control         jsonb,
  add column inputs          jsonb not null default '{}' check (jsonb_typeof(inputs) = 'object'),
  -- a CEL expression over its inputs
  add column condition       text check (length(condition) between 1 and 4096),
  add column delay_seconds   int check (delay_seconds between 0 and 2592000),
  -- a gate that waits to be passed, or a group that has become several tasks
  add column opened          boolean not null default false,
  add column output          jsonb,
  add column skipped_path    uuid[],
  -- the group that it is one of
  add column group_id        uuid,
  add column workflow_run_id uuid;
alter table task alter column inputs drop default;
alter table task
  drop constraint one_kind_of_work,
  add constraint one_kind_of_work check (num_nonnulls(command, prompt, control) = 1),
  drop constraint ran_only_with_an_attempt,
  add constraint ran_only_with_an_attempt check
    (state not in ('running', 'verifying', 'succeeded', 'partial') or attempts > 0 or (control is not null and state = 'succeeded')),
  add constraint control_is_never_executed check (control is null or (attempts = 0 and state <> 'queued')),
  add constraint opened_only_what_is_not_executed check (not opened or control is not null);

create index task_group on task (group_id) where group_id is not null and ended_at is null;
create index task_run on task (workflow_run_id, state) where workflow_run_id is not null;

alter table task_dependency
  add column on_kind   text not null default 'success' check (on_kind in ('success', 'end', 'condition')),
  add column condition text check (length(condition) between 1 and 4096),
  -- inputs of the waiting task by name, each with a JSON pointer into the result of the other
  add column feeds     jsonb not null default '{}' check (jsonb_typeof(feeds) = 'object'),
  -- of the kinds that can be satisfied more than once, as a task that failed may be brought back
  add column satisfied boolean not null default false,
  add constraint condition_exactly_with_its_kind check ((condition is not null) = (on_kind = 'condition'));
alter table task_dependency alter column on_kind drop default, alter column feeds drop default;
grant update on task_dependency to muster_app;

-- A definition under its name; every change is a version of its own.
create table workflow (
  id           uuid primary key,
  workspace_id uuid not null references workspace,
  name         text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,99}$'),
  -- the newest
  version      int not null check (version > 0),
  created_at   timestamptz not null,
  changed_at   timestamptz not null,
  unique (workspace_id, name),
  unique (workspace_id, id)
);
call separate_tenants('workflow');
grant select, insert, update on workflow to muster_app;

create table workflow_version (
  workspace_id uuid not null,
  workflow_id  uuid not null,
  version      int not null check (version > 0),
  definition   jsonb not null,
  -- as its author wrote it
  source       text not null check (length(source) <= 1000000),
  created_at   timestamptz not null,
  created_by   text not null,
  primary key (workflow_id, version),
  foreign key (workspace_id, workflow_id) references workflow (workspace_id, id)
);
call separate_tenants('workflow_version');
grant select, insert on workflow_version to muster_app;

-- One execution of a version. It has no state of its own: it is what its tasks are.
create table workflow_run (
  id           uuid primary key,
  workspace_id uuid not null,
  workflow_id  uuid not null,
  version      int not null,
  title        text not null check (length(title) between 1 and 200),
  parameters   jsonb not null check (jsonb_typeof(parameters) = 'object'),
  repository   text not null check (length(repository) between 1 and 2000),
  restart_of   uuid,
  paused_by    text,
  cancelled_by text,
  -- until all of its tasks have been told
  cancelling_since timestamptz,
  created_at   timestamptz not null,
  created_by   text not null,
  unique (workspace_id, id),
  foreign key (workspace_id, workflow_id) references workflow (workspace_id, id),
  foreign key (workflow_id, version) references workflow_version,
  foreign key (workspace_id, restart_of) references workflow_run (workspace_id, id)
);
create index workflow_run_list on workflow_run (workspace_id, id desc);
create index workflow_run_of_workflow on workflow_run (workflow_id, id desc);
create index workflow_run_cancelling on workflow_run (cancelling_since) where cancelling_since is not null;
call separate_tenants('workflow_run');
grant select, insert, update on workflow_run to muster_app;

alter table task add foreign key (workspace_id, workflow_run_id) references workflow_run (workspace_id, id);

-- The tasks of a run by their keys. A run that goes on from another one shows the tasks that it takes over as its own.
create table workflow_step (
  workspace_id uuid not null,
  run_id       uuid not null,
  key          text not null check (length(key) between 1 and 400),
  -- the key of the group that it is one of
  group_key    text,
  task_id      uuid not null,
  reused       boolean not null,
  primary key (run_id, key),
  foreign key (workspace_id, run_id) references workflow_run (workspace_id, id),
  foreign key (workspace_id, task_id) references task (workspace_id, id)
);
create index workflow_step_task on workflow_step (task_id);
call separate_tenants('workflow_step');
grant select, insert on workflow_step to muster_app;

-- The transitions of the domain, with the new ones: what nobody executes is passed.
create or replace function refuse_illegal_task_transition() returns trigger
  language plpgsql as $$
begin
  if (old.state, new.state) in (
    ('blocked', 'queued'), ('blocked', 'scheduled'), ('blocked', 'skipped'), ('blocked', 'cancelled'), ('blocked', 'failed'),
    ('scheduled', 'queued'), ('scheduled', 'cancelled'), ('scheduled', 'failed'),
    ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'blocked'), ('queued', 'failed'), ('queued', 'dead'),
    ('running', 'verifying'), ('running', 'queued'), ('running', 'scheduled'), ('running', 'partial'),
    ('running', 'failed'), ('running', 'cancelled'), ('running', 'dead'),
    ('verifying', 'succeeded'), ('verifying', 'queued'), ('verifying', 'scheduled'), ('verifying', 'partial'),
    ('verifying', 'failed'), ('verifying', 'cancelled'), ('verifying', 'dead'),
    ('partial', 'queued'), ('partial', 'blocked'), ('failed', 'queued'), ('failed', 'blocked'),
    ('cancelled', 'queued'), ('cancelled', 'blocked'), ('skipped', 'queued'), ('skipped', 'blocked'),
    ('dead', 'queued'), ('dead', 'blocked'), ('dead', 'cancelled')
  ) or new.control is not null and (old.state, new.state) in (('blocked', 'succeeded'), ('scheduled', 'succeeded')) then
    return new;
  end if;
  raise exception 'a task cannot go from % to %', old.state, new.state using errcode = 'check_violation';
end $$;
