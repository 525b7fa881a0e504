insert into saved_view (id, workspace_id, name, filter, shared, created_at, created_by, changed_at)
values ('00000000-0000-7000-8000-000000000030', '00000000-0000-7000-8000-000000000001', 'Broken', '{"state": "failed"}', true, '2026-11-25T00:00:00Z', 'user:00000000-0000-7000-8000-000000000002', '2026-11-25T00:00:00Z');
