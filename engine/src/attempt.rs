//! Attempts: a runner takes a task, says how it goes, and reports how it ended.
//!
//! Everything a runner says names its attempt, and is applied only while that attempt holds its task: its number is the task's
//! latest, it has not ended, and it was given to this runner. Whether its lease has run out does not matter as long as nobody has
//! taken the task back. What is said is carried out in `batch`.

pub(crate) mod batch;
mod claim;
mod finding;
mod overseer;
pub(crate) mod query;
pub(crate) mod report_part;
mod repository;
mod session;
pub(crate) mod store;
pub(crate) mod telling;
mod usage;
mod verification;

pub use overseer::Overseer;

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    AttemptId, AttemptKey, AttemptState, CheckResult, CheckStatus, Failure, FailureCode, RunnerId, Task, Timestamp, VerificationReport,
    check::VERIFICATION_TIMEOUT_SECONDS,
    protocol::{AttemptReport, Heard, WorkOutcome},
    runner::{ACCEPT_SECONDS, BEGIN_SECONDS, HEARTBEAT_SECONDS, lease_seconds},
    task::AttemptEnd,
    verification::Conclusion,
};
use tokio::time::Instant;
use tracing::warn;

use crate::{Engine, Error, Result, RunnerSession, runner::day::note_not_taken, service::PassedOver, task::followers};
use batch::{Message, Said};

fn lease() -> TimeDelta {
    TimeDelta::seconds(lease_seconds().into())
}

pub(crate) fn lease_until(now: Timestamp) -> Timestamp {
    now + lease()
}

/// How long a heartbeat may have been on its way without having waited for this server: between two of them nothing may be said.
const USUAL: Duration = Duration::from_secs(HEARTBEAT_SECONDS as u64);

/// How an attempt ends, for its own row and for its task.
struct Verdict {
    state: AttemptState,
    failure: Option<Failure>,
    task: AttemptEnd,
}

impl Engine {
    /// Renews the leases of these attempts. Says which of them the runner no longer holds, and which somebody wants to end. It was said
    /// after `heard_after`, and has waited since then at most: of what was given meanwhile it says nothing.
    pub(crate) async fn heartbeat(&self, session: &RunnerSession, keys: &[AttemptKey], heard_after: Instant) -> Result<store::Heartbeat> {
        let said = self.hub.said(session);
        let mut tx = self.begin_system(Some(session.label())).await?;
        let late = heard_after.elapsed().saturating_sub(USUAL);
        let answer = store::heartbeat(&mut tx, session, keys, TimeDelta::from_std(late).unwrap_or(TimeDelta::MAX)).await?;
        let answer = tx.commit(answer).await?;
        self.hub.allow(session, answer.allowance, keys.len(), said);
        self.hub.note_slots(session.id(), answer.slots, said);
        if !answer.overdue.is_empty() {
            self.not_taken(session, keys, &answer.overdue).await?;
        }
        self.release_ended(session, keys).await?;
        Ok(answer)
    }

    /// It gives signs of life and does not name these. Its link ends: the hello of its next one tells what it has, and what it does not name
    /// then is given back. What this process has not sent is no fault of the runner's.
    async fn not_taken(&self, session: &RunnerSession, named: &[AttemptKey], overdue: &[AttemptId]) -> Result<()> {
        let sent = self.hub.held_beside(session, named);
        let name = session.name();
        let rejected: Vec<_> = sent.iter().map(|key| key.attempt_id).filter(|id| overdue.contains(id)).collect();
        if !rejected.is_empty() {
            warn!(runner.id = %session.id(), "Runner {name} has not taken what it was given {ACCEPT_SECONDS} s ago");
            let mut tx = self.begin_system(None).await?;
            note_not_taken(&mut tx, session, &rejected).await?;
            tx.commit(()).await?;
        } else {
            warn!(runner.id = %session.id(), "What was claimed for runner {name} {ACCEPT_SECONDS} s ago was not sent to it");
        }
        self.hub.end(session.id(), session.ticket());
        Ok(())
    }

    /// What this process gave to the runner and the runner does not name is on its way to it; or it has ended without a word from the
    /// runner, who gave it up when its lease ran out, and its slot is free.
    async fn release_ended(&self, session: &RunnerSession, named: &[AttemptKey]) -> Result<()> {
        for key in self.hub.held_beside(session, named) {
            let mut conn = self.database.system.acquire().await?;
            if !store::is_held(&mut conn, session, key).await? {
                self.hub.release(session, key);
            }
        }
        Ok(())
    }

    /// No runner got it, as the one that it was meant for has gone: it goes back into the queue, and nobody is charged.
    pub(crate) async fn attempt_not_given(&self, attempt: AttemptKey) -> Result<()> {
        self.infer(None, &[attempt], Said::GivenBack).await.map(drop)
    }

    /// No runner is told of these: their tasks wait until their models are pulled, and nobody is charged.
    pub(crate) async fn models_come_first(&self, attempts: &[AttemptKey]) -> Result<()> {
        self.infer(None, attempts, Said::ModelFirst).await.map(drop)
    }

    /// The runner came back without these attempts.
    pub(crate) async fn attempts_lost(&self, session: &RunnerSession, attempts: &[AttemptKey]) -> Result<usize> {
        self.infer(Some(session), attempts, Said::Lost).await
    }

    /// The runner was stopped in order: everything it still holds goes back into the queue, and nobody is charged.
    pub async fn give_back(&self, session: &RunnerSession) -> Result<usize> {
        self.give_back_all_but(session, &[]).await
    }

    /// The runner holds nothing but these: what else it was given it never began.
    pub(crate) async fn give_back_all_but(&self, session: &RunnerSession, named: &[AttemptKey]) -> Result<usize> {
        let mut conn = self.database.system.acquire().await?;
        let mut held = store::held_by(&mut conn, session.id()).await?;
        drop(conn);
        held.retain(|attempt| !named.contains(attempt));
        self.give_back_these(session, &held).await
    }

    /// Nothing of these runs with the runner, and it will not say how they went: they go back into the queue, and nobody is charged.
    pub(crate) async fn give_back_these(&self, session: &RunnerSession, attempts: &[AttemptKey]) -> Result<usize> {
        self.infer(Some(session), attempts, Said::GivenBack).await
    }

    /// The runner does not take what it was given. Whether that was still with it.
    pub(crate) async fn attempt_rejected(&self, session: &RunnerSession, attempt: AttemptKey) -> Result<bool> {
        if self.give_back_these(session, &[attempt]).await? == 0 {
            return Ok(false);
        }
        let mut tx = self.begin_system(None).await?;
        note_not_taken(&mut tx, session, &[attempt.attempt_id]).await?;
        tx.commit(true).await
    }

    /// The runner was removed: whatever it does, it is heard no more.
    pub(crate) async fn take_back_from(&self, runner: RunnerId) -> Result<usize> {
        let mut conn = self.database.system.acquire().await?;
        let held = store::held_by(&mut conn, runner).await?;
        drop(conn);
        self.infer(None, &held, Said::GivenBack).await
    }

    /// For how many it is so; what somebody else has changed meanwhile stays as it is.
    async fn infer(&self, session: Option<&RunnerSession>, attempts: &[AttemptKey], said: Said<'_>) -> Result<usize> {
        if attempts.is_empty() {
            return Ok(0);
        }
        let messages: Vec<_> = attempts.iter().map(|attempt| Message::inferred(*attempt, said)).collect();
        let outcomes = self.carry_out(session, &messages).await.all()?;
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        outcomes.into_iter().find_map(not_stale).map_or(Ok(done), Err)
    }

    /// How much there is of what this runner has said about these attempts.
    pub(crate) async fn heard(&self, session: &RunnerSession, attempts: &[AttemptKey]) -> Result<Vec<Heard>> {
        let mut conn = self.database.system.acquire().await?;
        store::heard(&mut conn, session, attempts).await
    }

    /// Takes back attempts whose leases have run out. Says whether all that was to be done is done.
    pub(crate) async fn leases_expired(&self, passed_over: &mut PassedOver, now: Timestamp, attempts: &[AttemptKey]) -> Result<bool> {
        if attempts.is_empty() {
            return Ok(true);
        }
        let messages: Vec<_> = attempts.iter().map(|attempt| Message::inferred(*attempt, Said::Expired)).collect();
        let outcomes = self.carry_out(None, &messages).await.all()?;
        let mut all = true;
        for (attempt, outcome) in attempts.iter().zip(outcomes) {
            let outcome = not_stale(outcome).map_or(Ok(()), Err);
            all &= self.done_or_passed_over(passed_over, now, attempt.task_id, outcome).await?;
        }
        Ok(all)
    }
}

/// Somebody else was faster: nothing to do, and no failure.
fn not_stale(outcome: Result<()>) -> Option<Error> {
    outcome.err().filter(|error| !matches!(error, Error::StaleLease))
}

impl Verdict {
    fn lost(message: &str) -> Self {
        Self { state: AttemptState::Lost, failure: Some(Failure::new(FailureCode::RunnerLost, message)), task: AttemptEnd::Lost }
    }

    /// Counted as the loss of its runner, whatever that said in the meantime.
    fn stuck(message: String) -> Self {
        Self { failure: Some(Failure::new(FailureCode::RunnerStuck, message)), ..Self::lost("") }
    }

    fn given_back() -> Self {
        Self { task: AttemptEnd::GivenBack, ..Self::lost("its runner was stopped or never began it") }
    }

    /// Nothing has gone wrong, and nothing was begun.
    fn model_first() -> Self {
        Self { state: AttemptState::Cancelled, failure: None, task: AttemptEnd::GivenBack }
    }

    fn failed(state: AttemptState, failure: Failure) -> Self {
        Self { state, failure: Some(failure.clone()), task: AttemptEnd::Failed(failure) }
    }
}

/// What had not come to its end in the time that it may take at most, by what its attempt was at.
fn overdue(task: &Task, at: AttemptState) -> String {
    match at {
        AttemptState::Claimed => format!("its runner took it and had not begun it {} minutes later", BEGIN_SECONDS / 60),
        AttemptState::Verifying => {
            format!("its runner had not come to an end with its checks, which may take {} minutes", VERIFICATION_TIMEOUT_SECONDS / 60)
        }
        _ => format!("its runner had not ended it, and it may take {} seconds", task.timeout_seconds),
    }
}

/// How a message may end its task, before anything is read.
fn predict(said: Said<'_>) -> followers::End {
    use followers::End;
    let badly = |code: FailureCode| if code.is_worth_retrying() { End::BadlyAtLast } else { End::Badly };
    match said {
        Said::Started { .. } | Said::Session { .. } | Said::Verifying | Said::WorksAgain { .. } | Said::Part { .. } => End::None,
        Said::Asks { .. } | Said::AsksNoMore { .. } | Said::Heard { .. } => End::None,
        Said::GivenUp { .. } | Said::Lost | Said::Expired | Said::GivenBack | Said::ModelFirst => End::BadlyWhenLost,
        Said::Report { report, .. } => match &report.outcome {
            WorkOutcome::Cancelled => End::Badly,
            WorkOutcome::Failed { failure } => badly(failure.code),
            WorkOutcome::TimedOut { .. } => badly(FailureCode::TimedOut),
            WorkOutcome::Completed => match report.verification.as_ref().map(VerificationReport::conclusion) {
                Some(Conclusion::Passed) => End::Well,
                Some(Conclusion::Partial | Conclusion::Failed) => badly(FailureCode::ChecksFailed),
                None => badly(FailureCode::RunnerFault),
            },
        },
    }
}

/// Whatever a runner says, an output is not longer than it may be, and the database can hold it.
fn may_be_kept(output: &serde_json::Value) -> bool {
    let text = output.to_string();
    text.len() <= domain::task::OUTPUT_MAX && !text.contains("\\u0000")
}

/// What a report comes to. Success needs a verification of exactly the checks that the task defines, with every required one passed, and
/// by a verdict where it is a judge's.
fn judge(task: &Task, report: &AttemptReport) -> Verdict {
    match &report.outcome {
        WorkOutcome::Cancelled => Verdict { state: AttemptState::Cancelled, failure: None, task: AttemptEnd::Cancelled },
        WorkOutcome::Failed { failure } => Verdict::failed(AttemptState::Failed, failure.kept()),
        WorkOutcome::TimedOut { seconds } => {
            let failure = Failure::new(FailureCode::TimedOut, format!("the work took longer than {seconds} seconds"));
            Verdict::failed(AttemptState::TimedOut, failure)
        }
        WorkOutcome::Completed => judge_verification(task, report.verification.as_ref()),
    }
}

fn judge_verification(task: &Task, verification: Option<&VerificationReport>) -> Verdict {
    let asked_for = |report: &&VerificationReport| report.checks.iter().map(|check| &check.spec).eq(&task.checks);
    // whatever a runner says, a judge has let nothing pass without a verdict
    let is_sound = |report: &&VerificationReport| report.is_sound();
    let verifying = matches!(task.state, domain::TaskState::Verifying { .. });
    let Some(report) = verification.filter(asked_for).filter(is_sound).filter(|_| verifying) else {
        let failure = Failure::new(FailureCode::RunnerFault, "the runner reported a result without the checks that the task asks for");
        return Verdict::failed(AttemptState::Failed, failure);
    };
    match report.conclusion() {
        Conclusion::Passed => Verdict { state: AttemptState::Succeeded, failure: None, task: AttemptEnd::Succeeded },
        Conclusion::Failed => Verdict::failed(AttemptState::Failed, checks_failed(report)),
        Conclusion::Partial => {
            let failure = checks_failed(report);
            Verdict { state: AttemptState::Failed, failure: Some(failure.clone()), task: AttemptEnd::Partial(failure) }
        }
    }
}

fn checks_failed(report: &VerificationReport) -> Failure {
    let required = |check: &&CheckResult| check.spec.required;
    let mut failed: Vec<_> = report.failed().filter(required).collect();
    if failed.is_empty() {
        // nobody was asked, though nothing stood in the way
        failed = report.checks.iter().filter(required).filter(|check| check.status != CheckStatus::Passed).collect();
    }
    let names: Vec<_> = failed
        .iter()
        .map(|check| match &check.spec.target {
            Some(target) => format!("{} {target}", check.spec.kind.name()),
            None => check.spec.kind.name().to_owned(),
        })
        .collect();
    Failure::new(FailureCode::ChecksFailed, format!("{} of {} checks failed: {}", names.len(), report.checks.len(), names.join(", ")))
}
