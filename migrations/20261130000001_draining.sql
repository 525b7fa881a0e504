-- A runner that is to take nothing new, for as long as these are set; and reading what a runner has done.
alter table runner
  add column draining_since timestamptz,
  add column draining_by    text,
  -- those inside servers serve every workspace, so that none of these may stop them
  add constraint draining_by_somebody check (
    (draining_since is null) = (draining_by is null) and (draining_since is null or workspace_id is not null));
grant update (draining_since, draining_by) on runner to muster_app;
-- claimed_at and runner_id never change, so that the updates of an attempt stay on its page
create index attempt_of_runner on attempt (workspace_id, runner_id, claimed_at desc);
