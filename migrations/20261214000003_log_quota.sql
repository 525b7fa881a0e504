-- Bytes of its log that the runner of an attempt has sent, once that is more than is kept of one: log_bytes are those that are kept. Before that it
-- is null, and they are the same.
alter table attempt
  add column log_heard bigint,
  add constraint heard_beyond_what_is_kept check (log_heard >= 0);
