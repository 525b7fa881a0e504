create table attempt (
  id           uuid primary key,
  workspace_id uuid not null,
  task_id      uuid not null,
  number       int not null check (number > 0),
  runner_id    uuid not null references runner,
  state        text not null,
  claimed_at   timestamptz not null,
  started_at   timestamptz,
  lease_until  timestamptz not null,
  ended_at     timestamptz,
  base_commit  text,
  branch       text,
  commit_id    text,
  exit_code    int,
  failure      jsonb,
  -- where its part of the task's log starts, and how many bytes of it are stored
  log_start    bigint not null check (log_start >= 0),
  log_bytes    bigint not null default 0 check (log_bytes >= 0),
  unique (task_id, number),
  unique (workspace_id, id),
  foreign key (workspace_id, task_id) references task (workspace_id, id),
  constraint known_state check (state in
    ('claimed', 'running', 'verifying', 'succeeded', 'failed', 'timed_out', 'lost', 'cancelled')),
  constraint ended_at_exactly_when_final check
    ((ended_at is not null) = (state in ('succeeded', 'failed', 'timed_out', 'lost', 'cancelled'))),
  constraint failure_when_it_failed check ((failure is not null) = (state in ('failed', 'timed_out', 'lost')))
) with (fillfactor = 70);

-- Two runners never hold the same task.
create unique index attempt_one_holder on attempt (task_id) where state in ('claimed', 'running', 'verifying');
create index attempt_lease on attempt (lease_until) where state in ('claimed', 'running', 'verifying');
create index attempt_runner on attempt (runner_id) where state in ('claimed', 'running', 'verifying');
call separate_tenants('attempt');
grant select on attempt to muster_app;

create function refuse_illegal_attempt_transition() returns trigger
  language plpgsql as $$
begin
  if old.state in ('claimed', 'running', 'verifying') and new.state <> 'claimed'
     and not (old.state = 'verifying' and new.state = 'running') then
    return new;
  end if;
  raise exception 'an attempt cannot go from % to %', old.state, new.state using errcode = 'check_violation';
end $$;

create trigger legal_transition before update of state on attempt
  for each row when (old.state is distinct from new.state) execute function refuse_illegal_attempt_transition();
