insert into verification_check (workspace_id, attempt_id, position, kind, target, required, timeout_seconds, status, output, duration_ms, judge, judgement)
select workspace_id, attempt_id, 1, 'review', null, true, 300, 'passed', 'Passes, 90 % sure.', 4200, '{"backend": "codex", "at_least": 80}',
  '{"backend": "codex", "version": "0.169.0", "model": null, "verdict": {"verdict": "pass", "confidence": 90, "reasons": ["It does what was asked."], "findings": []},
    "turns": 3, "input": 1200, "cached": 1000, "output": 40, "cost_micros": null, "events": {"first": 7, "last": 12}}'
from verification order by attempt_id limit 1;
