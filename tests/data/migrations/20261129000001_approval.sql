insert into approval (id, workspace_id, task_id, attempt_id, question, kind, tool, subject, input, backend, isolation, asked_at, deadline)
select '00000000-0000-7000-8000-000000000a01', workspace_id, task_id, id, 1, 'command', 'Bash', 'ls', '{"command": "ls"}', 'claude-code', 'sandbox',
       '2026-11-29T00:00:00Z', '2026-11-29T00:30:00Z' from attempt order by id limit 1;
insert into approval_rule (id, workspace_id, kind, pattern, made_by, made_at)
select '00000000-0000-7000-8000-000000000a02', id, 'command', 'ls *', 'system', '2026-11-29T00:00:00Z' from workspace order by id limit 1;
insert into approval_link (hash, workspace_id, approval_id, made_by, made_at)
select decode(repeat('00', 32), 'hex'), workspace_id, id, 'system', '2026-11-29T00:00:00Z' from approval;
insert into telling (workspace_id, attempt_id, number, payload, at, made_by)
select workspace_id, attempt_id, 1, '{"tell": "message", "text": "go on", "by": "Ada", "interrupt": false}', '2026-11-29T00:00:00Z', 'system' from approval;
