insert into runner_log (runner_id, workspace_id, at, kind, since, task_id, attempt)
select runner_id, workspace_id, '2026-12-14T00:15:00Z', 'not_ended', '2026-12-14T00:00:00Z', task_id, number from attempt order by id limit 1;
