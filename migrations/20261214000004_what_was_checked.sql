-- What was checked: of each repository its commit and the id of its files. What came before did not say it.
alter table verification add column checked jsonb check (jsonb_typeof(checked) = 'array');

-- What speaks against a result: something beside an agent's commits, and a diff of which the rest was not looked at.
alter table finding
  drop constraint finding_kind_check,
  add constraint finding_kind_check check
    (kind in ('no_change', 'no_tool_call', 'tests_removed', 'tests_skipped', 'submodule_changed', 'dirty_tree', 'diff_cut'));
