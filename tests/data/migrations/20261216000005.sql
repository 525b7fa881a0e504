update runner set slots_set = 8 where id = (select id from runner where workspace_id is not null order by id limit 1);
insert into runner_log (runner_id, at, kind, actor, detail) select id, '2026-12-16T00:00:00Z', 'slots_set', 'system', '8' from runner where slots_set = 8;
