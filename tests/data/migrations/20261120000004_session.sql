insert into session (id_hash, data, created_at, expires_at) values (decode(repeat('cd', 32), 'hex'), '{}', '2026-11-01T00:00:00Z', '2026-11-02T00:00:00Z');
