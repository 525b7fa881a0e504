-- What of a repository is fetched beside its files and their history.
alter table task
  add column submodules boolean not null default false,
  add column lfs        boolean not null default false;

-- What an attempt changed inside a submodule is kept apart, as no commit of its repository holds it.
alter table artifact
  drop constraint artifact_kind_check,
  add constraint artifact_kind_check check (kind in ('diff', 'patch'));
alter table finding
  drop constraint finding_kind_check,
  add constraint finding_kind_check check (kind in ('no_change', 'no_tool_call', 'tests_removed', 'tests_skipped', 'submodule_changed'));
