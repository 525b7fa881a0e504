insert into runner_log (runner_id, at, kind, since) select id, '2026-12-10T00:10:00Z', 'back', '2026-12-10T00:00:00Z' from runner order by id limit 1;
insert into runner_log (runner_id, workspace_id, at, kind, since, task_id, attempt)
select runner_id, workspace_id, '2026-12-10T00:11:00Z', 'not_taken', '2026-12-10T00:10:00Z', task_id, number from attempt order by id limit 1;
