insert into workspace (id, slug, name, created_at) values ('00000000-0000-7000-8000-000000000001', 'main', 'Main', '2026-11-01T00:00:00Z');
