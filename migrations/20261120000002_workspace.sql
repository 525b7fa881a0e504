create table workspace (
  id         uuid primary key,
  slug       text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$'),
  name       text not null check (length(name) between 1 and 100),
  created_at timestamptz not null
);

alter table workspace enable row level security;
alter table workspace force row level security;
create policy tenant on workspace to muster_app using (id = (select current_workspace()));
create policy system on workspace to muster_system using (true) with check (true);
grant select on workspace to muster_app;
grant select, insert, update on workspace to muster_system;
