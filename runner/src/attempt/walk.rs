//! The steps of an attempt in their order, and what each way of ending comes to.

use std::{io, sync::Arc, time::Duration};

use domain::{
    ArtifactKind, Failure, FailureCode, LogStream, SessionEventKind, VerificationReport, crash,
    protocol::{Assignment, AttemptReport, NewArtifact, Said, WorkOutcome},
    session::kept_text,
};
use tokio::{io::AsyncRead, process::Child, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{conversation, entry, folder::AttemptFolder, note, output, retry_after, round, round::Round, without_work};
use crate::{
    backend::{
        agent::{self, Begun, Doing},
        environment::Place,
        found::Found,
        prompt,
        shell::{self, Script},
    },
    git::Git,
    held::{Order, Orders, Why},
    journal::{Checkout, Entry},
    life::Runner,
    log::{Log, pump::pump},
    mirror::{self, Refused},
    process::{self, End, MARKER, Trace},
    sandbox::{Made, Program, Room},
    save::{Saved, save},
    session::{Session, Written},
    verify::{Interrupted, Verification},
    worktree,
};

/// Of a command, as the log shows it before its output.
const SHOWN_COMMAND: usize = 4000;

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
    Completed(VerificationReport),
    Failed(Failure),
    /// Nothing of it has run, so that there is nothing to save.
    NotBegun(Failure),
    TimedOut,
    Told(Order),
}

/// A program that was started.
struct Started {
    child: Child,
    made: Made,
    trace: Trace,
    began: Instant,
}

type HowItEnded = Result<io::Result<End>, process::Survivors>;

enum Judged {
    Ended(Ended),
    /// By itself and with an error, which this says.
    Failed(String),
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

/// From the assignment to the report; nothing when nothing may be said.
pub(super) async fn walk(runner: Arc<Runner>, assignment: Assignment, mut orders: Orders, taken_at: Instant) -> Option<AttemptReport> {
    let mut entry = entry(&runner, &assignment);
    let _slot = match runner.slots.try_acquire() {
        Ok(slot) => Ok(slot),
        // The server knows the slots; this is for one that is wrong about them.
        Err(_) => {
            note(&runner, &entry).await;
            tokio::select! {
                slot = runner.slots.acquire() => slot,
                order = orders.told() => return report_told(order),
            }
        }
    };
    let agents = runner.agents().await;
    let room = match Doing::of(&assignment, &agents, runner.config.agent_command.as_deref()) {
        Ok(_) => runner.sandbox.room(assignment.isolation, &entry).await,
        Err(failure) => Err(failure),
    };
    let room = match room {
        Ok(room) => room,
        Err(failure) => return Some(without_work(WorkOutcome::Failed { failure })),
    };
    entry.isolation = room.isolation();
    let mut attempt = Attempt::new(Arc::clone(&runner), assignment, entry, room, agents, orders.clone());
    let give_up = CancellationToken::new();
    let git = runner.git.for_attempt((MARKER, attempt.entry.attempt.attempt_id.to_string()), give_up.clone());
    let checkout = match orders.or_give_up(&give_up, attempt.prepare(&git)).await {
        Ok(checkout) => checkout,
        Err(refused) => return attempt.not_prepared(refused, &orders).await,
    };
    attempt.first_heartbeat(taken_at, &mut orders).await;
    let (ended, exit_code) = match orders.current() {
        Order::Work => attempt.work_and_verify(&checkout, &mut orders).await,
        order => (Ended::Told(order), None),
    };
    attempt.finish(ended, exit_code, &checkout).await
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

    /// The journal first, then the mirror, then a worktree on it.
    async fn prepare(&mut self, git: &Git) -> Result<Checkout, Refused> {
        if !self.runner.config.paths.include(&self.entry.repository) {
            let reason = "this runner works on no repository that is a path; it would when it had joined with --paths";
            return Err(Refused::Task(Failure::new(FailureCode::RepositoryUnavailable, reason)));
        }
        AttemptFolder::of(&self.entry.folder).make()?;
        let fetched = async {
            let _turn = self.runner.mirrors.turn(&self.entry.mirror).await;
            mirror::refresh(git, &self.entry.mirror, &self.entry.repository, self.assignment.base_ref.as_deref()).await
        };
        let (written, fetched) = tokio::join!(self.runner.journal.write(&self.entry), fetched);
        written?;
        fetched?;
        let checkout = worktree::add(git, &self.entry, &self.assignment).await?;
        self.entry.worktree = Some(checkout.clone());
        self.runner.journal.write(&self.entry).await?;
        Ok(checkout)
    }

    async fn not_prepared(self, refused: Refused, orders: &Orders) -> Option<AttemptReport> {
        if let Err(error) = self.runner.folders.throw_away(&self.entry.folder, &self.runner.tracker).await {
            warn!("Could not remove {}: {error}", self.entry.folder.display());
        }
        let failure = match refused {
            Refused::Task(failure) => failure,
            Refused::Runner(reason) => Failure::new(FailureCode::RunnerFault, format!("the runner could not make a worktree: {reason}")),
            Refused::GivenUp => return report_told(orders.current()),
        };
        match orders.current() {
            Order::Abandon(_) => None,
            Order::Work | Order::Cancel => Some(without_work(WorkOutcome::Failed { failure })),
        }
    }

    /// No work before the server has renewed the lease once: it may have changed its mind since it sent the assignment.
    async fn first_heartbeat(&self, taken_at: Instant, orders: &mut Orders) {
        let mut renewed = self.runner.renewed.subscribe();
        tokio::select! {
            _ = renewed.wait_for(|renewed| *renewed >= taken_at) => {}
            _ = orders.told() => {}
        }
    }

    async fn work_and_verify(&mut self, checkout: &Checkout, orders: &mut Orders) -> (Ended, Option<i32>) {
        let (mut round, mut verified) = (Round::first(), Duration::ZERO);
        loop {
            let (ended, exit_code) = self.work(checkout, &mut round, orders).await;
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
                time: self.runner.limits.verification.saturating_sub(verified),
            };
            let report = match verification.run(orders).await {
                Ok(report) => report,
                Err(interrupted) => return (interrupted.into(), exit_code),
            };
            verified += began.elapsed();
            round = match round.next(&report, &self.assignment) {
                Some(next) if self.worked < self.time() => next,
                _ => return (Ended::Completed(report), exit_code),
            };
            self.tell(Said::WorksAgain { round: round.number - 1, verification: round::for_a_message(report) });
            self.log.say(&round.announced()).await;
        }
    }

    /// For the work, however many rounds it takes.
    fn time(&self) -> Duration {
        Duration::from_secs(self.assignment.timeout_seconds.into())
    }

    /// Nothing when the work ended well and waits for its checks.
    async fn work(&mut self, checkout: &Checkout, round: &mut Round, orders: &mut Orders) -> (Option<Ended>, Option<i32>) {
        let (runner, assignment, agents) = (Arc::clone(&self.runner), self.assignment.clone(), Arc::clone(&self.agents));
        match Doing::of(&assignment, &agents, runner.config.agent_command.as_deref()) {
            Ok(doing) => {
                if round.number == 1 {
                    self.announce(checkout, &doing).await;
                }
                let place = Place {
                    room: &self.room.clone(),
                    guest: doing.guest(),
                    folder: &self.entry.folder.clone(),
                    worktree: &checkout.path,
                    identity: &runner.identity,
                };
                match &doing {
                    Doing::Script(script) => self.run(script, place, orders).await,
                    Doing::Agent { found, prompt } => self.converse(found, prompt, round, place, orders).await,
                }
            }
            Err(failure) => (Some(Ended::Failed(failure)), None),
        }
    }

    async fn run(&mut self, script: &Script<'_>, place: Place<'_>, orders: &mut Orders) -> (Option<Ended>, Option<i32>) {
        let subject = script.subject();
        let mut started = match self.start(shell::work(script, &self.assignment, place), subject).await {
            Ok(started) => started,
            Err(ended) => return (Some(ended), None),
        };
        let over = CancellationToken::new();
        let (stdout, stderr) = (started.child.stdout.take(), started.child.stderr.take());
        let reading = async {
            tokio::join!(self.pump(stdout, LogStream::Stdout, &over), self.pump(stderr, LogStream::Stderr, &over));
        };
        let never = CancellationToken::new();
        let (end, took) = self.attend(&mut started, orders, reading, (&over, &never)).await;
        match self.judge(end, started.made, subject, took).await {
            (Some(Judged::Failed(message)), code) => (Some(Ended::Failed(self.failure(message).await)), code),
            (Some(Judged::Ended(ended)), code) => (Some(ended), code),
            (None, status) => (None, status),
        }
    }

    /// As [`run`](Self::run), with a program that says itself how it went.
    async fn converse(
        &mut self,
        found: &Found,
        prompt: &str,
        round: &mut Round,
        place: Place<'_>,
        orders: &mut Orders,
    ) -> (Option<Ended>, Option<i32>) {
        let runner = Arc::clone(&self.runner);
        if found.backend.needs_sandbox() && !self.room.is_closed() {
            let reason = format!("{} is given work in a sandbox alone, and this workspace works without", found.backend.title());
            return (Some(Ended::NotBegun(Failure::new(FailureCode::BackendMissing, reason))), None);
        }
        let words = round.words().unwrap_or_else(|| prompt::words(&self.assignment, prompt));
        let subject = found.backend.title();
        let begun = agent::begin(
            found,
            &words,
            (round.session.clone(), round.spent_micros),
            &self.assignment,
            place,
            &runner.config.agents.environment,
        );
        let Begun { program, lines, mut dialogue } = match begun {
            Ok(begun) => begun,
            Err(error) => return (Some(self.not_started(subject, &error)), None),
        };
        let (attempt, outbox, log) = (self.entry.attempt.attempt_id, Arc::clone(&runner.outbox), Arc::clone(&self.log));
        let written = std::mem::take(&mut self.written);
        let mut session = Session { attempt, outbox: &outbox, log: &log, orders: orders.clone(), written };
        // before it runs: it waits for room, and nobody counts the time
        session.add(vec![SessionEventKind::Prompt { text: kept_text(&words) }]).await;
        let mut started = match self.start(Ok(program), subject).await {
            Ok(started) => started,
            Err(ended) => {
                self.written = session.written;
                return (Some(ended), None);
            }
        };
        let (over, said_all) = (CancellationToken::new(), CancellationToken::new());
        let (stdin, stdout, stderr) = (started.child.stdin.take(), started.child.stdout.take(), started.child.stderr.take());
        let reading = async {
            let talk = conversation::converse((stdin, stdout), lines, dialogue.as_mut(), &mut session, (&over, &said_all));
            tokio::join!(talk, self.pump(stderr, LogStream::Stderr, &over));
        };
        let (end, took) = self.attend(&mut started, orders, reading, (&over, &said_all)).await;
        let written = session.written;
        (round.session, round.spent_micros) = (dialogue.session(), dialogue.spent_micros());
        (self.written, self.worked) = (written, self.worked + took);
        let status = match &end {
            Ok(Ok(End::Exited(status))) => Some(*status),
            _ => None,
        };
        match self.judge(end, started.made, subject, took).await {
            // it has said more about it than its exit code
            (None | Some(Judged::Failed(_)), code) => (dialogue.verdict(status).err().map(Ended::Failed), code),
            (Some(Judged::Ended(ended)), code) => (Some(ended), code),
        }
    }

    async fn start(&mut self, program: io::Result<Program>, subject: &str) -> Result<Started, Ended> {
        let mut trace = self.entry.trace();
        let started = match program {
            Ok(program) => program.start(&mut trace).await,
            Err(error) => Err(error),
        };
        let (child, made) = match started {
            Ok(started) => started,
            Err(error) => return Err(self.not_started(subject, &error)),
        };
        self.entry.leader = trace.leader;
        crash::point("work.started");
        Ok(Started { child, made, trace, began: Instant::now() })
    }

    fn not_started(&self, subject: &str, error: &io::Error) -> Ended {
        match self.room.is_closed() {
            true => no_sandbox(error.to_string()),
            false => fault(format!("{subject} could not be started: {error}")),
        }
    }

    /// Until nothing of it is left, while `reading` takes in what it writes.
    async fn attend(
        &self,
        started: &mut Started,
        orders: &mut Orders,
        reading: impl Future<Output = ()>,
        (over, said_all): (&CancellationToken, &CancellationToken),
    ) -> (HowItEnded, Duration) {
        let time = self.time().saturating_sub(self.worked);
        let journal = async {
            if let Err(error) = self.runner.journal.write(&self.entry).await {
                // The mark in its environment finds the process as well.
                warn!("The journal does not know the process of attempt {}: {error}", self.entry.attempt.attempt_id);
            }
        };
        let attended = process::attend(&mut started.child, &started.trace, time, orders, &self.runner.limits, reading, (over, said_all));
        let (end, ()) = tokio::join!(attended, journal);
        self.log.say_what_is_missing().await;
        (end, started.began.elapsed())
    }

    async fn pump(&self, pipe: Option<impl AsyncRead + Unpin>, stream: LogStream, over: &CancellationToken) {
        if let Some(pipe) = pipe {
            pump(pipe, stream, &self.log, over).await;
        }
    }

    fn tell(&self, said: Said) {
        self.runner.outbox.say(self.entry.attempt.attempt_id, said);
    }

    async fn announce(&self, checkout: &Checkout, doing: &Doing<'_>) {
        let (base_commit, branch) = (checkout.base_commit.clone(), checkout.branch.clone());
        let start = base_commit.get(..12).unwrap_or(&base_commit);
        let mut lines = format!("Fetched {} at {start}\nBranch {branch}", self.entry.repository);
        if !self.assignment.failed_checks.is_empty() {
            let count = self.assignment.failed_checks.len();
            lines.push_str(&format!("\nChecks that failed in the attempt before: {count}, in the file $MUSTER_FAILED_CHECKS"));
        }
        let line: String = doing.line().chars().take(SHOWN_COMMAND).collect();
        lines.push_str(&format!("\n{}\n{}", self.room.about(doing.guest()), line.trim_end()));
        self.tell(Said::Started { base_commit, branch });
        self.log.say(&lines).await;
    }

    /// What there is to say of how it ended before it is asked itself.
    async fn judge(&self, end: HowItEnded, made: Made, subject: &str, took: Duration) -> (Option<Judged>, Option<i32>) {
        let seconds = took.as_secs_f64();
        match end {
            Ok(Ok(End::Exited(status))) if made.fails(status) => {
                (Some(Judged::Ended(no_sandbox("the sandbox could not be made; the end of the log says why"))), None)
            }
            Ok(Ok(End::Exited(status))) => {
                let how = process::how_it_ended(status);
                self.log.say(&format!("{} {how} after {seconds:.1} s", capitalized(subject))).await;
                if status.success() {
                    return (None, status.code());
                }
                (Some(Judged::Failed(format!("{subject} {how}"))), status.code())
            }
            Ok(Ok(End::SaidAll)) => {
                self.log.say(&format!("{} had said all, and was ended after {seconds:.1} s", capitalized(subject))).await;
                (None, None)
            }
            Ok(Ok(End::TimedOut)) => {
                self.log.say(&format!("Ended after {seconds:.1} s: the task allows {} s", self.assignment.timeout_seconds)).await;
                (Some(Judged::Ended(Ended::TimedOut)), None)
            }
            Ok(Ok(End::Told(order))) => {
                match order {
                    Order::Cancel => self.log.say(&format!("Cancelled after {seconds:.1} s")).await,
                    Order::Abandon(Why::Stopping) => self.log.say_last("The runner stops; the task will be started again"),
                    Order::Work | Order::Abandon(Why::Fenced | Why::Stale) => {}
                }
                (Some(Judged::Ended(Ended::Told(order))), None)
            }
            Ok(Err(error)) => (Some(Judged::Ended(fault(format!("{subject} could not be waited for: {error}")))), None),
            Err(survivors) => (Some(Judged::Ended(fault(survivors.to_string()))), None),
        }
    }

    /// Of work that ended with an error: its own, or that of somebody who wants it to come back later.
    async fn failure(&self, message: String) -> Failure {
        match retry_after::read(&AttemptFolder::of(&self.entry.folder).left()) {
            Ok(None) => Failure::new(FailureCode::CommandFailed, message),
            Ok(Some(seconds)) => {
                let message = format!("{message}, and was told to come back after {seconds} s");
                Failure { retry_after_seconds: Some(seconds), ..Failure::new(FailureCode::ProviderLimit, message) }
            }
            Err(why) => {
                self.log.say(&format!("What is in $MUSTER_RETRY_AFTER does not count: {why}")).await;
                Failure::new(FailureCode::CommandFailed, message)
            }
        }
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
        let (ended, saved) = match saved {
            Ok(saved) => {
                for note in &saved.notes {
                    self.log.say(note).await;
                }
                if let Err(error) = self.runner.folders.throw_away(&self.entry.folder, &self.runner.tracker).await {
                    warn!("Could not remove {}: {error}", self.entry.folder.display());
                }
                (ended, saved)
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
            Ended::Completed(report) => (WorkOutcome::Completed, Some(report)),
            Ended::Failed(failure) | Ended::NotBegun(failure) => (WorkOutcome::Failed { failure }, None),
            Ended::TimedOut => (WorkOutcome::TimedOut { seconds: self.assignment.timeout_seconds }, None),
            Ended::Told(Order::Cancel) => (WorkOutcome::Cancelled, None),
            Ended::Told(Order::Work | Order::Abandon(_)) => return None,
        };
        let diff =
            (!saved.diff.is_empty()).then(|| NewArtifact { kind: ArtifactKind::Diff, name: "changes.diff".into(), content: saved.diff });
        let branch = saved.commit.as_ref().map(|_| checkout.branch.clone());
        let artifacts = diff.into_iter().collect();
        Some(AttemptReport { outcome, exit_code, branch, commit: saved.commit, verification, artifacts, output })
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
