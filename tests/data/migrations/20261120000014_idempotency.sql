insert into idempotency (workspace_id, principal, route, key, fingerprint, status, answer, expires_at)
values ('00000000-0000-7000-8000-000000000001', 'user:00000000-0000-7000-8000-000000000002', 'POST /api/v1/tasks', 'k', decode(repeat('ef', 32), 'hex'), 201, '{}', '2026-11-02T00:00:00Z');
