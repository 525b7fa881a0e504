//! Runners that went on saying what is not understood, and for how long they stay away.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::RunnerId;
use tokio::time::Instant;

/// After the first time, the second, and each that follows.
const RESTS: [Duration; 3] = [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(300)];
/// After so long without another time it is as if there had been none.
const FORGIVEN: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct Patience(Mutex<HashMap<RunnerId, Offence>>);

struct Offence {
    times: usize,
    last: Instant,
}

impl Offence {
    fn rest(&self) -> Duration {
        RESTS[self.times.clamp(1, RESTS.len()) - 1]
    }
}

impl Patience {
    /// It was sent away. It is a runner that has proven who it is, so there are few.
    pub fn lost_with(&self, runner: RunnerId, now: Instant) {
        let mut offences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offences.retain(|_, offence| now.duration_since(offence.last) < FORGIVEN);
        let offence = offences.entry(runner).or_insert(Offence { times: 0, last: now });
        (offence.times, offence.last) = (offence.times + 1, now);
    }

    /// How much longer it stays away.
    pub fn rests_for(&self, runner: RunnerId, now: Instant) -> Option<Duration> {
        let offences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offence = offences.get(&runner)?;
        offence.rest().checked_sub(now.duration_since(offence.last)).filter(|rest| !rest.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_time_it_stays_away_for_longer_until_it_is_forgiven() {
        let patience = Patience::default();
        let runner = RunnerId(Uuid::from_u128(1));
        let mut now = Instant::now();
        assert_eq!(patience.rests_for(runner, now), None);
        for seconds in [30, 60, 300, 300] {
            patience.lost_with(runner, now);
            assert_eq!(patience.rests_for(runner, now), Some(Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert_eq!(patience.rests_for(runner, now), None);
        }
        assert_eq!(patience.rests_for(RunnerId(Uuid::from_u128(2)), now), None, "nobody else does");
        now += FORGIVEN;
        patience.lost_with(runner, now);
        assert_eq!(patience.rests_for(runner, now), Some(Duration::from_secs(30)));
    }
}
