insert into attempt_usage (workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, under_way, is_incomplete)
select workspace_id, id, true, '{sonnet}', 1200, 200, 34, 50000, 0, false from attempt order by id limit 1;
