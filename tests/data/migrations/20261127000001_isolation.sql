update workspace set isolation = 'none', isolation_by = 'system', isolation_at = '2026-11-27T00:00:00Z' where id = '00000000-0000-7000-8000-000000000001';
update runner set no_sandbox = 'bwrap cannot be started' where id = '00000000-0000-7000-8000-000000000050';
