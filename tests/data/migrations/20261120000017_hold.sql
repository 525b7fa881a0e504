insert into repository_share (workspace_id, repository_id, served) values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000003', 1);
insert into concurrency (workspace_id, key, running) values ('00000000-0000-7000-8000-000000000001', 'staging', 1);
insert into queue_pause (workspace_id, repository_id, paused_by, paused_at) values ('00000000-0000-7000-8000-000000000001', null, 'system', '2026-11-01T00:00:00Z');
