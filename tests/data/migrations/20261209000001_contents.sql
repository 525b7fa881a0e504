update task set submodules = true, lfs = true where id = (select id from task order by id limit 1);
insert into artifact (id, workspace_id, attempt_id, kind, name, sha256, content, created_at)
select '00000000-0000-7000-8000-000000000017', workspace_id, id, 'patch', 'submodule-1-lib.patch', repeat('1', 64), '+hello', '2026-12-09T00:01:00Z'
from attempt order by id limit 1;
insert into finding (workspace_id, attempt_id, position, kind, detail)
select workspace_id, id, 19, 'submodule_changed', 'lib was changed inside' from attempt order by id limit 1;
