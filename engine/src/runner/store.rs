use chrono::TimeDelta;
use domain::{Runner, RunnerId, Timestamp, runner::OFFLINE_AFTER_SECONDS};
use sqlx::PgConnection;

use super::RunnerSession;
use crate::{Result, tx::Tx};

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
    .fetch_optional(conn)
    .await?;
    Ok(name)
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

pub(crate) async fn list(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<Runner>> {
    let rows = sqlx::query!(
        r#"select id, name, slots, last_seen_at, capabilities,
                  (select count(*) from attempt where runner_id = runner.id and state in ('claimed', 'running', 'verifying')) as "busy!"
           from runner order by name limit 200"#
    )
    .fetch_all(conn)
    .await?;
    let runners = rows.into_iter().map(|row| Runner {
        id: row.id,
        name: row.name,
        slots: row.slots,
        busy: row.busy,
        capabilities: row.capabilities,
        online: now - row.last_seen_at < TimeDelta::seconds(OFFLINE_AFTER_SECONDS),
        last_seen_at: row.last_seen_at,
    });
    Ok(runners.collect())
}

/// What each runner has that was heard of lately, whichever process it is connected to.
pub(crate) async fn online_capabilities(tx: &mut Tx) -> Result<Vec<Vec<String>>> {
    let since = tx.now() - TimeDelta::seconds(OFFLINE_AFTER_SECONDS);
    Ok(sqlx::query_scalar!("select capabilities from runner where last_seen_at > $1", since).fetch_all(&mut **tx).await?)
}
