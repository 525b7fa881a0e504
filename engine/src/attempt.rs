//! Attempts: a runner takes a task, says how it goes, and reports how it ended.
//!
//! Everything a runner says names its attempt, and is applied only while that attempt holds its task: its number is the task's
//! latest, it has not ended, and it was given to this runner. Whether its lease has run out does not matter as long as nobody has
//! taken the task back.

pub(crate) mod query;
pub(crate) mod store;

use chrono::TimeDelta;
use domain::{
    AttemptKey, AttemptState, EventKind, Failure, FailureCode, Task, Timestamp, VerificationReport,
    protocol::{Assignment, AttemptReport, WorkOutcome},
    runner::lease_seconds,
    task::AttemptEnd,
    verification::Conclusion,
};
use tracing::{info, warn};

use crate::{Engine, Error, Result, RunnerSession, artifact, task, tx::Tx};

pub(crate) fn lease_until(now: Timestamp) -> Timestamp {
    now + TimeDelta::seconds(lease_seconds().into())
}

/// How an attempt ends, for its own row and for its task.
struct Ending {
    state: AttemptState,
    failure: Option<Failure>,
    task: AttemptEnd,
}

impl Engine {
    /// Takes up to `most` tasks for a runner, the first in the queue first.
    pub(crate) async fn claim(&self, session: &RunnerSession, most: usize) -> Result<Vec<Assignment>> {
        let ids: Vec<_> = (0..most).map(|_| self.new_id()).collect();
        let claimed = loop {
            let mut tx = self.begin_system(Some(session.label())).await?;
            let claimed = store::claim(&mut tx, session, &ids).await?;
            if claimed.attempts.is_empty() && claimed.parked == 0 {
                return Ok(vec![]);
            }
            tx.has_recorded();
            tx.commit(()).await?;
            // What was put out of sight may have hidden what can be taken.
            if !claimed.attempts.is_empty() {
                break claimed.attempts;
            }
        };
        // Read apart from the claim: a row that cannot be read must not keep the others from being claimed.
        let mut assignments = Vec::with_capacity(claimed.len());
        for attempt in claimed {
            match self.assignment(attempt).await {
                Ok(Ok(assignment)) => assignments.push(assignment),
                Ok(Err(failure)) => self.attempt_impossible(attempt, failure).await?,
                Err(error @ Error::Inconsistent { .. }) => {
                    warn!(task.id = %attempt.task_id, "Task {} cannot be read: {error}", attempt.task_id);
                    self.attempt_impossible(attempt, Failure::new(FailureCode::TaskUnreadable, error.to_string())).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(assignments)
    }

    async fn assignment(&self, attempt: AttemptKey) -> Result<std::result::Result<Assignment, Failure>> {
        let mut conn = self.database.system.acquire().await?;
        store::assignment(&mut conn, attempt).await
    }

    /// The worktree is there and the work begins.
    pub(crate) async fn attempt_started(&self, session: &RunnerSession, key: AttemptKey, base_commit: &str, branch: &str) -> Result<()> {
        let mut tx = self.begin_system(Some(session.label())).await?;
        let task = lock_held(&mut tx, Some(session), key).await?;
        store::start(&mut tx, key, base_commit, branch).await?;
        tx.record(task.workspace_id, task.id, &EventKind::AttemptStarted { attempt: key.number }).await?;
        tx.commit(()).await
    }

    /// The work's processes are gone and the checks run.
    pub(crate) async fn attempt_verifying(&self, session: &RunnerSession, key: AttemptKey) -> Result<()> {
        let mut tx = self.begin_system(Some(session.label())).await?;
        let task = lock_held(&mut tx, Some(session), key).await?.verify()?;
        task::store::save(&mut tx, &task).await?;
        store::verify(&mut tx, key).await?;
        tx.record(task.workspace_id, task.id, &EventKind::AttemptVerifying { attempt: key.number }).await?;
        tx.commit(()).await
    }

    /// Renews the leases of these attempts. Says which of them the runner no longer holds, and which somebody wants to end.
    pub(crate) async fn heartbeat(&self, session: &RunnerSession, keys: &[AttemptKey]) -> Result<store::Heartbeat> {
        let mut tx = self.begin_system(Some(session.label())).await?;
        let answer = store::heartbeat(&mut tx, session, keys).await?;
        let answer = tx.commit(answer).await?;
        self.release_ended(session, keys).await?;
        Ok(answer)
    }

    /// What this process gave to the runner and the runner does not name is on its way to it; or it has ended without a word from the
    /// runner, who gave it up when its lease ran out, and its slot is free.
    async fn release_ended(&self, session: &RunnerSession, named: &[AttemptKey]) -> Result<()> {
        for key in self.hub.held_beside(session.id(), named) {
            let mut conn = self.database.system.acquire().await?;
            if !store::is_held(&mut conn, Some(session), key).await? {
                self.hub.release(session.id(), key);
            }
        }
        Ok(())
    }

    /// The last word about an attempt: what its task comes to, and what follows for the tasks that wait for it.
    pub(crate) async fn attempt_reported(&self, session: &RunnerSession, key: AttemptKey, report: AttemptReport) -> Result<()> {
        let mut tx = self.begin_system(Some(session.label())).await?;
        let task = lock_held(&mut tx, Some(session), key).await?;
        let ending = judge(&task, &report);
        let now = tx.now();
        store::report(&mut tx, key, &report).await?;
        if let Some(verification) = &report.verification {
            store::insert_verification(&mut tx, task.workspace_id, key, verification).await?;
        }
        for new in &report.artifacts {
            artifact::insert(&mut tx, self.new_id(), task.workspace_id, key, new, now).await?;
        }
        if let Some(output) = report.output.as_ref().filter(|output| may_be_kept(output)) {
            task::store::save_output(&mut tx, task.id, output).await?;
        }
        end(&mut tx, task, key, ending, report.verification.as_ref()).await?;
        tx.commit(()).await
    }

    /// The runner came back without this attempt, or never got it.
    pub(crate) async fn attempt_lost(&self, key: AttemptKey) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        match lock_held(&mut tx, None, key).await {
            Ok(task) => {
                end(&mut tx, task, key, Ending::lost("its runner came back without it"), None).await?;
                tx.commit(()).await
            }
            Err(Error::StaleLease) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The runner was stopped in order, or begins anew: everything it still holds goes back into the queue, and nobody is charged.
    pub async fn give_back(&self, session: &RunnerSession) -> Result<usize> {
        let mut conn = self.database.system.acquire().await?;
        let held = store::held_by(&mut conn, session).await?;
        drop(conn);
        for key in &held {
            let mut tx = self.begin_system(Some(session.label())).await?;
            match lock_held(&mut tx, Some(session), *key).await {
                Ok(task) => {
                    let ending = Ending { task: AttemptEnd::GivenBack, ..Ending::lost("its runner was stopped or began anew") };
                    end(&mut tx, task, *key, ending, None).await?;
                    tx.commit(()).await?;
                }
                Err(Error::StaleLease) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(held.len())
    }

    /// As [`attempt_lost`](Self::attempt_lost), when the lease has run out; decided again under the lock, so that a heartbeat that
    /// arrives first wins.
    pub(crate) async fn lease_expired(&self, key: AttemptKey) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        let task = match lock_held(&mut tx, None, key).await {
            Ok(task) => task,
            Err(Error::StaleLease) => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = tx.now();
        if !store::has_expired(&mut tx, key, now).await? {
            return Ok(());
        }
        info!(task.id = %task.id, attempt = key.number, "Attempt {} of task {} lost its runner", key.number, task.id);
        end(&mut tx, task, key, Ending::lost("its runner fell silent"), None).await?;
        tx.commit(()).await
    }

    /// A row that cannot be turned into an assignment fails like any other task, and blocks nobody.
    async fn attempt_impossible(&self, key: AttemptKey, failure: Failure) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        store::fail_unreadable(&mut tx, key, &failure).await?;
        tx.commit(()).await
    }
}

/// The attempt's task, locked, while the attempt holds it. Without a session, whichever runner it was given to.
async fn lock_held(tx: &mut Tx, session: Option<&RunnerSession>, key: AttemptKey) -> Result<Task> {
    let task = task::store::lock(tx, key.task_id).await.map_err(|error| match error {
        Error::NotFound { .. } => Error::StaleLease,
        other => other,
    })?;
    let holds = task.attempts == key.number && store::is_held(tx, session, key).await?;
    if holds { Ok(task) } else { Err(Error::StaleLease) }
}

async fn end(tx: &mut Tx, before: Task, key: AttemptKey, ending: Ending, verification: Option<&VerificationReport>) -> Result<()> {
    let now = tx.now();
    store::end(tx, key, ending.state, ending.failure.as_ref(), now).await?;
    let task = before.attempt_ended(ending.task, now, tx.luck())?;
    let kind = EventKind::AttemptEnded {
        attempt: key.number,
        state: ending.state,
        failure: ending.failure,
        checks_passed: verification.map_or(0, VerificationReport::passed),
        checks: verification.map_or(0, |report| report.checks.len()),
    };
    task::store::save(tx, &task).await?;
    if let Some(shared) = &task.concurrency {
        task::concurrency::release(tx, task.workspace_id, &shared.key).await?;
    }
    tx.record(task.workspace_id, task.id, &kind).await?;
    if task.state.is_final() {
        task::record_end(tx, &task).await?;
    } else {
        tx.record(task.workspace_id, task.id, &EventKind::TaskRequeued { state: task.state.name() }).await?;
    }
    task::release_children(tx, &task).await
}

impl Ending {
    fn lost(message: &str) -> Self {
        Self { state: AttemptState::Lost, failure: Some(Failure::new(FailureCode::RunnerLost, message)), task: AttemptEnd::Lost }
    }

    fn failed(state: AttemptState, failure: Failure) -> Self {
        Self { state, failure: Some(failure.clone()), task: AttemptEnd::Failed(failure) }
    }
}

/// Whatever a runner says, an output is not longer than it may be, and the database can hold it.
fn may_be_kept(output: &serde_json::Value) -> bool {
    let text = output.to_string();
    text.len() <= domain::task::OUTPUT_MAX && !text.contains("\\u0000")
}

/// What a report comes to. Success needs a verification of exactly the checks that the task defines, with every required one passed.
fn judge(task: &Task, report: &AttemptReport) -> Ending {
    match &report.outcome {
        WorkOutcome::Cancelled => Ending { state: AttemptState::Cancelled, failure: None, task: AttemptEnd::Cancelled },
        WorkOutcome::Failed { failure } => Ending::failed(AttemptState::Failed, failure.clone()),
        WorkOutcome::TimedOut { seconds } => {
            let failure = Failure::new(FailureCode::TimedOut, format!("the work took longer than {seconds} seconds"));
            Ending::failed(AttemptState::TimedOut, failure)
        }
        WorkOutcome::Completed => judge_verification(task, report.verification.as_ref()),
    }
}

fn judge_verification(task: &Task, verification: Option<&VerificationReport>) -> Ending {
    let asked_for = |report: &&VerificationReport| report.checks.iter().map(|check| &check.spec).eq(&task.checks);
    let verifying = matches!(task.state, domain::TaskState::Verifying { .. });
    let Some(report) = verification.filter(asked_for).filter(|_| verifying) else {
        let failure = Failure::new(FailureCode::RunnerFault, "the runner reported a result without the checks that the task asks for");
        return Ending::failed(AttemptState::Failed, failure);
    };
    match report.conclusion() {
        Conclusion::Passed => Ending { state: AttemptState::Succeeded, failure: None, task: AttemptEnd::Succeeded },
        Conclusion::Failed => Ending::failed(AttemptState::Failed, checks_failed(report)),
        Conclusion::Partial => {
            let failure = checks_failed(report);
            Ending { state: AttemptState::Failed, failure: Some(failure.clone()), task: AttemptEnd::Partial(failure) }
        }
    }
}

fn checks_failed(report: &VerificationReport) -> Failure {
    let required = report.failed().filter(|check| check.spec.required);
    let names: Vec<_> = required
        .map(|check| match &check.spec.target {
            Some(target) => format!("{} {target}", check.spec.kind.name()),
            None => check.spec.kind.name().to_owned(),
        })
        .collect();
    Failure::new(FailureCode::ChecksFailed, format!("{} of {} checks failed: {}", names.len(), report.checks.len(), names.join(", ")))
}
