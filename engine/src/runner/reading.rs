//! The last of what a runner has read of its machine. One row for each runner, which the next one takes the place of: it makes no event, and
//! whoever looks at runners looks again by themselves. That its disk has no room is known to the hub as well, which gives it nothing new then.

use domain::runner::{HostReading, reading::STALE_AFTER_SECONDS};
use sqlx::types::Json;
use tracing::warn;

use super::RunnerSession;
use crate::{Engine, Result};

impl Engine {
    /// Keeps it, as of so many seconds ago. What could not be kept is not tried again, as the next one is on its way.
    pub(super) async fn note_reading(&self, session: &RunnerSession, reading: &HostReading, age: f64) {
        if let Err(error) = self.keep_reading(session, reading.clone().kept(), age).await {
            warn!(runner.id = %session.id, "What runner {} has read of its machine could not be kept: {error}", session.name());
        }
    }

    /// Whether its disk had no room when it was read last, over whichever link, unless that was long ago: what waits would be given to it
    /// before it has said over this one how that is now.
    pub(super) async fn lacked_disk(&self, session: &RunnerSession) -> Result<bool> {
        let mut conn = self.database.system.acquire().await?;
        let host = sqlx::query_scalar!(
            r#"select host as "host: Json<HostReading>" from runner_reading
               where runner_id = $1 and at >= coalesce($2::timestamptz, clock_timestamp()) - make_interval(secs => $3)"#,
            session.id().0,
            self.clock.by_hand(),
            STALE_AFTER_SECONDS as f64
        )
        .fetch_optional(&mut *conn)
        .await?;
        Ok(host.is_some_and(|host| host.0.lacks_disk().is_some()))
    }

    /// Nothing when this is no longer its newest link.
    async fn keep_reading(&self, session: &RunnerSession, reading: HostReading, age: f64) -> Result<()> {
        let mut conn = self.database.system.acquire().await?;
        sqlx::query!(
            "insert into runner_reading (runner_id, at, host)
             select id, coalesce($3::timestamptz, clock_timestamp()) - make_interval(secs => $5), $4::jsonb from runner where id = $1 and ticket = $2 and removed_at is null
             on conflict (runner_id) do update set at = excluded.at, host = excluded.host",
            session.id().0,
            session.ticket(),
            self.clock.by_hand(),
            Json(reading) as _,
            age
        )
        .execute(&mut *conn)
        .await?;
        Ok(())
    }
}
