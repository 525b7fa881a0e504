//! The last of what a runner has read of its machine. That its disk has no room is known to the hub as well, which gives it nothing new then. One row for each runner, which the next one takes the place of: it makes no event, and
//! whoever looks at runners looks again by themselves.

use domain::runner::HostReading;
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
