update runner set draining_since = '2026-11-30T00:00:00Z', draining_by = 'system' where id = (select id from runner where workspace_id is not null order by id limit 1);
