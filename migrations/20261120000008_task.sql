create table task (
  id                  uuid primary key,
  workspace_id        uuid not null references workspace,
  repository_id       uuid not null,
  title               text not null check (length(title) between 1 and 200),
  command             text,
  prompt              text,
  base_ref            text,
  files               text[] not null,
  success_criteria    text[] not null,
  checks              jsonb not null check (jsonb_typeof(checks) = 'array'),
  priority            text not null check (priority in ('urgent', 'high', 'normal', 'low')),
  priority_rank       smallint not null generated always as
                        (case priority when 'urgent' then 0 when 'high' then 1 when 'normal' then 2 else 3 end) stored,
  timeout_seconds     int not null check (timeout_seconds between 1 and 86400),
  max_attempts        int not null check (max_attempts between 1 and 10),
  state               text not null,
  -- how many of the tasks it depends on have not succeeded
  waiting_for         int not null default 0 check (waiting_for >= 0),
  attempts            int not null default 0 check (attempts >= 0),
  failures            int not null default 0 check (failures >= 0),
  losses              int not null default 0 check (losses between 0 and 3),
  queued_at           timestamptz,
  run_at              timestamptz,
  ended_at            timestamptz,
  failure             jsonb,
  -- who asked for its end; the request while it runs, the fact once it has ended
  cancelled_by        text,
  skipped_because_of  uuid,
  skipped_reason      text,
  created_at          timestamptz not null,
  created_by          text not null,
  unique (workspace_id, id),
  foreign key (workspace_id, repository_id) references repository (workspace_id, id),
  constraint one_kind_of_work check ((command is null) <> (prompt is null)),
  constraint known_state check (state in
    ('blocked', 'scheduled', 'queued', 'running', 'verifying', 'succeeded', 'partial', 'failed', 'cancelled', 'skipped', 'dead')),
  constraint queued_at_exactly_when_queued check ((queued_at is not null) = (state = 'queued')),
  constraint run_at_exactly_when_scheduled check ((run_at is not null) = (state = 'scheduled')),
  constraint ended_at_exactly_when_final check
    ((ended_at is not null) = (state in ('succeeded', 'partial', 'failed', 'cancelled', 'skipped', 'dead'))),
  constraint failure_exactly_when_it_failed check ((failure is not null) = (state in ('partial', 'failed', 'dead'))),
  constraint cancelled_by_when_cancelled check
    (case when state = 'cancelled' then cancelled_by is not null
          when state in ('running', 'verifying') then true else cancelled_by is null end),
  constraint skipped_with_a_reason check
    ((skipped_because_of is not null) = (state = 'skipped') and (skipped_reason is not null) = (state = 'skipped')),
  constraint blocked_only_while_waiting check (state <> 'blocked' or waiting_for > 0),
  constraint ran_only_with_an_attempt check (state not in ('running', 'verifying', 'succeeded', 'partial') or attempts > 0)
) with (fillfactor = 70);

create index task_list on task (workspace_id, id desc);
create index task_list_by_state on task (workspace_id, state, id desc);
create index task_claim on task (priority_rank, queued_at, id) where state = 'queued';
create index task_ended on task (workspace_id, ended_at desc) where ended_at is not null;
create index task_due on task (run_at) where state = 'scheduled';
call separate_tenants('task');
grant select, insert, update on task to muster_app;

-- The transitions of the domain, once more: whatever writes, no task goes a way that is not on this list.
create function refuse_illegal_task_transition() returns trigger
  language plpgsql as $$
begin
  if (old.state, new.state) in (
    ('blocked', 'queued'), ('blocked', 'skipped'), ('blocked', 'cancelled'),
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

create trigger legal_transition before update of state on task
  for each row when (old.state is distinct from new.state) execute function refuse_illegal_task_transition();

-- An attempt's number is a fence, so it never falls.
create function refuse_falling_attempts() returns trigger
  language plpgsql as $$
begin
  raise exception 'the attempts of a task never fall' using errcode = 'check_violation';
end $$;

create trigger rising_attempts before update of attempts on task
  for each row when (new.attempts < old.attempts) execute function refuse_falling_attempts();

create table task_dependency (
  workspace_id  uuid not null,
  task_id       uuid not null,
  depends_on_id uuid not null,
  created_at    timestamptz not null,
  primary key (task_id, depends_on_id),
  foreign key (workspace_id, task_id) references task (workspace_id, id),
  foreign key (workspace_id, depends_on_id) references task (workspace_id, id),
  constraint not_on_itself check (task_id <> depends_on_id)
);
create index task_dependency_depends_on on task_dependency (depends_on_id);
call separate_tenants('task_dependency');
grant select, insert on task_dependency to muster_app;
