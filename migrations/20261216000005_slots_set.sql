-- How many attempts a runner carries out at once somebody may set, beside what its machine says.
alter table runner
  -- absent where it is as its machine says
  add column slots_set   int check (slots_set between 1 and 1000),
  -- whether it takes that from the server; an older one has no more than its machine says
  add column takes_slots boolean not null default false,
  add column slots_now   int not null generated always as
    (case when takes_slots then coalesce(slots_set, slots) else least(slots, slots_set) end) stored,
  -- those inside servers serve every workspace, so that none of these may set it
  add constraint slots_set_by_its_workspace check (slots_set is null or workspace_id is not null);
grant update (slots_set) on runner to muster_app;

-- That it was set, and to what, is kept as a drain is.
alter table runner_log
  drop constraint runner_log_kind_check,
  drop constraint somebody_did_it,
  drop constraint what_it_was,
  add constraint runner_log_kind_check check (kind in
    ('joined', 'back', 'stopped', 'drained', 'resumed', 'no_sandbox', 'sandbox', 'left_behind', 'cleared', 'not_taken', 'not_ended', 'slots_set',
     'slots_own')),
  add constraint somebody_did_it check ((actor is not null) = (kind in ('joined', 'drained', 'resumed', 'slots_set', 'slots_own'))),
  add constraint what_it_was check ((detail is not null) = (kind in ('no_sandbox', 'left_behind', 'slots_set')));
alter policy tenant on runner_log
  with check (kind in ('drained', 'resumed', 'slots_set', 'slots_own')
              and exists (select from runner where runner.id = runner_id and runner.workspace_id = (select current_workspace())));
