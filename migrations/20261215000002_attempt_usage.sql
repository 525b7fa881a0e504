-- What an attempt has used, as its session has told it: a sum, so that nobody reads thousands of events for it. One row is the agent's that does
-- the work, the other one that of all its judges.
create table attempt_usage (
  workspace_id  uuid not null,
  attempt_id    uuid not null,
  by_judges     bool not null,
  models        text[] not null check (cardinality(models) <= 10),
  input         bigint not null check (input between 0 and 1000000000000000),
  cached        bigint not null check (cached between 0 and 1000000000000000),
  output        bigint not null check (output between 0 and 1000000000000000),
  cost_micros   bigint check (cost_micros between 0 and 1000000000000000),
  -- sessions that have begun and told no end; nothing when neither was told
  under_way     int,
  -- it was more than that
  is_incomplete bool not null,
  primary key (attempt_id, by_judges),
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
call separate_tenants('attempt_usage');
grant select on attempt_usage to muster_app;

-- Of the sessions that there are. OpenCode told of its last answer alone, as if that were all.
set local role muster_system;
with told as (
  select workspace_id, attempt_id, number, kind = 'judge' as by_judges, case when kind = 'judge' then payload -> 'event' else payload end as event
  from session_event where kind in ('started', 'usage', 'ended', 'left_out', 'judge')
), read as (
  select workspace_id, attempt_id, number, by_judges, event ->> 'type' as type, left(event ->> 'model', 200) as model, event ->> 'backend' as backend,
         least((event ->> 'input')::numeric, 1000000000000000) as input, least((event ->> 'cached')::numeric, 1000000000000000) as cached,
         least((event ->> 'output')::numeric, 1000000000000000) as output,
         least((event ->> 'cost_micros')::numeric, 1000000000000000) as cost_micros
  from told where event ->> 'type' in ('started', 'usage', 'ended', 'left_out') or by_judges and event ->> 'type' = 'prompt'
)
insert into attempt_usage (workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, under_way, is_incomplete)
select workspace_id, attempt_id, by_judges,
       (coalesce(array_agg(distinct model) filter (where model is not null), '{}'))[1:10],
       least(coalesce(sum(input) filter (where type = 'usage'), 0), 1000000000000000)::bigint,
       least(coalesce(sum(cached) filter (where type = 'usage'), 0), 1000000000000000)::bigint,
       least(coalesce(sum(output) filter (where type = 'usage'), 0), 1000000000000000)::bigint,
       least(case when by_judges then sum(cost_micros) else max(cost_micros) end, 1000000000000000)::bigint,
       case when by_judges then count(*) filter (where type = 'prompt') - count(*) filter (where type = 'ended')
            else (array_agg((type = 'started')::int order by number desc) filter (where type in ('started', 'ended')))[1] end,
       bool_or(type = 'left_out' or coalesce(backend = 'opencode', false))
from read group by workspace_id, attempt_id, by_judges;
reset role;
