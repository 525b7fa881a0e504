-- What models cost in a workspace, as its admins have said: millionths of a dollar for a million tokens. A price that is set or removed ends the
-- one before, which stays on record: what was used while it held was counted by it.
create table model_price (
  id                 uuid primary key,
  workspace_id       uuid not null references workspace,
  -- exactly as agents name it
  model              text not null check (length(model) between 1 and 200),
  input_micros       bigint not null check (input_micros between 0 and 10000000000),
  output_micros      bigint not null check (output_micros between 0 and 10000000000),
  -- as other input where nothing is said
  cache_read_micros  bigint check (cache_read_micros between 0 and 10000000000),
  cache_write_micros bigint check (cache_write_micros between 0 and 10000000000),
  set_by             text not null,
  valid_from         timestamptz not null,
  -- nothing while it holds
  valid_until        timestamptz check (valid_until >= valid_from),
  ended_by           text,
  constraint ended_by_somebody check ((valid_until is null) = (ended_by is null))
);
create unique index model_price_once on model_price (workspace_id, model) where valid_until is null;
create index model_price_at on model_price (workspace_id, model, valid_from desc);
call separate_tenants('model_price');
grant select, insert, update (valid_until, ended_by) on model_price to muster_app;

-- Who set a price and who ended it are facts, as who made a rule is: once written neither changes, whoever writes.
create function refuse_price_change() returns trigger
  language plpgsql as $$
begin
  raise exception 'what a model cost, and who has set and ended that, are facts and never change' using errcode = 'check_violation';
end $$;

create trigger set_once before update on model_price
  for each row when (
    (old.id, old.workspace_id, old.model, old.input_micros, old.output_micros, old.cache_read_micros, old.cache_write_micros, old.set_by, old.valid_from)
    is distinct from
    (new.id, new.workspace_id, new.model, new.input_micros, new.output_micros, new.cache_read_micros, new.cache_write_micros, new.set_by, new.valid_from))
  execute function refuse_price_change();
create trigger ended_once before update on model_price
  for each row when (
    old.valid_until is not null and (old.valid_until, old.ended_by) is distinct from (new.valid_until, new.ended_by))
  execute function refuse_price_change();
create trigger stays_on_record before delete on model_price for each row execute function refuse_price_change();

-- Of what an attempt has used: how many answers that was, what their agents have told of each, and what they cost by the workspace's prices.
-- Before this was counted there are none of them, whatever was used.
alter table attempt_usage
  add column steps         bigint not null default 0 check (steps >= 0),
  add column told_steps    bigint not null default 0 check (told_steps between 0 and steps),
  add column told_micros   bigint check (told_micros between 0 and 1000000000000000),
  add column priced_steps  bigint not null default 0 check (priced_steps between 0 and steps),
  add column priced_micros bigint check (priced_micros between 0 and 1000000000000000),
  -- models of answers of which nothing has said the cost
  add column unpriced      text[] not null default '{}' check (cardinality(unpriced) <= 10);
create index attempt_usage_unpriced on attempt_usage (workspace_id, attempt_id) where cardinality(unpriced) > 0;
