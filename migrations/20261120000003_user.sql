-- A person, over all workspaces.
create table "user" (
  id            uuid primary key,
  name          text not null check (length(name) between 1 and 100),
  email         text not null check (length(email) between 3 and 254),
  password_hash text not null,
  created_at    timestamptz not null
);
create unique index user_email_key on "user" (lower(email));

create table member (
  workspace_id uuid not null references workspace,
  user_id      uuid not null references "user",
  role         text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at   timestamptz not null,
  primary key (workspace_id, user_id)
);
create index member_user_id on member (user_id);
call separate_tenants('member');
grant select on member to muster_app;

-- Inside a workspace one sees the people of that workspace, and never a password.
alter table "user" enable row level security;
alter table "user" force row level security;
create policy tenant on "user" to muster_app using (exists (select from member where member.user_id = "user".id));
create policy system on "user" to muster_system using (true) with check (true);
grant select (id, name, email, created_at) on "user" to muster_app;
grant select, insert, update on "user" to muster_system;

-- The one-time link with which the first owner is made.
create table owner_setup (
  token_hash bytea primary key check (length(token_hash) = 32),
  expires_at timestamptz not null
);
grant select, insert, delete on owner_setup to muster_system;
