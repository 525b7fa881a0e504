update verification set checked = '[{"commit": "1a2b3c", "tree": "4d5e6f"}, {"folder": "api", "commit": "7a8b9c", "tree": "0d1e2f"}]';
insert into finding (workspace_id, attempt_id, position, kind, detail)
select workspace_id, id, 18, 'diff_cut', 'the diff is longer than what is kept of it' from attempt order by id limit 1;
