-- "least" passes over what is null, so that the most which is counted stood where nothing was told: as the cost of every session that was read when
-- the table was filled, and of judges whose words came one by one. What their sessions have told stands there now.
set local role muster_system;
with wrong as (
  select attempt_id, by_judges from attempt_usage where cost_micros = 1000000000000000 or cached = 1000000000000000
), told as (
  select wrong.attempt_id, wrong.by_judges, case when wrong.by_judges then payload -> 'event' else payload end as event
  from wrong join session_event on session_event.attempt_id = wrong.attempt_id
   and case when wrong.by_judges then kind = 'judge' else kind in ('usage', 'ended') end
), read as (
  select attempt_id, by_judges, sum((event ->> 'cached')::numeric) filter (where event ->> 'type' = 'usage') as cached,
         sum((event ->> 'cost_micros')::numeric) filter (where event ->> 'type' = 'ended') as all_costs,
         max((event ->> 'cost_micros')::numeric) filter (where event ->> 'type' = 'ended') as last_cost
  from told group by attempt_id, by_judges
), summed as (
  select attempt_id, by_judges, coalesce(cached, 0) as cached, case when by_judges then all_costs else last_cost end as cost
  from wrong left join read using (attempt_id, by_judges)
)
update attempt_usage used
set cached = case when used.cached = 1000000000000000 then least(summed.cached, 1000000000000000)::bigint else used.cached end,
    cost_micros = case when used.cost_micros <> 1000000000000000 then used.cost_micros
                       when summed.cost is not null then least(summed.cost, 1000000000000000)::bigint end
from summed where used.attempt_id = summed.attempt_id and used.by_judges = summed.by_judges;
reset role;
