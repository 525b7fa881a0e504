-- When an attempt that failed is followed by the next, and the time before which a task does not start.
alter table task
  add column retry_strategy     text not null default 'exponential' check (retry_strategy in ('exponential', 'linear', 'fibonacci', 'none')),
  add column retry_base_seconds int not null default 1 check (retry_base_seconds between 1 and 3600),
  add column retry_cap_seconds  int not null default 60 check (retry_cap_seconds between retry_base_seconds and 86400),
  add column not_before         timestamptz;
alter table task
  alter column retry_strategy drop default, alter column retry_base_seconds drop default, alter column retry_cap_seconds drop default;

-- The transitions of the domain, with the new one: a task whose dependencies are done may still wait for its time.
create or replace function refuse_illegal_task_transition() returns trigger
  language plpgsql as $$
begin
  if (old.state, new.state) in (
    ('blocked', 'queued'), ('blocked', 'scheduled'), ('blocked', 'skipped'), ('blocked', 'cancelled'),
    ('scheduled', 'queued'), ('scheduled', 'cancelled'),
    ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'blocked'),
    ('running', 'verifying'), ('running', 'queued'), ('running', 'scheduled'), ('running', 'partial'),
    ('running', 'failed'), ('running', 'cancelled'), ('running', 'dead'),
    ('verifying', 'succeeded'), ('verifying', 'queued'), ('verifying', 'scheduled'), ('verifying', 'partial'),
    ('verifying', 'failed'), ('verifying', 'cancelled'), ('verifying', 'dead'),
    ('partial', 'queued'), ('partial', 'blocked'), ('failed', 'queued'), ('failed', 'blocked'),
    ('cancelled', 'queued'), ('cancelled', 'blocked'), ('skipped', 'queued'), ('skipped', 'blocked'),
    ('dead', 'queued'), ('dead', 'blocked')
  ) then
    return new;
  end if;
  raise exception 'a task cannot go from % to %', old.state, new.state using errcode = 'check_violation';
end $$;
