-- What a runner may take now, and nothing more: the claim reads this, not the indexes of all tasks there are or were. A row follows its
-- task in the same statement, whoever changes it, so the two cannot disagree.
create sequence queue_joined;
grant usage on sequence queue_joined to muster_app, muster_system;
grant select on sequence queue_joined to muster_system;
-- so that the last number is one that was drawn
select nextval('queue_joined');

create table queue_place (
  workspace_id  uuid not null,
  repository_id uuid not null,
  capabilities  text[] not null,
  turn          bigint not null,
  task_id       uuid not null,
  -- in which order places were taken, also by what came back to an old turn
  joined        bigint not null default nextval('queue_joined'),
  -- from one repository and one set of needs to the next, and inside them by turn
  primary key (workspace_id, repository_id, capabilities, turn, task_id)
);
call separate_tenants('queue_place');
grant select, insert, delete on queue_place to muster_app;
create index queue_place_joined on queue_place (joined);
alter table queue_place set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
                             autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000,
                             autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 500);

create function is_takeable(state text, paused_by text, parked boolean) returns boolean
  language sql immutable
  return state = 'queued' and paused_by is null and not parked;

-- A plan that was made while the table was empty would read all of it for ever.
create function keep_queue_place() returns trigger
  language plpgsql set enable_seqscan = off as $$
begin
  if tg_op <> 'INSERT' and is_takeable(old.state, old.paused_by, old.parked) then
    delete from queue_place
    where workspace_id = old.workspace_id and repository_id = old.repository_id and capabilities = old.capabilities and turn = old.turn
      and task_id = old.id;
  end if;
  if tg_op <> 'DELETE' and is_takeable(new.state, new.paused_by, new.parked) then
    insert into queue_place (workspace_id, repository_id, capabilities, turn, task_id)
    values (new.workspace_id, new.repository_id, new.capabilities, new.turn, new.id);
  end if;
  return null;
end $$;

create trigger joins_the_queue after insert on task
  for each row when (is_takeable(new.state, new.paused_by, new.parked)) execute function keep_queue_place();
create trigger leaves_the_queue after delete on task
  for each row when (is_takeable(old.state, old.paused_by, old.parked)) execute function keep_queue_place();
create trigger moves_in_the_queue after update of state, paused_by, parked, turn, repository_id, capabilities on task
  for each row when (
    is_takeable(old.state, old.paused_by, old.parked) is distinct from is_takeable(new.state, new.paused_by, new.parked)
    or is_takeable(new.state, new.paused_by, new.parked)
       and (old.turn, old.repository_id, old.capabilities) is distinct from (new.turn, new.repository_id, new.capabilities))
  execute function keep_queue_place();

set local role muster_system;
insert into queue_place (workspace_id, repository_id, capabilities, turn, task_id)
select workspace_id, repository_id, capabilities, turn, id from task where is_takeable(state, paused_by, parked) order by turn;
reset role;

drop index task_claim;

-- So that only this index finds what has waited too long: those of all that is queued hold what was queued since a long transaction began.
drop index task_expiry;
create index task_expiry on task (queued_at) where queued_at is not null and queue_seconds is not null;

-- Who was served longest ago is remembered by the servers: one row for each workspace, updated by every claim, leaves a version behind for
-- each as long as a long transaction is open, and every claim has to read past them.
drop table queue_share, repository_share;
drop sequence queue_served;
