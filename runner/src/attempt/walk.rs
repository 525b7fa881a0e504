//! The steps of an attempt in their order, and what each way of ending comes to.

mod going_on;
mod work;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{
    Failure, FailureCode, Finding, FindingKind, Isolation, VerificationReport, Work, crash, finding,
    protocol::{Assignment, AttemptReport, Credentials, Said, WorkOutcome},
    repository::key,
    task::{RepositoryResult, check_folder},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    NotTaken, Walked, conversation::Hearing, entry, first_heartbeat, folder::AttemptFolder, for_a_last_word, note, note_or_fail, output,
    round, round::Round, without_work,
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
    interrupted::Kept,
    journal::{Checkout, Entry, Part},
    lfs,
    life::Runner,
    log::Log,
    mirror::{self, Refused},
    process::MARKER,
    sandbox::{Room, group},
    save::{Saved, Stand, Taken, push, save, take},
    session::Written,
    slots::Slot,
    submodule::{self, Reach, Submodule, leads_into},
    tellings::Tellings,
    verify::{Interrupted, Judges, Verification},
    within, worktree,
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
    /// What there was when the work of this round had ended, where it has checks: that is what is saved.
    taken: Option<Vec<Taken>>,
    /// The earlier attempt that it goes on from, as it was kept.
    goes_on: Option<Kept>,
    /// Why it does not, though it was to, until its session says so.
    afresh: Option<String>,
    /// Why the journal has not taken it, so that the server was never told that it is here.
    unwritten: Option<String>,
}

/// How the work and its checks ended.
enum Ended {
    /// With how the work stood that was judged, where it was.
    Completed(VerificationReport, Option<Vec<Stand>>),
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

/// From the assignment to the report. An error when nothing was begun, and another may do it.
pub(super) async fn walk(
    runner: Arc<Runner>,
    assignment: Assignment,
    (mut orders, tellings): (Orders, Tellings),
    taken_at: Moment,
    slot: Option<Slot>,
) -> Result<Walked, NotTaken> {
    let mut entry = entry(&runner, &assignment);
    let _slot = match slot.or_else(|| runner.slots.try_take()) {
        Some(slot) => slot,
        // The server knows the slots, so it is wrong about them.
        None if !runner.held.is_ending_one(entry.attempt.attempt_id) => {
            let slots = runner.slots.most();
            return Err(NotTaken::Rejected(format!("all {slots} slots of this runner have work")));
        }
        // it has heard of an end before the slot is free, which is in a moment
        None => {
            note(&runner, &entry).await;
            tokio::select! {
                biased;
                slot = runner.slots.take() => slot,
                order = orders.told() => return Ok(Walked::saying(report_told(order))),
            }
        }
    };
    #[cfg(test)]
    if crate::simulation::is_on() {
        return Ok(Walked::saying(crate::simulation::work::walk(&runner, &assignment, &entry, (orders, tellings)).await));
    }
    let agents = runner.agents().await;
    if agent::is_gone(&assignment, &agents) {
        return Err(NotTaken::AgentGone);
    }
    let room = match room(&runner, &assignment, &agents, &entry).await {
        Ok(room) => room,
        Err(failure) => {
            note(&runner, &entry).await;
            return Ok(Walked::saying(Some(without_work(WorkOutcome::Failed { failure }))));
        }
    };
    entry.isolation = room.isolation();
    // who judges has one also where the work runs without a sandbox
    entry.group = runner.sandbox.group_of(entry.attempt.attempt_id);
    let mut attempt = Attempt::new(Arc::clone(&runner), assignment, entry, room, agents, orders.clone());
    let give_up = CancellationToken::new();
    let for_attempt = |git: Git| git.for_attempt((MARKER, attempt.entry.attempt.attempt_id.to_string()), give_up.clone());
    let (git, own) = (for_attempt(runner.git_for(&attempt.assignment.credentials)), for_attempt(runner.git.clone()));
    let left = attempt.may_take_to_begin().saturating_sub(taken_at.elapsed());
    let prepared = within(left, &give_up, orders.or_give_up(&give_up, attempt.prepare(&git, &own))).await;
    let checkout = match prepared {
        Ok(checkout) => checkout,
        // whatever it says that it lacked: it was cut short
        Err(_) if give_up.is_cancelled() => return Ok(Walked::saying(attempt.not_prepared(Refused::GivenUp, &orders).await)),
        Err(refused) => match attempt.unwritten.take().filter(|_| orders.current() == Order::Work) {
            Some(reason) => {
                attempt.clear_up().await;
                return Err(NotTaken::Rejected(reason));
            }
            None => return Ok(Walked::saying(attempt.not_prepared(refused, &orders).await)),
        },
    };
    first_heartbeat(&runner, attempt.entry.attempt.attempt_id, &mut orders).await;
    let (ended, exit_code) = match orders.current() {
        Order::Work => attempt.work_and_verify(&checkout, &mut orders, &mut Hearing::new(tellings)).await,
        order => (Ended::Told(order), None),
    };
    Ok(attempt.finish(ended, exit_code, &checkout).await)
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
        let (worked, written) = (Duration::ZERO, Written::default());
        let (goes_on, afresh) = (None, None);
        Self { runner, assignment, entry, log, room, agents, worked, written, taken: None, goes_on, afresh, unwritten: None }
    }

    /// The journal first, then the mirrors, then worktrees on them. It is fetched by the git of whoever the work is for; `own` is the runner's.
    async fn prepare(&mut self, git: &Git, own: &Git) -> Result<Checkout, Refused> {
        let parts = self.entry.parts();
        let places: Vec<_> = parts.iter().map(|part| leads_to(&part.entry.repository)).collect();
        for (number, part) in parts.iter().enumerate() {
            // its branch would be there twice
            let is_known = places[..number].contains(&places[number]);
            self.refuse(part, is_known).map_err(|refused| of_part(part, refused))?;
        }
        AttemptFolder::of(&self.entry.folder).make()?;
        let fetched = async {
            for (number, part) in parts.iter().enumerate() {
                self.fetch(git, part, self.base_ref(number)).await.map_err(|refused| of_part(part, self.told_whose_tokens(refused)))?;
            }
            Ok::<_, Refused>(())
        };
        let (written, fetched) = tokio::join!(note_or_fail(&self.runner, &self.entry), fetched);
        if let Err(error) = &written {
            self.unwritten = Some(format!("its journal cannot be written: {error}"));
        }
        written?;
        fetched?;
        let mut checkouts = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            checkouts.push(self.check_out((git, own), number, part).await.map_err(|refused| of_part(part, refused))?);
        }
        let first = checkouts.first().cloned().ok_or_else(|| Refused::Runner("it has no repository".into()))?;
        self.entry.keep(checkouts);
        self.go_on(git, own, &first).await?;
        self.runner.journal.write(&self.entry).await?;
        Ok(first)
    }

    /// For all that is fetched for it.
    fn may_take_to_begin(&self) -> Duration {
        self.runner.limits.to_begin(self.assignment.repositories.len())
    }

    /// What the worktree of the repository with this number is to start from.
    fn base_ref(&self, number: usize) -> Option<&str> {
        match number.checked_sub(1) {
            None => self.assignment.base_ref.as_deref(),
            Some(index) => self.assignment.repositories.get(index).and_then(|one| one.base_ref.as_deref()),
        }
    }

    /// Into its mirror.
    async fn fetch(&self, git: &Git, Part { entry, .. }: &Part, base_ref: Option<&str>) -> Result<(), Refused> {
        let _turn = self.runner.mirrors.turn_for(git, &entry.mirror).await?;
        mirror::refresh(git, &entry.mirror, &entry.repository, base_ref).await
    }

    /// A worktree of what its mirror holds.
    async fn check_out(&self, (git, own): (&Git, &Git), number: usize, part: &Part) -> Result<Checkout, Refused> {
        let entry = &part.entry;
        let resolved = mirror::resolve(git, &entry.mirror, self.base_ref(number));
        let (base_commit, refs) = tokio::join!(resolved, mirror::packed_refs(git, &entry.mirror));
        let (base_commit, refs) = (base_commit?, refs?);
        let submodules = self.more_of((git, number), entry, &base_commit).await.map_err(|refused| self.told_whose_tokens(refused))?;
        self.room.show_submodules(number, &submodules);
        if number > 0 {
            AttemptFolder::of(&entry.folder).make_beside(&part.work)?;
        }
        let checkout = worktree::planned(part, base_commit, submodules);
        // what is put through a program is put through it where that reaches nothing; and its files are as the room sees them: those that belong to
        // another number would count as changed in there, and each be read and stored again
        let checks_out = if self.room.is_closed() { own.inside_to_write(&self.room) } else { git.clone() };
        worktree::add(git, &checks_out, entry, &checkout, &refs).await?;
        Ok(checkout)
    }

    /// A repository that this runner works on for nobody, or not for whoever it is for: what Muster keeps on its machine, the mirrors of others
    /// among it, is none of a workspace that the machine is not for.
    fn refuse(&self, Part { name, entry, .. }: &Part, is_known: bool) -> Result<(), Refused> {
        let refused = |reason: &str| Err(Refused::Task(Failure::new(FailureCode::RepositoryUnavailable, reason)));
        if let Some(Err(why)) = name.as_deref().map(check_folder) {
            return refused(&format!("its folder {why}"));
        }
        if !self.runner.config.paths.include(&entry.repository) {
            return refused("this runner works on no repository that is a path; it would when it had joined with --paths");
        }
        if self.assignment.credentials != Credentials::Machine && leads_into(&entry.repository, &self.our_own()) {
            return refused("its path leads into what Muster keeps for itself; name the repository where people work on it");
        }
        if is_known {
            return refused("it is another repository of the task as well; name it once");
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

    /// What the task wants of a repository beside its files and their history, into the mirrors.
    async fn more_of(&self, (git, number): (&Git, usize), entry: &Entry, commit: &str) -> Result<Vec<Submodule>, Refused> {
        let (mirrors, mirror, location) = (&self.runner.mirrors, &entry.mirror, &entry.repository);
        if entry.lfs && !lfs::is_here(git, mirror).await {
            return Err(lfs::missing());
        }
        let submodules = match self.assignment.submodules {
            true => {
                let (paths, credentials, not_these) = (&self.runner.config.paths, &self.assignment.credentials, &self.our_own());
                let reach = Reach { mirrors, paths, credentials, not_these, numbered_after: number * submodule::MOST };
                submodule::fetch(git, reach, (location.as_str(), mirror.as_path(), commit)).await?
            }
            false => vec![],
        };
        if entry.lfs {
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
        self.clear_up().await;
        let failure = match refused {
            Refused::Task(failure) => failure,
            Refused::Runner(reason) => Failure::new(FailureCode::RunnerFault, format!("the runner could not make a worktree: {reason}")),
            // nobody has told it to: its time was over
            Refused::GivenUp if orders.current() == Order::Work => {
                let minutes = self.may_take_to_begin().as_secs() / 60;
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

    /// Nothing of it has run.
    async fn clear_up(&self) {
        self.let_go_of_the_room().await;
        if let Err(error) = self.runner.folders.throw_away(&self.entry.folder, &self.runner.tracker).await {
            warn!("Could not remove {}: {error}", self.entry.folder.display());
        }
    }

    async fn work_and_verify(&mut self, checkout: &Checkout, orders: &mut Orders, hearing: &mut Hearing) -> (Ended, Option<i32>) {
        let mut round = self.goes_on.as_ref().map_or_else(Round::first, |kept| Round::going_on(kept, checkout));
        let mut checked_for = Duration::ZERO;
        loop {
            // it is there to be changed again
            self.taken = None;
            // boxed, as what follows is deep: in one piece it takes more of a thread's stack than there is
            let (mut ended, mut exit_code) = Box::pin(self.work(checkout, &mut round, orders, hearing)).await;
            if let Some(why) = self.not_gone_on(&round, ended.as_ref(), orders) {
                self.afresh = Some(why);
                round = Round::with_what_was_kept(round);
                (ended, exit_code) = Box::pin(self.work(checkout, &mut round, orders, hearing)).await;
            }
            match ended {
                None => {}
                // what was done in the rounds before is to be saved
                Some(Ended::NotBegun(failure)) if round.number > 1 => return (Ended::Failed(failure), exit_code),
                Some(ended) => return (ended, exit_code),
            }
            self.tell(Said::Verifying);
            if !self.assignment.checks.is_empty() {
                match self.take(orders).await {
                    Ok(taken) => self.taken = Some(taken),
                    Err(ended) => return (ended, exit_code),
                }
                self.is_not_gone_on_from().await;
            }
            let began = Instant::now();
            let verification = Verification {
                assignment: &self.assignment,
                entry: &self.entry,
                checkout,
                taken: self.taken.as_deref().unwrap_or_default(),
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
            let verified = match Box::pin(verification.run(orders, &mut self.written)).await {
                Ok(verified) => verified,
                Err(interrupted) => return (interrupted.into(), exit_code),
            };
            checked_for += began.elapsed();
            round = match round.next(&verified, &self.assignment) {
                // what checks have left would be the work's
                Some(next) if self.worked < self.time() && verified.is_as_taken => next,
                _ => return (Ended::Completed(verified.report, verified.judged), exit_code),
            };
            self.tell(Said::WorksAgain { round: round.number - 1, verification: round::for_a_message(verified.report) });
            self.log.say(&round.announced()).await;
        }
    }

    /// What there is now that nothing of the work runs any more, before its checks run any of it.
    async fn take(&self, orders: &mut Orders) -> Result<Vec<Taken>, Ended> {
        let (marker, give_up) = ((MARKER, self.entry.attempt.attempt_id.to_string()), CancellationToken::new());
        let git = self.runner.git.for_attempt(marker, give_up.clone());
        match orders.or_give_up(&give_up, take(&git, &self.room, &self.entry)).await {
            Ok(taken) => Ok(taken),
            Err(_) if give_up.is_cancelled() => Err(Ended::Told(orders.current())),
            Err(error) => Err(fault(format!("what was to be checked could not be taken in: {error}"))),
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
    async fn finish(mut self, ended: Ended, exit_code: Option<i32>, checkout: &Checkout) -> Walked {
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
        let saved = match (&ended, self.taken.take()) {
            (Ended::NotBegun(_), _) => Ok(vec![]),
            // whatever its checks have made of it
            (_, Some(taken)) => push(&git, &self.entry, taken).await,
            (_, None) => save(&git, &self.room, &self.entry).await,
        };
        crash::point("save.after");
        self.let_go_of_the_room().await;
        let is_kept = saved.is_err();
        let (ended, saved) = match saved {
            Ok(saved) => {
                for note in saved.iter().flat_map(Saved::told) {
                    self.log.say(&note).await;
                }
                if going_on::is_interrupted(&ended) {
                    self.runner.interrupted.keep(&self.entry, &saved).await;
                }
                if let Err(error) = self.runner.folders.throw_away(&self.entry.folder, &self.runner.tracker).await {
                    warn!("Could not remove {}: {error}", self.entry.folder.display());
                }
                (as_judged(ended, &saved), saved)
            }
            Err(error) => {
                // whoever looks for what could not be saved finds the rest of it where that is
                for note in error.saved.iter().flat_map(Saved::told) {
                    self.log.say(&note).await;
                }
                let folder = if self.entry.beside.is_empty() { &checkout.path } else { &self.entry.folder }.display();
                warn!("The work of attempt {} could not be saved, it stays in {folder}: {error}", self.entry.attempt.attempt_id);
                let message =
                    format!("the work could not be saved ({error}); it is kept in {folder} on the runner {}", self.runner.config.name);
                let unsaved = Ended::Failed(Failure::new(FailureCode::WorkNotSaved, message));
                // Nobody hears of an abandoned attempt; the warning above has to do.
                let ended = if matches!(ended, Ended::Told(Order::Abandon(_))) { ended } else { unsaved };
                (ended, vec![])
            }
        };
        let (outcome, verification) = match ended {
            Ended::Completed(report, _) => (WorkOutcome::Completed, Some(report)),
            Ended::Failed(failure) | Ended::NotBegun(failure) => (WorkOutcome::Failed { failure }, None),
            Ended::TimedOut => (WorkOutcome::TimedOut { seconds: self.assignment.timeout_seconds }, None),
            Ended::Told(Order::Cancel) => (WorkOutcome::Cancelled, None),
            Ended::Told(Order::Work | Order::Abandon(_)) => {
                self.runner.outbox.leave(self.entry.attempt.attempt_id, for_a_last_word(saved));
                return Walked { report: None, is_kept };
            }
        };
        let findings = findings(&self.assignment, (&self.written, outcome == WorkOutcome::Completed), &saved);
        let repositories = self.entry.parts().iter().skip(1).filter_map(|part| result(part, &saved)).collect();
        let first = saved.first().and_then(|first| first.commit.clone());
        let branch = first.as_ref().map(|_| checkout.branch.clone());
        let artifacts = saved.into_iter().flat_map(Saved::into_artifacts).collect();
        let report = AttemptReport { outcome, exit_code, branch, commit: first, repositories, verification, artifacts, output, findings };
        Walked { report: Some(report), is_kept }
    }
}

/// Which repository a location means, however it is written and by whatever links it leads there.
fn leads_to(location: &str) -> String {
    let path = location.starts_with('/').then(|| Path::new(location).canonicalize().ok()).flatten();
    path.map_or_else(|| key(location), |path| key(&path.to_string_lossy()))
}

/// What it has come to in a repository beside the first.
fn result(part: &Part, saved: &[Saved]) -> Option<RepositoryResult> {
    let (folder, checkout) = (part.name.clone()?, part.entry.worktree.as_ref()?);
    let commit = saved.iter().find(|one| one.name == part.name).and_then(|one| one.commit.clone());
    let branch = commit.as_ref().map(|_| checkout.branch.clone());
    Some(RepositoryResult { folder, base_commit: checkout.base_commit.clone(), branch, commit })
}

/// What is said of one of several repositories says of which.
fn of_part(part: &Part, refused: Refused) -> Refused {
    match refused {
        Refused::Task(failure) => {
            let message = part.says(&failure.message);
            Refused::Task(Failure { message, ..failure })
        }
        Refused::Runner(reason) => Refused::Runner(part.says(&reason)),
        Refused::GivenUp => Refused::GivenUp,
    }
}

/// No verdict is about anything but what was judged. What the work has left can have changed since, by what git ran of it.
fn as_judged(ended: Ended, saved: &[Saved]) -> Ended {
    let stands: Vec<_> = saved.iter().filter_map(|one| one.stand.clone()).collect();
    match ended {
        Ended::Completed(_, Some(judged)) if stands != judged => {
            let words = |stands: &[Stand]| match stands {
                [] => "nothing".to_owned(),
                some => some.iter().map(Stand::to_string).collect::<Vec<_>>().join("; "),
            };
            let (was, is) = (words(&judged), words(&stands));
            let message = format!("what was judged is not what there was to save: {was} were judged, and there is {is}");
            Ended::Failed(Failure::new(FailureCode::CommandFailed, message))
        }
        ended => ended,
    }
}

/// What an agent is expected to do where it has come to its end, and what nobody is expected to do however it ended.
fn findings(assignment: &Assignment, (session, is_completed): (&Written, bool), saved: &[Saved]) -> Vec<Finding> {
    let mut found = vec![];
    let is_agents = matches!(assignment.work, Work::Prompt(_));
    let has_changed = saved.iter().any(|one| one.commit.is_some() || !one.patches.is_empty());
    if is_completed && is_agents && !has_changed {
        found.push(Finding::new(FindingKind::NoChange, "the agent changed nothing"));
    }
    if is_agents && saved.iter().any(|one| one.is_dirty) {
        let what = "the agent has committed its work, and left something beside that uncommitted, which is on the branch as well";
        found.push(Finding::new(FindingKind::DirtyTree, what));
    }
    if is_completed && session.tool_calls == Some(0) {
        found.push(Finding::new(FindingKind::NoToolCall, "the agent used no tool: it has looked at nothing"));
    }
    let inside: Vec<_> = saved.iter().flat_map(|one| &one.patches).map(|patch| format!("{} ({})", patch.path, patch.branch)).collect();
    if !inside.is_empty() {
        let what = "changed inside submodules, which the checks have seen and the result does not hold; each is on a branch in the runner's mirror of it";
        found.push(Finding::new(FindingKind::SubmoduleChanged, format!("{what}: {}", inside.join(", "))));
    }
    for one in saved {
        let within = one.name.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        if one.diff_is_cut {
            let of = one.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
            let what = format!(
                "the diff{of} is longer than what is kept of it: tests that are gone or skipped are looked for in its beginning alone"
            );
            found.push(Finding::new(FindingKind::DiffCut, what));
        }
        found.extend(finding::in_diff(&String::from_utf8_lossy(&one.diff), &within));
    }
    found
}
