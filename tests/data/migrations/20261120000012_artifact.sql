insert into artifact (id, workspace_id, attempt_id, kind, name, sha256, content, created_at)
values ('00000000-0000-7000-8000-000000000007', '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000007', 'diff', 'changes.diff', repeat('0', 64), '+hello', '2026-11-01T00:01:00Z');
