//! The steps of an attempt in their order, and what each way of ending comes to.

mod work;

use std::{path::PathBuf, sync::Arc, time::Duration};

use domain::{
    ArtifactKind, Failure, FailureCode, Finding, FindingKind, Isolation, VerificationReport, Work, crash, finding,
    protocol::{Assignment, AttemptReport, Credentials, NewArtifact, Said, WorkOutcome},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    AgentGone, conversation::Hearing, entry, first_heartbeat, folder::AttemptFolder, note, output, round, round::Round, without_work,
};
use crate::{
    backend::{
        agent::{self, Doing},
        found::Found,
    },
    clock::Moment,
    credentials::whose_tokens,
    git::Git,
    held::{Order, Orders},
    journal::{Checkout, Entry},
    lfs,
    life::Runner,
    log::Log,
    mirror::{self, Refused},
    process::MARKER,
    sandbox::{Room, group},
    save::{Saved, Stand, save},
    session::Written,
    submodule::{self, Reach, Submodule, leads_into},
    tellings::Tellings,
    verify::{Interrupted, Judges, Verification},
    worktree,
};

struct Attempt {
    runner: Arc<Runner>,
    assignment: Assignment,
    entry: Entry,
    log: Arc<Log>,
    room: Room,
    /// The agent programs that there were when it began.
    agents: Arc<[Found]>,
    /// How long the work has taken in the rounds that are over.
    worked: Duration,
    /// How far its session has come.
    written: Written,
}

/// How the work and its checks ended.
enum Ended {
    /// With how the work stood that was judged, where it was.
    Completed(VerificationReport, Option<Stand>),
    Failed(Failure),
    /// Nothing of it has run, so that there is nothing to save.
    NotBegun(Failure),
    TimedOut,
    Told(Order),
}

impl From<Interrupted> for Ended {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Told(order) => Self::Told(order),
            Interrupted::Survivors(survivors) => fault(survivors.to_string()),
        }
    }
}

fn fault(message: impl Into<String>) -> Ended {
    Ended::Failed(Failure::new(FailureCode::RunnerFault, message))
}

fn no_sandbox(message: impl Into<String>) -> Ended {
    Ended::NotBegun(Failure::new(FailureCode::SandboxUnavailable, message))
}

/// From the assignment to the report; nothing when nothing may be said. An error when nothing was begun, and another may do it.
pub(super) async fn walk(
    runner: Arc<Runner>,
    assignment: Assignment,
    (mut orders, tellings): (Orders, Tellings),
    taken_at: Moment,
) -> Result<Option<AttemptReport>, AgentGone> {
    let mut entry = entry(&runner, &assignment);
    let _slot = match runner.slots.try_acquire() {
        Ok(slot) => Ok(slot),
        // The server knows the slots; this is for one that is wrong about them.
        Err(_) => {
            note(&runner, &entry).await;
            tokio::select! {
                biased;
                slot = runner.slots.acquire() => slot,
                order = orders.told() => return Ok(report_told(order)),
            }
        }
    };
    #[cfg(test)]
    if crate::simulation::is_on() {
        return Ok(crate::simulation::work::walk(&runner, &assignment, &entry, (orders, tellings), taken_at).await);
    }
    let agents = runner.agents().await;
    if agent::is_gone(&assignment, &agents) {
        return Err(AgentGone);
    }
    let room = match room(&runner, &assignment, &agents, &entry).await {
        Ok(room) => room,
        Err(failure) => {
            note(&runner, &entry).await;
            return Ok(Some(without_work(WorkOutcome::Failed { failure })));
        }
    };
    entry.isolation = room.isolation();
    // who judges has one also where the work runs without a sandbox
    entry.group = runner.sandbox.group_of(entry.attempt.attempt_id);
    let mut attempt = Attempt::new(Arc::clone(&runner), assignment, entry, room, agents, orders.clone());
    let give_up = CancellationToken::new();
    let for_attempt = |git: Git| git.for_attempt((MARKER, attempt.entry.attempt.attempt_id.to_string()), give_up.clone());
    let (git, own) = (for_attempt(runner.git_for(&attempt.assignment.credentials)), for_attempt(runner.git.clone()));
    let left = runner.limits.begin.saturating_sub(taken_at.elapsed());
    let prepared = within(left, &give_up, orders.or_give_up(&give_up, attempt.prepare(&git, &own))).await;
    let checkout = match prepared {
        Ok(checkout) => checkout,
        // whatever it says that it lacked: it was cut short
        Err(_) if give_up.is_cancelled() => return Ok(attempt.not_prepared(Refused::GivenUp, &orders).await),
        Err(refused) => return Ok(attempt.not_prepared(refused, &orders).await),
    };
    first_heartbeat(&runner, taken_at, &mut orders).await;
    let (ended, exit_code) = match orders.current() {
        Order::Work => attempt.work_and_verify(&checkout, &mut orders, &mut Hearing::new(tellings)).await,
        order => (Ended::Told(order), None),
    };
    Ok(attempt.finish(ended, exit_code, &checkout).await)
}

/// Does something that can be cut short: when its time is over it hears of it through `give_up`, and is seen to its end all the same.
async fn within<T>(time: Duration, give_up: &CancellationToken, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(time) => give_up.cancel(),
    }
    work.await
}

/// Where it is done, once it is known that what it takes is here.
async fn room(runner: &Runner, assignment: &Assignment, agents: &[Found], entry: &Entry) -> Result<Room, Failure> {
    Doing::of(assignment, agents, runner.config.agent_command.as_deref())?;
    if agent::has_judges(assignment, agents)? {
        // they have one whatever the work runs in
        runner.sandbox.room(Isolation::Sandbox, entry).await?;
    }
    runner.sandbox.room(entry.isolation, entry).await
}

fn report_told(order: Order) -> Option<AttemptReport> {
    match order {
        Order::Cancel => Some(without_work(WorkOutcome::Cancelled)),
        Order::Work | Order::Abandon(_) => None,
    }
}

impl Attempt {
    fn new(runner: Arc<Runner>, assignment: Assignment, entry: Entry, room: Room, agents: Arc<[Found]>, orders: Orders) -> Self {
        let log = Arc::new(Log::new(assignment.attempt.attempt_id, Arc::clone(&runner.outbox), orders));
        Self { runner, assignment, entry, log, room, agents, worked: Duration::ZERO, written: Written::default() }
    }

    /// The journal first, then the mirrors, then a worktree on them. It is fetched by the git of whoever the work is for; `own` is the runner's.
    async fn prepare(&mut self, git: &Git, own: &Git) -> Result<Checkout, Refused> {
        if !self.runner.config.paths.include(&self.entry.repository) {
            let reason = "this runner works on no repository that is a path; it would when it had joined with --paths";
            return Err(Refused::Task(Failure::new(FailureCode::RepositoryUnavailable, reason)));
        }
        self.refuse_our_own()?;
        AttemptFolder::of(&self.entry.folder).make()?;
        let fetched = async {
            let _turn = self.runner.mirrors.turn_for(git, &self.entry.mirror).await?;
            mirror::refresh(git, &self.entry.mirror, &self.entry.repository, self.assignment.base_ref.as_deref()).await
        };
        let (written, fetched) = tokio::join!(self.runner.journal.write(&self.entry), fetched);
        written?;
        fetched.map_err(|refused| self.told_whose_tokens(refused))?;
        let resolved = mirror::resolve(git, &self.entry.mirror, self.assignment.base_ref.as_deref());
        let (base_commit, refs) = tokio::join!(resolved, mirror::packed_refs(git, &self.entry.mirror));
        let (base_commit, refs) = (base_commit?, refs?);
        let submodules = self.more_of(git, &base_commit).await.map_err(|refused| self.told_whose_tokens(refused))?;
        self.room.show_submodules(&submodules);
        let checkout = worktree::planned(&self.entry, base_commit, submodules);
        // what is put through a program is put through it where that reaches nothing
        let checks_out = match self.room.isolation() {
            Isolation::Sandbox if self.entry.lfs => own.inside_to_write(&self.room),
            _ => git.clone(),
        };
        worktree::add(git, &checks_out, &self.entry, &checkout, &refs).await?;
        self.entry.worktree = Some(checkout.clone());
        self.runner.journal.write(&self.entry).await?;
        Ok(checkout)
    }

    /// What Muster keeps on its machine, the mirrors of others among it, is no repository of a workspace that the machine is not for.
    fn refuse_our_own(&self) -> Result<(), Refused> {
        if self.assignment.credentials != Credentials::Machine && leads_into(&self.entry.repository, &self.our_own()) {
            let reason = "its path leads into what Muster keeps for itself; name the repository where people work on it";
            return Err(Refused::Task(Failure::new(FailureCode::RepositoryUnavailable, reason)));
        }
        Ok(())
    }

    /// The folders of that. Whoever the machine is for may name one for a repository; that is no repository's to say, for whatever is in it.
    fn our_own(&self) -> Vec<PathBuf> {
        let runner = &self.runner;
        let others = runner.config.sandbox.hidden.iter().chain(&runner.config.landing.tokens).filter_map(|path| path.canonicalize().ok());
        std::iter::once(runner.folders.state_dir.clone()).chain(others).collect()
    }

    /// A workspace that the machine is not for may lack a token that another has.
    fn told_whose_tokens(&self, refused: Refused) -> Refused {
        match (&self.assignment.credentials, refused) {
            (Credentials::Workspace { slug }, Refused::Task(failure)) if failure.code == FailureCode::RepositoryUnreachable => {
                let message = format!("{}. {}", failure.message, whose_tokens(slug));
                Refused::Task(Failure { message, ..failure })
            }
            (_, other) => other,
        }
    }

    /// What the task wants of the repository beside its files and their history, into the mirrors.
    async fn more_of(&self, git: &Git, commit: &str) -> Result<Vec<Submodule>, Refused> {
        let (mirrors, mirror, location) = (&self.runner.mirrors, &self.entry.mirror, &self.entry.repository);
        if self.entry.lfs && !lfs::is_here(git, mirror).await {
            return Err(lfs::missing());
        }
        let submodules = match self.assignment.submodules {
            true => {
                let (paths, credentials, not_these) = (&self.runner.config.paths, &self.assignment.credentials, &self.our_own());
                let reach = Reach { mirrors, paths, credentials, not_these };
                submodule::fetch(git, reach, (location.as_str(), mirror.as_path(), commit)).await?
            }
            false => vec![],
        };
        if self.entry.lfs {
            let turn = mirrors.turn_for(git, mirror).await?;
            lfs::fetch(git, mirror, location, commit).await?;
            drop(turn);
            for one in &submodules {
                let _turn = mirrors.turn_for(git, &one.mirror).await?;
                lfs::fetch(git, &one.mirror, &one.location, &one.commit).await.map_err(|error| submodule::about(&one.path, error))?;
            }
        }
        Ok(submodules)
    }

    async fn not_prepared(self, refused: Refused, orders: &Orders) -> Option<AttemptReport> {
        // it may be refused before the journal knows of it
        note(&self.runner, &self.entry).await;
        self.let_go_of_the_room().await;
        if let Err(error) = self.runner.folders.throw_away(&self.entry.folder, &self.runner.tracker).await {
            warn!("Could not remove {}: {error}", self.entry.folder.display());
        }
        let failure = match refused {
            Refused::Task(failure) => failure,
            Refused::Runner(reason) => Failure::new(FailureCode::RunnerFault, format!("the runner could not make a worktree: {reason}")),
            // nobody has told it to: its time was over
            Refused::GivenUp if orders.current() == Order::Work => {
                let minutes = self.runner.limits.begin.as_secs() / 60;
                let message = format!("what is to be fetched for it took longer than {minutes} minutes");
                Failure::new(FailureCode::RepositoryUnreachable, message)
            }
            Refused::GivenUp => return report_told(orders.current()),
        };
        match orders.current() {
            Order::Abandon(_) => None,
            Order::Work | Order::Cancel => Some(without_work(WorkOutcome::Failed { failure })),
        }
    }

    async fn work_and_verify(&mut self, checkout: &Checkout, orders: &mut Orders, hearing: &mut Hearing) -> (Ended, Option<i32>) {
        let (mut round, mut checked_for) = (Round::first(), Duration::ZERO);
        loop {
            let (ended, exit_code) = self.work(checkout, &mut round, orders, hearing).await;
            match ended {
                None => {}
                // what was done in the rounds before is to be saved
                Some(Ended::NotBegun(failure)) if round.number > 1 => return (Ended::Failed(failure), exit_code),
                Some(ended) => return (ended, exit_code),
            }
            self.tell(Said::Verifying);
            let began = Instant::now();
            let verification = Verification {
                assignment: &self.assignment,
                entry: &self.entry,
                checkout,
                limits: &self.runner.limits,
                git: &self.runner.git,
                log: &self.log,
                room: &self.room,
                identity: &self.runner.identity,
                round: round.number,
                time: self.runner.limits.verification.saturating_sub(checked_for),
                judges: Judges {
                    sandbox: &self.runner.sandbox,
                    agents: &self.agents,
                    given: &self.runner.config.agents.environment,
                    outbox: &self.runner.outbox,
                    money: round.money(&self.assignment),
                },
            };
            let verified = match verification.run(orders, &mut self.written).await {
                Ok(verified) => verified,
                Err(interrupted) => return (interrupted.into(), exit_code),
            };
            checked_for += began.elapsed();
            round = match round.next(&verified, &self.assignment) {
                Some(next) if self.worked < self.time() => next,
                _ => return (Ended::Completed(verified.report, verified.judged), exit_code),
            };
            self.tell(Said::WorksAgain { round: round.number - 1, verification: round::for_a_message(verified.report) });
            self.log.say(&round.announced()).await;
        }
    }

    /// For the work, however many rounds it takes.
    fn time(&self) -> Duration {
        Duration::from_secs(self.assignment.timeout_seconds.into())
    }

    async fn let_go_of_the_room(&self) {
        let Some(group) = &self.entry.group else { return };
        if let Err(error) = group::remove(group, self.runner.limits.kill).await {
            warn!("The control group of attempt {} is still there: {error}", self.entry.attempt.attempt_id);
        }
    }

    fn tell(&self, said: Said) {
        self.runner.outbox.say(self.entry.attempt.attempt_id, said);
    }

    /// Saves whatever was done, clears up, and says how it went.
    async fn finish(self, ended: Ended, exit_code: Option<i32>, checkout: &Checkout) -> Option<AttemptReport> {
        let marker = (MARKER, self.entry.attempt.attempt_id.to_string());
        let git = self.runner.git.for_attempt(marker, CancellationToken::new());
        let output = match output::read(&AttemptFolder::of(&self.entry.folder).left()) {
            Ok(output) => output,
            Err(why) => {
                self.log.say(&format!("The output was left out: {why}")).await;
                None
            }
        };
        crash::point("save.before");
        let saved = match &ended {
            Ended::NotBegun(_) => Ok(Saved::default()),
            _ => save(&git, &self.room, &self.entry, checkout).await,
        };
        crash::point("save.after");
        self.let_go_of_the_room().await;
        let (ended, saved) = match saved {
            Ok(saved) => {
                for note in &saved.notes {
                    self.log.say(note).await;
                }
                if let Err(error) = self.runner.folders.throw_away(&self.entry.folder, &self.runner.tracker).await {
                    warn!("Could not remove {}: {error}", self.entry.folder.display());
                }
                (as_judged(ended, &saved), saved)
            }
            Err(error) => {
                let folder = checkout.path.display();
                warn!("The work of attempt {} could not be saved, it stays in {folder}: {error}", self.entry.attempt.attempt_id);
                let message =
                    format!("the work could not be saved ({error}); it is kept in {folder} on the runner {}", self.runner.config.name);
                let unsaved = Ended::Failed(Failure::new(FailureCode::WorkNotSaved, message));
                // Nobody hears of an abandoned attempt; the warning above has to do.
                let ended = if matches!(ended, Ended::Told(Order::Abandon(_))) { ended } else { unsaved };
                (ended, Saved::default())
            }
        };
        let (outcome, verification) = match ended {
            Ended::Completed(report, _) => (WorkOutcome::Completed, Some(report)),
            Ended::Failed(failure) | Ended::NotBegun(failure) => (WorkOutcome::Failed { failure }, None),
            Ended::TimedOut => (WorkOutcome::TimedOut { seconds: self.assignment.timeout_seconds }, None),
            Ended::Told(Order::Cancel) => (WorkOutcome::Cancelled, None),
            Ended::Told(Order::Work | Order::Abandon(_)) => return None,
        };
        let findings = match &outcome {
            WorkOutcome::Completed => findings(&self.assignment, &self.written, &saved),
            _ => vec![],
        };
        let diff =
            (!saved.diff.is_empty()).then(|| NewArtifact { kind: ArtifactKind::Diff, name: "changes.diff".into(), content: saved.diff });
        let branch = saved.commit.as_ref().map(|_| checkout.branch.clone());
        let patches = saved.patches.into_iter().filter(|patch| !patch.content.is_empty());
        let patches = patches.map(|patch| NewArtifact { kind: ArtifactKind::Patch, name: patch.name, content: patch.content });
        let artifacts = diff.into_iter().chain(patches).collect();
        Some(AttemptReport { outcome, exit_code, branch, commit: saved.commit, verification, artifacts, output, findings })
    }
}

/// No verdict is about anything but what was judged. What the work has left can have changed since, by what git ran of it.
fn as_judged(ended: Ended, saved: &Saved) -> Ended {
    match ended {
        Ended::Completed(_, Some(judged)) if saved.stand.as_ref() != Some(&judged) => {
            let words = |Stand { head, tree, inside }: &Stand| {
                let inside: String = inside.iter().map(|one| format!(", {one}")).collect();
                format!("the files {tree} on the commit {head}{inside}")
            };
            let (was, is) = (words(&judged), saved.stand.as_ref().map_or_else(|| "nothing".to_owned(), words));
            let message = format!("what was judged is not what there was to save: {was} were judged, and there is {is}");
            Ended::Failed(Failure::new(FailureCode::CommandFailed, message))
        }
        ended => ended,
    }
}

/// What an agent is expected to do, and what nobody is expected to do.
fn findings(assignment: &Assignment, session: &Written, saved: &Saved) -> Vec<Finding> {
    let mut found = vec![];
    if matches!(assignment.work, Work::Prompt(_)) && saved.commit.is_none() && saved.patches.is_empty() {
        found.push(Finding::new(FindingKind::NoChange, "the agent changed nothing"));
    }
    if session.tool_calls == Some(0) {
        found.push(Finding::new(FindingKind::NoToolCall, "the agent used no tool: it has looked at nothing"));
    }
    if !saved.patches.is_empty() {
        let inside: Vec<_> = saved.patches.iter().map(|patch| format!("{} ({})", patch.path, patch.branch)).collect();
        let what = "changed inside submodules, which the checks have seen and the result does not hold; each is on a branch in the runner's mirror of it";
        found.push(Finding::new(FindingKind::SubmoduleChanged, format!("{what}: {}", inside.join(", "))));
    }
    found.extend(finding::in_diff(&String::from_utf8_lossy(&saved.diff)));
    found
}
