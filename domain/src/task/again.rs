//! What follows an attempt that ended badly: another one, when and at whose cost, or the end.

use chrono::TimeDelta;

use super::{Task, TaskState, retry::told};
use crate::{Failure, FailureClass, FailureCode, Timestamp};

/// A task that loses its runner this often is set aside as `dead`.
pub const LOSSES_MAX: i32 = 3;
/// So often a task may be told to come back later without being charged; after that each time is a failure of its own.
pub const LIMITS_MAX: i32 = 10;

impl Task {
    /// Charged to the task, but for a provider's limit as long as there were few of them.
    pub(super) fn failed(self, failure: Failure, now: Timestamp, luck: f64, last: impl Fn(Timestamp, Failure) -> TaskState) -> Self {
        let uncharged = failure.code.class() == FailureClass::ProviderLimit && self.limits < LIMITS_MAX;
        let (failures, limits) = if uncharged { (self.failures, self.limits + 1) } else { (self.failures + 1, self.limits) };
        let again = uncharged || failure.code.is_worth_retrying() && failures < self.max_attempts;
        let wait = self.wait_after(&failure, if uncharged { limits } else { failures }, luck).filter(|_| again);
        let state = match wait {
            Some(wait) => TaskState::Scheduled { run_at: now + wait },
            None => last(now, failure),
        };
        Self { failures, limits, ..self }.with(state)
    }

    /// As the task says for this class of failure, and not before the time that the work was told.
    fn wait_after(&self, failure: &Failure, nth: i32, luck: f64) -> Option<TimeDelta> {
        let own = self.retry.waits(failure.code.class()).drawn(nth, luck)?;
        Some(failure.retry_after_seconds.map_or(own, |seconds| own.max(told(seconds, luck))))
    }

    /// Counted apart from failures.
    pub(super) fn lost(self, now: Timestamp, luck: f64) -> Self {
        let losses = self.losses + 1;
        let wait = self.retry.waits(FailureClass::RunnerLost).drawn(losses, luck).filter(|_| losses < LOSSES_MAX);
        let state = match wait {
            Some(wait) if wait.is_zero() => TaskState::Queued,
            Some(wait) => TaskState::Scheduled { run_at: now + wait },
            None => {
                let message = format!("it lost its runner {losses} time{}", if losses == 1 { "" } else { "s" });
                TaskState::Dead { at: now, failure: Failure::new(FailureCode::RunnerLost, message) }
            }
        };
        Self { losses, ..self }.with(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{
        AttemptEnd, ClassRetry, RetryByClass, RetryPolicy, RetryStrategy, TaskStateName,
        transition::tests::{NOW, failure, task},
    };

    fn running() -> Task {
        task(TaskState::Running { stop: None })
    }

    /// How many seconds it waits for its next attempt.
    fn waits(task: &Task) -> Option<i64> {
        if let TaskState::Scheduled { run_at } = task.state { Some((run_at - NOW).num_seconds()) } else { None }
    }

    fn fails(task: Task, code: FailureCode, retry_after_seconds: Option<u32>) -> Task {
        let failure = Failure { retry_after_seconds, ..Failure::new(code, "as the test wants it") };
        let running = Task { state: TaskState::Running { stop: None }, ..task };
        running.attempt_ended(AttemptEnd::Failed(failure), NOW, 1.0).unwrap()
    }

    #[test]
    fn the_last_failure_is_final_and_hopeless_ones_are_final_at_once() {
        let running = || Task { failures: 1, ..task(TaskState::Running { stop: None }) };
        let last = running().attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0).unwrap();
        assert_eq!(last.state, TaskState::Failed { at: NOW, failure: failure() });
        let partial = running().attempt_ended(AttemptEnd::Partial(failure()), NOW, 1.0).unwrap();
        assert_eq!(partial.state.name(), TaskStateName::Partial);
        let hopeless = Failure::new(FailureCode::RefNotFound, "no such ref");
        let first = task(TaskState::Running { stop: None }).attempt_ended(AttemptEnd::Failed(hopeless), NOW, 1.0).unwrap();
        assert_eq!(first.state.name(), TaskStateName::Failed);
    }

    #[test]
    fn losses_are_counted_apart_and_the_third_is_the_last() {
        let mut lost = task(TaskState::Queued);
        lost = lost.claim().unwrap().attempt_ended(AttemptEnd::GivenBack, NOW, 1.0).unwrap();
        assert_eq!((lost.state.clone(), lost.losses), (TaskState::Queued, 0));
        for expected in ["queued", "queued", "dead"] {
            lost = lost.claim().unwrap().attempt_ended(AttemptEnd::Lost, NOW, 1.0).unwrap();
            assert_eq!(lost.state.name().name(), expected);
            assert_eq!(lost.failures, 0);
        }
    }

    #[test]
    fn a_task_that_is_not_to_be_retried_fails_at_once() {
        let retry = RetryPolicy { strategy: RetryStrategy::None, ..RetryPolicy::default() };
        let running = Task { retry, ..task(TaskState::Running { stop: None }) };
        let ended = running.attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0).unwrap();
        assert_eq!(ended.state.name(), TaskStateName::Failed);
    }

    #[test]
    fn a_provider_s_limit_is_not_charged_until_there_were_too_many() {
        let mut limited = running();
        for (nth, seconds) in (1..=LIMITS_MAX).zip([60, 120, 240, 480, 900, 900, 900, 900, 900, 900]) {
            limited = fails(limited, FailureCode::ProviderLimit, None);
            assert_eq!((waits(&limited), limited.failures, limited.limits), (Some(seconds), 0, nth));
        }
        // it may fail twice
        limited = fails(limited, FailureCode::ProviderLimit, None);
        assert_eq!((waits(&limited), limited.failures, limited.limits), (Some(60), 1, LIMITS_MAX));
        limited = fails(limited, FailureCode::ProviderLimit, None);
        assert_eq!((limited.state.name(), limited.state.failure().unwrap().code), (TaskStateName::Failed, FailureCode::ProviderLimit));
        let back = limited.retry(crate::task::Parents::AllSucceeded, NOW).unwrap();
        assert_eq!((back.failures, back.limits), (0, 0));
    }

    #[test]
    fn what_was_told_to_come_back_later_does_not_come_back_before() {
        let after = |seconds| waits(&fails(running(), FailureCode::ProviderLimit, Some(seconds)));
        assert_eq!(after(1000), Some(1100), "and a little later, by luck");
        assert_eq!(after(5), Some(60), "its own waits hold as well");
        assert_eq!(after(u32::MAX), Some(95_040), "a day and a tenth at most");
        let failure = Failure { retry_after_seconds: Some(1000), ..Failure::new(FailureCode::ProviderLimit, "later") };
        let unlucky = running().attempt_ended(AttemptEnd::Failed(failure), NOW, 0.0).unwrap();
        assert_eq!(waits(&unlucky), Some(1000), "never before");
    }

    #[test]
    fn every_class_waits_in_its_own_way() {
        let slow = || Task { retry: RetryPolicy { base_seconds: 50, ..RetryPolicy::default() }, ..running() };
        assert_eq!(waits(&fails(slow(), FailureCode::CommandFailed, None)), Some(50));
        let infrastructure = fails(slow(), FailureCode::RunnerFault, None);
        assert_eq!((waits(&infrastructure), infrastructure.failures), (Some(1), 1), "quick, and charged, so that it ends");
        let own = ClassRetry { strategy: Some(RetryStrategy::Linear), base_seconds: Some(30), cap_seconds: None };
        let by_class = RetryByClass { runner_lost: Some(own), ..RetryByClass::default() };
        let lost = Task { retry: RetryPolicy { by_class, ..RetryPolicy::default() }, losses: 1, ..running() };
        assert_eq!(waits(&lost.attempt_ended(AttemptEnd::Lost, NOW, 1.0).unwrap()), Some(60));
        let never = ClassRetry { strategy: Some(RetryStrategy::None), ..ClassRetry::default() };
        let by_class = RetryByClass { runner_lost: Some(never), provider_limit: Some(never), ..RetryByClass::default() };
        let once = || Task { retry: RetryPolicy { by_class, ..RetryPolicy::default() }, ..running() };
        let lost = once().attempt_ended(AttemptEnd::Lost, NOW, 1.0).unwrap();
        assert_eq!(lost.state.reason().as_deref(), Some("it lost its runner 1 time"));
        assert_eq!(fails(once(), FailureCode::ProviderLimit, Some(5)).state.name(), TaskStateName::Failed);
    }
}
