insert into endpoint_pull (id, workspace_id, endpoint_id, model, asked_by, asked_at)
select '00000000-0000-7000-8000-000000000b06', workspace_id, id, 'llama3:8b', 'system', '2026-12-13T00:00:00Z' from endpoint;
