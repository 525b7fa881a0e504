create table repository (
  id           uuid primary key,
  workspace_id uuid not null references workspace,
  location     text not null check (length(location) between 1 and 2000),
  created_at   timestamptz not null,
  unique (workspace_id, location),
  unique (workspace_id, id)
);
call separate_tenants('repository');
grant select, insert on repository to muster_app;
