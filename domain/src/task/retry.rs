use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{FailureClass, error::Errors};

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
    /// What is different when it was not the task that failed.
    #[serde(default, skip_serializing_if = "RetryByClass::is_usual")]
    pub by_class: RetryByClass,
}

/// What a task asks for by class of failure; what it does not mention is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryByClass {
    /// At once unless given; the third loss is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_lost: Option<ClassRetry>,
    /// A minute, doubling to 15 minutes, and never before the time that the work was told. The first ten are not charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_limit: Option<ClassRetry>,
    /// A second, doubling to half a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<ClassRetry>,
}

/// As far as it is to be different from what is usual for the class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClassRetry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RetryStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_seconds: Option<u32>,
}

/// The waits of one class of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    pub strategy: RetryStrategy,
    pub base_seconds: u32,
    pub cap_seconds: u32,
}

/// An hour.
pub const RETRY_BASE_SECONDS_MAX: u32 = 3600;
/// A day.
pub const RETRY_CAP_SECONDS_MAX: u32 = 86_400;
/// The longest time that anybody may tell the work to stay away: a day.
pub const RETRY_AFTER_SECONDS_MAX: u32 = 86_400;

fn default_base() -> u32 {
    1
}

fn default_cap() -> u32 {
    60
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let by_class = RetryByClass::default();
        Self { strategy: RetryStrategy::default(), base_seconds: default_base(), cap_seconds: default_cap(), by_class }
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
        for (class, own) in self.by_class.given() {
            let pointer = format!("/retry/by_class/{}", class.name());
            if own.base_seconds.is_some_and(|base| base == 0 || base > RETRY_BASE_SECONDS_MAX) {
                errors.add(format!("{pointer}/base_seconds"), "out_of_range", format!("must be 1 to {RETRY_BASE_SECONDS_MAX}"));
            }
            if own.cap_seconds.is_some_and(|cap| cap == 0 || cap < own.base_seconds.unwrap_or_default() || cap > RETRY_CAP_SECONDS_MAX) {
                errors.add(format!("{pointer}/cap_seconds"), "out_of_range", format!("must be from the base to {RETRY_CAP_SECONDS_MAX}"));
            }
        }
    }

    /// How it waits after a failure of this class. A task that is not to be tried again is not tried again after any, but for a lost
    /// runner and where it says so.
    pub fn waits(&self, class: FailureClass) -> Waits {
        let again = if self.strategy == RetryStrategy::None { RetryStrategy::None } else { RetryStrategy::Exponential };
        let (strategy, base_seconds, cap_seconds) = match class {
            FailureClass::TaskFailed => (self.strategy, self.base_seconds, self.cap_seconds),
            FailureClass::RunnerLost => (RetryStrategy::Exponential, 0, 60),
            FailureClass::ProviderLimit => (again, 60, 900),
            FailureClass::Infrastructure => (again, 1, 30),
        };
        let own = self.by_class.of(class).unwrap_or_default();
        // one that is given alone brings the other along
        let cap = own.cap_seconds.unwrap_or_else(|| cap_seconds.max(own.base_seconds.unwrap_or_default()));
        let base = own.base_seconds.unwrap_or(base_seconds.min(cap));
        Waits { strategy: own.strategy.unwrap_or(strategy), base_seconds: base, cap_seconds: cap }
    }
}

impl RetryByClass {
    /// These, and of the others what these do not mention.
    pub fn over(self, others: Self) -> Self {
        Self {
            runner_lost: self.runner_lost.or(others.runner_lost),
            provider_limit: self.provider_limit.or(others.provider_limit),
            infrastructure: self.infrastructure.or(others.infrastructure),
        }
    }

    /// The classes that can be given something of their own.
    pub const CLASSES: [FailureClass; 3] = [FailureClass::RunnerLost, FailureClass::ProviderLimit, FailureClass::Infrastructure];

    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub fn of(&self, class: FailureClass) -> Option<ClassRetry> {
        match class {
            FailureClass::TaskFailed => None,
            FailureClass::RunnerLost => self.runner_lost,
            FailureClass::ProviderLimit => self.provider_limit,
            FailureClass::Infrastructure => self.infrastructure,
        }
    }

    pub fn given(&self) -> impl Iterator<Item = (FailureClass, ClassRetry)> {
        let given = Self::CLASSES.map(|class| (class, self.of(class)));
        given.into_iter().filter_map(|(class, own)| Some((class, own?)))
    }

    /// `provider_limit=linear,5m,1h`: a class with a strategy and its times, of which each may be left out. `seconds` reads a time.
    pub fn read(&mut self, text: &str, seconds: impl Fn(&str) -> Option<u32>) -> Result<(), String> {
        const FORM: &str = "must be a class, a strategy and times, such as provider_limit=linear,5m,1h";
        let (class, rest) = text.split_once('=').ok_or(FORM)?;
        let mut own = ClassRetry::default();
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match (RetryStrategy::parse(part), seconds(part)) {
                (Some(strategy), _) => own.strategy = Some(strategy),
                (None, Some(time)) if own.base_seconds.is_none() => own.base_seconds = Some(time),
                (None, Some(time)) if own.cap_seconds.is_none() => own.cap_seconds = Some(time),
                _ => return Err(format!("“{part}” is no strategy and no time; {FORM}")),
            }
        }
        let class = class.trim();
        let place = match Self::CLASSES.into_iter().find(|known| known.name() == class) {
            Some(FailureClass::RunnerLost) => &mut self.runner_lost,
            Some(FailureClass::ProviderLimit) => &mut self.provider_limit,
            Some(FailureClass::Infrastructure) => &mut self.infrastructure,
            _ => return Err(format!("“{class}” is none of {}", Self::CLASSES.map(FailureClass::name).join(", "))),
        };
        *place = Some(own);
        Ok(())
    }

    /// As [`read`](Self::read) reads them. `time` writes a number of seconds.
    pub fn write(&self, time: impl Fn(u32) -> String) -> Vec<String> {
        let line = |(class, own): (FailureClass, ClassRetry)| {
            let strategy = own.strategy.map(|strategy| strategy.name().to_owned());
            // a cap alone is read as one only behind a base
            let base = own.base_seconds.or(own.cap_seconds.map(|cap| cap.min(RETRY_BASE_SECONDS_MAX)));
            let parts: Vec<_> = strategy.into_iter().chain(base.map(&time)).chain(own.cap_seconds.map(&time)).collect();
            format!("{}={}", class.name(), parts.join(","))
        };
        self.given().map(line).collect()
    }
}

impl Waits {
    /// The longest wait after the `nth` failure; nothing when there is no next attempt.
    pub fn longest(&self, nth: i32) -> Option<TimeDelta> {
        let nth = u64::try_from(nth).unwrap_or(1).max(1);
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
    pub fn drawn(&self, nth: i32, luck: f64) -> Option<TimeDelta> {
        self.longest(nth).map(|longest| share(longest, luck))
    }
}

/// Not before the time that somebody told the work to stay away, and up to a tenth of it later, so that all who were told the same do
/// not come back together.
pub fn told(seconds: u32, luck: f64) -> TimeDelta {
    let told = TimeDelta::seconds(seconds.min(RETRY_AFTER_SECONDS_MAX).into());
    told + share(told / 10, luck)
}

fn share(whole: TimeDelta, luck: f64) -> TimeDelta {
    // a wait of days in milliseconds is exact in a float
    TimeDelta::milliseconds((whole.num_milliseconds() as f64 * luck.clamp(0.0, 1.0)).round() as i64)
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
        let waits = Waits { strategy, base_seconds: 2, cap_seconds: 30 };
        (1..=7).map(|nth| waits.longest(nth).map(|wait| wait.num_seconds())).collect()
    }

    #[test]
    fn waits_grow_as_the_strategy_says_up_to_the_cap() {
        assert_eq!(waits(RetryStrategy::Exponential), [2, 4, 8, 16, 30, 30, 30].map(Some));
        assert_eq!(waits(RetryStrategy::Linear), [2, 4, 6, 8, 10, 12, 14].map(Some));
        assert_eq!(waits(RetryStrategy::Fibonacci), [2, 2, 4, 6, 10, 16, 26].map(Some));
        assert_eq!(waits(RetryStrategy::None), [None; 7]);
        let many = RetryPolicy { cap_seconds: RETRY_CAP_SECONDS_MAX, ..RetryPolicy::default() }.waits(FailureClass::TaskFailed);
        assert_eq!(many.longest(i32::MAX), Some(TimeDelta::seconds(RETRY_CAP_SECONDS_MAX.into())), "nothing overflows");
    }

    #[test]
    fn luck_shortens_the_wait_evenly() {
        let waits = RetryPolicy { base_seconds: 10, ..RetryPolicy::default() }.waits(FailureClass::TaskFailed);
        let milliseconds = |luck| waits.drawn(1, luck).unwrap().num_milliseconds();
        assert_eq!([0.0, 0.25, 1.0, 7.0].map(milliseconds), [0, 2_500, 10_000, 10_000]);
    }

    #[test]
    fn who_is_told_to_stay_away_comes_back_a_little_later_and_never_earlier() {
        let seconds = |seconds, luck| told(seconds, luck).num_seconds();
        assert_eq!([seconds(100, 0.0), seconds(100, 0.5), seconds(100, 1.0)], [100, 105, 110]);
        assert_eq!([seconds(0, 1.0), seconds(u32::MAX, 0.0)], [0, 86_400], "within bounds");
    }

    #[test]
    fn every_class_has_waits_of_its_own() {
        let of = |policy: RetryPolicy, class| {
            let Waits { strategy, base_seconds, cap_seconds } = policy.waits(class);
            (strategy, base_seconds, cap_seconds)
        };
        let usual = RetryPolicy { strategy: RetryStrategy::Linear, base_seconds: 7, cap_seconds: 70, ..RetryPolicy::default() };
        let exponential = RetryStrategy::Exponential;
        assert_eq!(of(usual, FailureClass::TaskFailed), (RetryStrategy::Linear, 7, 70));
        assert_eq!(of(usual, FailureClass::RunnerLost), (exponential, 0, 60), "at once");
        assert_eq!(of(usual, FailureClass::ProviderLimit), (exponential, 60, 900), "longer");
        assert_eq!(of(usual, FailureClass::Infrastructure), (exponential, 1, 30), "quicker");
        let never = RetryPolicy { strategy: RetryStrategy::None, ..usual };
        let strategies = FailureClass::ALL.map(|class| never.waits(class).strategy);
        assert_eq!(strategies, [RetryStrategy::None, exponential, RetryStrategy::None, RetryStrategy::None], "a lost runner is apart");
        let own = ClassRetry { strategy: Some(RetryStrategy::Fibonacci), base_seconds: Some(1200), cap_seconds: None };
        let by_class = RetryByClass { provider_limit: Some(own), ..RetryByClass::default() };
        assert_eq!(of(RetryPolicy { by_class, ..never }, FailureClass::ProviderLimit), (RetryStrategy::Fibonacci, 1200, 1200));
        let quick = ClassRetry { cap_seconds: Some(10), ..ClassRetry::default() };
        let by_class = RetryByClass { provider_limit: Some(quick), ..RetryByClass::default() };
        assert_eq!(of(RetryPolicy { by_class, ..usual }, FailureClass::ProviderLimit), (exponential, 10, 10));
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
        let own = |base, cap| Some(ClassRetry { base_seconds: base, cap_seconds: cap, ..ClassRetry::default() });
        let by_class =
            RetryByClass { runner_lost: own(Some(0), None), provider_limit: own(Some(9), Some(8)), infrastructure: own(Some(9), None) };
        assert_eq!(
            pointers(RetryPolicy { by_class, ..RetryPolicy::default() }),
            ["/retry/by_class/runner_lost/base_seconds", "/retry/by_class/provider_limit/cap_seconds"]
        );
    }

    #[test]
    fn a_class_is_written_on_one_line() {
        let mut by_class = RetryByClass::default();
        let seconds = |text: &str| text.parse().ok();
        for line in ["provider_limit=linear,300,3600", "infrastructure = none", "runner_lost=30"] {
            by_class.read(line, seconds).unwrap();
        }
        let lines = by_class.write(|seconds| seconds.to_string());
        assert_eq!(lines, ["runner_lost=30", "provider_limit=linear,300,3600", "infrastructure=none"]);
        for wrong in ["provider_limit", "task_failed=30", "luck=30", "infrastructure=sometimes", "infrastructure=1,2,3"] {
            assert!(by_class.read(wrong, seconds).is_err(), "{wrong}");
        }
    }
}
