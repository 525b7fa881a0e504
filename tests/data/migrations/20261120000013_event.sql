insert into event (workspace_id, task_id, number, actor, kind, payload, at)
values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000005', 1, 'user:00000000-0000-7000-8000-000000000002', 'task_created', '{"kind": "task_created", "state": "queued"}', '2026-11-01T00:00:00Z');
