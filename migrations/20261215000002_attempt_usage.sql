-- What an attempt has used, as its session has told it: a sum, so that nobody reads thousands of events for it. One row is the agent's that does
-- the work, the other one that of all its judges.
create table attempt_usage (
  workspace_id  uuid not null,
  attempt_id    uuid not null,
  by_judges     bool not null,
  models        text[] not null check (cardinality(models) <= 10),
  input         bigint not null check (input between 0 and 1000000000000000),
  cached        bigint not null check (cached between 0 and 1000000000000000),
  output        bigint not null check (output between 0 and 1000000000000000),
  cost_micros   bigint check (cost_micros between 0 and 1000000000000000),
  -- sessions that have begun and told no end; nothing when neither was told
  under_way     int,
  -- it was more than that
  is_incomplete bool not null,
  primary key (attempt_id, by_judges),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('attempt_usage');
grant select on attempt_usage to muster_app;
