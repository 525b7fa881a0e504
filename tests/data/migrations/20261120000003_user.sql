insert into "user" (id, name, email, password_hash, created_at) values ('00000000-0000-7000-8000-000000000002', 'Ada', 'ada@example.org', 'hash', '2026-11-01T00:00:00Z');
insert into member (workspace_id, user_id, role, created_at) values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'owner', '2026-11-01T00:00:00Z');
insert into owner_setup (token_hash, expires_at) values (decode(repeat('ab', 32), 'hex'), '2026-11-02T00:00:00Z');
