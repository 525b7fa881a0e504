-- What a runner has read of its machine last. One row for each, written again every few seconds: there is room beside it on its page.
create table runner_reading (
  runner_id uuid primary key references runner,
  at        timestamptz not null,
  host      jsonb not null check (jsonb_typeof(host) = 'object' and octet_length(host::text) <= 65536)
) with (fillfactor = 50);
alter table runner_reading enable row level security;
alter table runner_reading force row level security;
-- of the runners that one sees; runners write alone
create policy tenant on runner_reading for select to muster_app using (exists (select from runner where runner.id = runner_id));
create policy system on runner_reading to muster_system using (true) with check (true);
grant select on runner_reading to muster_app;
grant select, insert, update, delete on runner_reading to muster_system;
