insert into runner (id, workspace_id, name, slots, created_at, last_seen_at, public_key, paths, joined_by)
values ('00000000-0000-7000-8000-000000000050', '00000000-0000-7000-8000-000000000001', 'far away', 1, '2026-11-26T00:00:00Z', '2026-11-26T00:00:00Z', decode(repeat('ab', 32), 'hex'), false, 'system');
insert into runner_token (id, workspace_id, hash, created_at, created_by, expires_at, runner_id)
values ('00000000-0000-7000-8000-000000000051', '00000000-0000-7000-8000-000000000001', decode(repeat('cd', 32), 'hex'), '2026-11-26T00:00:00Z', 'system', '2026-11-26T01:00:00Z', '00000000-0000-7000-8000-000000000050');
