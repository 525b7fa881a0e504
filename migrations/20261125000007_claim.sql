-- The claim goes from one repository and one set of needs to the next, so that what its runners cannot take costs it one step, however
-- many tasks that are.
drop index task_claim;
create index task_claim on task (workspace_id, repository_id, capabilities, turn, id)
  where state = 'queued' and paused_by is null and not parked;
