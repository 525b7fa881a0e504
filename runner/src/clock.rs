//! The one place where the runner reads a clock of the machine: the wall clock, for people, and the one that leases are measured by.

use std::time::Duration;

use domain::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Now, by this machine's clock; for people to read, never to decide by.
#[expect(clippy::disallowed_methods, reason = "this is the runner's clock")]
pub fn now() -> Timestamp {
    chrono::Utc::now()
}

/// A moment on a clock that nobody sets and that goes on while the machine sleeps, unlike that of [`tokio::time::Instant`]: a lease runs out
/// in a machine's sleep as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Of these systems this one goes on.
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

impl Moment {
    pub fn now() -> Self {
        // of a machine that is played
        #[cfg(test)]
        if let Some(since_start) = crate::simulation::since_start() {
            return Self(since_start);
        }
        let time = clock_gettime(SINCE_BOOT);
        // since the machine was started, so neither is negative
        Self(Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_nanos(time.tv_nsec.unsigned_abs()))
    }

    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    /// So long before this one.
    #[cfg(test)]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let began = Moment::now();
        while began.elapsed().is_zero() {}
        assert!(Moment::now() > began);
        assert_eq!(Moment(Duration::MAX).elapsed(), Duration::ZERO, "one to come");
    }
}
