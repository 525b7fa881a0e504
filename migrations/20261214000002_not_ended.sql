-- What a runner was asked to end and has not ended it has lost, and that is kept as what it did not take is.
alter table runner_log
  drop constraint runner_log_kind_check,
  drop constraint what_was_not_taken,
  add constraint runner_log_kind_check check (kind in
    ('joined', 'back', 'stopped', 'drained', 'resumed', 'no_sandbox', 'sandbox', 'left_behind', 'cleared', 'not_taken', 'not_ended')),
  add constraint what_was_not_taken_or_not_ended check
    ((kind in ('not_taken', 'not_ended')) = (task_id is not null) and (task_id is null) = (attempt is null)
     and (task_id is null) = (workspace_id is null));
