use chrono::TimeDelta;
use domain::{Runner, RunnerId, Timestamp, runner::OFFLINE_AFTER_SECONDS};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;

pub(super) async fn register(conn: &mut PgConnection, new_id: Uuid, name: &str, slots: i32, now: Timestamp) -> Result<RunnerId> {
    let updated = sqlx::query_scalar!(
        "update runner set slots = $2, last_seen_at = $3 where workspace_id is null and name = $1 returning id",
        name,
        slots,
        now
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = updated {
        return Ok(id);
    }
    let id = sqlx::query_scalar!(
        "insert into runner (id, name, slots, created_at, last_seen_at) values ($1, $2, $3, $4, $4) returning id",
        new_id,
        name,
        slots,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(id)
}

pub(crate) async fn list(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<Runner>> {
    let rows = sqlx::query!(
        r#"select id, name, slots, last_seen_at,
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
        online: now - row.last_seen_at < TimeDelta::seconds(OFFLINE_AFTER_SECONDS),
        last_seen_at: row.last_seen_at,
    });
    Ok(runners.collect())
}
