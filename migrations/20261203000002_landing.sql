-- What becomes of a task's result once it has passed its checks.
alter table task add column land text not null default 'none' check (land in ('none', 'push', 'pull_request'));

-- How a result gets to where its repository came from: asked for in the transaction in which the task succeeds, or by a person afterwards,
-- and tried by the runner that has the commit until that has said what came of it.
create table landing (
  task_id      uuid primary key,
  workspace_id uuid not null,
  attempt_id   uuid not null,
  how          text not null check (how in ('push', 'pull_request')),
  state        text not null default 'waiting' check (state in ('waiting', 'landed', 'failed')),
  -- grows with every time that somebody asks for it: what a runner says about an earlier one counts no more
  number       int not null default 1 check (number > 0),
  -- of this time
  tries        int not null default 0 check (tries >= 0),
  branch       text not null check (length(branch) between 1 and 250),
  commit_id    text not null check (commit_id ~ '^[0-9a-f]{7,64}$'),
  -- where the branch is, and the commit that Muster last left it at
  remote       text check (length(remote) between 1 and 2000),
  left_at      text check (left_at ~ '^[0-9a-f]{7,64}$'),
  pull_request_number bigint check (pull_request_number > 0),
  pull_request_url    text check (pull_request_url ~ '^https?://' and length(pull_request_url) <= 2000),
  -- why it has not landed, or not yet
  message      text check (length(message) between 1 and 2000),
  advice       text check (length(advice) between 1 and 2000),
  asked_by     text not null,
  asked_at     timestamptz not null,
  -- when its runner is to be told, or told again
  due_at       timestamptz not null,
  ended_at     timestamptz,
  foreign key (workspace_id, task_id) references task (workspace_id, id),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id),
  constraint ended_exactly_when_it_does_not_wait check ((ended_at is null) = (state = 'waiting')),
  constraint a_trouble_has_both check ((message is null) = (advice is null)),
  constraint why_when_it_failed check (state <> 'failed' or message is not null),
  constraint a_pull_request_has_both check ((pull_request_number is null) = (pull_request_url is null)),
  constraint left_where_it_is check ((remote is null) = (left_at is null))
);
create index landing_due on landing (due_at) where state = 'waiting';
create index landing_attempt on landing (attempt_id);
call separate_tenants('landing');
grant select, insert on landing to muster_app;
-- what came of it is said by runners alone
grant update (attempt_id, how, state, number, tries, branch, commit_id, remote, left_at, message, advice, asked_by, asked_at, due_at, ended_at)
  on landing to muster_app;
