-- By when an attempt is to have ended: its time is over or somebody wants its end, and its runner was asked. When it has not ended by then its
-- lease is renewed no more, and runs out.
alter table attempt
  add column ends_by   timestamptz,
  add column renewable boolean not null default true,
  add constraint renewed_as_long_as_it_may_last check (renewable or ends_by is not null);

-- How often the runner of a landing was told of this try.
alter table landing add column tells int not null default 0 check (tells >= 0);
grant update (tells) on landing to muster_app;
