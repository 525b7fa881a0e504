-- What holds a task back or ends it early: a person, a deadline, a more urgent task, others that share something with it.
alter table task
  add column tags              text[] not null default '{}' check (cardinality(tags) <= 20),
  add column correlation_id    text check (length(correlation_id) between 1 and 100),
  add column complete_by       timestamptz,
  add column queue_seconds     int check (queue_seconds between 1 and 2592000),
  add column concurrency_key   text check (length(concurrency_key) between 1 and 100),
  add column concurrency_limit int check (concurrency_limit between 1 and 1000),
  -- who holds it: no runner takes it until it is resumed
  add column paused_by         text,
  -- out of the runners' sight until a task with the same key has ended
  add column parked            boolean not null default false,
  -- why what runs is to end
  add column stop              jsonb;
alter table task alter column tags drop default;

alter table task drop constraint cancelled_by_when_cancelled;
set local role muster_system;
update task set stop = jsonb_build_object('why', 'cancel', 'by', cancelled_by), cancelled_by = null
where state in ('running', 'verifying') and cancelled_by is not null;
reset role;
alter table task
  add constraint cancelled_by_exactly_when_cancelled check ((cancelled_by is not null) = (state = 'cancelled')),
  add constraint stop_only_while_it_runs check (stop is null or state in ('running', 'verifying')),
  add constraint paused_only_before_the_end check (paused_by is null or ended_at is null),
  add constraint parked_only_in_the_queue check (not parked or (state = 'queued' and concurrency_key is not null)),
  add constraint limit_exactly_with_a_key check ((concurrency_key is null) = (concurrency_limit is null)),
  -- what is given back keeps its place
  drop constraint turn_exactly_when_queued,
  add constraint turn_when_queued check (case when state = 'queued' then turn is not null else turn is null or state in ('running', 'verifying') end);

-- What a runner may take. Repositories of a workspace take turns as workspaces do.
drop index task_claim;
create index task_claim on task (workspace_id, repository_id, turn, id) where state = 'queued' and paused_by is null and not parked;
create index task_urgent on task (workspace_id, turn) where state = 'queued' and priority = 'urgent' and paused_by is null and not parked;
create index task_deadline on task (complete_by) where complete_by is not null and ended_at is null;
create index task_expiry on task (queued_at) where state = 'queued' and queue_seconds is not null;
create index task_parked on task (workspace_id, concurrency_key, turn) where parked;
create index task_tags on task using gin (tags) where cardinality(tags) > 0;

create table repository_share (
  workspace_id  uuid not null,
  repository_id uuid primary key,
  -- the number of the last claim that took a task of this repository
  served        bigint not null,
  foreign key (workspace_id, repository_id) references repository (workspace_id, id)
) with (fillfactor = 50);
call separate_tenants('repository_share');

-- How many tasks run with a key.
create table concurrency (
  workspace_id uuid not null references workspace,
  key          text not null check (length(key) between 1 and 100),
  running      int not null check (running >= 0),
  primary key (workspace_id, key)
) with (fillfactor = 50);
call separate_tenants('concurrency');
grant select on concurrency to muster_app;

-- A queue that nobody takes from: the whole workspace's, or one repository's.
create table queue_pause (
  workspace_id  uuid not null references workspace,
  repository_id uuid,
  paused_by     text not null,
  paused_at     timestamptz not null,
  unique nulls not distinct (workspace_id, repository_id),
  foreign key (workspace_id, repository_id) references repository (workspace_id, id)
);
call separate_tenants('queue_pause');
grant select, insert, delete on queue_pause to muster_app;

-- The transitions of the domain, with the new ones: a deadline ends what waits, a wait that is too long sets it aside, and what is set
-- aside may be let go.
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
  ) then
    return new;
  end if;
  raise exception 'a task cannot go from % to %', old.state, new.state using errcode = 'check_violation';
end $$;
