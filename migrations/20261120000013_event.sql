-- Committed facts. A reader of the workspace goes by (xid, id) and reads only what is older than every running transaction:
-- ids alone are handed out before the commit, so "everything after id N" would lose what commits late.
create table event (
  id           bigint generated always as identity primary key,
  xid          xid8 not null default pg_current_xact_id(),
  workspace_id uuid not null,
  task_id      uuid not null,
  -- consecutive within the task, taken under the task's row lock
  number       bigint not null check (number > 0),
  actor        text not null,
  kind         text not null,
  payload      jsonb not null,
  at           timestamptz not null,
  unique (task_id, number),
  foreign key (workspace_id, task_id) references task (workspace_id, id)
);
create index event_position on event (xid, id);
create index event_workspace_position on event (workspace_id, xid, id);
call separate_tenants('event');
grant select, insert on event to muster_app;

create function refuse_event_change() returns trigger
  language plpgsql as $$
begin
  raise exception 'events are facts and never change' using errcode = 'check_violation';
end $$;

create trigger append_only before update on event for each row execute function refuse_event_change();
