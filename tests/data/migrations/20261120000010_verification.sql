insert into verification (attempt_id, workspace_id, started_at, duration_ms) values ('00000000-0000-7000-8000-000000000007', '00000000-0000-7000-8000-000000000001', '2026-11-01T00:00:30Z', 1200);
insert into verification_check (workspace_id, attempt_id, position, kind, target, required, timeout_seconds, status, output, duration_ms)
values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000007', 0, 'command_succeeds', 'make test', true, 300, 'passed', 'ok', 1200);
