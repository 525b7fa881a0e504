//! The walk of one attempt: prepare, work, verify, save, report.
//!
//! Whatever happens on the way, the walk comes to its end: processes are gone, what was changed is saved, the folder is removed or
//! named. An error of the runner's own, a panic included, ends the one attempt and nothing else.

mod conversation;
pub(crate) mod folder;
pub(crate) mod output;
pub(crate) mod questions;
pub(crate) mod retry_after;
mod round;
mod walk;

use std::sync::Arc;

use domain::{
    AttemptKey, Failure, FailureCode,
    protocol::{Assignment, AttemptReport, PART_BYTES, Said, WorkOutcome},
};
use tokio::{task::JoinError, time::Instant};
use tracing::{error, info, warn};

use crate::{
    held::{Order, Orders, Why},
    journal::Entry,
    life::Runner,
    process, recover,
    tellings::Tellings,
};

/// Carries out an assignment to its last word, and lets go of it.
pub(crate) async fn carry_out(runner: Arc<Runner>, assignment: Assignment, (orders, tellings): (Orders, Tellings), taken_at: Instant) {
    let key = assignment.attempt;
    // A task of its own, so that a panic in it is caught here.
    let walk = runner.tracker.spawn(walk::walk(Arc::clone(&runner), assignment, (orders.clone(), tellings), taken_at));
    let report = match walk.await {
        Ok(Ok(report)) => report,
        Ok(Err(AgentGone)) => return let_go(&runner, key).await,
        Err(error) => Some(after_a_fault(&runner, key, error).await),
    };
    last_word(&runner, key, report, orders).await;
    runner.held.release(key.attempt_id);
}

/// The agent of a manifest that it is for is not here any more.
struct AgentGone;

/// The server gave it by what it had been told of this runner. Over the next link it hears what there is now, and what that hello does not name
/// was never begun: it goes back into the queue, and nobody is charged.
async fn let_go(runner: &Runner, key: AttemptKey) {
    info!(attempt.id = %key.attempt_id, "Attempt {} of task {} is for an agent that is gone: it goes back", key.number, key.task_id);
    runner.journal.remove(key.attempt_id).await;
    runner.outbox.forget(key.attempt_id);
    runner.held.release(key.attempt_id);
    runner.others.send_modify(|_| {});
}

/// Writes down an attempt that is assigned but will not be carried out, so that the next life tells of it.
pub(crate) async fn leave_to_the_next_life(runner: &Runner, assignment: &Assignment) {
    note(runner, &entry(runner, assignment)).await;
}

async fn note(runner: &Runner, entry: &Entry) {
    if let Err(error) = runner.journal.write(entry).await {
        // The lease runs out by itself.
        warn!(attempt.id = %entry.attempt.attempt_id, "The journal does not take attempt {}: {error}", entry.attempt.attempt_id);
    }
}

/// An attempt as it is before anything is done about it.
fn entry(runner: &Runner, assignment: &Assignment) -> Entry {
    Entry {
        attempt: assignment.attempt,
        title: assignment.title.clone(),
        mirror: runner.mirrors.path(&assignment.repository),
        repository: assignment.repository.clone(),
        folder: runner.folders.attempt(assignment.attempt.attempt_id),
        worktree: None,
        leader: None,
        boot: process::boot(),
        isolation: assignment.isolation,
    }
}

async fn after_a_fault(runner: &Runner, key: AttemptKey, error: JoinError) -> AttemptReport {
    error!(attempt.id = %key.attempt_id, "Attempt {} of task {} met an error of the runner's own: {error}", key.number, key.task_id);
    let mut message = format!("an error inside the runner: {}", what_panicked(error));
    if let Some(entry) = runner.journal.read(key.attempt_id).await
        && let Err(error) = recover::put_away(runner, &entry).await
    {
        message.push_str(&format!("; {error}; what there is of it is in {}", entry.folder.display()));
    }
    without_work(WorkOutcome::Failed { failure: Failure::new(FailureCode::RunnerFault, message) })
}

fn what_panicked(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was cut short".into() };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&'static str>().map_or_else(|_| "a panic".into(), |message| (*message).to_owned()),
    }
}

fn without_work(outcome: WorkOutcome) -> AttemptReport {
    AttemptReport {
        outcome,
        exit_code: None,
        branch: None,
        commit: None,
        verification: None,
        artifacts: vec![],
        output: None,
        findings: vec![],
    }
}

/// The last word, unless there is nothing to say or nobody to say it to. The journal forgets the attempt once the server knows.
async fn last_word(runner: &Runner, key: AttemptKey, report: Option<AttemptReport>, mut orders: Orders) {
    let last_word: Option<LastWord> = match report {
        Some(report) => Some(in_messages(runner, key, report)),
        None if orders.current() == Order::Abandon(Why::Fenced) => Some(Box::new(|_| Said::GivenUp)),
        None => None,
    };
    let answered = match last_word {
        Some(last_word) => tokio::select! {
            answer = runner.outbox.ask(key.attempt_id, last_word) => answer.is_ok(),
            () = not_worth_waiting(runner, &mut orders) => false,
        },
        None => false,
    };
    if answered || orders.current() == Order::Abandon(Why::Stale) {
        runner.journal.remove(key.attempt_id).await;
        runner.outbox.forget(key.attempt_id);
    } else {
        // The runner stops. What can still be said of it goes out.
        warn!(attempt.id = %key.attempt_id, "Attempt {} of task {} ends without a report", key.number, key.task_id);
    }
}

type LastWord = Box<dyn FnOnce(u64) -> Said + Send>;

/// A report that is too long for one message goes ahead in parts.
fn in_messages(runner: &Runner, key: AttemptKey, report: AttemptReport) -> LastWord {
    match serde_json::to_vec(&report) {
        Ok(text) if text.len() > PART_BYTES => {
            text.chunks(PART_BYTES).for_each(|part| runner.outbox.say(key.attempt_id, Said::Part { bytes: part.to_vec() }));
            let length = text.len() as u64;
            Box::new(move |log_end| Said::ReportInParts { log_end, length })
        }
        _ => Box::new(|log_end| Said::Report { log_end, report: Box::new(report) }),
    }
}

async fn not_worth_waiting(runner: &Runner, orders: &mut Orders) {
    let stops = async {
        runner.stop.cancelled().await;
        tokio::time::sleep(runner.limits.last_report).await;
    };
    tokio::select! {
        () = orders.taken_away() => {}
        () = stops => {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use domain::{AttemptId, Isolation, TaskId};
    use tokio::process::Command;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::{AgentConfig, LandingConfig, Limits, Paths, RunnerConfig, SandboxConfig};

    #[tokio::test]
    async fn a_panic_ends_its_attempt_and_leaves_nothing_behind() {
        let state = tempfile::tempdir().unwrap();
        let config = RunnerConfig {
            name: "local".into(),
            state_dir: state.path().into(),
            slots: 1,
            agent_command: None,
            agents: AgentConfig::default(),
            capabilities: vec![],
            paths: Paths::All,
            sandbox: SandboxConfig::default(),
            landing: LandingConfig::default(),
        };
        let runner = Runner::open(config, Limits::default(), CancellationToken::new()).await.unwrap();
        let key = AttemptKey { task_id: TaskId(Uuid::now_v7()), attempt_id: AttemptId(Uuid::now_v7()), number: 1 };
        let folder = runner.folders.attempt(key.attempt_id);
        std::fs::create_dir_all(&folder).unwrap();
        let mut entry = Entry {
            attempt: key,
            title: "Tidy up".into(),
            repository: "/srv/app".into(),
            mirror: runner.mirrors.path("/srv/app"),
            folder: folder.clone(),
            worktree: None,
            leader: None,
            boot: process::boot(),
            isolation: Isolation::None,
        };
        let mut trace = entry.trace();
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut child = process::start(command, &mut trace).await.unwrap();
        entry.leader = trace.leader;
        runner.journal.write(&entry).await.unwrap();

        let panicked = runner.tracker.spawn(async { panic!("the roof fell in") }).await;
        let report = after_a_fault(&runner, key, panicked.unwrap_err()).await;
        let failure = Failure::new(FailureCode::RunnerFault, "an error inside the runner: the roof fell in");
        assert_eq!(report.outcome, WorkOutcome::Failed { failure });
        assert!(!folder.exists());
        assert!(!child.wait().await.unwrap().success(), "it was killed");
    }
}
