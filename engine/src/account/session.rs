//! Browsers that are signed in. The id in the cookie is hashed before it comes here.

use domain::Timestamp;
use serde_json::Value;

use crate::{Engine, Result};

/// Days after which a person has to sign in again, however busy the session was.
const SESSION_LASTS_DAYS: i32 = 7;

/// A session as it is stored.
pub struct SessionRow {
    pub data: Value,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Engine {
    /// False when the id is taken.
    pub async fn create_session(&self, id_hash: &[u8], data: &Value, expires_at: Timestamp) -> Result<bool> {
        let now = self.clock.now(&self.database).await?;
        let done = sqlx::query!(
            "insert into session (id_hash, data, created_at, expires_at) values ($1, $2, $3, $4) on conflict do nothing",
            id_hash,
            data,
            now,
            expires_at
        )
        .execute(&self.database.system)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes a session back; one that is gone stays gone, so that signing out cannot be undone by a late request.
    pub async fn save_session(&self, id_hash: &[u8], data: &Value, expires_at: Timestamp) -> Result<()> {
        sqlx::query!("update session set data = $2, expires_at = $3 where id_hash = $1", id_hash, data, expires_at)
            .execute(&self.database.system)
            .await?;
        Ok(())
    }

    pub async fn load_session(&self, id_hash: &[u8]) -> Result<Option<SessionRow>> {
        let row = sqlx::query_as!(
            SessionRow,
            "select data, created_at, expires_at
             from session, coalesce($2::timestamptz, clock_timestamp()) as now
             where id_hash = $1 and expires_at > now and created_at > now - $3::int * interval '1 day'",
            id_hash,
            self.clock.by_hand(),
            SESSION_LASTS_DAYS
        )
        .fetch_optional(&self.database.system)
        .await?;
        Ok(row)
    }

    pub async fn delete_session(&self, id_hash: &[u8]) -> Result<()> {
        sqlx::query!("delete from session where id_hash = $1", id_hash).execute(&self.database.system).await?;
        Ok(())
    }

    /// Removes what has expired; says how many.
    pub async fn delete_expired_sessions(&self) -> Result<u64> {
        let now = self.clock.now(&self.database).await?;
        let done =
            sqlx::query!("delete from session where id_hash in (select id_hash from session where expires_at <= $1 limit 1000)", now)
                .execute(&self.database.system)
                .await?;
        Ok(done.rows_affected())
    }
}
