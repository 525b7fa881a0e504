//! The work of an attempt, once its worktree is there: a program is started, seen through, and how it ended is judged. An agent is spoken
//! with in rounds, and says itself how it went.

use std::{io, sync::Arc, time::Duration};

use domain::{
    Failure, FailureCode, LogStream, SessionEventKind, crash,
    protocol::{Assignment, Said},
    session::kept_text,
};
use tokio::{io::AsyncRead, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Attempt, Ended, fault, no_sandbox};
use crate::{
    NetworkList,
    attempt::{
        conversation::{self, Hearing, Partner},
        folder::AttemptFolder,
        noting::Noting,
        questions::Asker,
        retry_after,
        round::Round,
    },
    backend::{
        Spent,
        agent::{self, Begun, Doing, Manner},
        environment::Place,
        found::Found,
        prompt,
        question::Leave,
        shell::{self, Script},
    },
    held::{Order, Orders, Why},
    interrupted::Spoken,
    journal::{Beside, Checkout},
    log::pump::pump,
    network::bridge::{Bridge, while_it_reaches},
    process::{self, Allowance, End, Time, Trace},
    sandbox::{Made, Meter, Overrun, Program, Running},
    session::{Session, secrets::Secrets},
    submodule::shown,
};

/// Of a command, as the log shows it before its output.
const SHOWN_COMMAND: usize = 4000;

/// A program that was started.
struct Started {
    running: Running,
    trace: Trace,
    began: Instant,
}

type HowItEnded = Result<io::Result<End>, process::Survivors>;

enum Judged {
    Ended(Ended),
    /// By itself and with an error, which this says.
    Failed(String),
}

impl Attempt {
    /// Nothing when the work ended well and waits for its checks.
    pub(super) async fn work(
        &mut self,
        checkout: &Checkout,
        round: &mut Round,
        orders: &mut Orders,
        hearing: &mut Hearing,
    ) -> (Option<Ended>, Option<i32>) {
        let (runner, assignment, agents) = (Arc::clone(&self.runner), self.assignment.clone(), Arc::clone(&self.agents));
        match Doing::of(&assignment, &agents, runner.config.agent_command.as_deref()) {
            Ok(doing) => {
                if round.is_the_first() {
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
                    Doing::Agent { found, prompt } => self.converse(found, prompt, (round, hearing), place, orders).await,
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
        let child = &mut started.running.child;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async {
            tokio::join!(self.pump(stdout, LogStream::Stdout, &over), self.pump(stderr, LogStream::Stderr, &over));
        };
        let never = CancellationToken::new();
        let (end, took) = self.attend(&mut started, self.time().into(), orders, reading, (&over, &never)).await;
        let Running { made, meter, bridge, .. } = started.running;
        match self.judge(end, (made, bridge.as_ref(), &meter), subject, took).await {
            (Some(Judged::Failed(message)), code) => {
                let failure = self.told_to_wait(Failure::new(FailureCode::CommandFailed, message)).await;
                (Some(Ended::Failed(failure)), code)
            }
            (Some(Judged::Ended(ended)), code) => (Some(ended), code),
            (None, status) => (None, status),
        }
    }

    /// As [`run`](Self::run), with a program that says itself how it went.
    async fn converse(
        &mut self,
        found: &Found,
        prompt: &str,
        (round, hearing): (&mut Round, &mut Hearing),
        place: Place<'_>,
        orders: &mut Orders,
    ) -> (Option<Ended>, Option<i32>) {
        let runner = Arc::clone(&self.runner);
        let mut words = round.words(|| prompt::words(&self.assignment, prompt));
        let (unheard, heard) = hearing.take_unheard();
        words.push_str(&unheard);
        round.said.push_str(&unheard);
        if let Some(failure) = agent::refusal(found, &words, self.room.is_closed()) {
            return (Some(Ended::NotBegun(failure)), None);
        }
        let title = found.backend.title();
        let subject = &*title;
        let terms = round.terms(&self.assignment);
        let manner = Manner {
            terms: &terms,
            leave: Leave::of(terms.ask, place.room.is_closed()),
            session: round.session.clone(),
            spent: Spent { earlier_micros: round.earlier_micros, ..round.spent },
        };
        let begun = agent::begin(found, &words, manner, &self.assignment, place, &runner.config.agents.environment);
        let Begun { program, lines, mut dialogue } = match begun {
            Ok(begun) => begun,
            Err(error) => return (Some(self.not_started(subject, &error)), None),
        };
        let (attempt, outbox, log) = (self.entry.attempt.attempt_id, Arc::clone(&runner.outbox), Arc::clone(&self.log));
        let spoken =
            |session: Option<String>, spent, assignment: &Assignment| session.map(|session| Spoken::new(found, assignment, session, spent));
        self.entry.spoken = spoken(dialogue.session(), round.spent, &self.assignment);
        let mut written = std::mem::take(&mut self.written);
        written.earlier_micros = round.earlier_micros;
        let mut session = Session { attempt, outbox: &outbox, log: &log, orders: orders.clone(), written, judge: None };
        if let Some(message) = self.afresh.take() {
            session.add(vec![SessionEventKind::Error { message: kept_text(&message) }]).await;
        }
        // before it runs: it waits for room, and nobody counts the time
        session.add(vec![SessionEventKind::Prompt { text: kept_text(&words), by: None }]).await;
        let mut started = match self.start(Ok(program), subject).await {
            Ok(started) => started,
            Err(ended) => {
                self.written = session.written;
                return (Some(ended), None);
            }
        };
        let (over, said_all) = (CancellationToken::new(), CancellationToken::new());
        let asker = Asker { attempt, outbox: &outbox, isolation: self.room.isolation(), backend: found.backend.clone() };
        let time = Time::unless(self.time().saturating_sub(self.worked), hearing.questions.waits());
        let child = &mut started.running.child;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let noting = self.entry.spoken.is_none().then(|| Noting {
            journal: runner.journal.clone(),
            entry: self.entry.clone(),
            spoken: spoken(Some(String::new()), round.spent, &self.assignment),
        });
        let reading = async {
            let partner = Partner { dialogue: dialogue.as_mut(), session: &mut session, asker, heard, noting };
            let talk = conversation::converse((stdin, stdout), lines, partner, hearing, (&over, &said_all));
            tokio::join!(talk, self.pump(stderr, LogStream::Stderr, &over));
        };
        let (end, took) = self.attend(&mut started, time, orders, reading, (&over, &said_all)).await;
        // nobody is charged for the time that others have taken to answer
        let took = took.saturating_sub(hearing.questions.take_waited());
        let status = match &end {
            Ok(Ok(End::Exited(status))) => Some(*status),
            _ => None,
        };
        session.add(dialogue.gone(status)).await;
        let written = session.written;
        (round.session, round.spent) = (dialogue.session(), dialogue.spent());
        self.entry.spoken = spoken(dialogue.session(), round.spent, &self.assignment);
        (self.written, self.worked) = (written, self.worked + took);
        if !found.tells_of_tools() {
            self.written.tool_calls = None;
        }
        let Running { made, meter, bridge, .. } = started.running;
        match self.judge(end, (made, bridge.as_ref(), &meter), subject, took).await {
            // it has said more about it than its exit code
            (None | Some(Judged::Failed(_)), code) => {
                let Err(failure) = dialogue.verdict(status) else { return (None, code) };
                let failure = with_overrun(failure, meter.run_into(status));
                (Some(Ended::Failed(self.told_to_wait(failure).await)), code)
            }
            (Some(Judged::Ended(ended)), code) => (Some(ended), code),
        }
    }

    async fn start(&mut self, program: io::Result<Program>, subject: &str) -> Result<Started, Ended> {
        let mut trace = self.entry.trace();
        let started = match program {
            Ok(program) => program.start(&mut trace).await,
            Err(error) => Err(error),
        };
        let running = match started {
            Ok(running) => running,
            Err(error) => return Err(self.not_started(subject, &error)),
        };
        self.entry.leader = trace.leader;
        crash::point("work.started");
        Ok(Started { running, trace, began: Instant::now() })
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
        time: Time,
        orders: &mut Orders,
        reading: impl Future<Output = ()>,
        (over, said_all): (&CancellationToken, &CancellationToken),
    ) -> (HowItEnded, Duration) {
        let journal = async {
            if let Err(error) = self.runner.journal.write(&self.entry).await {
                // The mark in its environment finds the process as well.
                warn!("The journal does not know the process of attempt {}: {error}", self.entry.attempt.attempt_id);
            }
        };
        let Running { child, meter, bridge, .. } = &mut started.running;
        let allowance = Allowance { time, meter };
        let attended = process::attend(child, &started.trace, allowance, orders, &self.runner.limits, reading, (over, said_all));
        let (end, ()) = tokio::join!(while_it_reaches(bridge.as_mut(), &self.log, attended), journal);
        self.log.say_what_is_missing().await;
        (end, started.began.elapsed())
    }

    async fn pump(&self, pipe: Option<impl AsyncRead + Unpin>, stream: LogStream, over: &CancellationToken) {
        if let Some(pipe) = pipe {
            pump(pipe, stream, (&self.log, &Secrets::default()), over).await;
        }
    }

    async fn announce(&self, checkout: &Checkout, doing: &Doing<'_>) {
        let (base_commit, branch) = (checkout.base_commit.clone(), checkout.branch.clone());
        let start = base_commit.get(..12).unwrap_or(&base_commit);
        let mut lines = format!("Fetched {} at {start}\nBranch {branch}", self.entry.repository);
        let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
        let submodules = |of: &Checkout, around: &str| {
            let each = of.submodules.iter();
            each.map(|one| format!("\nSubmodule {around}{} at {}", shown(&one.path), short(&one.commit))).collect::<String>()
        };
        lines.push_str(&submodules(checkout, ""));
        for Beside { name, repository, worktree, .. } in &self.entry.beside {
            let Some(own) = worktree else { continue };
            lines.push_str(&format!("\nFetched {repository} at {}, into ../more/{name}", short(&own.base_commit)));
            lines.push_str(&submodules(own, &format!("../more/{name}/")));
        }
        if !self.assignment.failed_checks.is_empty() {
            let count = self.assignment.failed_checks.len();
            lines.push_str(&format!("\nChecks that failed in the attempt before: {count}, in the file $MUSTER_FAILED_CHECKS"));
        }
        let line: String = doing.line().chars().take(SHOWN_COMMAND).collect();
        let model = match doing {
            Doing::Script(_) => NetworkList::nothing(),
            Doing::Agent { found, .. } => agent::hosts(found, &self.assignment, &self.runner.config.agents.environment),
        };
        lines.push_str(&format!("\n{}\n{}", self.room.about(doing.guest(), &model), line.trim_end()));
        let continues = self.goes_on.as_ref().map(|kept| kept.attempt.number);
        if let Some(earlier) = continues {
            lines.push_str(&format!("\nGoes on from attempt {earlier}, which was interrupted"));
        }
        self.tell(Said::Started { base_commit, branch, continues });
        self.log.say(&lines).await;
    }

    /// What there is to say of how it ended before it is asked itself.
    async fn judge(
        &self,
        end: HowItEnded,
        (made, bridge, meter): (Made, Option<&Bridge>, &Meter),
        subject: &str,
        took: Duration,
    ) -> (Option<Judged>, Option<i32>) {
        let seconds = took.as_secs_f64();
        match end {
            Ok(Ok(End::Exited(status))) if made.fails(status, bridge) => {
                (Some(Judged::Ended(no_sandbox("the sandbox could not be made; the end of the log says why"))), None)
            }
            Ok(Ok(End::Exited(status))) => {
                let how = process::how_it_ended(status);
                self.log.say(&format!("{} {how} after {seconds:.1} s", capitalized(subject))).await;
                let overrun = meter.run_into(Some(status));
                if let Some(overrun) = overrun {
                    self.log.say(&format!("Meanwhile it {overrun}")).await;
                }
                if status.success() {
                    return (None, status.code());
                }
                (Some(Judged::Failed(format!("{subject} {}", process::why_it_ended(status, overrun)))), status.code())
            }
            Ok(Ok(End::SaidAll)) => {
                self.log.say(&format!("{} had said all, and was ended after {seconds:.1} s", capitalized(subject))).await;
                (None, None)
            }
            Ok(Ok(End::TimedOut)) => {
                self.log.say(&format!("Ended after {seconds:.1} s: the task allows {} s", self.assignment.timeout_seconds)).await;
                (Some(Judged::Ended(Ended::TimedOut)), None)
            }
            Ok(Ok(End::TookTooMuch(overrun))) => {
                self.log.say(&format!("Ended after {seconds:.1} s: {subject} {overrun}")).await;
                let failure = Failure::new(FailureCode::CommandFailed, format!("{subject} {overrun}, and was ended"));
                (Some(Judged::Ended(Ended::Failed(failure))), None)
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

    /// Of work that ended with an error: its own, or that of somebody who wants it to come back later. What a person has to decide about is not
    /// done again because of a file.
    async fn told_to_wait(&self, failure: Failure) -> Failure {
        if !matches!(failure.code, FailureCode::CommandFailed | FailureCode::ProviderLimit) {
            return failure;
        }
        match retry_after::read(&AttemptFolder::of(&self.entry.folder).left()) {
            Ok(None) => failure,
            Ok(Some(seconds)) => {
                let message = format!("{}, and was told to come back after {seconds} s", failure.message);
                Failure { retry_after_seconds: Some(seconds), ..Failure::new(FailureCode::ProviderLimit, message) }
            }
            Err(why) => {
                self.log.say(&format!("What is in $MUSTER_RETRY_AFTER does not count: {why}")).await;
                failure
            }
        }
    }
}

/// What a program says of how it went is not all of it when it had not what it wanted.
fn with_overrun(failure: Failure, overrun: Option<Overrun>) -> Failure {
    match overrun {
        Some(overrun) => Failure { message: format!("{}; meanwhile it {overrun}", failure.message), ..failure },
        None => failure,
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
