use std::collections::HashMap;

use chrono::TimeDelta;
use domain::{
    Actor, BackendFound, Runner, RunnerId, TaskId, Timestamp, WorkspaceId,
    protocol::{Hello, KnownBackends},
    runner::{Draining, HostReading, JoinedRunner, OFFLINE_AFTER_SECONDS, RUNNERS_LISTED, Rooms, RunnerReading, RunnerState},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{RunnerSession, day::note_return, log::note_joined, slots::Slots};
use crate::{
    Error, Result,
    error::hit_one,
    task::query::{name_of, names_of},
    tx::Tx,
};

/// The place of a link among all that were ever opened.
pub(super) async fn draw_ticket(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar!(r#"select nextval('runner_ticket') as "ticket!""#).fetch_one(conn).await?)
}

/// What a runner says of itself over one of its links.
pub(super) struct NewRunner<'a> {
    pub id: RunnerId,
    pub ticket: i64,
    pub name: &'a str,
    pub slots: i32,
    pub capabilities: &'a [String],
}

/// The name it goes by; nothing when a newer link of it is open.
pub(super) async fn register(conn: &mut PgConnection, new: NewRunner<'_>, now: Timestamp) -> Result<Option<String>> {
    note_return(conn, new.id, now).await?;
    let name = sqlx::query_scalar!(
        r#"insert into runner (id, name, slots, created_at, last_seen_at, capabilities, ticket)
           values ($1, case when exists (select from runner where name = $2 and id <> $1) then left($2, 90) || ' ' || $5 else $2 end, $3, $4, $4,
                   $6, $7)
           on conflict (id) do update set name = excluded.name, slots = excluded.slots, last_seen_at = excluded.last_seen_at,
                                          capabilities = excluded.capabilities, ticket = excluded.ticket
             -- the same one comes again when the answer to its COMMIT was lost
             where runner.ticket <= excluded.ticket
           returning name"#,
        new.id.0,
        new.name,
        new.slots,
        now,
        new.id.short(),
        new.capabilities,
        new.ticket
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(name)
}

/// What a runner has said of its machine, if this is still its newest link.
pub(super) async fn note_machine(
    tx: &mut Tx,
    session: &RunnerSession,
    no_sandbox: Option<&str>,
    backends: &[BackendFound],
    rooms: Option<&Rooms>,
) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "with logged as (
           insert into runner_log (runner_id, at, kind, since, detail)
           select id, $6::timestamptz, case when $3::text is null then 'sandbox' else 'no_sandbox' end,
                  (select case when max(at) is not null then least(max(at), $6) end from runner_log
                   where runner_id = runner.id and kind in ('sandbox', 'no_sandbox')), $3
           from runner where id = $1 and ticket = $2 and no_sandbox is distinct from $3
         )
         update runner set no_sandbox = $3, backends = $4, rooms = $5
         where id = $1 and ticket = $2
           and (no_sandbox is distinct from $3 or backends is distinct from $4 or rooms is distinct from $5)",
        session.id().0,
        session.ticket,
        no_sandbox,
        Json(backends) as _,
        rooms.map(Json) as _,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What attempts have left on a runner's machine, if this is still its newest link; whether that is another thing than before. That there is
/// something and that there is nothing any more is written down; what it is may change with each sign of life.
pub(super) async fn note_left_behind(tx: &mut Tx, session: &RunnerSession, left_behind: Option<&str>) -> Result<bool> {
    let now = tx.now();
    let done = sqlx::query!(
        "with logged as (
           insert into runner_log (runner_id, at, kind, since, detail)
           select id, $4::timestamptz, case when $3::text is null then 'cleared' else 'left_behind' end,
                  (select case when max(at) is not null then least(max(at), $4) end from runner_log
                   where runner_id = runner.id and kind = 'left_behind' and $3 is null), $3
           from runner where id = $1 and ticket = $2 and (left_behind is null) <> ($3::text is null)
         )
         update runner set left_behind = $3 where id = $1 and ticket = $2 and left_behind is distinct from $3",
        session.id().0,
        session.ticket,
        left_behind,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Whether this is the runner's newest link; it stays so until the end of the transaction.
pub(crate) async fn lock_newest(conn: &mut PgConnection, session: &RunnerSession) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from runner where id = $1 and ticket = $2 for share"#,
        session.id().0,
        session.ticket
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

pub(super) async fn insert_token(conn: &mut Tx, id: Uuid, actor: &Actor, hash: &[u8], expires_at: Timestamp) -> Result<()> {
    let now = conn.now();
    sqlx::query!(
        "insert into runner_token (id, workspace_id, hash, created_at, created_by, expires_at) values ($1, $2, $3, $4, $5, $6)",
        id,
        actor.workspace_id.0,
        hash,
        now,
        actor.label(),
        expires_at
    )
    .execute(&mut **conn)
    .await?;
    Ok(())
}

/// A token that may still be used, or was for this runner.
pub(super) struct Token {
    id: Uuid,
    pub workspace_id: WorkspaceId,
    created_by: String,
    pub runner_id: Option<RunnerId>,
}

/// Locked: of two who use it at once the second sees what the first has done.
pub(super) async fn lock_token(tx: &mut Tx, hash: &[u8]) -> Result<Option<Token>> {
    let now = tx.now();
    let token = sqlx::query_as!(
        Token,
        r#"select id, workspace_id, created_by, runner_id as "runner_id: RunnerId" from runner_token
           where hash = $1 and expires_at > $2 for update"#,
        hash,
        now
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(token)
}

/// The runner that a token was used for, as long as the token lasts.
pub(super) async fn runner_of_token(
    conn: &mut PgConnection,
    hash: &[u8],
    by_hand: Option<Timestamp>,
) -> Result<Option<(WorkspaceId, RunnerId)>> {
    let found = sqlx::query!(
        "select runner.id, token.workspace_id from runner_token token join runner on runner.id = token.runner_id
         where hash = $1 and expires_at > coalesce($2, clock_timestamp()) and removed_at is null",
        hash,
        by_hand
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|row| (row.workspace_id, row.id)))
}

/// What a runner of the workspace is called, and the task that it was tried out with last.
pub(super) async fn trial(conn: &mut PgConnection, id: RunnerId) -> Result<Option<(String, Option<TaskId>)>> {
    let found =
        sqlx::query!("select name, trial_task_id from runner where id = $1 and removed_at is null", id.0).fetch_optional(conn).await?;
    Ok(found.map(|row| (row.name, row.trial_task_id)))
}

pub(super) async fn remember_trial(conn: &mut PgConnection, id: RunnerId, task: TaskId) -> Result<()> {
    let done =
        sqlx::query!("update runner set trial_task_id = $2 where id = $1 and removed_at is null", id.0, task.0).execute(conn).await?;
    hit_one(&done, || Error::not_found("runner", id))
}

/// A link that is to be given nothing.
pub(super) struct Outdated {
    pub runner: RunnerId,
    pub ticket: i64,
    /// It is not its runner's newest any more, or its runner was removed.
    pub is_over: bool,
    /// Its runner is to take nothing new.
    pub is_draining: bool,
    /// Otherwise it is that it has fewer.
    pub slots: Slots,
}

/// Those of these links that are to be given nothing, or not all that was claimed with so many slots.
pub(super) async fn outdated(conn: &mut PgConnection, links: &[(&RunnerSession, Option<u32>)]) -> Result<Vec<Outdated>> {
    let (ids, tickets): (Vec<_>, Vec<_>) = links.iter().map(|(runner, _)| (runner.id().0, runner.ticket)).unzip();
    let slots: Vec<_> = links.iter().map(|(_, slots)| slots.unwrap_or_default().cast_signed()).collect();
    let rows = sqlx::query!(
        r#"select runner.id, link.ticket as "ticket!", runner.ticket <> link.ticket or removed_at is not null as "is_over!",
                  draining_since is not null as "is_draining!", slots_now, slots_set
           from unnest($1::uuid[], $2::bigint[], $3::int[]) as link (id, ticket, slots) join runner on runner.id = link.id
           where runner.ticket <> link.ticket or removed_at is not null or draining_since is not null or slots_now < link.slots"#,
        &ids,
        &tickets,
        &slots
    )
    .fetch_all(conn)
    .await?;
    let outdated = rows.into_iter().map(|row| Outdated {
        runner: row.id,
        ticket: row.ticket,
        is_over: row.is_over,
        is_draining: row.is_draining,
        slots: Slots::of_row(row.slots_now, row.slots_set),
    });
    Ok(outdated.collect())
}

/// Those of these links over which nothing was heard since then, although they are their runners' newest.
pub(super) async fn silent(conn: &mut PgConnection, links: &[(RunnerId, i64)], since: Timestamp) -> Result<Vec<(RunnerId, i64)>> {
    let (ids, tickets): (Vec<_>, Vec<_>) = links.iter().map(|(id, ticket)| (id.0, *ticket)).unzip();
    let rows = sqlx::query!(
        r#"select runner.id, runner.ticket from unnest($1::uuid[], $2::bigint[]) as link (id, ticket)
           join runner on runner.id = link.id and runner.ticket = link.ticket where last_seen_at <= $3"#,
        &ids,
        &tickets,
        since
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.ticket)).collect())
}

/// The runner that has joined with this key.
pub(super) async fn joined(tx: &mut Tx, id: RunnerId, public_key: &[u8]) -> Result<Option<JoinedRunner>> {
    let joined = sqlx::query_as!(
        JoinedRunner,
        "select runner.id, runner.name, workspace.slug as workspace from runner join workspace on workspace.id = workspace_id
         where runner.id = $1 and public_key = $2 and removed_at is null",
        id.0,
        public_key
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(joined)
}

/// Whose key it is.
pub(super) struct KeyHolder {
    pub id: RunnerId,
    pub workspace_id: WorkspaceId,
}

/// Those who join do so one after the other from here on, so that names and keys are taken once.
pub(super) async fn with_key(tx: &mut Tx, public_key: &[u8]) -> Result<Option<KeyHolder>> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('muster joins'))").fetch_one(&mut **tx).await?;
    let holder = sqlx::query_as!(
        KeyHolder,
        r#"select id, workspace_id as "workspace_id!: WorkspaceId" from runner where public_key = $1 and removed_at is null"#,
        public_key
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(holder)
}

pub(super) async fn use_token(tx: &mut Tx, token: &Token, runner: RunnerId) -> Result<()> {
    sqlx::query!("update runner_token set runner_id = $2 where id = $1", token.id, runner.0).execute(&mut **tx).await?;
    Ok(())
}

/// A new runner of the token's workspace. A name that is taken there is told apart by the id.
pub(super) async fn insert_joined(
    tx: &mut Tx,
    id: RunnerId,
    token: &Token,
    name: Option<&str>,
    public_key: &[u8],
    paths: bool,
) -> Result<JoinedRunner> {
    let now = tx.now();
    sqlx::query!(
        "insert into runner (id, workspace_id, name, slots, created_at, last_seen_at, public_key, paths, joined_by)
         values ($1, $2, case when exists (select from runner where workspace_id = $2 and name = $3 and removed_at is null)
                           then left($3, 90) || ' ' || $4 else $3 end, 1, $5, $5, $6, $7, $8)",
        id.0,
        token.workspace_id.0,
        name.unwrap_or("runner"),
        id.short(),
        now,
        public_key,
        paths,
        token.created_by
    )
    .execute(&mut **tx)
    .await?;
    note_joined(tx, id, &token.created_by).await?;
    use_token(tx, token, id).await?;
    joined(tx, id, public_key).await?.ok_or_else(|| Error::inconsistent("runner", id, "it was just stored and is not there"))
}

/// A runner that has joined, as it has to prove it.
pub(super) struct Joined {
    pub public_key: Vec<u8>,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub paths: bool,
    pub ticket: i64,
}

pub(super) async fn lock_joined(tx: &mut Tx, id: RunnerId) -> Result<Option<Joined>> {
    let known = sqlx::query_as!(
        Joined,
        r#"select public_key as "public_key!", workspace_id as "workspace_id!: WorkspaceId", name, paths, ticket from runner
           where id = $1 and public_key is not null and removed_at is null for no key update"#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(known)
}

/// What its hello says was looked at before.
pub(super) async fn arrive(tx: &mut Tx, ticket: i64, hello: &Hello, capabilities: &[String]) -> Result<()> {
    let now = tx.now();
    note_return(tx, hello.runner_id, now).await?;
    sqlx::query!(
        "update runner set ticket = $2, slots = $3, capabilities = $4, last_seen_at = $5, takes_slots = $6 where id = $1",
        hello.runner_id.0,
        ticket,
        hello.slots.cast_signed(),
        capabilities,
        now,
        hello.takes_slots
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One of the workspace's own.
pub(super) async fn remove(tx: &mut Tx, id: RunnerId) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!(
        "update runner set removed_at = $2 where id = $1 and workspace_id = (select current_workspace()) and removed_at is null",
        id.0,
        now
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::not_found("runner", id))
}

/// By the runner itself, over its newest link. Those of the installation never leave.
pub(super) async fn leave(tx: &mut Tx, session: &RunnerSession) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "update runner set removed_at = $3 where id = $1 and ticket = $2 and public_key is not null and removed_at is null",
        session.id().0,
        session.ticket,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(Error::from)
    .and_then(|done| hit_one(&done, || Error::not_found("runner", session.id())))
}

/// By name, the first of all or this one alone.
pub(crate) async fn list(conn: &mut PgConnection, now: Timestamp, only: Option<RunnerId>) -> Result<Vec<Runner>> {
    list_after(conn, now, only, None).await
}

/// The name that it goes by, also when it was removed.
pub(super) async fn name(conn: &mut PgConnection, id: RunnerId) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!("select name from runner where id = $1", id.0).fetch_optional(conn).await?)
}

/// As [`list`], behind the one of this name and id.
pub(super) async fn list_after(
    conn: &mut PgConnection,
    now: Timestamp,
    only: Option<RunnerId>,
    after: Option<(&str, RunnerId)>,
) -> Result<Vec<Runner>> {
    let rows = sqlx::query!(
        r#"select id, name, slots, slots_now, slots_set, last_seen_at, capabilities, no_sandbox, backends as "backends: Json<KnownBackends>",
                  rooms as "rooms: Json<Rooms>", left_behind, public_key is not null as "joined!", ticket > 0 as "has_called!",
                  draining_since, draining_by, coalesce(stopped_at < last_seen_at, true) as "runs!", unresponsive_since,
                  reading.at as "read_at?", reading.host as "host?: Json<HostReading>",
                  (select count(*) from attempt where runner_id = runner.id and state in ('claimed', 'running', 'verifying')) as "busy!",
                  (select count(*) from attempt where runner_id = runner.id and state in ('claimed', 'running', 'verifying')
                     and exists (select from approval where attempt_id = attempt.id and approval.state = 'pending')) as "blocked!"
           from runner left join runner_reading reading on reading.runner_id = runner.id
           where removed_at is null and ($1::uuid is null or id = $1) and ($2::text is null or (name, id) > ($2, $3::uuid))
           order by name, id limit $4"#,
        only.map(|id| id.0),
        after.map(|(name, _)| name),
        after.map(|(_, id)| id.0),
        RUNNERS_LISTED as i64
    )
    .fetch_all(&mut *conn)
    .await?;
    let labels = rows.iter().filter_map(|row| row.draining_by.clone()).collect();
    let names = names_of(conn, labels).await?;
    let runners = rows.into_iter().map(|row| {
        let online = row.has_called && row.runs && now - row.last_seen_at < TimeDelta::seconds(OFFLINE_AFTER_SECONDS);
        let draining = row.draining_since.zip(row.draining_by).map(|(since, label)| Draining { since, by: named(&names, label) });
        Runner {
            id: row.id,
            name: row.name,
            slots: row.slots_now,
            slots_own: row.slots,
            slots_set: row.slots_set,
            busy: row.busy,
            blocked: row.blocked,
            capabilities: row.capabilities,
            online,
            state: RunnerState::of(online, draining.is_some(), row.busy, row.blocked),
            draining,
            unresponsive_since: row.unresponsive_since,
            joined: row.joined,
            last_seen_at: row.last_seen_at,
            no_sandbox: row.no_sandbox,
            backends: row.backends.0.0,
            reading: row.read_at.zip(row.host).map(|(at, host)| RunnerReading::seen(at, host.0, now)),
            rooms: row.rooms.map(|rooms| rooms.0),
            left_behind: row.left_behind,
        }
    });
    Ok(runners.collect())
}

fn named(names: &HashMap<String, String>, label: String) -> String {
    names.get(&label).cloned().unwrap_or(label)
}

/// Since when it is known, and the name of whoever made the token that it joined with.
pub(super) async fn origin(conn: &mut PgConnection, id: RunnerId) -> Result<(Timestamp, Option<String>)> {
    let row = sqlx::query!("select created_at, joined_by from runner where id = $1", id.0).fetch_one(&mut *conn).await?;
    let joined_by = match row.joined_by {
        Some(label) => Some(name_of(conn, &label).await?),
        None => None,
    };
    Ok((row.created_at, joined_by))
}

/// Also against those who only refer to it, as a claim does: what is claimed before is there to be counted, and what is claimed after finds
/// it as it is then.
pub(super) async fn lock(tx: &mut Tx, id: RunnerId) -> Result<()> {
    sqlx::query!("select id from runner where id = $1 for update", id.0).fetch_optional(&mut **tx).await?;
    Ok(())
}

/// Whether it is to take nothing new, and who says so. Whoever was first stays. Its row is locked.
pub(super) async fn set_draining(tx: &mut Tx, id: RunnerId, draining: bool, by: &str) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!(
        "with logged as (
           insert into runner_log (runner_id, at, kind, since, actor)
           select id, $4::timestamptz, case when $2::boolean then 'drained' else 'resumed' end,
                  case when draining_since is not null then least(draining_since, $4) end, $3::text
           from runner
           where id = $1 and workspace_id = (select current_workspace()) and removed_at is null and (draining_since is null) = $2
         )
         update runner set draining_since = case when $2 then coalesce(draining_since, $4) end,
                           draining_by = case when $2 then coalesce(draining_by, $3) end
         where id = $1 and workspace_id = (select current_workspace()) and removed_at is null",
        id.0,
        draining,
        by,
        now
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::not_found("runner", id))
}

/// Those of these that take work, as far as their rows say.
pub(super) async fn taking_work(conn: &mut PgConnection, runners: &[RunnerId]) -> Result<Vec<RunnerId>> {
    let ids: Vec<_> = runners.iter().map(|id| id.0).collect();
    let taking = sqlx::query_scalar!(
        "select id from runner where id = any($1) and draining_since is null and unresponsive_since is null and removed_at is null",
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(taking)
}
