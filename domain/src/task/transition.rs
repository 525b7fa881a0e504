//! The only ways from one state to another. Each consumes the task and may refuse.

use super::{Task, TaskState, TaskStateName};
use crate::{Failure, FailureCode, InvalidTransition, TaskId, Timestamp};

/// A task that loses its runner this often is set aside as `dead`.
pub const LOSSES_MAX: i32 = 3;

/// How the tasks that a task waits for stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parents {
    AllSucceeded,
    /// At least one has not ended.
    Waiting,
    /// One ended otherwise than well.
    Failed {
        id: TaskId,
        title: String,
        state: TaskStateName,
    },
}

/// How an attempt ended, for its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    Succeeded,
    /// Some of the required checks passed.
    Partial(Failure),
    Failed(Failure),
    Cancelled,
    /// The runner stopped answering, or came back without the attempt.
    Lost,
    /// The runner was stopped in order and gives the task back; nobody is charged.
    GivenBack,
}

impl TaskState {
    /// Where a new task starts.
    pub fn initial(parents: Parents, not_before: Option<Timestamp>, now: Timestamp) -> Self {
        match parents {
            Parents::AllSucceeded => match not_before.filter(|time| *time > now) {
                Some(run_at) => Self::Scheduled { run_at },
                None => Self::Queued,
            },
            Parents::Waiting => Self::Blocked,
            Parents::Failed { id, title, state } => Self::skipped(id, &title, state, now),
        }
    }

    fn skipped(because_of: TaskId, title: &str, state: TaskStateName, at: Timestamp) -> Self {
        let reason = format!("it waits for “{title}”, which ended {}", state.name());
        Self::Skipped { at, because_of, reason }
    }
}

impl Task {
    fn refuse<T>(&self, act: &'static str) -> Result<T, InvalidTransition> {
        Err(InvalidTransition { act, state: self.state.name().name() })
    }

    fn with(self, state: TaskState) -> Self {
        Self { state, ..self }
    }

    /// A task it waited for has ended: go on, wait for the others, or give up.
    pub fn parent_ended(self, parents: Parents, now: Timestamp) -> Result<Self, InvalidTransition> {
        match (&self.state, parents) {
            (TaskState::Blocked, Parents::Waiting) => Ok(self),
            (TaskState::Blocked, parents) => {
                let state = TaskState::initial(parents, self.not_before, now);
                Ok(self.with(state))
            }
            _ => self.refuse("release"),
        }
    }

    /// It gets one more task to wait for, which has not ended. Only what has not begun can wait.
    pub fn depend(self) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Blocked | TaskState::Queued => Ok(self.with(TaskState::Blocked)),
            _ => self.refuse("add a dependency to"),
        }
    }

    /// Its time has come.
    pub fn due(self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Scheduled { run_at } if run_at <= now => Ok(self.with(TaskState::Queued)),
            _ => self.refuse("start"),
        }
    }

    /// A runner takes it: the next attempt.
    pub fn claim(self) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Queued => Ok(Self { attempts: self.attempts + 1, state: TaskState::Running { cancel_requested: None }, ..self }),
            _ => self.refuse("claim"),
        }
    }

    /// The work is done, the checks run.
    pub fn verify(self) -> Result<Self, InvalidTransition> {
        match &self.state {
            TaskState::Running { cancel_requested } => {
                let cancel_requested = cancel_requested.clone();
                Ok(self.with(TaskState::Verifying { cancel_requested }))
            }
            _ => self.refuse("verify"),
        }
    }

    /// Somebody wants its end. What waits ends at once; what runs ends when its runner has confirmed it.
    pub fn cancel(self, by: &str, now: Timestamp) -> Result<Self, InvalidTransition> {
        let by = by.to_owned();
        match &self.state {
            TaskState::Blocked | TaskState::Scheduled { .. } | TaskState::Queued => Ok(self.with(TaskState::Cancelled { at: now, by })),
            TaskState::Running { cancel_requested: None } => Ok(self.with(TaskState::Running { cancel_requested: Some(by) })),
            TaskState::Verifying { cancel_requested: None } => Ok(self.with(TaskState::Verifying { cancel_requested: Some(by) })),
            TaskState::Running { .. } | TaskState::Verifying { .. } => Ok(self),
            _ => self.refuse("cancel"),
        }
    }

    /// Its attempt has ended: well, for good, or to be tried again. Success is reached from `verifying` alone. `luck`, drawn from 0 to 1,
    /// shortens the wait for the next attempt.
    pub fn attempt_ended(self, end: AttemptEnd, now: Timestamp, luck: f64) -> Result<Self, InvalidTransition> {
        let (verifying, cancel_requested) = match &self.state {
            TaskState::Running { cancel_requested } => (false, cancel_requested.clone()),
            TaskState::Verifying { cancel_requested } => (true, cancel_requested.clone()),
            _ => return self.refuse("end the attempt of"),
        };
        match (end, cancel_requested) {
            (AttemptEnd::Succeeded, _) if verifying => Ok(self.with(TaskState::Succeeded { at: now })),
            (AttemptEnd::Succeeded, _) => self.refuse("complete"),
            (_, Some(by)) => Ok(self.with(TaskState::Cancelled { at: now, by })),
            (AttemptEnd::Cancelled, None) => Ok(self.with(TaskState::Cancelled { at: now, by: crate::account::SYSTEM.into() })),
            (AttemptEnd::Lost, None) => Ok(self.lost(now)),
            (AttemptEnd::GivenBack, None) => Ok(self.with(TaskState::Queued)),
            (AttemptEnd::Partial(failure), None) => Ok(self.failed(failure, now, luck, |at, failure| TaskState::Partial { at, failure })),
            (AttemptEnd::Failed(failure), None) => Ok(self.failed(failure, now, luck, |at, failure| TaskState::Failed { at, failure })),
        }
    }

    fn failed(self, failure: Failure, now: Timestamp, luck: f64, last: impl Fn(Timestamp, Failure) -> TaskState) -> Self {
        let failures = self.failures + 1;
        let again = failure.code.is_worth_retrying() && failures < self.max_attempts;
        let state = match self.retry.wait(failures, luck).filter(|_| again) {
            Some(wait) => TaskState::Scheduled { run_at: now + wait },
            None => last(now, failure),
        };
        Self { failures, state, ..self }
    }

    fn lost(self, now: Timestamp) -> Self {
        let losses = self.losses + 1;
        let state = if losses < LOSSES_MAX {
            TaskState::Queued
        } else {
            let message = format!("it lost its runner {losses} times");
            TaskState::Dead { at: now, failure: Failure::new(FailureCode::RunnerLost, message) }
        };
        Self { losses, state, ..self }
    }

    /// A person brings an ended task back, with a fresh allowance of attempts. What succeeded stays as it is.
    pub fn retry(self, parents: Parents) -> Result<Self, InvalidTransition> {
        let ended_badly = self.state.is_final() && !matches!(self.state, TaskState::Succeeded { .. });
        let state = match parents {
            Parents::AllSucceeded => TaskState::Queued,
            Parents::Waiting => TaskState::Blocked,
            Parents::Failed { .. } => return self.refuse("retry"),
        };
        if !ended_badly {
            return self.refuse("retry");
        }
        Ok(Self { failures: 0, losses: 0, state, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Priority, RepositoryId, Work, WorkspaceId, task::RetryPolicy, task::RetryStrategy};
    use chrono::TimeDelta;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn task(state: TaskState) -> Task {
        Task {
            id: TaskId(Uuid::nil()),
            workspace_id: WorkspaceId(Uuid::nil()),
            repository_id: RepositoryId(Uuid::nil()),
            title: "t".into(),
            work: Work::Command("true".into()),
            base_ref: None,
            files: vec![],
            success_criteria: vec![],
            checks: vec![],
            priority: Priority::Normal,
            timeout_seconds: 60,
            max_attempts: 2,
            retry: RetryPolicy::default(),
            not_before: None,
            state,
            attempts: 0,
            failures: 0,
            losses: 0,
            created_at: NOW,
            created_by: "system".into(),
        }
    }

    fn failure() -> Failure {
        Failure::new(FailureCode::CommandFailed, "exit 1")
    }

    fn every_state() -> Vec<TaskState> {
        vec![
            TaskState::Blocked,
            TaskState::Scheduled { run_at: NOW },
            TaskState::Queued,
            TaskState::Running { cancel_requested: None },
            TaskState::Verifying { cancel_requested: None },
            TaskState::Succeeded { at: NOW },
            TaskState::Partial { at: NOW, failure: failure() },
            TaskState::Failed { at: NOW, failure: failure() },
            TaskState::Cancelled { at: NOW, by: "x".into() },
            TaskState::Skipped { at: NOW, because_of: TaskId(Uuid::nil()), reason: "r".into() },
            TaskState::Dead { at: NOW, failure: failure() },
        ]
    }

    /// Which states an act is allowed in, and where it leads.
    fn allowed(act: impl Fn(Task) -> Result<Task, InvalidTransition>) -> Vec<String> {
        let lines = every_state().into_iter().filter_map(|state| {
            let from = state.name().name();
            act(task(state)).ok().map(|after| format!("{from} → {}", after.state.name().name()))
        });
        lines.collect()
    }

    #[test]
    fn every_act_in_every_state() {
        assert_eq!(allowed(Task::claim), ["queued → running"]);
        assert_eq!(allowed(Task::depend), ["blocked → blocked", "queued → blocked"]);
        assert_eq!(allowed(Task::verify), ["running → verifying"]);
        assert_eq!(allowed(|task| task.due(NOW)), ["scheduled → queued"]);
        assert_eq!(allowed(|task| task.parent_ended(Parents::AllSucceeded, NOW)), ["blocked → queued"]);
        assert_eq!(allowed(|task| task.parent_ended(Parents::Waiting, NOW)), ["blocked → blocked"]);
        assert_eq!(
            allowed(|task| task.cancel("user:1", NOW)),
            ["blocked → cancelled", "scheduled → cancelled", "queued → cancelled", "running → running", "verifying → verifying"]
        );
        assert_eq!(
            allowed(|task| task.retry(Parents::AllSucceeded)),
            ["partial → queued", "failed → queued", "cancelled → queued", "skipped → queued", "dead → queued"]
        );
        assert_eq!(allowed(|task| task.attempt_ended(AttemptEnd::Succeeded, NOW, 1.0)), ["verifying → succeeded"]);
        assert_eq!(
            allowed(|task| task.attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0)),
            ["running → scheduled", "verifying → scheduled"]
        );
        assert_eq!(allowed(|task| task.attempt_ended(AttemptEnd::Lost, NOW, 1.0)), ["running → queued", "verifying → queued"]);
    }

    #[test]
    fn the_last_failure_is_final_and_hopeless_ones_are_final_at_once() {
        let running = || Task { failures: 1, ..task(TaskState::Running { cancel_requested: None }) };
        let last = running().attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0).unwrap();
        assert_eq!(last.state, TaskState::Failed { at: NOW, failure: failure() });
        let partial = running().attempt_ended(AttemptEnd::Partial(failure()), NOW, 1.0).unwrap();
        assert_eq!(partial.state.name(), TaskStateName::Partial);
        let hopeless = Failure::new(FailureCode::RefNotFound, "no such ref");
        let first = task(TaskState::Running { cancel_requested: None }).attempt_ended(AttemptEnd::Failed(hopeless), NOW, 1.0).unwrap();
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
    fn a_requested_cancel_wins_over_everything_but_success() {
        let running = || task(TaskState::Verifying { cancel_requested: Some("user:1".into()) });
        for end in [AttemptEnd::Failed(failure()), AttemptEnd::Cancelled, AttemptEnd::Lost, AttemptEnd::Partial(failure())] {
            let ended = running().attempt_ended(end, NOW, 1.0).unwrap();
            assert_eq!(ended.state, TaskState::Cancelled { at: NOW, by: "user:1".into() });
        }
        assert_eq!(running().attempt_ended(AttemptEnd::Succeeded, NOW, 1.0).unwrap().state.name(), TaskStateName::Succeeded);
    }

    #[test]
    fn a_failed_parent_skips_with_the_reason() {
        let parents = Parents::Failed { id: TaskId(Uuid::nil()), title: "Build".into(), state: TaskStateName::Failed };
        let skipped = task(TaskState::Blocked).parent_ended(parents, NOW).unwrap();
        assert_eq!(skipped.state.reason().as_deref(), Some("it waits for “Build”, which ended failed"));
    }

    #[test]
    fn a_time_that_is_asked_for_is_kept_also_after_waiting_for_others() {
        let later = NOW + TimeDelta::hours(1);
        let waiting = || Task { not_before: Some(later), ..task(TaskState::Blocked) };
        let released = waiting().parent_ended(Parents::AllSucceeded, NOW).unwrap();
        assert_eq!(released.state, TaskState::Scheduled { run_at: later });
        assert_eq!(waiting().parent_ended(Parents::AllSucceeded, later).unwrap().state, TaskState::Queued);
        assert_eq!(TaskState::initial(Parents::AllSucceeded, Some(later), NOW), TaskState::Scheduled { run_at: later });
    }

    #[test]
    fn a_task_that_is_not_to_be_retried_fails_at_once() {
        let retry = RetryPolicy { strategy: RetryStrategy::None, ..RetryPolicy::default() };
        let running = Task { retry, ..task(TaskState::Running { cancel_requested: None }) };
        let ended = running.attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0).unwrap();
        assert_eq!(ended.state.name(), TaskStateName::Failed);
    }
}
