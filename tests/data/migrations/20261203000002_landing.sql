insert into landing (task_id, workspace_id, attempt_id, how, branch, commit_id, asked_by, asked_at, due_at)
select task_id, workspace_id, id, 'pull_request', 'muster/x-1', '0123456789abcdef', 'system', '2026-12-03T00:00:00Z', '2026-12-03T00:00:00Z'
from attempt order by id limit 1;
