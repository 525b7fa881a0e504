-- Whether models that tasks ask for and no endpoint has are pulled without anybody's asking for it.
alter table workspace
  add column auto_pull    boolean not null default false,
  add column auto_pull_by text,
  add column auto_pull_at timestamptz,
  add constraint auto_pull_is_somebodys check (not auto_pull or auto_pull_by is not null and auto_pull_at is not null);
grant update (auto_pull, auto_pull_by, auto_pull_at) on workspace to muster_app;

-- For which pull a task waits, out of the runners' sight. It stays when that has ended, so that whoever takes the task next knows how.
alter table task
  add column model_pull uuid references endpoint_pull on delete set null,
  drop constraint parked_only_in_the_queue,
  add constraint parked_only_in_the_queue check (
    not parked or (state = 'queued' and (concurrency_key is not null or model_pull is not null)));
create index task_model_pull on task (model_pull) where model_pull is not null;
