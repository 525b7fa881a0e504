//! How much of one link is borne.

use std::time::Duration;

use tokio::time::Instant;

/// Messages of a second; what is more waits for the next, and TCP tells the runner.
const MESSAGES: u32 = 2000;
const SECOND: Duration = Duration::from_secs(1);
/// Pings and pongs of ten seconds.
const PINGS: u32 = 100;
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// Messages of a minute that are not understood.
const NOT_UNDERSTOOD: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Bearable,
    TooMuch,
}

/// What one link has done lately.
pub struct Manners {
    messages: Count,
    pings: Count,
    not_understood: Count,
}

/// In a stretch of time that begins when the one before it is over.
struct Count {
    most: u32,
    every: Duration,
    since: Instant,
    count: u32,
}

impl Count {
    fn new(most: u32, every: Duration, now: Instant) -> Self {
        Self { most, every, since: now, count: 0 }
    }

    fn one_more(&mut self, now: Instant) -> Verdict {
        if now.duration_since(self.since) >= self.every {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        if self.count <= self.most { Verdict::Bearable } else { Verdict::TooMuch }
    }
}

impl Manners {
    pub fn new(now: Instant) -> Self {
        Self {
            messages: Count::new(MESSAGES, SECOND, now),
            pings: Count::new(PINGS, TEN_SECONDS, now),
            not_understood: Count::new(NOT_UNDERSTOOD, MINUTE, now),
        }
    }

    /// Until when it waits, when it was too much.
    pub fn spoke(&mut self, now: Instant) -> Option<Instant> {
        match self.messages.one_more(now) {
            Verdict::Bearable => None,
            Verdict::TooMuch => Some(self.messages.since + SECOND),
        }
    }

    pub fn pinged(&mut self, now: Instant) -> Verdict {
        self.pings.one_more(now)
    }

    pub fn was_not_understood(&mut self, now: Instant) -> Verdict {
        self.not_understood.one_more(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_borne_in_a_stretch_of_time_and_again_in_the_next() {
        let now = Instant::now();
        let mut manners = Manners::new(now);
        for _ in 0..NOT_UNDERSTOOD {
            assert_eq!(manners.was_not_understood(now), Verdict::Bearable);
        }
        assert_eq!(manners.was_not_understood(now + MINUTE - SECOND), Verdict::TooMuch);
        assert_eq!(manners.was_not_understood(now + MINUTE), Verdict::Bearable);
        assert_eq!(manners.pinged(now), Verdict::Bearable, "each is counted by itself");
    }

    #[test]
    fn whoever_says_too_much_is_heard_later() {
        let now = Instant::now();
        let mut manners = Manners::new(now);
        assert!((0..MESSAGES).all(|_| manners.spoke(now).is_none()));
        assert_eq!(manners.spoke(now), Some(now + SECOND));
        assert_eq!(manners.spoke(now + SECOND), None);
    }
}
