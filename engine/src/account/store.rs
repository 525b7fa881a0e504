use domain::{Actor, ApiKeyId, Isolation, Role, Timestamp, User, UserId, Workspace, WorkspaceId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Result, tx::Tx};

pub(super) async fn password_of(conn: &mut PgConnection, email: &str) -> Result<Option<(UserId, String)>> {
    let row = sqlx::query!(r#"select id, password_hash from "user" where lower(email) = lower($1)"#, email).fetch_optional(conn).await?;
    Ok(row.map(|row| (row.id, row.password_hash)))
}

pub(super) async fn first_membership(conn: &mut PgConnection, user: UserId) -> Result<Option<(WorkspaceId, Role)>> {
    let row = sqlx::query!("select workspace_id, role from member where user_id = $1 order by created_at, workspace_id limit 1", user.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| (row.workspace_id, row.role)))
}

/// What whoever has this label is in a workspace now: a member, or a key that is good.
pub(crate) async fn role_of(conn: &mut PgConnection, workspace: WorkspaceId, label: &str, now: Timestamp) -> Result<Option<Role>> {
    let role = sqlx::query_scalar!(
        r#"select role as "role!: Role" from member where workspace_id = $1 and 'user:' || user_id = $2
           union all
           select role from api_key where workspace_id = $1 and 'api_key:' || id = $2 and expires_at > $3 and revoked_at is null"#,
        workspace.0,
        label,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(role)
}

pub(super) async fn workspace(conn: &mut PgConnection, id: WorkspaceId) -> Result<Option<Workspace>> {
    let found = sqlx::query_as!(
        Workspace,
        "select id, slug, name, isolation, isolation_by, isolation_at, auto_pull, auto_pull_by, auto_pull_at from workspace where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// Of these workspaces those whose work is to run without a sandbox, each with whether it is a guest on the machines of the installation:
/// they have what they have for the first.
pub(super) async fn without_sandbox(conn: &mut PgConnection, workspaces: &[WorkspaceId]) -> Result<Vec<(WorkspaceId, bool)>> {
    let ids: Vec<_> = workspaces.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select id as "id: WorkspaceId", id <> (select id from workspace order by created_at, id limit 1) as "is_guest!"
           from workspace where id = any($1) and isolation = 'none'"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.is_guest)).collect())
}

/// What is so already stays as who said it first has said it.
pub(super) async fn set_isolation(tx: &mut Tx, actor: &Actor, isolation: Isolation) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "update workspace set isolation = $2, isolation_by = $3, isolation_at = $4 where id = $1 and isolation <> $2",
        actor.workspace_id.0,
        isolation.name(),
        actor.label(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// As [`set_isolation`].
pub(super) async fn set_auto_pull(tx: &mut Tx, actor: &Actor, auto_pull: bool) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "update workspace set auto_pull = $2, auto_pull_by = $3, auto_pull_at = $4 where id = $1 and auto_pull <> $2",
        actor.workspace_id.0,
        auto_pull,
        actor.label(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn first_workspace(conn: &mut PgConnection) -> Result<Option<WorkspaceId>> {
    let found = sqlx::query_scalar!("select id from workspace order by created_at, id limit 1").fetch_optional(conn).await?;
    Ok(found)
}

pub(super) async fn insert_workspace(conn: &mut PgConnection, id: WorkspaceId, slug: &str, name: &str, now: Timestamp) -> Result<()> {
    sqlx::query!("insert into workspace (id, slug, name, created_at) values ($1, $2, $3, $4)", id.0, slug, name, now).execute(conn).await?;
    Ok(())
}

pub(super) async fn user(conn: &mut PgConnection, id: UserId) -> Result<Option<User>> {
    let row = sqlx::query!(r#"select id, name, email, created_at from "user" where id = $1"#, id.0).fetch_optional(conn).await?;
    Ok(row.map(|row| User { id: row.id, name: row.name, email: row.email, created_at: row.created_at }))
}

/// Serialises whoever wants to be the first owner, then tells whether there is one.
pub(super) async fn lock_owner_exists(conn: &mut PgConnection) -> Result<bool> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('muster first owner'))").execute(&mut *conn).await?;
    owner_exists(conn).await
}

pub(super) async fn owner_exists(conn: &mut PgConnection) -> Result<bool> {
    let found = sqlx::query_scalar!(r#"select exists (select from member where role = 'owner') as "found!""#).fetch_one(conn).await?;
    Ok(found)
}

pub(super) async fn insert_user(conn: &mut PgConnection, user: &User, password_hash: &str) -> Result<()> {
    sqlx::query!(
        r#"insert into "user" (id, name, email, password_hash, created_at) values ($1, $2, $3, $4, $5)"#,
        user.id.0,
        user.name,
        user.email,
        password_hash,
        user.created_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert_member(conn: &mut PgConnection, workspace: WorkspaceId, user: UserId, role: Role, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "insert into member (workspace_id, user_id, role, created_at) values ($1, $2, $3, $4)",
        workspace.0,
        user.0,
        role.name(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The set-up link that was made last replaces every other.
pub(super) async fn replace_setup_token(conn: &mut PgConnection, hash: &[u8], expires_at: Timestamp) -> Result<()> {
    sqlx::query!("delete from owner_setup").execute(&mut *conn).await?;
    sqlx::query!("insert into owner_setup (token_hash, expires_at) values ($1, $2)", hash, expires_at).execute(conn).await?;
    Ok(())
}

/// True once for a token that is known and fresh.
pub(super) async fn use_setup_token(conn: &mut PgConnection, hash: &[u8], now: Timestamp) -> Result<bool> {
    let done = sqlx::query!("delete from owner_setup where token_hash = $1 and expires_at > $2", hash, now).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

pub(super) struct NewApiKey<'a> {
    pub id: Uuid,
    pub workspace: WorkspaceId,
    pub name: &'a str,
    pub prefix: &'a str,
    pub hash: &'a [u8],
    pub role: Role,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

pub(super) async fn insert_api_key(conn: &mut PgConnection, key: NewApiKey<'_>) -> Result<()> {
    sqlx::query!(
        "insert into api_key (id, workspace_id, name, prefix, hash, role, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        key.id,
        key.workspace.0,
        key.name,
        key.prefix,
        key.hash,
        key.role.name(),
        key.created_at,
        key.expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(Clone)]
pub(crate) struct ApiKeyRow {
    pub prefix: String,
    pub id: ApiKeyId,
    pub workspace_id: WorkspaceId,
    pub hash: Vec<u8>,
    pub role: Role,
    /// Its last use was written down more than a minute ago.
    pub is_due_for_touch: bool,
}

/// The keys with these prefixes, without those that have expired or were revoked. Without a time, by the database's clock.
pub(super) async fn live_api_keys(conn: &mut PgConnection, prefixes: &[String], now: Option<Timestamp>) -> Result<Vec<ApiKeyRow>> {
    let rows = sqlx::query_as!(
        ApiKeyRow,
        r#"select prefix, id, workspace_id, hash, role,
                  (last_used_at is null or last_used_at < now - interval '1 minute') as "is_due_for_touch!"
           from api_key, coalesce($2::timestamptz, clock_timestamp()) as now
           where prefix = any($1) and expires_at > now and revoked_at is null"#,
        prefixes,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Writes down that it was used, unless somebody else just did.
pub(super) async fn touch_api_key(conn: &mut PgConnection, id: ApiKeyId, now: Option<Timestamp>) -> Result<()> {
    sqlx::query!(
        "update api_key set last_used_at = now from (select coalesce($2::timestamptz, clock_timestamp()) as now) as clock
         where id = $1 and (last_used_at is null or last_used_at < now - interval '1 minute')",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
