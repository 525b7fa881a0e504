insert into workflow (id, workspace_id, name, version, created_at, changed_at)
values ('00000000-0000-7000-8000-000000000020', '00000000-0000-7000-8000-000000000001', 'release', 1, '2026-11-20T00:00:00Z', '2026-11-20T00:00:00Z');
insert into workflow_version (workspace_id, workflow_id, version, definition, source, created_at, created_by)
values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000020', 1, '{"name": "release", "steps": [{"id": "build", "command": "make"}]}', 'name: release', '2026-11-20T00:00:00Z', 'system');
insert into workflow_run (id, workspace_id, workflow_id, version, title, parameters, repository, created_at, created_by)
values ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000020', 1, 'Release', '{}', '/srv/app', '2026-11-20T00:00:00Z', 'system');
insert into workflow_step (workspace_id, run_id, key, task_id, reused)
values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000021', 'build', '00000000-0000-7000-8000-000000000005', true);
