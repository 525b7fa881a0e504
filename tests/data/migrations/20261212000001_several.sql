insert into task_repository (workspace_id, task_id, position, repository_id, base_ref, folder)
select workspace_id, id, 1, repository_id, 'main', 'api' from task order by id limit 1;
insert into attempt_repository (workspace_id, attempt_id, position, base_commit, branch, commit_id)
select workspace_id, id, 1, '0123456789abcdef', 'muster/x-1', 'fedcba9876543210' from attempt order by id limit 1;
insert into landing (task_id, workspace_id, attempt_id, position, how, branch, commit_id, asked_by, asked_at, due_at)
select task_id, workspace_id, id, 1, 'push', 'muster/x-1', '0123456789abcdef', 'system', '2026-12-03T00:00:00Z', '2026-12-03T00:00:00Z'
from attempt order by id limit 1;
