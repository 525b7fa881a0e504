-- What speaks against an attempt's result, whatever its checks say, as its runner found it.
create table finding (
  workspace_id uuid not null,
  attempt_id   uuid not null,
  position     int not null check (position between 0 and 19),
  kind         text not null check (kind in ('no_change', 'no_tool_call', 'tests_removed', 'tests_skipped')),
  detail       text not null check (length(detail) between 1 and 1000),
  primary key (attempt_id, position),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('finding');
grant select on finding to muster_app;
