-- The report that gates a task: made by the runner after the work's processes were gone.
create table verification (
  attempt_id   uuid primary key,
  workspace_id uuid not null,
  started_at   timestamptz not null,
  duration_ms  bigint not null check (duration_ms >= 0),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('verification');
grant select on verification to muster_app;

create table verification_check (
  workspace_id    uuid not null,
  attempt_id      uuid not null references verification,
  position        int not null check (position >= 0),
  kind            text not null check (kind in ('file_exists', 'command_succeeds', 'test_passes', 'git_clean')),
  target          text,
  required        boolean not null,
  timeout_seconds int not null check (timeout_seconds > 0),
  status          text not null check (status in ('passed', 'failed', 'timed_out', 'error')),
  output          text not null,
  command         text,
  duration_ms     bigint not null check (duration_ms >= 0),
  primary key (attempt_id, position)
);
call separate_tenants('verification_check');
grant select on verification_check to muster_app;
