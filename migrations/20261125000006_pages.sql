-- What pages show: a name for a set of filters, and how fast the queue moves.

-- A private view is its maker's alone; a shared one is everybody's in the workspace.
create table saved_view (
  id           uuid primary key,
  workspace_id uuid not null references workspace,
  name         text not null check (length(name) between 1 and 60),
  -- the state, text, tag and lane that are looked for
  filter       jsonb not null check (jsonb_typeof(filter) = 'object'),
  shared       boolean not null,
  created_at   timestamptz not null,
  created_by   text not null,
  changed_at   timestamptz not null
);
create unique index saved_view_own on saved_view (workspace_id, created_by, lower(name));
create unique index saved_view_shared on saved_view (workspace_id, lower(name)) where shared;
call separate_tenants('saved_view');
grant select, insert, update, delete on saved_view to muster_app;

-- Lanes of the queue, in the order in which their tasks joined: how many wait, since when the first and the middle one, and which are
-- next. Without it each of these reads every task that waits.
create index task_lane on task (workspace_id, priority, queued_at) where state = 'queued';

-- Attempts of the last hour. They are stored about in the order in which they were claimed, so a summary per few pages is enough; a
-- claim pays nothing for it.
create index attempt_claimed on attempt using brin (claimed_at) with (pages_per_range = 16, autosummarize = on);
