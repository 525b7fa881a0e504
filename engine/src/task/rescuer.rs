//! Takes tasks back from runners that have fallen silent.

use std::time::Duration;

use chrono::TimeDelta;
use domain::runner::LEASE_SECONDS;

use crate::{Engine, Result, Service, Tick, attempt};

/// Attempts rescued in one tick.
const BATCH: i64 = 100;

#[derive(Default)]
pub struct Rescuer;

impl Service for Rescuer {
    const NAME: &'static str = "rescuer";
    const EVERY: Duration = Duration::from_secs(10);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let now = engine.clock.now(&engine.database).await?;
        // While this process was not there its runners could not renew anything: give them one lease to be heard.
        if now < engine.listening_since + TimeDelta::seconds(LEASE_SECONDS.into()) {
            return Ok(Tick::Idle);
        }
        let mut conn = engine.database.system.acquire().await?;
        let expired = attempt::store::expired(&mut conn, now, BATCH).await?;
        drop(conn);
        engine.leases_expired(&expired).await?;
        Ok(if expired.len() as i64 == BATCH { Tick::Busy } else { Tick::Idle })
    }
}
