use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::error::Errors;

/// How the waits between attempts grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RetryStrategy {
    /// 1, 2, 4, 8, … times the base.
    #[default]
    Exponential,
    /// 1, 2, 3, 4, … times the base.
    Linear,
    /// 1, 1, 2, 3, 5, … times the base.
    Fibonacci,
    /// The first failure is the last.
    None,
}

impl RetryStrategy {
    pub const ALL: [Self; 4] = [Self::Exponential, Self::Linear, Self::Fibonacci, Self::None];

    pub fn name(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Fibonacci => "fibonacci",
            Self::None => "none",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// When an attempt that failed is followed by the next. The wait is drawn evenly from nothing to what the strategy says, so that tasks
/// that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryPolicy {
    #[serde(default)]
    pub strategy: RetryStrategy,
    /// Seconds.
    #[serde(default = "default_base")]
    pub base_seconds: u32,
    /// Seconds that no wait exceeds.
    #[serde(default = "default_cap")]
    pub cap_seconds: u32,
}

/// An hour.
pub const RETRY_BASE_SECONDS_MAX: u32 = 3600;
/// A day.
pub const RETRY_CAP_SECONDS_MAX: u32 = 86_400;

fn default_base() -> u32 {
    1
}

fn default_cap() -> u32 {
    60
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { strategy: RetryStrategy::default(), base_seconds: default_base(), cap_seconds: default_cap() }
    }
}

impl RetryPolicy {
    pub(super) fn validate(&self, errors: &mut Errors) {
        if self.base_seconds == 0 || self.base_seconds > RETRY_BASE_SECONDS_MAX {
            errors.add("/retry/base_seconds", "out_of_range", format!("must be 1 to {RETRY_BASE_SECONDS_MAX}"));
        }
        if self.cap_seconds < self.base_seconds || self.cap_seconds > RETRY_CAP_SECONDS_MAX {
            errors.add("/retry/cap_seconds", "out_of_range", format!("must be from the base to {RETRY_CAP_SECONDS_MAX}"));
        }
    }

    /// The longest wait after the `failures`-th failure; nothing when there is no next attempt.
    pub fn longest_wait(&self, failures: i32) -> Option<TimeDelta> {
        let nth = u64::try_from(failures).unwrap_or(1).max(1);
        let factor = match self.strategy {
            RetryStrategy::Exponential => 1_u64.checked_shl(u32::try_from(nth - 1).unwrap_or(u32::MAX)).unwrap_or(u64::MAX),
            RetryStrategy::Linear => nth,
            RetryStrategy::Fibonacci => fibonacci(nth),
            RetryStrategy::None => return None,
        };
        let seconds = factor.saturating_mul(self.base_seconds.into()).min(self.cap_seconds.into());
        Some(TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    /// The wait itself. `luck` is drawn from 0 to 1.
    pub fn wait(&self, failures: i32, luck: f64) -> Option<TimeDelta> {
        let longest = self.longest_wait(failures)?;
        // a wait of days in milliseconds is exact in a float
        let milliseconds = (longest.num_milliseconds() as f64 * luck.clamp(0.0, 1.0)).round() as i64;
        Some(TimeDelta::milliseconds(milliseconds))
    }
}

fn fibonacci(nth: u64) -> u64 {
    let (mut one, mut next) = (1_u64, 1_u64);
    for _ in 1..nth {
        (one, next) = (next, one.saturating_add(next));
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(strategy: RetryStrategy) -> Vec<Option<i64>> {
        let policy = RetryPolicy { strategy, base_seconds: 2, cap_seconds: 30 };
        (1..=7).map(|failures| policy.longest_wait(failures).map(|wait| wait.num_seconds())).collect()
    }

    #[test]
    fn waits_grow_as_the_strategy_says_up_to_the_cap() {
        assert_eq!(waits(RetryStrategy::Exponential), [2, 4, 8, 16, 30, 30, 30].map(Some));
        assert_eq!(waits(RetryStrategy::Linear), [2, 4, 6, 8, 10, 12, 14].map(Some));
        assert_eq!(waits(RetryStrategy::Fibonacci), [2, 2, 4, 6, 10, 16, 26].map(Some));
        assert_eq!(waits(RetryStrategy::None), [None; 7]);
        let many = RetryPolicy { cap_seconds: RETRY_CAP_SECONDS_MAX, ..RetryPolicy::default() };
        assert_eq!(many.longest_wait(i32::MAX), Some(TimeDelta::seconds(RETRY_CAP_SECONDS_MAX.into())), "nothing overflows");
    }

    #[test]
    fn luck_shortens_the_wait_evenly() {
        let policy = RetryPolicy { base_seconds: 10, ..RetryPolicy::default() };
        let seconds = |luck| policy.wait(1, luck).unwrap().num_milliseconds();
        assert_eq!([0.0, 0.25, 1.0, 7.0].map(seconds), [0, 2_500, 10_000, 10_000]);
    }

    #[test]
    fn a_base_and_a_cap_have_bounds() {
        let pointers = |policy: RetryPolicy| {
            let mut errors = Errors::default();
            policy.validate(&mut errors);
            errors.finish().map_or_else(|invalid| invalid.errors.into_iter().map(|error| error.pointer).collect(), |()| vec![])
        };
        assert_eq!(pointers(RetryPolicy::default()), Vec::<String>::new());
        assert_eq!(pointers(RetryPolicy { base_seconds: 0, ..RetryPolicy::default() }), ["/retry/base_seconds"]);
        assert_eq!(pointers(RetryPolicy { base_seconds: 61, ..RetryPolicy::default() }), ["/retry/cap_seconds"]);
    }
}
