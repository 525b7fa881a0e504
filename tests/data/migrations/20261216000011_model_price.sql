insert into model_price (id, workspace_id, model, input_micros, output_micros, cache_read_micros, set_by, valid_from)
select '00000000-0000-7000-8000-000000000c01', id, 'sonnet', 3000000, 15000000, 300000, 'system', '2026-12-16T00:00:00Z' from workspace order by id limit 1;
