-- A browser that is signed in. The cookie's id is kept only as its hash.
create table session (
  id_hash    bytea primary key check (length(id_hash) = 32),
  data       jsonb not null,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index session_expires_at on session (expires_at);
grant select, insert, update, delete on session to muster_system;
