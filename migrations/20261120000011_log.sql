-- A task's log is one sequence of bytes over all its attempts; each piece starts where the one before it ends.
create table log_chunk (
  workspace_id uuid not null,
  task_id      uuid not null,
  start        bigint not null check (start >= 0),
  attempt      int not null,
  stream       text not null check (stream in ('stdout', 'stderr', 'muster')),
  content      bytea not null check (length(content) between 1 and 65536),
  primary key (task_id, start),
  foreign key (workspace_id, task_id) references task (workspace_id, id)
);
call separate_tenants('log_chunk');
grant select on log_chunk to muster_app;
