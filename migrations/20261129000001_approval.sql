-- Leave that agents ask people for. It is answered once.
create table approval (
  id           uuid primary key,
  workspace_id uuid not null,
  task_id      uuid not null,
  attempt_id   uuid not null,
  -- the runner's own number for it
  question     int not null check (question between 1 and 1000),
  kind         text not null check (kind in ('command', 'edit', 'tool')),
  tool         text not null check (length(tool) between 1 and 200),
  subject      text not null check (octet_length(subject) <= 65536),
  input        jsonb not null,
  backend      text not null,
  isolation    text not null check (isolation in ('sandbox', 'none')),
  state        text not null default 'pending',
  asked_at     timestamptz not null,
  deadline     timestamptz not null check (deadline > asked_at),
  closed_at    timestamptz,
  -- who or what answered, for people, and the actor's label
  closed_by    text,
  actor        text,
  rule_id      uuid,
  message      text check (length(message) between 1 and 2000),
  unique (attempt_id, question),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id),
  foreign key (workspace_id, task_id) references task (workspace_id, id),
  constraint known_state check (state in ('pending', 'allowed', 'denied', 'expired', 'withdrawn')),
  constraint closed_exactly_when_not_pending check ((closed_at is null) = (state = 'pending')),
  constraint answered_by_somebody check (state not in ('allowed', 'denied') or closed_by is not null and actor is not null)
);
create index approval_pending on approval (deadline) where state = 'pending';
create index approval_pending_task on approval (task_id) where state = 'pending';
create index approval_workspace on approval (workspace_id, id);
call separate_tenants('approval');
grant select, update (state, closed_at, closed_by, actor, rule_id, message) on approval to muster_app;

create function refuse_another_answer() returns trigger
  language plpgsql as $$
begin
  raise exception 'what was asked is % already', old.state using errcode = 'check_violation';
end $$;
create trigger answered_once before update of state on approval
  for each row when (old.state <> 'pending') execute function refuse_another_answer();

-- What is allowed without asking anybody. One that was removed stays, so that it can be seen who allowed what.
create table approval_rule (
  id            uuid primary key,
  workspace_id  uuid not null references workspace,
  -- for its tasks alone; for all of the workspace when absent
  repository_id uuid,
  kind          text not null check (kind in ('command', 'edit', 'tool')),
  pattern       text not null check (length(pattern) between 1 and 1000),
  -- whether it holds where what is allowed is done as the runner's user
  without_sandbox boolean not null default false,
  made_by       text not null,
  made_at       timestamptz not null,
  -- the question that it was made with, which may be gone
  approval_id   uuid,
  used          bigint not null default 0 check (used >= 0),
  last_used_at  timestamptz,
  removed_by    text,
  removed_at    timestamptz,
  foreign key (workspace_id, repository_id) references repository (workspace_id, id),
  constraint removed_by_somebody check ((removed_by is null) = (removed_at is null))
);
create unique index approval_rule_once on approval_rule (workspace_id, repository_id, kind, pattern, without_sandbox) nulls not distinct where removed_at is null;
call separate_tenants('approval_rule');
grant select, insert, update (removed_by, removed_at) on approval_rule to muster_app;

-- Links with which one question can be answered, once, by whoever has them.
create table approval_link (
  hash         bytea primary key check (length(hash) = 32),
  workspace_id uuid not null references workspace,
  approval_id  uuid not null references approval,
  made_by      text not null,
  made_at      timestamptz not null,
  used_at      timestamptz
);
create index approval_link_approval on approval_link (approval_id);
call separate_tenants('approval_link');
grant select, insert on approval_link to muster_app;

-- What an attempt is told while it works, until its runner has heard it.
create table telling (
  workspace_id uuid not null,
  attempt_id   uuid not null,
  number       bigint not null check (number > 0),
  payload      jsonb not null check (jsonb_typeof(payload) = 'object'),
  at           timestamptz not null,
  made_by      text not null,
  heard_at     timestamptz,
  primary key (attempt_id, number),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
create index telling_unheard on telling (attempt_id, number) where heard_at is null;
call separate_tenants('telling');
grant select, insert on telling to muster_app;
