-- How far a pull has come at most, and how often it has fallen back since: what comes to the same point again and again comes no further.
alter table endpoint_pull
  add column furthest bigint not null default 0 check (furthest >= 0),
  add column falls    int not null default 0 check (falls >= 0);
set local role muster_system;
update endpoint_pull set furthest = completed where ended_at is null;
reset role;
