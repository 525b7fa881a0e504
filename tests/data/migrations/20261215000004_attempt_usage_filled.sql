-- as it was added up for a while, whatever judges had told
update attempt_usage set cost_micros = 1000000000000000 where by_judges;
insert into session_event (workspace_id, attempt_id, number, at, kind, payload, bytes, total)
select workspace_id, id, told.number, '2026-11-28T00:00:02Z', 'judge',
       jsonb_build_object('type', 'judge', 'round', 1, 'check', 1,
                          'event', jsonb_build_object('type', 'ended', 'how', 'completed', 'turns', null, 'cost_micros', cost)),
       100, 100 * told.number
from (select * from attempt order by id limit 1) as attempt cross join (values (3, 30000), (4, null), (5, 20000)) as told (number, cost);
