//! Takes tasks back from runners that have fallen silent.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{Timestamp, runner::lease_seconds};
use tokio::time::Instant;

use crate::{Engine, Result, Service, Tick, attempt, service::RESTS};

/// Attempts rescued in one tick.
const BATCH: i64 = 100;

#[derive(Default)]
pub struct Rescuer {
    /// The last look that got as far as the database's time.
    last_tick: Option<Timestamp>,
    /// When this process came back after it or the database had stood still, or the database's clock was set forward: a machine that
    /// slept, for example.
    back_since: Option<Timestamp>,
    rests_until: Option<Instant>,
}

#[cfg(feature = "testing")]
impl Rescuer {
    pub(crate) fn that_looked_at(now: Timestamp) -> Self {
        Self { last_tick: Some(now), ..Self::default() }
    }
}

impl Service for Rescuer {
    const NAME: &'static str = "rescuer";
    const EVERY: Duration = Duration::from_secs(2);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let now = engine.clock.now(&engine.database).await?;
        let lease = TimeDelta::seconds(lease_seconds().into());
        // the first looks may have failed, and what stood still between them and this one is not known otherwise
        let last = self.last_tick.unwrap_or(engine.listening_since);
        if now - last > lease / 2 {
            self.back_since = Some(now);
        }
        self.last_tick = Some(now);
        // While this process was not there its runners could not renew anything: give them one lease to be heard.
        if now < engine.listening_since.max(self.back_since.unwrap_or(engine.listening_since)) + lease {
            return Ok(Tick::Idle);
        }
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(Tick::Idle);
        }
        let mut conn = engine.database.system.acquire().await?;
        let began = Instant::now();
        let expired = attempt::store::expired(&mut conn, now, BATCH).await?;
        drop(conn);
        let rest = began.elapsed() * RESTS;
        let there_may_be_more = expired.len() as i64 == BATCH;
        self.rests_until = (!there_may_be_more && rest > Self::EVERY).then(|| Instant::now() + rest);
        engine.leases_expired(&expired).await?;
        Ok(if there_may_be_more { Tick::Busy } else { Tick::Idle })
    }
}
