-- SHA-256 of the report as canonical JSON, made when it came. What came before has none: nobody can say what it was then.
alter table verification add column hash text check (hash ~ '^[0-9a-f]{64}$');
