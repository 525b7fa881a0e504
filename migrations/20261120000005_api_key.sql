-- A key is shown once; here is only its hash.
create table api_key (
  id           uuid primary key,
  workspace_id uuid not null references workspace,
  name         text not null check (length(name) between 1 and 100),
  prefix       text not null unique,
  hash         bytea not null check (length(hash) = 32),
  role         text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  last_used_at timestamptz,
  revoked_at   timestamptz
);
create index api_key_workspace_id on api_key (workspace_id);
call separate_tenants('api_key');
grant select (id, workspace_id, name, prefix, role, created_at, expires_at, last_used_at, revoked_at) on api_key to muster_app;
