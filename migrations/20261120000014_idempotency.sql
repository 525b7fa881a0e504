-- What was answered to a request that named itself, for as long as the same request may come again.
create table idempotency (
  workspace_id uuid not null references workspace,
  -- as events name an actor
  principal    text not null,
  route        text not null check (length(route) between 1 and 500),
  key          text not null check (length(key) between 1 and 255),
  fingerprint  bytea not null check (length(fingerprint) = 32),
  status       smallint not null check (status between 200 and 299),
  answer       bytea not null,
  expires_at   timestamptz not null,
  primary key (workspace_id, principal, route, key)
);
create index idempotency_expires_at on idempotency (expires_at);
call separate_tenants('idempotency');
grant select, insert, delete on idempotency to muster_app;
