//! The only ways from one state to another. Each consumes the task and may refuse.

use super::{Parents, Priority, Stop, Task, TaskState};
use chrono::TimeDelta;

use crate::{Failure, FailureCode, InvalidTransition, TaskId, Timestamp, Work};

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
            Parents::Failed(broken) => Self::Skipped { at: now, because_of: broken.id, reason: broken.reason(), path: broken.path },
        }
    }
}

impl Task {
    fn refuse<T>(&self, act: &'static str) -> Result<T, InvalidTransition> {
        Err(InvalidTransition { act, state: self.state.name().name() })
    }

    /// In its next state; at its end nobody holds it any more.
    pub(super) fn with(self, state: TaskState) -> Self {
        let paused_by = self.paused_by.filter(|_| !state.is_final());
        Self { state, paused_by, ..self }
    }

    /// A task it waited for has ended: go on, wait for the others, or give up.
    pub fn parent_ended(self, parents: Parents, now: Timestamp) -> Result<Self, InvalidTransition> {
        match (&self.state, parents) {
            (TaskState::Blocked, Parents::Waiting) => Ok(self),
            (TaskState::Blocked, parents) => {
                let state = TaskState::initial(parents, self.earliest(now), now);
                Ok(self.with(state))
            }
            _ => self.refuse("release"),
        }
    }

    /// Before when it does not start when all it waits for is there now.
    fn earliest(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.max(self.delay_seconds.map(|seconds| now + TimeDelta::seconds(seconds.into())))
    }

    /// Its own condition is not met.
    pub fn not_needed(self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match (&self.state, &self.condition) {
            (TaskState::Blocked, Some(condition)) => {
                let reason = format!("its condition `{condition}` is not true");
                let because_of = self.id;
                Ok(self.with(TaskState::Skipped { at: now, because_of, reason, path: vec![] }))
            }
            _ => self.refuse("skip"),
        }
    }

    /// All that a gate or a group waits for is there: a gate waits to be passed, a group for the tasks that it has become.
    pub fn open(self) -> Result<Self, InvalidTransition> {
        match (&self.state, &self.work) {
            (TaskState::Blocked, Work::Gate(_) | Work::Group(_)) if !self.opened => Ok(Self { opened: true, ..self }),
            _ => self.refuse("open"),
        }
    }

    /// A gate is passed, or the tasks of a group are done. Only what no runner does succeeds in this way.
    pub fn pass(self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match (&self.state, &self.work) {
            (TaskState::Blocked, Work::Gate(_) | Work::Group(_)) if self.opened => Ok(self.with(TaskState::Succeeded { at: now })),
            (TaskState::Scheduled { run_at }, Work::Gate(_)) if *run_at <= now => Ok(self.with(TaskState::Succeeded { at: now })),
            _ => self.refuse("pass"),
        }
    }

    /// A person says no at a gate, or a group did not come to what it was to.
    pub fn not_passed(self, failure: Failure, now: Timestamp) -> Result<Self, InvalidTransition> {
        match (&self.state, &self.work) {
            (TaskState::Blocked, Work::Gate(_) | Work::Group(_)) if self.opened => Ok(self.with(TaskState::Failed { at: now, failure })),
            _ => self.refuse("reject"),
        }
    }

    /// It gets one more task to wait for, which has not ended. Only what has not begun can wait.
    pub fn depend(self) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Blocked if !self.opened => Ok(self),
            TaskState::Queued => Ok(self.with(TaskState::Blocked)),
            _ => self.refuse("add a dependency to"),
        }
    }

    /// Its time has come.
    pub fn due(self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Scheduled { run_at } if run_at <= now && self.work.is_executed() => Ok(self.with(TaskState::Queued)),
            _ => self.refuse("start"),
        }
    }

    /// A runner takes it: the next attempt.
    pub fn claim(self) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Queued if self.paused_by.is_none() => {
                Ok(Self { attempts: self.attempts + 1, state: TaskState::Running { stop: None }, ..self })
            }
            _ => self.refuse("claim"),
        }
    }

    /// The work is done, the checks run.
    pub fn verify(self) -> Result<Self, InvalidTransition> {
        match &self.state {
            TaskState::Running { stop } => {
                let stop = stop.clone();
                Ok(self.with(TaskState::Verifying { stop }))
            }
            _ => self.refuse("verify"),
        }
    }

    /// The checks did not pass, and whoever did the work goes on with it.
    pub fn work_again(self) -> Result<Self, InvalidTransition> {
        match &self.state {
            TaskState::Verifying { stop } => {
                let stop = stop.clone();
                Ok(self.with(TaskState::Running { stop }))
            }
            _ => self.refuse("work again"),
        }
    }

    /// Somebody wants its end. What waits ends at once; what runs ends when its runner has confirmed it.
    pub fn cancel(self, by: &str, now: Timestamp) -> Result<Self, InvalidTransition> {
        let by = by.to_owned();
        match &self.state {
            TaskState::Blocked | TaskState::Scheduled { .. } | TaskState::Queued => Ok(self.with(TaskState::Cancelled { at: now, by })),
            TaskState::Running { .. } | TaskState::Verifying { .. } => Ok(self.stopping(Stop::Cancel { by })),
            _ => self.refuse("cancel"),
        }
    }

    /// What runs is to end.
    fn stopping(self, stop: Stop) -> Self {
        let state = match self.state {
            TaskState::Running { stop: before } => TaskState::Running { stop: Some(stop.after(before)) },
            TaskState::Verifying { stop: before } => TaskState::Verifying { stop: Some(stop.after(before)) },
            other => other,
        };
        Self { state, ..self }
    }

    /// Somebody holds it. What waits stays where it is and is not started; what works is stopped and goes back into the queue; what is
    /// being checked comes to its end first.
    pub fn pause(self, by: &str) -> Result<Self, InvalidTransition> {
        if self.state.is_final() {
            return self.refuse("pause");
        }
        let by = self.paused_by.clone().unwrap_or_else(|| by.to_owned());
        let held = Self { paused_by: Some(by.clone()), ..self };
        Ok(match held.state {
            TaskState::Running { .. } => held.stopping(Stop::Pause { by }),
            _ => held,
        })
    }

    /// Nobody holds it any more. What is being stopped still goes back into the queue, and on from there.
    pub fn resume(self) -> Result<Self, InvalidTransition> {
        match &self.paused_by {
            Some(_) => Ok(Self { paused_by: None, ..self }),
            None => self.refuse("resume"),
        }
    }

    /// A more urgent task gets its slot. Nobody is charged.
    pub fn pre_empt(self, for_task: TaskId) -> Result<Self, InvalidTransition> {
        match &self.state {
            TaskState::Running { stop: None } => Ok(self.stopping(Stop::PreEmpt { for_task })),
            _ => self.refuse("pre-empt"),
        }
    }

    /// The time by which it was to be complete has come.
    pub fn overdue(self, now: Timestamp) -> Result<Self, InvalidTransition> {
        if self.complete_by.is_none_or(|time| time > now) {
            return self.refuse("end as overdue");
        }
        match &self.state {
            TaskState::Blocked | TaskState::Scheduled { .. } | TaskState::Queued => {
                let failure = Failure::new(FailureCode::DeadlinePassed, "its deadline passed before it began");
                Ok(self.with(TaskState::Failed { at: now, failure }))
            }
            TaskState::Running { .. } | TaskState::Verifying { .. } => Ok(self.stopping(Stop::Deadline)),
            _ => self.refuse("end as overdue"),
        }
    }

    /// No runner has taken it in the time that it was to wait at most.
    pub fn expire(self, now: Timestamp) -> Result<Self, InvalidTransition> {
        match (&self.state, self.queue_seconds) {
            (TaskState::Queued, Some(seconds)) => {
                let failure = Failure::new(
                    FailureCode::QueueExpired,
                    format!("no runner took it within {seconds} second{}", if seconds == 1 { "" } else { "s" }),
                );
                Ok(self.with(TaskState::Dead { at: now, failure }))
            }
            _ => self.refuse("set aside"),
        }
    }

    /// From now on it is in another lane.
    pub fn prioritise(self, priority: Priority) -> Result<Self, InvalidTransition> {
        if self.state.is_final() {
            return self.refuse("prioritise");
        }
        Ok(Self { priority, ..self })
    }

    /// A person has looked at what was set aside, and lets it go.
    pub fn discard(self, by: &str, now: Timestamp) -> Result<Self, InvalidTransition> {
        match self.state {
            TaskState::Dead { .. } => Ok(self.with(TaskState::Cancelled { at: now, by: by.to_owned() })),
            _ => self.refuse("discard"),
        }
    }

    /// Its attempt has ended: well, for good, or to be tried again. Success is reached from `verifying` alone. `luck`, drawn from 0 to 1,
    /// shortens the wait for the next attempt.
    pub fn attempt_ended(self, end: AttemptEnd, now: Timestamp, luck: f64) -> Result<Self, InvalidTransition> {
        let (verifying, stop) = match &self.state {
            TaskState::Running { stop } => (false, stop.clone()),
            TaskState::Verifying { stop } => (true, stop.clone()),
            _ => return self.refuse("end the attempt of"),
        };
        Ok(match (end, stop) {
            (AttemptEnd::Succeeded, _) if verifying => self.with(TaskState::Succeeded { at: now }),
            (AttemptEnd::Succeeded, _) => return self.refuse("complete"),
            (_, Some(Stop::Cancel { by })) => self.with(TaskState::Cancelled { at: now, by }),
            (_, Some(Stop::Deadline)) => {
                let failure = Failure::new(FailureCode::DeadlinePassed, "its deadline passed while it ran");
                self.with(TaskState::Failed { at: now, failure })
            }
            // Stopped so that it goes on later: nobody is charged.
            (AttemptEnd::Cancelled | AttemptEnd::Lost | AttemptEnd::GivenBack, Some(Stop::PreEmpt { .. } | Stop::Pause { .. })) => {
                self.with(TaskState::Queued)
            }
            (AttemptEnd::Cancelled, None) => self.with(TaskState::Cancelled { at: now, by: crate::account::SYSTEM.into() }),
            (AttemptEnd::Lost, None) => self.lost(now, luck),
            (AttemptEnd::GivenBack, None) => self.with(TaskState::Queued),
            (AttemptEnd::Partial(failure), _) => self.failed(failure, now, luck, |at, failure| TaskState::Partial { at, failure }),
            (AttemptEnd::Failed(failure), _) => self.failed(failure, now, luck, |at, failure| TaskState::Failed { at, failure }),
        })
    }

    /// A person brings an ended task back, with a fresh allowance of attempts and without a deadline that has passed. What succeeded
    /// stays as it is.
    pub fn retry(self, parents: Parents, now: Timestamp) -> Result<Self, InvalidTransition> {
        let ended_badly = self.state.is_final() && !matches!(self.state, TaskState::Succeeded { .. });
        let state = match parents {
            Parents::AllSucceeded if self.work.is_executed() => TaskState::Queued,
            // it is opened anew
            Parents::AllSucceeded => TaskState::Blocked,
            Parents::Waiting => TaskState::Blocked,
            Parents::Failed(_) => return self.refuse("retry"),
        };
        if !ended_badly {
            return self.refuse("retry");
        }
        let complete_by = self.complete_by.filter(|time| *time > now);
        Ok(Self { failures: 0, losses: 0, limits: 0, complete_by, state, opened: false, ..self })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        AgentTerms, RepositoryId, WorkspaceId, task::Broken, task::Complexity, task::Gate, task::Inferred, task::RetryPolicy,
        task::TaskStateName,
    };
    use uuid::Uuid;

    pub(in crate::task) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    pub(in crate::task) fn task(state: TaskState) -> Task {
        Task {
            id: TaskId(Uuid::nil()),
            workspace_id: WorkspaceId(Uuid::nil()),
            repository_id: RepositoryId(Uuid::nil()),
            title: "t".into(),
            work: Work::Command("true".into()),
            base_ref: None,
            submodules: false,
            lfs: false,
            files: vec![],
            success_criteria: vec![],
            checks: vec![],
            priority: Priority::Normal,
            timeout_seconds: 60,
            max_attempts: 2,
            retry: RetryPolicy::default(),
            inputs: Default::default(),
            condition: None,
            workflow_run_id: None,
            delay_seconds: None,
            opened: false,
            not_before: None,
            complete_by: None,
            queue_seconds: None,
            concurrency: None,
            tags: vec![],
            correlation_id: None,
            paused_by: None,
            capabilities: vec![],
            agent: AgentTerms::default(),
            complexity: Complexity::of(None, Inferred::default()),
            estimate_seconds: None,
            land: crate::Land::None,
            state,
            attempts: 0,
            failures: 0,
            losses: 0,
            limits: 0,
            created_at: NOW,
            created_by: "system".into(),
        }
    }

    pub fn failure() -> Failure {
        Failure::new(FailureCode::CommandFailed, "exit 1")
    }

    fn every_state() -> Vec<TaskState> {
        vec![
            TaskState::Blocked,
            TaskState::Scheduled { run_at: NOW },
            TaskState::Queued,
            TaskState::Running { stop: None },
            TaskState::Verifying { stop: None },
            TaskState::Succeeded { at: NOW },
            TaskState::Partial { at: NOW, failure: failure() },
            TaskState::Failed { at: NOW, failure: failure() },
            TaskState::Cancelled { at: NOW, by: "x".into() },
            TaskState::Skipped { at: NOW, because_of: TaskId(Uuid::nil()), reason: "r".into(), path: vec![] },
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
            allowed(|task| task.retry(Parents::AllSucceeded, NOW)),
            ["partial → queued", "failed → queued", "cancelled → queued", "skipped → queued", "dead → queued"]
        );
        assert_eq!(
            allowed(|task| task.pause("user:1")),
            ["blocked → blocked", "scheduled → scheduled", "queued → queued", "running → running", "verifying → verifying"]
        );
        assert_eq!(allowed(Task::resume), Vec::<String>::new(), "nobody holds it");
        assert_eq!(allowed(|task| task.pre_empt(TaskId(Uuid::nil()))), ["running → running"]);
        assert_eq!(allowed(|task| task.discard("user:1", NOW)), ["dead → cancelled"]);
        assert_eq!(allowed(|task| task.expire(NOW)), Vec::<String>::new(), "it may wait for ever");
        assert_eq!(allowed(|task| Task { queue_seconds: Some(5), ..task }.expire(NOW)), ["queued → dead"]);
        assert_eq!(allowed(|task| task.overdue(NOW)), Vec::<String>::new(), "it has no deadline");
        assert_eq!(
            allowed(|task| Task { complete_by: Some(NOW), ..task }.overdue(NOW)),
            ["blocked → failed", "scheduled → failed", "queued → failed", "running → running", "verifying → verifying"]
        );
        assert_eq!(allowed(|task| task.attempt_ended(AttemptEnd::Succeeded, NOW, 1.0)), ["verifying → succeeded"]);
        assert_eq!(
            allowed(|task| task.attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0)),
            ["running → scheduled", "verifying → scheduled"]
        );
        assert_eq!(allowed(|task| task.attempt_ended(AttemptEnd::Lost, NOW, 1.0)), ["running → queued", "verifying → queued"]);
    }

    #[test]
    fn a_requested_cancel_wins_over_everything_but_success() {
        let running = || task(TaskState::Verifying { stop: Some(Stop::Cancel { by: "user:1".into() }) });
        for end in [AttemptEnd::Failed(failure()), AttemptEnd::Cancelled, AttemptEnd::Lost, AttemptEnd::Partial(failure())] {
            let ended = running().attempt_ended(end, NOW, 1.0).unwrap();
            assert_eq!(ended.state, TaskState::Cancelled { at: NOW, by: "user:1".into() });
        }
        assert_eq!(running().attempt_ended(AttemptEnd::Succeeded, NOW, 1.0).unwrap().state.name(), TaskStateName::Succeeded);
    }

    #[test]
    fn what_is_held_is_not_claimed_and_goes_on_when_it_is_resumed() {
        let held = task(TaskState::Queued).pause("user:1").unwrap();
        assert!(held.clone().claim().is_err());
        assert_eq!(held.resume().unwrap().claim().unwrap().state.name(), TaskStateName::Running);

        let stopping = task(TaskState::Running { stop: None }).pause("user:1").unwrap();
        assert_eq!(stopping.state.stop(), Some(&Stop::Pause { by: "user:1".into() }));
        let back = stopping.clone().attempt_ended(AttemptEnd::Cancelled, NOW, 1.0).unwrap();
        assert_eq!((back.state, back.failures, back.losses, back.paused_by.as_deref()), (TaskState::Queued, 0, 0, Some("user:1")));
        let resumed = stopping.resume().unwrap().attempt_ended(AttemptEnd::Cancelled, NOW, 1.0).unwrap();
        assert_eq!((resumed.state, resumed.paused_by), (TaskState::Queued, None), "what was stopped begins again");
    }

    #[test]
    fn what_is_pre_empted_is_charged_nothing_and_what_fails_meanwhile_has_failed() {
        let stopping = || task(TaskState::Running { stop: None }).pre_empt(TaskId(Uuid::nil())).unwrap();
        for end in [AttemptEnd::Cancelled, AttemptEnd::Lost, AttemptEnd::GivenBack] {
            let back = stopping().attempt_ended(end, NOW, 1.0).unwrap();
            assert_eq!((back.state, back.failures, back.losses), (TaskState::Queued, 0, 0));
        }
        let failed = stopping().attempt_ended(AttemptEnd::Failed(failure()), NOW, 1.0).unwrap();
        assert_eq!((failed.state.name(), failed.failures), (TaskStateName::Scheduled, 1));
    }

    #[test]
    fn of_two_stops_the_one_that_says_more_holds() {
        let due = || Task { complete_by: Some(NOW), ..task(TaskState::Running { stop: None }) };
        let cancelled = due().overdue(NOW).unwrap().cancel("user:1", NOW).unwrap();
        assert_eq!(cancelled.attempt_ended(AttemptEnd::Cancelled, NOW, 1.0).unwrap().state.name(), TaskStateName::Cancelled);
        let overdue = due().pause("user:1").unwrap().overdue(NOW).unwrap();
        let ended = overdue.attempt_ended(AttemptEnd::Cancelled, NOW, 1.0).unwrap();
        assert_eq!((ended.state.failure().unwrap().code, ended.paused_by), (FailureCode::DeadlinePassed, None));
        let first = due().cancel("user:1", NOW).unwrap().cancel("user:2", NOW).unwrap();
        assert_eq!(first.state.cancel_requested(), Some("user:1"));
    }

    #[test]
    fn a_deadline_that_has_passed_does_not_come_back_with_the_task() {
        let failed = Task { complete_by: Some(NOW), ..task(TaskState::Queued) }.overdue(NOW).unwrap();
        assert_eq!(failed.retry(Parents::AllSucceeded, NOW).unwrap().complete_by, None);
    }

    #[test]
    fn a_failed_parent_skips_with_the_reason() {
        let (build, test) = (TaskId(Uuid::from_u128(1)), TaskId(Uuid::from_u128(2)));
        let broken = Broken::new(build, "Build", TaskStateName::Failed);
        let skipped =
            Task { id: test, title: "Test".into(), ..task(TaskState::Blocked) }.parent_ended(Parents::Failed(broken.clone()), NOW).unwrap();
        assert_eq!(skipped.state.reason().as_deref(), Some("it waits for “Build”, which ended failed"));
        let after = task(TaskState::Blocked).parent_ended(Parents::Failed(broken.and_so(&skipped)), NOW).unwrap();
        assert_eq!(after.state.reason().as_deref(), Some("it waits for “Test”, which was skipped, as “Build” ended failed"));
        assert!(matches!(after.state, TaskState::Skipped { because_of, path, .. } if because_of == test && path == [build, test]));
    }

    #[test]
    fn what_nobody_executes_is_opened_and_passed() {
        let gate = || Task { work: Work::Gate(Gate::Approval { message: None }), ..task(TaskState::Blocked) };
        assert!(gate().pass(NOW).is_err(), "a gate is passed only when it is open");
        let open = gate().open().unwrap();
        assert_eq!(open.clone().pass(NOW).unwrap().state, TaskState::Succeeded { at: NOW });
        assert!(open.clone().open().is_err());
        let failure = Failure::new(FailureCode::Rejected, "not yet");
        assert_eq!(open.not_passed(failure.clone(), NOW).unwrap().state, TaskState::Failed { at: NOW, failure });
        let work = Task { opened: true, ..task(TaskState::Blocked) };
        assert!(work.clone().open().is_err() && work.pass(NOW).is_err(), "work succeeds by its checks alone");
    }

    #[test]
    fn a_delay_counts_from_the_end_of_what_it_waits_for() {
        let waiting = Task { delay_seconds: Some(60), ..task(TaskState::Blocked) };
        let released = waiting.parent_ended(Parents::AllSucceeded, NOW).unwrap();
        assert_eq!(released.state, TaskState::Scheduled { run_at: NOW + TimeDelta::seconds(60) });
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
}
