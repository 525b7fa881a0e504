//! Takes tasks back from runners that have fallen silent.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Engine, Result, Service, Tick, attempt,
    service::{PassedOver, Presence, RESTS},
};

/// Attempts rescued in one tick.
const BATCH: i64 = 100;

#[derive(Default)]
pub struct Rescuer {
    presence: Presence,
    passed_over: PassedOver,
    rests_until: Option<Instant>,
}

#[cfg(feature = "testing")]
impl Rescuer {
    pub(crate) fn that_looked_at(now: domain::Timestamp) -> Self {
        Self { presence: Presence::that_looked_at(now), ..Self::default() }
    }
}

impl Service for Rescuer {
    const NAME: &'static str = "rescuer";
    const EVERY: Duration = Duration::from_secs(2);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let now = engine.clock.now(&engine.database).await?;
        // While this process was not there its runners could not renew anything: they are given one lease to be heard.
        if !self.presence.has_listened(engine, now) {
            return Ok(Tick::Idle);
        }
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(Tick::Idle);
        }
        let mut conn = engine.database.system.acquire().await?;
        let began = Instant::now();
        let expired = attempt::store::expired(&mut conn, now, &self.passed_over.at(now), BATCH).await?;
        drop(conn);
        let rest = began.elapsed() * RESTS;
        let there_may_be_more = expired.len() as i64 == BATCH;
        self.rests_until = (!there_may_be_more && rest > Self::EVERY).then(|| Instant::now() + rest);
        let all = engine.leases_expired(&mut self.passed_over, now, &expired).await?;
        Ok(if there_may_be_more && all { Tick::Busy } else { Tick::Idle })
    }
}
