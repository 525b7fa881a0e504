-- How runners and their slots stood: a row for each transition, written once the state before it is over. What is older than 90 days goes.
create table runner_period (
  number       bigint generated always as identity primary key,
  runner_id    uuid not null references runner,
  -- whose it is: of a runner that works for every workspace each has its own, of what it does for that one
  workspace_id uuid not null references workspace,
  -- of the runner as a whole when absent
  slot         int check (slot > 0),
  state        text not null check (state in ('offline', 'draining', 'blocked', 'working', 'idle')),
  since        timestamptz not null,
  until        timestamptz not null check (until > since),
  task_id      uuid,
  constraint slots_alone_have_tasks check (task_id is null or slot is not null)
);
create index runner_period_runner on runner_period (runner_id, workspace_id, number desc);
create index runner_period_until on runner_period (until);
create index runner_period_task on runner_period (task_id) where task_id is not null;

-- Up to where that is written, and how all of it stood there.
create table runner_horizon (
  runner_id    uuid not null references runner,
  workspace_id uuid not null references workspace,
  at           timestamptz not null,
  standing     jsonb not null default '[]' check (jsonb_typeof(standing) = 'array'),
  primary key (runner_id, workspace_id)
);
create index runner_horizon_at on runner_horizon (at);

alter table runner_period enable row level security;
alter table runner_period force row level security;
alter table runner_horizon enable row level security;
alter table runner_horizon force row level security;
create policy tenant on runner_period for select to muster_app
  using (workspace_id = (select current_workspace()) and exists (select from runner where runner.id = runner_id));
create policy system on runner_period to muster_system using (true) with check (true);
-- nothing is granted with it: the tick alone reads and writes it
create policy tenant on runner_horizon for select to muster_app using (workspace_id = (select current_workspace()));
create policy system on runner_horizon to muster_system using (true) with check (true);
grant select on runner_period to muster_app;
grant select, insert, update, delete on runner_period to muster_system;
grant select, insert, update, delete on runner_horizon to muster_system;
