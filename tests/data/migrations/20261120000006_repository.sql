insert into repository (id, workspace_id, location, created_at) values ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001', '/srv/app', '2026-11-01T00:00:00Z');
