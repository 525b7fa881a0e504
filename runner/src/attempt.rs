//! The walk of one attempt: prepare, work, verify, save, report.
//!
//! Whatever happens on the way, the walk comes to its end: processes are gone, what was changed is saved, the folder is removed or
//! named. An error of the runner's own, a panic included, ends the one attempt and nothing else.

pub(crate) mod conversation;
pub(crate) mod folder;
pub(crate) mod noting;
pub(crate) mod output;
pub(crate) mod questions;
pub(crate) mod retry_after;
mod round;
mod walk;

use std::{future::ready, io, sync::Arc};

use domain::{
    AttemptId, AttemptKey, Failure, FailureCode, Isolation, crash,
    protocol::{Assignment, AttemptReport, Credentials, NewArtifact, PART_BYTES, Said, WorkOutcome},
};
use tokio::task::JoinError;
use tracing::{error, info, warn};

use crate::{
    clock::Moment,
    held::{Order, Orders, Why},
    journal::{Beside, Entry},
    life::Runner,
    outbox::{Answer, Closed},
    process::{self, Trace},
    recover,
    remains::Remains,
    save::Saved,
    slots::Slot,
    tellings::Tellings,
};

/// Carries out an assignment to its last word, and lets go of it once that is answered. There was a slot for it when it came, or none.
pub(crate) async fn carry_out(
    runner: Arc<Runner>,
    assignment: Assignment,
    (orders, tellings): (Orders, Tellings),
    taken_at: Moment,
    slot: Option<Slot>,
) {
    let key = assignment.attempt;
    // A task of its own, so that a panic in it is caught here.
    let walk = runner.tracker.spawn(walk::walk(Arc::clone(&runner), assignment, (orders.clone(), tellings), taken_at, slot));
    let Walked { report, is_kept } = match walk.await {
        Ok(Ok(walked)) => walked,
        Ok(Err(not_taken)) => return let_go(&runner, key, not_taken).await,
        Err(error) => after_a_fault(&runner, key, error).await,
    };
    runner.tracker.spawn(census(Arc::clone(&runner), key.attempt_id, is_kept));
    last_word(&runner, key, report, orders).await;
}

/// What the walk of an attempt has come to.
struct Walked {
    /// Nothing when nothing may be said.
    report: Option<AttemptReport>,
    /// Its folder is there on purpose, with work that could not be saved.
    is_kept: bool,
}

impl Walked {
    fn saying(report: Option<AttemptReport>) -> Self {
        Self { report, is_kept: false }
    }
}

/// Holds an attempt of which an earlier life has left something to be said, until its last word is answered.
pub(crate) fn say_the_rest(runner: &Arc<Runner>, key: AttemptKey) {
    // nothing runs that could be told anything
    let Some((orders, _)) = runner.held.take(key) else { return };
    // the journal has it since then
    runner.held.name(key.attempt_id);
    let life = Arc::clone(runner);
    runner.tracker.spawn(async move { settle(&life, key, life.outbox.answer_to(key.attempt_id), orders).await });
}

/// That nothing of an attempt is left on the machine, but for its folder when that is kept.
pub(crate) async fn census(runner: Arc<Runner>, id: AttemptId, is_kept: bool) {
    // what is played is on no machine
    #[cfg(test)]
    if crate::simulation::is_on() {
        return;
    }
    let (folder, group) = (runner.folders.attempt(id), runner.sandbox.group_of(id));
    let trace = Trace {
        attempt: id.to_string(),
        folder: folder.clone(),
        leader: None,
        of_this_life: false,
        in_sandbox: false,
        group: group.clone(),
    };
    let (own, trash) = if is_kept { (None, None) } else { (Some(folder.clone()), Some(runner.folders.trash.clone())) };
    let places = own.into_iter().chain(group).collect();
    tokio::select! {
        // however large it is
        () = runner.folders.until_deleted(&folder) => {}
        () = runner.stop.cancelled() => {}
    }
    runner.left_behind.census(Remains { attempt: id, trace, places, trash }, runner.limits.gone, &runner.stop).await;
}

/// Why nothing of an attempt was begun, and another may do it. It goes back into the queue, and nobody is charged.
enum NotTaken {
    /// The agent of a manifest that it is for is not here any more, or nobody who asks the endpoint that was chosen for it. The server gave it by
    /// what it had been told of this runner: over the next link it hears what there is now, and what that hello does not name was never begun.
    AgentGone,
    /// This runner cannot take it now, and says so at once.
    Rejected(String),
}

async fn let_go(runner: &Runner, key: AttemptKey, not_taken: NotTaken) {
    let AttemptKey { task_id, attempt_id, number } = key;
    runner.journal.remove(attempt_id).await;
    runner.outbox.forget(attempt_id).await;
    runner.held.release(attempt_id);
    match not_taken {
        NotTaken::AgentGone => {
            info!(attempt.id = %attempt_id, "Attempt {number} of task {task_id} is for an agent that is gone, or could ask its endpoint: it goes back");
            runner.others.send_modify(|_| {});
        }
        NotTaken::Rejected(reason) => {
            warn!(attempt.id = %attempt_id, "Attempt {number} of task {task_id} is not taken and goes back: {reason}");
            runner.rejections.say(key, reason);
        }
    }
}

/// Writes down an attempt that is assigned but will not be carried out, so that the next life tells of it.
pub(crate) async fn leave_to_the_next_life(runner: &Runner, assignment: &Assignment) {
    note(runner, &entry(runner, assignment)).await;
}

/// As [`note_or_fail`], where nothing can be done about it.
pub(crate) async fn note(runner: &Runner, entry: &Entry) {
    if let Err(error) = note_or_fail(runner, entry).await {
        // The lease runs out by itself.
        warn!(attempt.id = %entry.attempt.attempt_id, "The journal does not take attempt {}: {error}", entry.attempt.attempt_id);
    }
}

/// Writes it into the journal, and only then is the server told that it is here; the first time at once.
pub(crate) async fn note_or_fail(runner: &Runner, entry: &Entry) -> io::Result<()> {
    runner.journal.write(entry).await?;
    if runner.held.name(entry.attempt.attempt_id) {
        runner.beat_now.notify_one();
    }
    Ok(())
}

/// An attempt as it is before anything is done about it.
fn entry(runner: &Runner, assignment: &Assignment) -> Entry {
    let mirror = |location: &str| runner.mirrors.path(location, &assignment.credentials);
    let beside = assignment.repositories.iter().map(|one| Beside {
        name: one.folder.clone(),
        repository: one.url.clone(),
        mirror: mirror(&one.url),
        worktree: None,
    });
    Entry {
        attempt: assignment.attempt,
        title: assignment.title.clone(),
        mirror: mirror(&assignment.repository),
        repository: assignment.repository.clone(),
        folder: runner.folders.attempt(assignment.attempt.attempt_id),
        worktree: None,
        leader: None,
        boot: process::boot(),
        isolation: match assignment.credentials {
            Credentials::Machine => assignment.isolation,
            // it shares the machine of others, and outside a sandbox it would be its user, with all that others have there
            Credentials::Workspace { .. } => Isolation::Sandbox,
        },
        group: None,
        lfs: assignment.lfs,
        beside: beside.collect(),
        spoken: None,
    }
}

/// No work before the server has renewed the lease once, by something that has named it: it may have changed its mind since it sent the
/// assignment.
pub(crate) async fn first_heartbeat(runner: &Runner, id: AttemptId, orders: &mut Orders) {
    let (mut renewed, named_since) = (runner.renewed.subscribe(), runner.held.named_since(id));
    tokio::select! {
        biased;
        _ = renewed.wait_for(|renewed| named_since.is_some_and(|since| *renewed >= since)) => {}
        _ = orders.told() => {}
    }
}

async fn after_a_fault(runner: &Runner, key: AttemptKey, error: JoinError) -> Walked {
    error!(attempt.id = %key.attempt_id, "Attempt {} of task {} met an error of the runner's own: {error}", key.number, key.task_id);
    let mut message = format!("an error inside the runner: {}", what_panicked(error));
    let (mut artifacts, mut is_kept) = (vec![], false);
    if let Some(entry) = runner.journal.read(key.attempt_id).await {
        match recover::put_away(runner, &entry, false).await {
            Ok(saved) => artifacts = saved.into_iter().flat_map(Saved::into_artifacts).collect(),
            Err(error) => {
                is_kept = true;
                message.push_str(&format!("; {error}; what there is of it is in {}", entry.folder.display()));
            }
        }
    }
    let report = without_work(WorkOutcome::Failed { failure: Failure::new(FailureCode::RunnerFault, message) });
    Walked { report: Some(AttemptReport { artifacts, ..report }), is_kept }
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
        repositories: vec![],
        verification: None,
        artifacts: vec![],
        output: None,
        findings: vec![],
    }
}

/// The last word, unless there is nothing to say or nobody to say it to.
async fn last_word(runner: &Runner, key: AttemptKey, report: Option<AttemptReport>, orders: Orders) {
    let last_word: LastWord = match report {
        Some(report) => in_messages(runner, key, report),
        None if orders.current() == Order::Abandon(Why::Fenced) => {
            return settle(runner, key, runner.outbox.give_up(key.attempt_id), orders).await;
        }
        // what it has said so far stays; the next life gives it up
        None => return settle(runner, key, ready(Err(Closed)), orders).await,
    };
    settle(runner, key, runner.outbox.ask(key.attempt_id, last_word), orders).await;
}

/// Waits for the answer to the last word. The journal forgets the attempt once the server knows, then what was said goes as well, and it is
/// held no more. What is left to the next life is held to the end of this one: who did not name it would lack it, and it would be lost.
async fn settle(runner: &Runner, key: AttemptKey, answer: impl Future<Output = Result<Answer, Closed>>, mut orders: Orders) {
    let answered = tokio::select! {
        biased;
        answer = answer => answer.is_ok(),
        () = not_worth_waiting(runner, &mut orders) => false,
    };
    if answered || orders.current() == Order::Abandon(Why::Stale) {
        crash::point("report.answered");
        runner.journal.remove(key.attempt_id).await;
        crash::point("report.forgotten");
        runner.outbox.forget(key.attempt_id).await;
        runner.held.release(key.attempt_id);
    } else {
        // The runner stops. What can still be said of it goes out.
        warn!(attempt.id = %key.attempt_id, "Attempt {} of task {} is left to the next life of this runner", key.number, key.task_id);
    }
}

/// Of what an attempt without a result has changed: what fits into its last word whole, as a patch that is cut is none. All of it is on its
/// branch.
pub(crate) fn for_a_last_word(saved: Vec<Saved>) -> Vec<NewArtifact> {
    let mut room = PART_BYTES;
    let fits = |one: &NewArtifact| {
        let length = serde_json::to_string(one).map_or(usize::MAX, |text| text.len());
        let fits = length <= room;
        room -= if fits { length } else { 0 };
        fits
    };
    saved.into_iter().flat_map(Saved::into_artifacts).filter(fits).collect()
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
        biased;
        () = orders.taken_away() => {}
        () = stops => {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use domain::{Isolation, TaskId};
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
            mirror: runner.mirrors.path("/srv/app", &domain::protocol::Credentials::Machine),
            folder: folder.clone(),
            worktree: None,
            leader: None,
            boot: process::boot(),
            isolation: Isolation::None,
            group: None,
            lfs: false,
            beside: vec![],
            spoken: None,
        };
        let mut trace = entry.trace();
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut child = process::start(command, &mut trace).await.unwrap();
        entry.leader = trace.leader;
        runner.journal.write(&entry).await.unwrap();

        let panicked = runner.tracker.spawn(async { panic!("the roof fell in") }).await;
        let walked = after_a_fault(&runner, key, panicked.unwrap_err()).await;
        let failure = Failure::new(FailureCode::RunnerFault, "an error inside the runner: the roof fell in");
        assert_eq!(walked.report.unwrap().outcome, WorkOutcome::Failed { failure });
        assert!(!walked.is_kept);
        assert!(!folder.exists());
        assert!(!child.wait().await.unwrap().success(), "it was killed");
    }
}
