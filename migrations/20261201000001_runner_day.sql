-- A runner that was stopped in order, and one that did not take what it was given.
alter table runner
  add column stopped_at timestamptz,
  -- since when it has taken nothing, and when that was last found
  add column unresponsive_since timestamptz,
  add column not_taken_at timestamptz;

-- When a runner was not there, or was to take nothing new. One that is not over yet is in its runner's row alone.
create table runner_pause (
  runner_id uuid not null references runner,
  kind      text not null check (kind in ('offline', 'draining')),
  since     timestamptz not null,
  until     timestamptz not null check (until >= since),
  primary key (runner_id, kind, until, since)
);
alter table runner_pause enable row level security;
alter table runner_pause force row level security;
-- of the runners that one sees; a workspace writes of its own alone, and only what people do to them
create policy tenant on runner_pause for select to muster_app using (exists (select from runner where runner.id = runner_id));
create policy tenant_writes on runner_pause for insert to muster_app with check (
  kind = 'draining' and exists (select from runner where runner.id = runner_id and runner.workspace_id = (select current_workspace())));
create policy system on runner_pause to muster_system using (true) with check (true);
grant select, insert on runner_pause to muster_app;
grant select, insert, delete on runner_pause to muster_system;
