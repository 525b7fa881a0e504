insert into runner (id, name, slots, created_at, last_seen_at) values ('00000000-0000-7000-8000-000000000004', 'here (local)', 2, '2026-11-01T00:00:00Z', '2026-11-01T00:00:00Z');
