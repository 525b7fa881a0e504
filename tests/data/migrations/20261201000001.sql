insert into runner_pause (runner_id, kind, since, until) select id, 'offline', '2026-12-01T00:00:00Z', '2026-12-01T00:10:00Z' from runner order by id limit 1;
