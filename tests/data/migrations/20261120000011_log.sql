insert into log_chunk (workspace_id, task_id, start, attempt, stream, content) values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000005', 0, 1, 'stdout', 'hello');
