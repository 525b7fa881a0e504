insert into attempt_usage (workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, under_way, is_incomplete)
select workspace_id, id, true, '{sonnet}', 1200, 200, 34, 50000, 0, false from attempt order by id limit 1;
-- told before the migration after this one reads it
insert into session_event (workspace_id, attempt_id, number, at, kind, payload, bytes, total)
select workspace_id, id, 2, '2026-11-28T00:00:01Z', 'usage', '{"type": "usage", "input": 70, "output": 7, "model": "opus"}', 60, 100 from attempt order by id limit 1;
