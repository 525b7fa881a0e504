-- The repositories of a task beside its first, which stays in the task's own row.
create table task_repository (
  workspace_id  uuid not null,
  task_id       uuid not null,
  -- 0 is the first
  position      int not null check (position between 1 and 8),
  repository_id uuid not null,
  base_ref      text check (length(base_ref) between 1 and 250),
  -- what its worktree is called
  folder        text not null check (folder ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$'),
  primary key (task_id, position),
  foreign key (workspace_id, task_id) references task (workspace_id, id),
  foreign key (workspace_id, repository_id) references repository (workspace_id, id)
);
-- some machines take two names that differ in their case for one
create unique index task_repository_folder on task_repository (task_id, lower(folder));
call separate_tenants('task_repository');
grant select, insert on task_repository to muster_app;

-- What an attempt has come to in them.
create table attempt_repository (
  workspace_id uuid not null,
  attempt_id   uuid not null,
  position     int not null check (position between 1 and 8),
  base_commit  text not null check (base_commit ~ '^[0-9a-f]{7,64}$'),
  branch       text check (length(branch) between 1 and 250),
  commit_id    text check (commit_id ~ '^[0-9a-f]{7,64}$'),
  primary key (attempt_id, position),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id),
  constraint changed_has_both check ((branch is null) = (commit_id is null))
);
call separate_tenants('attempt_repository');
grant select on attempt_repository to muster_app;

-- Each repository of a task lands by itself. What a pull request says of the others is brought up to date once all of them have ended.
alter table landing
  add column position int not null default 0 check (position between 0 and 8),
  -- how many pull requests of the others it names, or is about to
  add column links int not null default 0 check (links between 0 and 8),
  -- when its runner is to be told, or told again, to have its pull request say something else
  add column says_anew_at timestamptz,
  add constraint says_anew_what_is_there check (says_anew_at is null or (state = 'landed' and pull_request_url is not null)),
  drop constraint landing_pkey,
  add primary key (task_id, position);
create index landing_says_anew on landing (says_anew_at) where says_anew_at is not null;
grant update (links, says_anew_at) on landing to muster_app;
