-- Who allowed what, and who took it back, are facts, as events are: once written neither changes, whoever writes. Events are each of a task,
-- and a rule is of none, so that they stand with the rule itself.
create function refuse_rule_change() returns trigger
  language plpgsql as $$
begin
  raise exception 'who made and removed a rule, and what it allowed, are facts and never change' using errcode = 'check_violation';
end $$;

create trigger made_once before update on approval_rule
  for each row when (
    (old.id, old.workspace_id, old.repository_id, old.kind, old.pattern, old.without_sandbox, old.made_by, old.made_at, old.approval_id)
    is distinct from
    (new.id, new.workspace_id, new.repository_id, new.kind, new.pattern, new.without_sandbox, new.made_by, new.made_at, new.approval_id))
  execute function refuse_rule_change();
create trigger removed_once before update on approval_rule
  for each row when (
    old.removed_at is not null and (old.removed_by, old.removed_at) is distinct from (new.removed_by, new.removed_at))
  execute function refuse_rule_change();
create trigger stays_on_record before delete on approval_rule for each row execute function refuse_rule_change();
