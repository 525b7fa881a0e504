-- The model of a pull goes by its whole name, so that it is one however it is written: without the place of Ollama's own library, and with a tag.
-- Its letters stay as they were asked for, and large and small ones are the same: to Ollama they are.
drop index endpoint_pull_once;
alter table endpoint_pull
  drop constraint endpoint_pull_model_check,
  -- when somebody was at it first, and when it came further last
  add column begun_at timestamptz,
  add column moved_at timestamptz;
set local role muster_system;
update endpoint_pull set model = case when short ~ ':[^/]*$' then short else short || ':latest' end
from (select id, regexp_replace(model, '^(https://)?(registry[.]ollama[.]ai/)?(library/)?', '', 'i') as short from endpoint_pull) as named
where named.id = endpoint_pull.id;
-- what an endpoint was to pull under two names is pulled once, and who waits for the one waits for the other
with line as (
  select id, first_value(id) over (partition by endpoint_id, lower(model collate "C") order by state <> 'pulling', asked_at, id) as kept
  from endpoint_pull where ended_at is null
), others as (
  select id, kept from line where id <> kept
), waiting as (
  update task set model_pull = kept from others where model_pull = others.id
)
update endpoint_pull set state = 'cancelled', ended_at = greatest(asked_at, now()), held_until = null, holder = null
from others where endpoint_pull.id = others.id;
update endpoint_pull set begun_at = now(), moved_at = now() where state = 'pulling';
reset role;
create unique index endpoint_pull_once on endpoint_pull (endpoint_id, lower(model collate "C")) where ended_at is null;
-- one that was asked for in 200 characters has its tag now
alter table endpoint_pull add constraint endpoint_pull_model_check check (length(model) between 1 and 207 and model like '%:%');
