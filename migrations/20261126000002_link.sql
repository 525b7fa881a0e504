-- A runner's link may close and another take its place while its attempts run on.

-- In which order links were opened, whichever server they lead to: the newest is the runner's.
create sequence runner_ticket;
grant usage on sequence runner_ticket to muster_system;
alter table runner
  add column ticket bigint not null default 0;

-- How much of what was said about it has had its effect, so that what comes twice counts once.
alter table attempt
  add column heard bigint not null default 0 check (heard >= 0);
