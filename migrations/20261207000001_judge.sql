-- Checks that read a change instead of running something: who is to judge, and what was judged.
alter table verification_check
  drop constraint verification_check_kind_check,
  drop constraint verification_check_status_check,
  add constraint verification_check_kind_check check
    (kind in ('file_exists', 'command_succeeds', 'test_passes', 'git_clean', 'review', 'model')),
  add constraint verification_check_status_check check (status in ('passed', 'failed', 'timed_out', 'error', 'skipped')),
  -- nothing when nothing was said
  add column judge jsonb check (jsonb_typeof(judge) = 'object'),
  -- nothing when nobody was asked
  add column judgement jsonb check (jsonb_typeof(judgement) = 'object'),
  add constraint only_judges_judge check (kind in ('review', 'model') or judge is null and judgement is null and status <> 'skipped'),
  -- no judge lets anything pass without a verdict that says so
  add constraint passed_by_a_verdict check (
    kind not in ('review', 'model') or status <> 'passed' or coalesce(judgement #>> '{verdict,verdict}' = 'pass', false));
