insert into event_horizon (workspace_id, xid, id) values ('00000000-0000-7000-8000-000000000001', '700', 3);
