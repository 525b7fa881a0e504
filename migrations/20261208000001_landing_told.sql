-- Since when the runner of a landing has been told of this try, and has not said what came of it. While it is at it, when it is due is only
-- when it is told again.
alter table landing
  add column told_at timestamptz,
  add constraint told_only_while_it_waits check (told_at is null or state = 'waiting');
grant update (told_at) on landing to muster_app;
