insert into endpoint (id, workspace_id, name, url, created_at, registered_by, next_check_at, checked_at, healthy, models)
select '00000000-0000-7000-8000-000000000b01', id, 'box', 'http://box:11434', '2026-12-02T00:00:00Z', 'system', '2026-12-02T00:00:10Z',
       '2026-12-02T00:00:00Z', true, '[{"name": "llama3:latest", "state": "warm", "size": 1}]' from workspace order by id limit 1;
insert into endpoint_pull (id, workspace_id, endpoint_id, model, asked_by, asked_at)
select '00000000-0000-7000-8000-000000000b02', workspace_id, id, 'tiny:1b', 'system', '2026-12-02T00:00:00Z' from endpoint;
