//! Requests that take effect once.
//!
//! The answer is stored in the transaction of the effect, so there is never one without the other. While that transaction runs, its
//! lock tells a second request with the same key that the first is still at work. Only what took effect is remembered: a request that
//! was refused may be sent again and is looked at again.

use chrono::TimeDelta;
use domain::{Actor, Idempotency, Invalid, Timestamp, idempotency::KEPT_HOURS};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Engine, Error, Result, tx::Tx};

/// Answers removed in one go.
const BATCH: i64 = 1000;

/// What was answered before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Engine {
    /// What this very request was answered before, if it has been here. Another request under the same key is refused.
    pub async fn earlier_answer(&self, actor: &Actor, idempotency: &Idempotency) -> Result<Option<EarlierAnswer>> {
        let mut tx = self.begin(&actor.clone().without_idempotency()).await?;
        let now = tx.now();
        let row = sqlx::query!(
            "select fingerprint, status, answer from idempotency where principal = $1 and route = $2 and key = $3 and expires_at > $4",
            actor.label(),
            idempotency.route,
            idempotency.key,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return tx.commit(None).await };
        if row.fingerprint != idempotency.fingerprint {
            let message = "was used for another request before; every request needs a key of its own";
            return Err(Invalid::field("Idempotency-Key", "reused", message).into());
        }
        let status = row.status.unsigned_abs();
        tx.commit(Some(EarlierAnswer { status, body: row.answer })).await
    }

    /// Forgets answers whose time is over.
    pub async fn delete_expired_answers(&self) -> Result<u64> {
        let now = self.clock.now(&self.database).await?;
        let done = sqlx::query!(
            "delete from idempotency where (workspace_id, principal, route, key) in
               (select workspace_id, principal, route, key from idempotency where expires_at <= $1 limit $2)",
            now,
            BATCH
        )
        .execute(&self.database.system)
        .await?;
        Ok(done.rows_affected())
    }
}

/// Makes this transaction the one that carries the request out.
pub(crate) async fn claim(conn: &mut PgConnection, principal: &str, idempotency: &Idempotency, now: Timestamp) -> Result<()> {
    let at_work = || Error::Conflict("a request with this Idempotency-Key is still at work; send it again in a moment".into());
    let is_free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended(jsonb_build_array(current_workspace(), $1::text, $2::text, $3::text)::text, 0))
           as "is_free!""#,
        principal,
        idempotency.route,
        idempotency.key
    )
    .fetch_one(&mut *conn)
    .await?;
    if !is_free {
        return Err(at_work());
    }
    sqlx::query!(
        "delete from idempotency where principal = $1 and route = $2 and key = $3 and expires_at <= $4",
        principal,
        idempotency.route,
        idempotency.key,
        now
    )
    .execute(&mut *conn)
    .await?;
    let is_done = sqlx::query_scalar!(
        r#"select exists (select from idempotency where principal = $1 and route = $2 and key = $3) as "is_done!""#,
        principal,
        idempotency.route,
        idempotency.key
    )
    .fetch_one(&mut *conn)
    .await?;
    // it was answered between the look and the lock: the next time the answer is found
    if is_done { Err(at_work()) } else { Ok(()) }
}

/// Keeps the answer beside the effect.
pub(crate) async fn keep(tx: &mut Tx, actor: &Actor, answer: &impl Serialize) -> Result<()> {
    let Some(idempotency) = &actor.idempotency else { return Ok(()) };
    let answer = serde_json::to_vec(answer).map_err(|error| Error::inconsistent("idempotency", &idempotency.key, error.to_string()))?;
    let expires_at = tx.now() + TimeDelta::hours(KEPT_HOURS);
    sqlx::query!(
        "insert into idempotency (workspace_id, principal, route, key, fingerprint, status, answer, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        actor.workspace_id.0,
        actor.label(),
        idempotency.route,
        idempotency.key,
        idempotency.fingerprint,
        i16::try_from(idempotency.status).unwrap_or(200),
        answer,
        expires_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
