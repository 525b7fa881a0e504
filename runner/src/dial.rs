//! Links to the server, one after the other.

use std::time::Duration;

use domain::protocol::{ToRunner, ToServer};
use rand::Rng;
use thiserror::Error;
use tokio::sync::mpsc;

/// What carries the messages: the two ends of two bounded channels. It is closed when either end is dropped.
pub struct Link {
    pub to_server: mpsc::Sender<ToServer>,
    pub from_server: mpsc::Receiver<ToRunner>,
}

/// Why there is no link now; there may be one later.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NotLinked(pub String);

/// Full jitter: whoever lost the server at the same moment does not come back at the same moment.
const LONGEST: Duration = Duration::from_secs(30);
/// A link that was open for so long was not the server's way of saying no.
const HELD: Duration = Duration::from_secs(60);

/// How long to wait for the next link.
pub struct Backoff {
    base: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(base: Duration) -> Self {
        Self { base, failures: 0 }
    }

    /// Another link is needed; the last one was open for so long, if there was one.
    pub fn next(&mut self, open_for: Option<Duration>) -> Duration {
        if open_for.is_some_and(|time| time >= HELD) {
            self.failures = 0;
        }
        let most = self.base.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        most.mul_f64(luck())
    }
}

/// From 0 to 1.
fn luck() -> f64 {
    #[cfg(test)]
    if let Some(luck) = crate::simulation::luck() {
        return luck;
    }
    rand::rng().random_range(0.0..=1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_waits_longer_each_time_until_a_link_has_held() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for most in [1, 2, 4, 8, 16, 30, 30, 30] {
            let wait = backoff.next(Some(Duration::ZERO));
            assert!(wait <= Duration::from_secs(most), "{wait:?} of {most}");
        }
        let waits: Vec<_> = (0..100).map(|_| backoff.next(None)).collect();
        assert!(waits.iter().any(|wait| *wait > LONGEST / 2) && waits.iter().any(|wait| *wait < LONGEST / 2), "{waits:?}");
        let once: HashSet<_> = waits.iter().collect();
        assert!(once.len() > 90, "those who lost the server together come back one after the other: {waits:?}");
        assert!(backoff.next(Some(HELD)) <= Duration::from_secs(1));
    }
}
