-- What the attempts have used of which sessions are kept: a migration of its own, so that nothing is locked that attempts need while all of
-- them are read. OpenCode told of its last answer alone, as if that were all.
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
from read group by workspace_id, attempt_id, by_judges
on conflict do nothing;
reset role;
