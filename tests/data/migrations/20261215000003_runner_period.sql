insert into runner_period (runner_id, workspace_id, slot, state, since, until, task_id)
select runner_id, workspace_id, 1, 'working', '2026-12-15T00:00:00Z', '2026-12-15T00:10:00Z', task_id from attempt order by id limit 1;
insert into runner_horizon (runner_id, workspace_id, at) select runner_id, workspace_id, '2026-12-15T00:10:00Z' from runner_period;
