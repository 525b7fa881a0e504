-- How an agent goes about a prompt: which one, with which model, and how far. Nothing when nothing was said.
alter table task add column agent jsonb check (jsonb_typeof(agent) = 'object');

-- The agent programs on its machine, as the runner said when it opened its link.
alter table runner add column backends jsonb not null default '[]' check (jsonb_typeof(backends) = 'array');

-- What an agent said and did in an attempt, as the runner told it.
create table session_event (
  workspace_id uuid not null,
  attempt_id   uuid not null,
  number       bigint not null check (number between 1 and 20000),
  at           timestamptz not null,
  kind         text not null,
  payload      jsonb not null check (jsonb_typeof(payload) = 'object'),
  -- of the payload, and of all in this session up to here
  bytes        int not null check (bytes between 1 and 524288),
  total        bigint not null check (total between bytes and 33554432),
  primary key (attempt_id, number),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('session_event');
grant select on session_event to muster_app;

-- What the checks said each time that the agent then went on in its session. The last report is in verification.
create table verification_round (
  workspace_id uuid not null,
  attempt_id   uuid not null,
  -- from 1
  round        int not null check (round between 1 and 5),
  report       jsonb not null check (jsonb_typeof(report) = 'object'),
  primary key (attempt_id, round),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('verification_round');
grant select on verification_round to muster_app;

-- The transitions of the domain, with the new one: an agent goes on after checks that did not pass.
create or replace function refuse_illegal_task_transition() returns trigger
  language plpgsql as $$
begin
  if (old.state, new.state) in (
    ('blocked', 'queued'), ('blocked', 'scheduled'), ('blocked', 'skipped'), ('blocked', 'cancelled'), ('blocked', 'failed'),
    ('scheduled', 'queued'), ('scheduled', 'cancelled'), ('scheduled', 'failed'),
    ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'blocked'), ('queued', 'failed'), ('queued', 'dead'),
    ('running', 'verifying'), ('running', 'queued'), ('running', 'scheduled'), ('running', 'partial'),
    ('running', 'failed'), ('running', 'cancelled'), ('running', 'dead'),
    ('verifying', 'running'), ('verifying', 'succeeded'), ('verifying', 'queued'), ('verifying', 'scheduled'),
    ('verifying', 'partial'), ('verifying', 'failed'), ('verifying', 'cancelled'), ('verifying', 'dead'),
    ('partial', 'queued'), ('partial', 'blocked'), ('failed', 'queued'), ('failed', 'blocked'),
    ('cancelled', 'queued'), ('cancelled', 'blocked'), ('skipped', 'queued'), ('skipped', 'blocked'),
    ('dead', 'queued'), ('dead', 'blocked'), ('dead', 'cancelled')
  ) or new.control is not null and (old.state, new.state) in (('blocked', 'succeeded'), ('scheduled', 'succeeded')) then
    return new;
  end if;
  raise exception 'a task cannot go from % to %', old.state, new.state using errcode = 'check_violation';
end $$;

create or replace function refuse_illegal_attempt_transition() returns trigger
  language plpgsql as $$
begin
  if old.state in ('claimed', 'running', 'verifying') and new.state <> 'claimed' then
    return new;
  end if;
  raise exception 'an attempt cannot go from % to %', old.state, new.state using errcode = 'check_violation';
end $$;
