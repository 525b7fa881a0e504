update workspace set auto_pull = true, auto_pull_by = 'system', auto_pull_at = '2026-12-05T00:00:00Z' where id = '00000000-0000-7000-8000-000000000001';
update task set model_pull = '00000000-0000-7000-8000-000000000b03' where id = '00000000-0000-7000-8000-000000000005';
