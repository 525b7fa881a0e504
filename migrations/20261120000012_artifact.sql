create table artifact (
  id           uuid primary key,
  workspace_id uuid not null,
  attempt_id   uuid not null,
  kind         text not null check (kind in ('diff')),
  name         text not null check (length(name) between 1 and 200),
  sha256       text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  content      bytea not null check (length(content) <= 8388608),
  created_at   timestamptz not null,
  foreign key (workspace_id, attempt_id) references attempt (workspace_id, id)
);
create index artifact_attempt_id on artifact (attempt_id);
call separate_tenants('artifact');
grant select on artifact to muster_app;
