insert into api_key (id, workspace_id, name, prefix, hash, role, created_at, expires_at)
values ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'ci', 'abcdefgh', decode(repeat('ef', 32), 'hex'), 'member', '2026-11-01T00:00:00Z', '2027-01-01T00:00:00Z');
