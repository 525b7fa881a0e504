insert into runner_reading (runner_id, at, host) select id, '2026-12-02T00:00:00Z', '{"cpu": {"percent": 12, "millicores": 4000}}' from runner order by id limit 1;
