update task set agent = '{"backend": "claude-code", "max_turns": 30}' where prompt is not null;
update runner set backends = '[{"backend": "claude-code", "version": "2.1.328"}]' where id = '00000000-0000-7000-8000-000000000050';
insert into session_event (workspace_id, attempt_id, number, at, kind, payload, bytes, total)
select workspace_id, id, 1, '2026-11-28T00:00:00Z', 'message', '{"type": "message", "text": "All done."}', 40, 40 from attempt order by id limit 1;
insert into verification_round (workspace_id, attempt_id, round, report)
select workspace_id, id, 1, '{"checks": [], "started_at": "2026-11-28T00:00:00Z", "duration_ms": 1}' from attempt order by id limit 1;
