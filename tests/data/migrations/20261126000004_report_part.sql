insert into report_part (workspace_id, attempt_id, sequence, content)
select workspace_id, id, 1, 'half a report' from attempt order by id limit 1;
