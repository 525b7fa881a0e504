insert into endpoint (id, workspace_id, name, url, created_at, registered_by, next_check_at, checked_at, healthy, models)
select '00000000-0000-7000-8000-000000000b01', id, 'box', 'http://box:11434', '2026-12-02T00:00:00Z', 'system', '2026-12-02T00:00:10Z',
       '2026-12-02T00:00:00Z', true, '[{"name": "llama3:latest", "state": "warm", "size": 1}]' from workspace order by id limit 1;
insert into endpoint_pull (id, workspace_id, endpoint_id, model, asked_by, asked_at)
select '00000000-0000-7000-8000-000000000b02', workspace_id, id, 'tiny:1b', 'system', '2026-12-02T00:00:00Z' from endpoint;
insert into endpoint_pull (id, workspace_id, endpoint_id, model, state, asked_by, asked_at, ended_at, held_until)
select pull.id, workspace_id, endpoint.id, model, state, 'system', asked_at, ended_at, held_until
from endpoint, (values
  ('00000000-0000-7000-8000-000000000b03'::uuid, 'Library/LLaMA3', 'waiting', '2026-12-02T00:00:00Z'::timestamptz, null::timestamptz, null::timestamptz),
  ('00000000-0000-7000-8000-000000000b04', 'https://registry.ollama.ai/library/llama3:latest', 'pulling', '2026-12-02T00:00:01Z', null, '2026-12-02T00:00:30Z'),
  ('00000000-0000-7000-8000-000000000b05', 'hub.example.org:5000/me/tiny', 'done', '2026-12-02T00:00:00Z', '2026-12-02T00:01:00Z', null)
) as pull (id, model, state, asked_at, ended_at, held_until);
