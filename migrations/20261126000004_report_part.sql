-- Reports that are too long for one message come in parts. They are kept until the last of them, and only whole ones count.
create table report_part (
  workspace_id uuid not null,
  attempt_id   uuid not null,
  -- of the message within its attempt
  sequence     bigint not null check (sequence > 0),
  content      bytea not null check (length(content) between 1 and 196608),
  primary key (attempt_id, sequence),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('report_part');
