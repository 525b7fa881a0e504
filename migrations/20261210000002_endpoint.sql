-- Servers of models that speak Ollama's API: what was seen of each last. One is found by a runner on its machine, or somebody has
-- registered it.
create table endpoint (
  id              uuid primary key,
  -- none on the machine of a runner that serves every workspace
  workspace_id    uuid references workspace,
  runner_id       uuid unique references runner,
  -- of one that is registered: on whose machine it is
  machine_of      uuid references runner,
  -- of one that was found: its runner's settings name it
  is_said         boolean not null default false,
  name            text check (length(name) between 1 and 100),
  url             text not null check (length(url) between 1 and 500),
  created_at      timestamptz not null,
  registered_by   text,
  removed_at      timestamptz,
  checked_at      timestamptz,
  healthy         boolean not null default false,
  unhealthy_since timestamptz,
  why             text check (length(why) between 1 and 500),
  version         text check (length(version) between 1 and 100),
  models          jsonb not null default '[]' check (jsonb_typeof(models) = 'array' and octet_length(models::text) <= 1048576),
  -- when the server looks at one that is registered
  next_check_at   timestamptz,
  constraint found_or_registered check (
    case when runner_id is null then workspace_id is not null and name is not null and registered_by is not null and next_check_at is not null and not is_said
         else name is null and registered_by is null and next_check_at is null and machine_of is null end),
  constraint unhealthy_for_a_reason check (healthy or checked_at is null or why is not null and unhealthy_since is not null)
) with (fillfactor = 50);
create unique index endpoint_name on endpoint (workspace_id, name) where runner_id is null and removed_at is null;
create unique index endpoint_url on endpoint (workspace_id, url) where runner_id is null and removed_at is null;
create index endpoint_due on endpoint (next_check_at) where next_check_at is not null and removed_at is null;
alter table endpoint enable row level security;
alter table endpoint force row level security;
-- a workspace registers and removes its own, and changes nothing of what runners have found
create policy tenant on endpoint to muster_app
  using (workspace_id is null or workspace_id = (select current_workspace()))
  with check (workspace_id = (select current_workspace()) and runner_id is null);
create policy system on endpoint to muster_system using (true) with check (true);
grant select, insert, update (removed_at) on endpoint to muster_app;
grant select, insert, update, delete on endpoint to muster_system;

-- Models that an endpoint is to have, or was to. One of a model at a time.
create table endpoint_pull (
  id           uuid primary key,
  -- of whoever wants it
  workspace_id uuid not null references workspace,
  endpoint_id  uuid not null references endpoint,
  model        text not null check (length(model) between 1 and 200),
  state        text not null default 'waiting',
  status       text check (length(status) <= 200),
  completed    bigint not null default 0 check (completed between 0 and total),
  total        bigint not null default 0 check (total >= 0),
  asked_by     text not null,
  asked_at     timestamptz not null,
  ended_at     timestamptz,
  why          text check (length(why) between 1 and 500),
  -- until then whoever does it is believed to be at it; of a server that does it also which time it took it: another time is another one
  held_until   timestamptz,
  holder       uuid,
  constraint known_state check (state in ('waiting', 'pulling', 'done', 'failed', 'cancelled')),
  constraint ended_exactly_when_over check ((ended_at is not null) = (state in ('done', 'failed', 'cancelled'))),
  constraint failed_for_a_reason check (state <> 'failed' or why is not null)
) with (fillfactor = 70);
create unique index endpoint_pull_once on endpoint_pull (endpoint_id, model) where ended_at is null;
create index endpoint_pull_of on endpoint_pull (endpoint_id, asked_at desc);
call separate_tenants('endpoint_pull');
grant select, insert, update (state, ended_at) on endpoint_pull to muster_app;

-- Where an attempt's model was, and why there.
alter table attempt
  add column endpoint_id      uuid references endpoint,
  -- what was asked for, and why there or, without an endpoint, why nowhere
  add column endpoint_model   text check (length(endpoint_model) between 1 and 200),
  add column endpoint_reasons text[];
create index attempt_endpoint on attempt (endpoint_id) where endpoint_id is not null and state in ('claimed', 'running', 'verifying');
-- for when one is deleted
create index attempt_of_endpoint on attempt (endpoint_id) where endpoint_id is not null;
