insert into finding (workspace_id, attempt_id, position, kind, detail)
select workspace_id, id, 0, 'no_change', 'the agent changed nothing' from attempt order by id limit 1;
