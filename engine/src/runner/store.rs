use chrono::TimeDelta;
use domain::{Runner, RunnerId, Timestamp, runner::OFFLINE_AFTER_SECONDS};
use sqlx::PgConnection;

use crate::{Result, tx::Tx};

/// The name it goes by.
pub(super) async fn register(
    conn: &mut PgConnection,
    id: RunnerId,
    name: &str,
    slots: i32,
    capabilities: &[String],
    now: Timestamp,
) -> Result<String> {
    let name = sqlx::query_scalar!(
        r#"insert into runner (id, name, slots, created_at, last_seen_at, capabilities)
           values ($1, case when exists (select from runner where name = $2 and id <> $1) then left($2, 90) || ' ' || $5 else $2 end, $3, $4, $4, $6)
           on conflict (id) do update set name = excluded.name, slots = excluded.slots, last_seen_at = excluded.last_seen_at,
                                          capabilities = excluded.capabilities
           returning name"#,
        id.0,
        name,
        slots,
        now,
        id.short(),
        capabilities
    )
    .fetch_one(conn)
    .await?;
    Ok(name)
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
