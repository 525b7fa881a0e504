//! What runners that do nothing tell of their machines: as much, and as often, as one that works.

use std::time::Duration;

use domain::{
    protocol::ToServer,
    runner::{
        HostReading,
        reading::{Amount, CpuReading, GpuReading, READING_SECONDS, SlotsReading},
    },
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Each of so many runners one after the other tells at a moment of its own.
const MOMENTS: u32 = 50;
const EVERY: Duration = Duration::from_secs(READING_SECONDS as u64);
const GIB: u64 = 1024 * 1024 * 1024;

/// When this one tells.
pub fn moments(number: u32) -> Interval {
    let mut moments = interval_at(Instant::now() + first(number), EVERY);
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    moments
}

fn first(number: u32) -> Duration {
    EVERY * (number % MOMENTS) / MOMENTS
}

/// Another one each time, as no machine is the same after ten seconds.
pub fn reading(count: u32, used: u32, slots: u32) -> ToServer {
    let percent = count % 100;
    let amount = |gib: u64| Amount { used: gib * GIB / 100 * u64::from(percent), total: gib * GIB, is_limited: false };
    let reading = HostReading {
        cpu: Some(CpuReading { percent, millicores: 16_000, is_limited: false, load_percent: Some(percent * 16) }),
        memory: Some(amount(64)),
        disk: Some(amount(900)),
        gpus: vec![GpuReading { name: "NVIDIA L4".into(), percent: Some(percent), memory: Some(amount(24)) }],
        gpus_unread: None,
        slots: Some(SlotsReading { used, total: slots }),
    };
    ToServer::Reading { reading: Box::new(reading), endpoint: None, age_seconds: 0, optional: true }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn fifty_runners_tell_within_one_round_and_each_at_a_moment_of_its_own() {
        let moments: HashSet<_> = (0..50).map(first).collect();
        assert_eq!(moments.len(), 50);
        assert!(moments.iter().all(|moment| *moment < EVERY));
    }
}
