insert into queue_share (workspace_id, served) values ('00000000-0000-7000-8000-000000000001', 1);
