-- Two roles without a login; every connection of Muster takes one of them on before its first statement.
-- muster_app: what an actor asks for, inside one workspace.  muster_system: sign-in and the background services.
-- Roles belong to the cluster, not the database, so another database may have made them already.
do $$
begin
  create role muster_app nologin nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;

do $$
begin
  create role muster_system nologin nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;

do $$
begin
  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('grant muster_app, muster_system to %I', current_user);
  end if;
end $$;

-- The workspace of the transaction. Without one it raises: a statement outside a workspace fails instead of seeing nothing.
create function current_workspace() returns uuid
  language sql stable
  return current_setting('muster.workspace_id')::uuid;

-- What every table with a workspace_id calls once: the database keeps the tenants apart, for its owner too.
create procedure separate_tenants(noun regclass)
  language plpgsql as $$
begin
  execute format('alter table %s enable row level security', noun);
  execute format('alter table %s force row level security', noun);
  execute format('create policy tenant on %s to muster_app
    using (workspace_id = (select current_workspace())) with check (workspace_id = (select current_workspace()))', noun);
  execute format('create policy system on %s to muster_system using (true) with check (true)', noun);
  execute format('grant select, insert, update, delete on %s to muster_system', noun);
end $$;
