-- What a task needs its runner to have and what a runner has, how hard a task is and how long it should take, and how it is tried again
-- after a failure that is not its own.
alter table runner
  add column capabilities text[] not null default '{}' check (cardinality(capabilities) <= 100);

alter table task
  add column capabilities     text[] not null default '{}' check (cardinality(capabilities) <= 20),
  -- what whoever handed it in says
  add column tier             text check (tier in ('trivial', 'standard', 'complex')),
  -- what can be told from how it is written
  add column inferred         jsonb not null default '{"tier": null, "confidence": 0.0, "signals": []}' check (jsonb_typeof(inferred) = 'object'),
  add column estimate_seconds int check (estimate_seconds between 1 and 2592000),
  -- what is to be different by class of failure
  add column retry_by_class   jsonb,
  -- attempts that were told to come back later, and were not charged
  add column limits           int not null default 0 check (limits >= 0);

-- What waits for something that not every runner has.
create index task_needs on task (workspace_id, capabilities) where state = 'queued' and cardinality(capabilities) > 0;
