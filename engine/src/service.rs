//! Background work. A service's `tick` takes no input, is idempotent and may run on every replica at once; a hint only shortens
//! the wait for the next one.

use std::{collections::HashMap, future::Future, time::Duration};

use chrono::TimeDelta;
use domain::{Timestamp, runner::lease_seconds};
use rand::Rng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{Engine, Result};

/// What a tick says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There may be more: at once.
    Busy,
    /// Nothing left: on a hint, or after the interval.
    Idle,
}

pub trait Service: Send + 'static {
    const NAME: &'static str;
    /// The longest wait between two ticks.
    const EVERY: Duration;

    fn tick(&mut self, engine: &Engine) -> impl Future<Output = Result<Tick>> + Send;

    /// What shortens the wait, if anything.
    fn hint(_engine: &Engine) -> Option<&Notify> {
        None
    }
}

/// Whether all runners could be heard: while this process was not there, or stood still, they could neither renew nor end anything.
#[derive(Default)]
pub(crate) struct Presence {
    /// The last look that got as far as the database's time.
    last_look: Option<Timestamp>,
    /// When this process came back after it or the database had stood still, or the database's clock was set forward: a machine that
    /// slept, for example.
    back_since: Option<Timestamp>,
}

impl Presence {
    /// Looked at now; whether everybody has had one lease to be heard since it was away.
    pub fn has_listened(&mut self, engine: &Engine, now: Timestamp) -> bool {
        let lease = TimeDelta::seconds(lease_seconds().into());
        // the first looks may have failed, and what stood still between them and this one is not known otherwise
        let last = self.last_look.unwrap_or(engine.listening_since);
        if now - last > lease / 2 {
            self.back_since = Some(now);
        }
        self.last_look = Some(now);
        now >= self.since(engine) + lease
    }

    /// From when on this process and the database have been there without a break.
    pub fn since(&self, engine: &Engine) -> Timestamp {
        engine.listening_since.max(self.back_since.unwrap_or(engine.listening_since))
    }

    #[cfg(feature = "testing")]
    pub fn that_looked_at(now: Timestamp) -> Self {
        Self { last_look: Some(now), ..Self::default() }
    }
}

/// Tasks, or whatever else a service sees to one by one, about which it could do nothing a moment ago. For a minute it sees to the others: what
/// is refused each time would be all that it ever gets to.
#[derive(Default)]
pub(crate) struct PassedOver(HashMap<Uuid, Timestamp>);

const PASSED_OVER_FOR: TimeDelta = TimeDelta::minutes(1);

impl PassedOver {
    /// Those that are left alone at this time. Of a clock that was set back nobody waits for what it said before.
    pub fn at(&mut self, now: Timestamp) -> Vec<Uuid> {
        self.0.retain(|_, until| *until > now && *until <= now + PASSED_OVER_FOR);
        self.0.keys().copied().collect()
    }

    pub fn note(&mut self, id: Uuid, now: Timestamp) {
        self.0.insert(id, now + PASSED_OVER_FOR);
    }

    /// Something could be done about it after all.
    pub fn forget(&mut self, id: Uuid) {
        self.0.remove(&id);
    }
}

/// What has to read past all that a long transaction keeps is not done again for so many times as long as it took.
pub(crate) const RESTS: u32 = 20;

/// A tick that takes longer is given up, so that one stalled query cannot stop a service for ever.
const TICK_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait after failures.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Runs a service until `stop`.
pub async fn supervise<S: Service>(mut service: S, engine: Engine, stop: CancellationToken) {
    let mut failures = 0_u32;
    loop {
        let hinted = async {
            match S::hint(&engine) {
                Some(notify) => notify.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(hinted);
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(TICK_TIMEOUT, service.tick(&engine)) => outcome,
            () = stop.cancelled() => return,
        };
        let wait = match outcome {
            Ok(Ok(tick)) => {
                if failures > 0 {
                    info!(service = S::NAME, "The {} works again after {failures} failures", S::NAME);
                }
                failures = 0;
                if tick == Tick::Busy {
                    continue;
                }
                jitter(S::EVERY)
            }
            failed => {
                failures += 1;
                let error = failed.map_or_else(|_| format!("a tick took over {TICK_TIMEOUT:?}"), |result| describe(result.err()));
                metrics::counter!("muster_service_failures_total", "service" => S::NAME).increment(1);
                warn!(service = S::NAME, failures, "The {} failed and will try again: {error}", S::NAME);
                jitter((S::EVERY * 2_u32.saturating_pow(failures.min(8))).min(BACK_OFF_MAX))
            }
        };
        tokio::select! {
            () = &mut hinted => {}
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn describe(error: Option<crate::Error>) -> String {
    let Some(error) = error else { return String::new() };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Between 90 % and 110 %, so that replicas do not tick in step.
fn jitter(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.9..1.1))
}
