-- Whose turn it is. Inside a workspace a task's turn is the number it draws when it joins the queue, plus the patience of its lane:
-- first come, first served inside a lane, and a task is passed by later ones at most as often as its lane has patience.
create sequence queue_turn;
grant usage on sequence queue_turn to muster_app, muster_system;

create function lane_patience(priority text) returns int
  language sql immutable
  return case priority when 'urgent' then 0 when 'high' then 32 when 'normal' then 128 else 512 end;

alter table task add column turn bigint;
set local role muster_system;
update task set turn = nextval('queue_turn') + lane_patience(priority) where state = 'queued';
reset role;
alter table task add constraint turn_exactly_when_queued check ((turn is not null) = (state = 'queued'));

drop index task_claim;
create index task_claim on task (workspace_id, turn, id) where state = 'queued';
alter table task drop column priority_rank;

-- Between workspaces: whoever was served longest ago is next.
create sequence queue_served;
grant usage on sequence queue_served to muster_system;

create table queue_share (
  workspace_id uuid primary key references workspace,
  -- the number of the last claim that took a task of this workspace
  served       bigint not null
) with (fillfactor = 50);
call separate_tenants('queue_share');
