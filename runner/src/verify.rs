//! Runs an attempt's checks, after its work's processes are gone. What is checked comes from the assignment, and what `auto` runs
//! from the project's files at the base commit: never from a file that the work could have changed.
//!
//! What is checked was taken before, and lands as it was taken: see [`save::take`]. What is looked up comes first, before a check runs anything of the
//! work's, and is looked up in that. Then come the commands, in order, whatever came of those before; each leaves nothing running behind, and what it
//! has changed of what was taken is put back. Judges come last, and nobody asks them while something did not pass that has to; see [`judge`].

mod counted;
mod detect;
mod file;
mod judge;
mod output;

use std::{ffi::OsString, sync::Arc, time::Duration};

use domain::{CheckKind, CheckResult, CheckSpec, CheckStatus, Judgement, VerificationReport, check::AUTO, protocol::Assignment};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Limits,
    backend::{environment::Place, found::Found, identity::Identity, shell},
    clock,
    git::{Git, GitError},
    held::{Order, Orders},
    journal::{Checkout, Entry},
    log::Log,
    network::bridge::while_it_reaches,
    outbox::Outbox,
    process::{self, Allowance, End, Survivors},
    sandbox::{Guest, Room, Running, Sandbox},
    save::{self, SaveError, Stand, Taken},
    session::Written,
    worktree,
};
use judge::Bench;
use output::{Output, collect, fit};

/// Files that a line of the log names.
const NAMED: usize = 10;

/// What the checks of one attempt need to know.
pub(crate) struct Verification<'a> {
    pub assignment: &'a Assignment,
    pub entry: &'a Entry,
    pub checkout: &'a Checkout,
    /// What there was when its work had ended: what is to be proven.
    pub taken: &'a [Taken],
    pub limits: &'a Limits,
    pub git: &'a Git,
    pub log: &'a Log,
    pub room: &'a Room,
    pub identity: &'a Identity,
    /// From 1: each round's checks have homes of their own.
    pub round: i32,
    /// For all of them together.
    pub time: Duration,
    pub judges: Judges<'a>,
}

/// What it takes to have something judged.
pub(crate) struct Judges<'a> {
    pub sandbox: &'a Arc<Sandbox>,
    pub agents: &'a [Found],
    /// What agents are given of the runner's environment.
    pub given: &'a [(OsString, OsString)],
    pub outbox: &'a Outbox,
    /// What all of them together may cost, in millionths of a dollar. Without an end when absent.
    pub money: Option<u64>,
}

/// What came of it.
pub(crate) struct Verified {
    pub report: VerificationReport,
    /// What its judges have cost, in millionths of a dollar, as far as that can be known.
    pub judged_micros: u64,
    /// How the work stood when it was judged.
    pub judged: Option<Vec<Stand>>,
    /// What its checks have made of the worktree was put back, so that the work can go on with it.
    pub is_as_taken: bool,
}

/// Why there is no report.
pub(crate) enum Interrupted {
    Told(Order),
    Survivors(Survivors),
}

impl From<Survivors> for Interrupted {
    fn from(survivors: Survivors) -> Self {
        Self::Survivors(survivors)
    }
}

/// How one check went.
struct Checked {
    status: CheckStatus,
    output: String,
    /// What `auto` chose.
    command: Option<String>,
    judgement: Option<Judgement>,
}

impl Checked {
    fn new(status: CheckStatus, output: impl Into<String>) -> Self {
        Self { status, output: output.into(), command: None, judgement: None }
    }
}

impl Verification<'_> {
    /// What judges say and do goes into the session of the attempt.
    pub async fn run(&self, orders: &mut Orders, session: &mut Written) -> Result<Verified, Interrupted> {
        let (started_at, started) = (clock::now(), Instant::now());
        let specs = &self.assignment.checks;
        let (judges, others): (Vec<_>, Vec<_>) = specs.iter().enumerate().partition(|(_, spec)| spec.kind.is_judge());
        let (commands, looked_up): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, spec)| runs_a_command(spec.kind));
        // why there is nothing to check any more
        let mut altered: Option<String> = None;
        let mut bench = Bench::new(session);
        let mut done: Vec<(usize, CheckResult)> = Vec::with_capacity(specs.len());
        for (index, spec) in looked_up.into_iter().chain(commands).chain(judges) {
            let began = Instant::now();
            let left = self.time.saturating_sub(started.elapsed());
            let checked = if spec.kind.is_judge() && something_stands_before(&done) {
                Checked::new(CheckStatus::Skipped, "not judged, as not all other checks have passed that have to")
            } else if left.is_zero() {
                let seconds = self.limits.verification.as_secs();
                Checked::new(CheckStatus::Error, format!("not run: the checks together took longer than {seconds} seconds"))
            } else if let Some(why) = &altered {
                Checked::new(CheckStatus::Error, format!("not run: {why}"))
            } else {
                let time = left.min(Duration::from_secs(spec.timeout_seconds.into()));
                self.check((index, spec), time, orders, &mut bench).await?
            };
            let duration_ms = milliseconds(began.elapsed());
            self.log.say(&line(index, specs.len(), spec, &checked, duration_ms)).await;
            if runs_a_command(spec.kind) && altered.is_none() {
                altered = self.put_back(index, orders).await?;
            }
            let Checked { status, output, command, judgement } = checked;
            done.push((index, CheckResult { spec: spec.clone(), status, output: fit(&output), command, duration_ms, judgement }));
        }
        done.sort_unstable_by_key(|(index, _)| *index);
        let checks = done.into_iter().map(|(_, check)| check).collect();
        let checked = self.taken.iter().filter_map(Taken::checked).collect();
        let report = VerificationReport { checks, started_at, duration_ms: milliseconds(started.elapsed()), checked };
        Ok(Verified { report, judged_micros: bench.spent_micros, judged: bench.judged(), is_as_taken: altered.is_none() })
    }

    /// What this check has changed of what was taken. Says why where that does not go: what would be checked then is not what lands.
    async fn put_back(&self, index: usize, orders: &mut Orders) -> Result<Option<String>, Interrupted> {
        let (give_up, number) = (CancellationToken::new(), index + 1);
        let git = self.git.for_attempt((process::MARKER, self.entry.attempt.attempt_id.to_string()), give_up.clone());
        match orders.or_give_up(&give_up, save::put_back(&git, self.room, self.entry, self.taken)).await {
            Ok(changed) if changed.is_empty() => Ok(None),
            Ok(changed) => {
                let what = named(&changed);
                self.log
                    .say(&format!("Check {number} has changed what is checked; it was put back, and is no part of the result: {what}"))
                    .await;
                Ok(None)
            }
            Err(SaveError::Git(GitError::GivenUp)) => Err(Interrupted::Told(orders.current())),
            Err(error) => {
                let why = format!("what check {number} has left where the work lies cannot be put back as it was taken: {error}");
                self.log.say(&format!("From here on nothing is checked, as {why}")).await;
                Ok(Some(why))
            }
        }
    }

    async fn check(
        &self,
        (index, spec): (usize, &CheckSpec),
        time: Duration,
        orders: &mut Orders,
        bench: &mut Bench<'_>,
    ) -> Result<Checked, Interrupted> {
        if let order @ (Order::Cancel | Order::Abandon(_)) = orders.current() {
            return Err(Interrupted::Told(order));
        }
        let target = spec.target.as_deref().unwrap_or_default();
        match spec.kind {
            CheckKind::FileExists => {
                let give_up = CancellationToken::new();
                let checked = orders.or_give_up(&give_up, self.file_exists(target, &give_up)).await;
                checked.ok_or_else(|| Interrupted::Told(orders.current()))
            }
            CheckKind::CommandSucceeds => self.command(index, target, time, orders).await,
            CheckKind::TestPasses if target.trim() == AUTO => self.automatic_test(index, time, orders).await,
            CheckKind::TestPasses => self.command(index, target, time, orders).await,
            CheckKind::GitClean => {
                let give_up = CancellationToken::new();
                let checked = orders.or_give_up(&give_up, self.git_clean(time, &give_up)).await;
                checked.ok_or_else(|| Interrupted::Told(orders.current()))
            }
            CheckKind::Review | CheckKind::Model => Box::pin(self.judge((index, spec), time, orders, bench)).await,
        }
    }

    async fn automatic_test(&self, index: usize, time: Duration, orders: &mut Orders) -> Result<Checked, Interrupted> {
        match detect::test_command(self.git, &self.entry.mirror, &self.checkout.base_commit).await {
            Ok(Some(command)) => {
                let checked = counted::or_nothing_ran(command, self.command(index, command, time, orders).await?);
                Ok(Checked { command: Some(command.to_owned()), ..checked })
            }
            Ok(None) => Ok(Checked::new(CheckStatus::Error, detect::NOTHING_FOUND)),
            Err(error) => Ok(Checked::new(CheckStatus::Error, format!("the project's files at the base commit cannot be read: {error}"))),
        }
    }

    async fn command(&self, index: usize, command: &str, time: Duration, orders: &mut Orders) -> Result<Checked, Interrupted> {
        let mut trace = self.entry.trace();
        let place = Place {
            room: self.room,
            guest: Guest::Check { round: self.round, number: index + 1 },
            folder: &self.entry.folder,
            worktree: &self.checkout.path,
            identity: self.identity,
        };
        let started = match shell::check(command, self.assignment, place) {
            Ok(program) => program.start(&mut trace).await,
            Err(error) => Err(error),
        };
        let Running { mut child, made, meter, mut bridge } = match started {
            Ok(running) => running,
            Err(error) => return Ok(Checked::new(CheckStatus::Error, format!("the command could not be started: {error}"))),
        };
        let (output, over) = (Output::default(), CancellationToken::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async {
            tokio::join!(collect(stdout, &output, &over), collect(stderr, &output, &over));
        };
        let never = CancellationToken::new();
        let allowance = Allowance { time: time.into(), meter: &meter };
        let attended = process::attend(&mut child, &trace, allowance, orders, self.limits, reading, (&over, &never));
        let end = while_it_reaches(bridge.as_mut(), self.log, attended).await?;
        let (status, reason) = match end {
            Ok(End::Exited(status)) if made.fails(status, bridge.as_ref()) => {
                (CheckStatus::Error, Some("the sandbox could not be made".to_owned()))
            }
            Ok(End::Exited(status)) if status.success() => (CheckStatus::Passed, None),
            Ok(End::Exited(status)) => {
                (CheckStatus::Failed, Some(format!("the command {}", process::why_it_ended(status, meter.run_into(Some(status))))))
            }
            Ok(End::TookTooMuch(overrun)) => (CheckStatus::Failed, Some(format!("ended, as the command {overrun}"))),
            Ok(End::SaidAll) => (CheckStatus::Error, Some("ended".to_owned())),
            Ok(End::TimedOut) => (CheckStatus::TimedOut, Some(format!("ended, as it took longer than {} seconds", time.as_secs()))),
            Ok(End::Told(order)) => return Err(Interrupted::Told(order)),
            Err(error) => (CheckStatus::Error, Some(format!("the command could not be waited for: {error}"))),
        };
        Ok(Checked::new(status, output.into_text(reason.as_deref())))
    }

    /// Nothing when it was cut short.
    async fn git_clean(&self, time: Duration, give_up: &CancellationToken) -> Option<Checked> {
        let outside = self.git.for_attempt((process::MARKER, self.entry.attempt.attempt_id.to_string()), give_up.clone());
        match self.git_status((&outside.inside(self.room), &outside), time).await {
            Ok(dirty) if dirty.is_empty() => Some(Checked::new(CheckStatus::Passed, "")),
            Ok(dirty) => Some(Checked::new(CheckStatus::Failed, dirty)),
            Err(GitError::GivenUp) => None,
            Err(error @ GitError::TimedOut(_)) => Some(Checked::new(CheckStatus::TimedOut, error.to_string())),
            Err(error) => Some(Checked::new(CheckStatus::Error, format!("git status failed: {error}"))),
        }
    }

    /// Of all repositories, one after the other.
    async fn git_status(&self, gits: (&Git, &Git), time: Duration) -> Result<String, GitError> {
        let (began, mut dirty) = (Instant::now(), vec![]);
        for part in self.entry.parts() {
            let Some(checkout) = &part.entry.worktree else { continue };
            let left = time.saturating_sub(began.elapsed());
            let status = status_of(gits, (&part.entry, checkout), left).await.map_err(|error| of_all(error, time))?;
            dirty.extend(status.lines().map(|line| part.says(line)));
        }
        Ok(dirty.join("\n"))
    }
}

/// What one of them took too long for is the time of all.
fn of_all(error: GitError, time: Duration) -> GitError {
    match error {
        GitError::TimedOut(_) => GitError::TimedOut(time),
        other => other,
    }
}

async fn status_of((git, outside): (&Git, &Git), (entry, checkout): (&Entry, &Checkout), time: Duration) -> Result<String, GitError> {
    let still = worktree::still(outside, entry, checkout).await?;
    worktree::restore(entry, checkout, &still).await?;
    save::status((git, outside), (entry, &still), time).await
}

/// Whether a check that runs or looks something up has not passed, though it has to.
fn something_stands_before(done: &[(usize, CheckResult)]) -> bool {
    let stands = |check: &CheckResult| !check.spec.kind.is_judge() && check.spec.required && check.status != CheckStatus::Passed;
    done.iter().any(|(_, check)| stands(check))
}

fn runs_a_command(kind: CheckKind) -> bool {
    matches!(kind, CheckKind::CommandSucceeds | CheckKind::TestPasses)
}

/// Some of them, and how many more there are.
fn named(changed: &[String]) -> String {
    let more = changed.len().saturating_sub(NAMED);
    let some = changed.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { some } else { format!("{some} and {more} more") }
}

fn line(index: usize, of: usize, spec: &CheckSpec, checked: &Checked, duration_ms: u64) -> String {
    let target = checked.command.as_ref().or(spec.target.as_ref()).map(|target| format!(" {target}")).unwrap_or_default();
    let seconds = duration_ms as f64 / 1000.0;
    let what = target.lines().next().unwrap_or_default();
    format!("Check {} of {of}, {}{what}: {} ({seconds:.1} s)", index + 1, spec.kind.name(), checked.status.name().replace('_', " "))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_over_is_that_of_the_check() {
        let said = of_all(GitError::TimedOut(Duration::ZERO), Duration::from_secs(60)).to_string();
        assert_eq!(said, "git took longer than 60 seconds");
    }

    #[test]
    fn of_many_files_some_are_named() {
        let files = |count: usize| (1..=count).map(|number| format!("M {number}")).collect::<Vec<_>>();
        assert_eq!(named(&files(2)), "M 1, M 2");
        assert!(named(&files(NAMED + 2)).ends_with("M 10 and 2 more"), "{}", named(&files(NAMED + 2)));
    }
}
