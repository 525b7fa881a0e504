//! Judges: an agent that did not do the work reads what it has come to, and says whether that passes.
//!
//! It runs after the work's processes are gone and once everything else has passed that has to, in a sandbox whatever the work ran in, with
//! a home and a session that nobody else has seen. It can write nothing of the work: that is shown to it read-only, or not at all, and
//! whatever it asks leave for is denied. It may use what an attempt may use, and reach what agents reach. What it says counts as one block
//! that begins with a word of this judgement's own, made only now, so that nothing which was written before can hold it. Without that the
//! check is an error: nothing passes because nobody has judged it.

mod words;

use std::{io, path::Path, pin::pin, process::ExitStatus, sync::Arc, time::Duration};

use domain::{
    AgentTerms, CheckKind, CheckSpec, CheckStatus, Failure, FailureCode, Isolation, LogStream, SessionEventKind,
    judgement::{self, Judgement, Ruling, Verdict},
    session::kept_text,
};
use rand::distr::{Alphanumeric, SampleString};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Checked, Interrupted, Verification};
use crate::{
    attempt::{
        conversation::{self, Hearing, Partner},
        folder::AttemptFolder,
        questions::Asker,
    },
    backend::{
        Dialogue, Spent,
        agent::{self, Begun, Manner},
        environment::Place,
        found::Found,
        question::Leave,
    },
    disk::on_disk,
    folders::remove,
    git::GitError,
    held::{Order, Orders},
    log::pump::pump,
    network::bridge::while_it_reaches,
    process::{self, Allowance, End, MARKER},
    sandbox::{Guest, Overrun, Program, Room, Running, TMP},
    save::{self, Change, SaveError, Stand},
    session::{Session, Written, judging::Judging, secrets::Secrets},
    tellings::tellings,
};

/// Characters of the word by which a verdict is known.
const NONCE: usize = 24;
/// Millionths of a dollar in a cent.
const MICROS: u64 = 10_000;

/// What the judges of one round share.
pub(super) struct Bench<'a> {
    /// How far the session of the attempt has come.
    written: &'a mut Written,
    /// What they judge, or why nobody can, once somebody has looked.
    change: Option<Result<Arc<Change>, String>>,
    /// What they have cost so far, in millionths of a dollar. One that has not said it has cost all that it might.
    pub spent_micros: u64,
}

impl<'a> Bench<'a> {
    pub fn new(written: &'a mut Written) -> Self {
        Self { written, change: None, spent_micros: 0 }
    }

    /// How the work stood that they were shown, where there was something to be shown.
    pub fn judged(&self) -> Option<Vec<Stand>> {
        let change = self.change.as_ref()?.as_ref().ok()?;
        (!change.touched.text.is_empty()).then(|| change.stands.clone())
    }
}

/// How a judge's time ended.
enum Ended {
    /// By itself, or with everything said; and the limit that it has run into meanwhile.
    Whole(Option<ExitStatus>, Option<Overrun>),
    TimedOut,
    TookTooMuch(Overrun),
    /// It was asked, and nobody knows what became of it.
    Lost(String),
    /// It could not be asked.
    NotAsked(String),
}

fn not_judged(why: &str) -> Checked {
    Checked::new(CheckStatus::Error, format!("not judged: {why}"))
}

impl Verification<'_> {
    pub(super) async fn judge(
        &self,
        (index, spec): (usize, &CheckSpec),
        time: Duration,
        orders: &mut Orders,
        bench: &mut Bench<'_>,
    ) -> Result<Checked, Interrupted> {
        let began = Instant::now();
        let found = match agent::judge(spec, self.judges.agents) {
            Ok(found) => found,
            Err(why) => return Ok(not_judged(&why)),
        };
        let max_cost_cents = may_cost(spec.judge.max_cost_cents, self.judges.money.map(|all| all.saturating_sub(bench.spent_micros)));
        if max_cost_cents == Some(0) {
            return Ok(not_judged("the attempt has cost all that the task may cost"));
        }
        let room = match self.room_of_a_judge().await {
            Ok(room) => room,
            Err(failure) => return Ok(not_judged(&format!("it would run in a sandbox, and {}", failure.message))),
        };
        let change = match self.change(bench, time, orders).await? {
            Ok(change) => change,
            Err(checked) => return Ok(checked),
        };
        if change.touched.text.is_empty() {
            return Ok(Checked::new(CheckStatus::Failed, "nothing was changed, so there is nothing to judge"));
        }
        let reads = spec.kind == CheckKind::Review;
        if change.is_cut && !reads {
            let most = save::SHOWN / 1024;
            return Ok(not_judged(&format!("the change is longer than the {most} KiB that a model is shown; have it reviewed")));
        }
        if change.large > 0 && !reads {
            return Ok(not_judged("the change has files that Git LFS keeps, of which no diff shows anything; have it reviewed"));
        }
        if change.is_cut && change.touched.is_cut {
            // the work chooses names, and git sorts by them
            let (most, names) = (save::SHOWN / 1024, save::LISTED / 1024);
            let why = format!("the change is longer than the {most} KiB that a judge is shown, and the list of its files than {names} KiB");
            return Ok(not_judged(&format!("{why}: nobody would know what to read; divide the task")));
        }
        if change.commits.is_cut {
            let most = save::SHOWN / 1024;
            let why =
                format!("the commits that the work has made, all of which land, are longer than the {most} KiB that a judge is shown");
            return Ok(not_judged(&format!("{why}; have it leave its change in one commit, or uncommitted")));
        }
        if let Err(error) = self.make_room_for_a_home(index + 1).await {
            return Ok(not_judged(&format!("what lies where its home is to be cannot be removed: {error}")));
        }
        let nonce = Alphanumeric.sample_string(&mut rand::rng(), NONCE);
        let words = words::words(spec, self.assignment, &change, &nonce);
        let place = Place {
            room: &room,
            guest: Guest::Judge { round: self.round, number: index + 1, reads },
            folder: &self.entry.folder,
            worktree: if reads { &self.checkout.path } else { Path::new(TMP) },
            identity: self.identity,
        };
        let turns = found.counts_turns().then(|| spec.judge.turns(spec.kind));
        let terms = AgentTerms {
            backend: Some(found.backend.clone()),
            model: spec.judge.model.clone(),
            max_turns: turns,
            max_cost_cents,
            ..AgentTerms::default()
        };
        let leave = if reads { Leave::Look } else { Leave::Speak };
        let manner = Manner { terms: &terms, leave, session: None, spent: Spent::default() };
        let Begun { program, lines, mut dialogue } = match agent::begin(found, &words, manner, self.assignment, place, self.judges.given) {
            Ok(begun) => begun,
            Err(error) => return Ok(not_judged(&format!("{} could not be started: {error}", found.backend.title()))),
        };
        self.log.say(&format!("{} judges what was changed", found.backend.title())).await;
        let attempt = self.entry.attempt.attempt_id;
        let mut session = Session {
            attempt,
            outbox: self.judges.outbox,
            log: self.log,
            orders: orders.clone(),
            written: std::mem::take(bench.written),
            judge: Some(Judging::new(self.round, index + 1, found, Secrets::of(self.judges.given))),
        };
        session.add(vec![SessionEventKind::Prompt { text: kept_text(&words), by: None }]).await;
        let left = time.saturating_sub(began.elapsed());
        let ended = self.hear((found, &room), (program, lines), dialogue.as_mut(), &mut session, left, orders).await;
        let Session { written, judge, .. } = session;
        *bench.written = written;
        let said = dialogue.verdict(match &ended {
            Ok(Ended::Whole(status, _)) => *status,
            _ => None,
        });
        let Some(judging) = judge else { return Ok(not_judged("nobody has listened")) };
        let ended = ended?;
        bench.spent_micros = bench.spent_micros.saturating_add(cost(&ended, judging.judgement().cost_micros, max_cost_cents));
        let checked = ruling(spec, time, ended, said, &judging, &nonce);
        Ok(without(&judging.secrets, checked))
    }

    /// What the work has changed, looked at once for all judges of a round; or why it is not judged. Who looks takes of the check's time.
    async fn change(
        &self,
        bench: &mut Bench<'_>,
        time: Duration,
        orders: &mut Orders,
    ) -> Result<Result<Arc<Change>, Checked>, Interrupted> {
        let looked = match bench.change.take() {
            Some(looked) => looked,
            None => match Box::pin(self.look(time, orders)).await {
                Ok(change) => Ok(Arc::new(change)),
                Err(SaveError::Git(GitError::GivenUp)) => {
                    if let order @ (Order::Cancel | Order::Abandon(_)) = orders.current() {
                        return Err(Interrupted::Told(order));
                    }
                    let why = format!("not judged: it took longer than {} seconds to find out what was changed", time.as_secs());
                    return Ok(Err(Checked::new(CheckStatus::TimedOut, why)));
                }
                Err(error) => Err(format!("what was changed cannot be shown: {error}")),
            },
        };
        Ok(bench.change.insert(looked).clone().map_err(|why| not_judged(&why)))
    }

    async fn look(&self, time: Duration, orders: &mut Orders) -> Result<Change, SaveError> {
        let give_up = CancellationToken::new();
        let git = self.git.for_attempt((MARKER, self.entry.attempt.attempt_id.to_string()), give_up.clone());
        let reads = self.assignment.checks.iter().any(|check| check.kind == CheckKind::Review);
        let mut looking = pin!(orders.or_give_up(&give_up, save::change(&git, self.room, self.entry, reads)));
        let in_time = tokio::time::timeout(time, &mut looking).await;
        match in_time {
            Ok(looked) => looked,
            Err(_) => {
                give_up.cancel();
                looking.await
            }
        }
    }

    /// That of the work where it has one: whoever judges has its control group, and a room of its own would take that along when it goes.
    async fn room_of_a_judge(&self) -> Result<Room, Failure> {
        match self.room {
            Room::Closed(_) => Ok(self.room.clone()),
            Room::Open => self.judges.sandbox.room(Isolation::Sandbox, self.entry).await,
        }
    }

    /// Work without a sandbox could have put something there, settings of the judge among it.
    async fn make_room_for_a_home(&self, number: usize) -> io::Result<()> {
        let folder = AttemptFolder::of(&self.entry.folder).of_judge(self.round, number);
        on_disk(move || remove(&folder)).await
    }

    /// Until nothing of it is left.
    async fn hear(
        &self,
        (found, room): (&Found, &Room),
        (program, lines): (Program, Vec<String>),
        dialogue: &mut dyn Dialogue,
        session: &mut Session<'_>,
        time: Duration,
        orders: &mut Orders,
    ) -> Result<Ended, Interrupted> {
        if let order @ (Order::Cancel | Order::Abandon(_)) = orders.current() {
            return Err(Interrupted::Told(order));
        }
        let mut trace = self.entry.trace();
        // whatever the work ran in
        (trace.in_sandbox, trace.group) = (true, room.group().map(Path::to_owned));
        let Running { mut child, made, meter, mut bridge } = match program.start(&mut trace).await {
            Ok(running) => running,
            Err(error) => return Ok(Ended::NotAsked(format!("{} could not be started: {error}", found.backend.title()))),
        };
        let (over, said_all) = (CancellationToken::new(), CancellationToken::new());
        let (outbox, backend) = (self.judges.outbox, found.backend.clone());
        let asker = Asker { attempt: session.attempt, outbox, isolation: Isolation::Sandbox, backend };
        // what people say is for the agent that works
        let (_nobody, nothing) = tellings();
        let mut hearing = Hearing::new(nothing);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let secrets = Secrets::of(self.judges.given);
        let reading = async {
            let partner = Partner { dialogue, session, asker, heard: vec![], noting: None };
            let talk = conversation::converse((stdin, stdout), lines, partner, &mut hearing, (&over, &said_all));
            let errors = async {
                if let Some(stderr) = stderr {
                    pump(stderr, LogStream::Stderr, (self.log, &secrets), &over).await;
                }
            };
            tokio::join!(talk, errors);
        };
        let allowance = Allowance { time: time.into(), meter: &meter };
        let attended = process::attend(&mut child, &trace, allowance, orders, self.limits, reading, (&over, &said_all));
        let end = while_it_reaches(bridge.as_mut(), self.log, attended).await?;
        Ok(match end {
            Ok(End::Exited(status)) if made.fails(status, bridge.as_ref()) => Ended::NotAsked("the sandbox could not be made".into()),
            Ok(End::Exited(status)) => Ended::Whole(Some(status), meter.run_into(Some(status))),
            Ok(End::SaidAll) => Ended::Whole(None, meter.run_into(None)),
            Ok(End::TimedOut) => Ended::TimedOut,
            Ok(End::TookTooMuch(overrun)) => Ended::TookTooMuch(overrun),
            Ok(End::Told(order)) => return Err(Interrupted::Told(order)),
            Err(error) => Ended::Lost(format!("it could not be waited for: {error}")),
        })
    }
}

/// What one judgement may cost in cents, when there is an end: what its check says, and what all of them have left of what the task may cost.
fn may_cost(own: Option<u32>, left_micros: Option<u64>) -> Option<u32> {
    let left = left_micros.map(|micros| u32::try_from(micros / MICROS).unwrap_or(u32::MAX));
    own.into_iter().chain(left).min()
}

/// In millionths of a dollar. One that was asked and has not said it has cost all that it might, however it ended.
fn cost(ended: &Ended, said: Option<u64>, most_cents: Option<u32>) -> u64 {
    match ended {
        Ended::NotAsked(_) => 0,
        Ended::Whole(..) | Ended::TimedOut | Ended::TookTooMuch(_) | Ended::Lost(_) => {
            said.or_else(|| most_cents.map(|cents| u64::from(cents) * MICROS)).unwrap_or(0)
        }
    }
}

/// Also where a judge has spelled a value in its verdict so that only whoever reads that finds it.
fn without(secrets: &Secrets, mut checked: Checked) -> Checked {
    let clean = |text: &mut String| secrets.out_of(text);
    clean(&mut checked.output);
    if let Some(verdict) = checked.judgement.as_mut().and_then(|judgement| judgement.verdict.as_mut()) {
        verdict.reasons.iter_mut().for_each(clean);
        verdict.findings.iter_mut().flat_map(|one| [&mut one.file, &mut one.message]).for_each(clean);
    }
    checked
}

/// What comes of all that a judge has said, and of how it went. `said` is what its own last message says of its end.
fn ruling(spec: &CheckSpec, time: Duration, ended: Ended, said: Result<(), Failure>, judging: &Judging, nonce: &str) -> Checked {
    let judged = judging.judgement();
    let seconds = time.as_secs();
    let read = match ended {
        Ended::NotAsked(why) => return not_judged(&why),
        Ended::TimedOut => {
            let output = format!("not judged: ended, as it took longer than {seconds} seconds");
            return Checked { judgement: Some(judged), ..Checked::new(CheckStatus::TimedOut, output) };
        }
        Ended::TookTooMuch(overrun) => Err(format!("it {overrun}, and was ended")),
        Ended::Lost(why) => Err(why),
        Ended::Whole(_, overrun) => read(spec, said, judging, nonce).map_err(|why| match overrun {
            Some(overrun) => format!("{why}; meanwhile it {overrun}"),
            None => why,
        }),
    };
    match read {
        Err(why) => Checked { judgement: Some(judged), ..not_judged(&why) },
        Ok(verdict) => {
            let passes = verdict.passes(&spec.judge);
            let mut output = verdict.in_words();
            if let (false, Ruling::Pass, Some(least)) = (passes, verdict.verdict, spec.judge.at_least) {
                output.push_str(&format!("[it has to be at least {least} % sure]\n"));
            }
            let status = if passes { CheckStatus::Passed } else { CheckStatus::Failed };
            Checked { judgement: Some(Judgement { verdict: Some(verdict), ..judged }), ..Checked::new(status, output) }
        }
    }
}

fn read(spec: &CheckSpec, said: Result<(), Failure>, judging: &Judging, nonce: &str) -> Result<Verdict, String> {
    // that it was denied what it has asked for is as it should be
    if let Some(failure) = said.err().filter(|failure| failure.code != FailureCode::AgentDenied) {
        return Err(judgement::briefly(&failure.message));
    }
    if spec.kind == CheckKind::Model && judging.tool_calls > 0 {
        return Err("it was to answer without any tools, and has used one".into());
    }
    let words = judging.words().ok_or("it has said far more than a judge has to say")?;
    judgement::read(words, nonce).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use domain::{Backend, JudgeTerms, judgement::opening};

    use super::*;

    const WORD: &str = "own-word";

    fn judging(kinds: &[SessionEventKind]) -> Judging {
        let (backend, version) = (Backend::ClaudeCode, "2.1".into());
        let found = Found { backend, version, program: "/c".into(), needs: "/c".into(), manifest: None, is_simple: false };
        let mut judging = Judging::new(1, 1, &found, Secrets::default());
        kinds.iter().for_each(|kind| judging.note(kind));
        judging
    }

    fn says(word: &str, verdict: &str) -> SessionEventKind {
        let json = format!(r#"{{"verdict": "{verdict}", "confidence": 70, "reasons": ["because"]}}"#);
        SessionEventKind::Message { text: format!("I have read it.\n{}\n{json}\n```", opening(word)) }
    }

    fn came(kind: CheckKind, kinds: &[SessionEventKind], said: Result<(), Failure>) -> (CheckStatus, String) {
        let judge = JudgeTerms { at_least: Some(60), ..JudgeTerms::default() };
        let spec = CheckSpec { judge, ..CheckSpec::new(kind, None) };
        let verdict = ruling(&spec, Duration::from_secs(9), Ended::Whole(None, None), said, &judging(kinds), WORD);
        (verdict.status, verdict.output)
    }

    #[test]
    fn a_verdict_decides_and_without_one_nothing_passes() {
        use CheckStatus::{Error, Failed, Passed};
        let review = |kinds: &[SessionEventKind]| came(CheckKind::Review, kinds, Ok(())).0;
        assert_eq!(review(&[says(WORD, "pass")]), Passed);
        assert_eq!(review(&[says(WORD, "fail")]), Failed);
        assert_eq!(review(&[]), Error);
        assert_eq!(review(&[says("another-word", "pass")]), Error);
        assert_eq!(review(&[says("another-word", "pass"), says(WORD, "fail")]), Failed);
        assert_eq!(review(&[says(WORD, "fail"), says(WORD, "pass")]), Error, "it has changed its mind");
        let output = |text: &str| SessionEventKind::ToolResult { call: "a".into(), output: text.into(), is_error: false };
        let SessionEventKind::Message { text } = says(WORD, "pass") else { panic!() };
        assert_eq!(review(&[output(&text)]), Error, "what a tool says is not what the judge says");
    }

    #[test]
    fn how_it_went_counts_before_what_it_said() {
        let passes = [says(WORD, "pass")];
        let failed = |code| Err(Failure::new(code, "its turns are used up"));
        let capped = came(CheckKind::Review, &passes, failed(FailureCode::AgentCapped));
        assert_eq!(capped, (CheckStatus::Error, "not judged: its turns are used up".to_owned()));
        assert_eq!(came(CheckKind::Review, &passes, failed(FailureCode::AgentDenied)).0, CheckStatus::Passed);
        let call = SessionEventKind::ToolCall { call: "a".into(), tool: "Read".into(), input: serde_json::json!({}) };
        let looks = [call, says(WORD, "pass")];
        assert_eq!(
            [CheckKind::Review, CheckKind::Model].map(|kind| came(kind, &looks, Ok(())).0),
            [CheckStatus::Passed, CheckStatus::Error]
        );
    }

    #[test]
    fn one_that_wants_more_than_it_may_have_has_not_judged_and_the_limit_is_said() {
        let (spec, overrun) = (CheckSpec::new(CheckKind::Review, None), Overrun::Processes(8));
        let came = |ended, kinds: &[SessionEventKind]| {
            let checked = ruling(&spec, Duration::ZERO, ended, Ok(()), &judging(kinds), WORD);
            (checked.status, checked.output)
        };
        let limit = "wanted more than 8 processes and threads (the runner's MUSTER_SANDBOX_PROCESSES)";
        let passes = [says(WORD, "pass")];
        let ended = came(Ended::TookTooMuch(overrun), &passes);
        assert_eq!(ended, (CheckStatus::Error, format!("not judged: it {limit}, and was ended")), "whatever it had said");
        let (status, output) = came(Ended::Whole(None, Some(overrun)), &[]);
        assert!(status == CheckStatus::Error && output.ends_with(&format!("; meanwhile it {limit}")), "{output}");
        assert_eq!(came(Ended::Whole(None, Some(overrun)), &passes).0, CheckStatus::Passed, "what it called was refused, and it went on");
    }

    #[test]
    fn whoever_was_asked_has_cost_something() {
        let all = [Ended::Whole(None, None), Ended::TimedOut, Ended::TookTooMuch(Overrun::Processes(8)), Ended::Lost("gone".into())];
        for ended in &all {
            assert_eq!([cost(ended, Some(1300), Some(3)), cost(ended, None, Some(3)), cost(ended, None, None)], [1300, 30_000, 0]);
        }
        assert_eq!(cost(&Ended::NotAsked("gone".into()), None, Some(3)), 0);
    }

    #[test]
    fn one_that_is_not_sure_enough_says_so() {
        let judge = JudgeTerms { at_least: Some(71), ..JudgeTerms::default() };
        let spec = CheckSpec { judge, ..CheckSpec::new(CheckKind::Review, None) };
        let verdict = ruling(&spec, Duration::ZERO, Ended::Whole(None, None), Ok(()), &judging(&[says(WORD, "pass")]), WORD);
        assert_eq!(verdict.status, CheckStatus::Failed);
        assert_eq!(verdict.output, "Passes, 70 % sure.\n- because\n[it has to be at least 71 % sure]\n");
        let late = ruling(&spec, Duration::from_secs(9), Ended::TimedOut, Ok(()), &judging(&[says(WORD, "pass")]), WORD);
        assert_eq!((late.status, late.judgement.unwrap().verdict), (CheckStatus::TimedOut, None));
    }
}
