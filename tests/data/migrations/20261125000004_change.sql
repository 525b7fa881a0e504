insert into workflow_run_change (workspace_id, run_id, number, source, added, removed, rewired, changed_at, changed_by)
values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000021', 1, 'remove: [test]', '{}', '{test}', '{}', '2026-11-25T00:00:00Z', 'system');
