-- What keeps work from the rest of the machine that it runs on: a sandbox, unless an owner of the workspace has said otherwise.
alter table workspace
  add column isolation    text not null default 'sandbox' check (isolation in ('sandbox', 'none')),
  add column isolation_by text,
  add column isolation_at timestamptz,
  add constraint isolation_is_somebodys check (isolation = 'sandbox' or isolation_by is not null and isolation_at is not null);
grant update (isolation, isolation_by, isolation_at) on workspace to muster_app;

-- Why its machine makes no sandbox, as the runner said when it opened its link; nothing when it makes them.
alter table runner add column no_sandbox text check (length(no_sandbox) between 1 and 1000);
