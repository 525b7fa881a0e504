-- Every index is paid for at each state that a task passes, so there is none that another one covers.

-- (workspace_id, id) is unique, and is read backwards as well
drop index task_list;

-- a handful of rows is with runners at any time, and a heartbeat that touches no index leaves no trace in any
drop index attempt_lease;

-- the order in which events are read is their key
alter table event drop constraint event_pkey;
drop index event_position;
alter table event add primary key (xid, id);

-- What changes all the time is cleaned up after so many rows, not after a share of a table that grows, and without being slowed down.
do $$
declare
  noun text;
begin
  foreach noun in array array['task', 'task_dependency', 'attempt', 'event', 'concurrency', 'queue_share', 'repository_share', 'runner'] loop
    execute format(
      'alter table %I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
                           autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000,
                           autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 500)', noun);
  end loop;
end $$;
