//! What a runner says about its attempts, carried out together: one transaction for everything that it has said meanwhile.
//!
//! The rows of all tasks are locked first, with all that may follow. Then it is found, once, which attempts hold their tasks: what speaks
//! of another one is stale and has no part in the rest. What is left goes in rounds, in each of which an attempt appears once, so that a
//! task passes from state to state as if it had been told one by one. Transitions are decided in memory, by `domain`; each round saves
//! what it changed, and attempts, facts, reports and what follows are written at the end, in one statement each.
//!
//! A message has a number within its attempt. One that has had its effect is answered again and has no other; one that comes too early waits
//! for what is missing.
//!
//! A message that the transition refuses is refused by itself. What the database refuses rolls everything back, and then each message is
//! carried out alone, so that it hurts nobody but itself.

use std::collections::HashMap;

use domain::{
    AttemptId, AttemptKey, AttemptState, Backend, EventKind, Isolation, SessionEvent, Task, Timestamp, VerificationReport, WorkspaceId,
    approval::Asked,
    protocol::{Arrival, AttemptReport, NewArtifact, Telling, WorkOutcome},
};
use tracing::warn;

use super::{
    Verdict, finding, judge, lease_until, may_be_kept, overdue, predict, report_part, repository, session, store, telling, verification,
};
use crate::{
    Engine, Error, Result, RunnerSession,
    approval::asked::{self, NewQuestion},
    artifact,
    event::store::Fact,
    landing::{self, NewLanding},
    runner,
    task::{self, edge::Parent, followers, store::ChangedRow},
    tx::Tx,
};

/// What is said about an attempt.
pub(crate) struct Message<'a> {
    pub attempt: AttemptKey,
    /// The runner's own number for it; absent where it follows from something else.
    pub sequence: Option<u64>,
    pub said: Said<'a>,
}

impl<'a> Message<'a> {
    /// What follows from something else than the runner's word about this attempt.
    pub fn inferred(attempt: AttemptKey, said: Said<'a>) -> Self {
        Self { attempt, sequence: None, said }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Said<'a> {
    /// The worktree is there and the work begins, or goes on from the earlier attempt with this number.
    Started { base_commit: &'a str, branch: &'a str, continues: Option<i32> },
    /// What the agent said and did.
    Session { events: &'a [SessionEvent] },
    /// Its agent asks for leave, and waits.
    Asks { question: i32, isolation: Isolation, backend: &'a Backend, asked: &'a Asked },
    /// It waits for that no longer.
    AsksNoMore { question: i32 },
    /// What it was told with this number has come to it.
    Heard { telling: i64 },
    /// The work's processes are gone and the checks run.
    Verifying,
    /// A part of the report that comes.
    Part { bytes: &'a [u8] },
    /// The checks did not pass, and the agent goes on.
    WorksAgain { round: i32, verification: &'a VerificationReport },
    /// The last word about it, and the bytes of log that came before.
    Report { report: &'a AttemptReport, log_end: u64 },
    /// The last word about it: there will be no result. With what it had changed.
    GivenUp { artifacts: &'a [NewArtifact] },
    /// Its runner came back without it.
    Lost,
    /// Its lease has run out; decided again under the lock, so that a heartbeat that arrives first wins.
    Expired,
    /// Its runner was stopped in order, or never began it: nobody is charged.
    GivenBack,
    /// No runner was told of it, as its model is pulled first.
    ModelFirst,
}

impl Said<'_> {
    /// Told by what a runner does not name, so it is only heard over the runner's newest link.
    fn is_told_by_absence(self) -> bool {
        matches!(self, Said::Lost | Said::GivenBack)
    }
}

/// How far the messages came, in their order: the outcome of each, and what kept the rest from being carried out.
pub(crate) struct Carried {
    pub outcomes: Vec<Result<()>>,
    pub then: Option<Error>,
}

impl Carried {
    /// For those who go on whatever came of each.
    pub(crate) fn all(self) -> Result<Vec<Result<()>>> {
        self.then.map_or(Ok(self.outcomes), Err)
    }
}

impl Engine {
    /// Carries out messages about attempts: of this runner, or of whichever was given them.
    pub(crate) async fn carry_out(&self, session: Option<&RunnerSession>, messages: &[Message<'_>]) -> Carried {
        match self.carry_out_together(session, messages).await {
            Ok(outcomes) => return Carried { outcomes, then: None },
            Err(error @ Error::Unavailable(_)) => return Carried { outcomes: vec![], then: Some(error) },
            Err(error) if messages.len() == 1 => return Carried { outcomes: vec![Err(error)], then: None },
            Err(error) => warn!("{} messages are carried out one by one, as one of them is refused: {error}", messages.len()),
        }
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in messages {
            match self.carry_out_together(session, std::slice::from_ref(message)).await {
                Ok(outcome) => outcomes.extend(outcome),
                Err(error @ Error::Unavailable(_)) => return Carried { outcomes, then: Some(error) },
                Err(error) => outcomes.push(Err(error)),
            }
        }
        Carried { outcomes, then: None }
    }

    async fn carry_out_together(&self, session: Option<&RunnerSession>, messages: &[Message<'_>]) -> Result<Vec<Result<()>>> {
        let mut outcomes: Vec<Result<()>> = messages.iter().map(|_| Err(Error::StaleLease)).collect();
        let mut tx = self.begin_system(session.map(RunnerSession::label)).await?;
        if let Some(session) = session
            && messages.iter().any(|message| message.said.is_told_by_absence())
            && !runner::store::lock_newest(&mut tx, session).await?
        {
            return Ok(outcomes);
        }
        let mut held = lock_held(&mut tx, session, messages).await?;
        if let Some(session) = session {
            answer_again(&mut tx, session, messages, &held, &mut outcomes).await?;
        }
        if held.is_empty() {
            return Ok(outcomes);
        }
        let mut written = Written::default();
        for round in rounds(messages) {
            let mut changed = vec![];
            for index in round {
                let message = &messages[index];
                let Some(one) = held.get_mut(&message.attempt) else { continue };
                outcomes[index] = one.hear(&tx, message, &mut written).map(|saved| changed.extend(saved));
            }
            task::store::save_all(&mut tx, &changed).await?;
        }
        let workspaces = held.values().map(|one| (one.key.attempt_id, one.task.workspace_id)).collect();
        let attempts: Vec<_> = held.into_values().map(|one| one.row).filter(store::AttemptRow::has_changed).collect();
        store::save_all(&mut tx, session, &attempts).await?;
        let lands = !written.landings.is_empty();
        let tellings = written.store(&mut tx, &workspaces).await?;
        let outcomes = tx.commit(outcomes).await?;
        if lands {
            self.hints.landings.notify_one();
        }
        if let Some(session) = session {
            tellings.into_iter().for_each(|telling| self.hub.tell(session.id(), telling));
        }
        Ok(outcomes)
    }
}

/// Everything else that a batch writes, in the order in which it was said.
#[derive(Default)]
struct Written<'a> {
    session: Vec<session::NewEvent>,
    asked: Vec<NewQuestion>,
    asked_no_more: Vec<(AttemptKey, i32)>,
    heard: Vec<(AttemptId, i64)>,
    attempts_ended: Vec<AttemptKey>,
    rounds: Vec<(WorkspaceId, AttemptId, i32, &'a VerificationReport)>,
    parts: Vec<report_part::NewPart<'a>>,
    reports: Vec<(WorkspaceId, AttemptKey, &'a AttemptReport)>,
    /// Without a report.
    left: Vec<(WorkspaceId, AttemptKey, &'a [NewArtifact])>,
    landings: Vec<NewLanding>,
    facts: Vec<Fact>,
    ended: Vec<Parent>,
    let_go: Vec<(WorkspaceId, String)>,
}

impl Written<'_> {
    /// With what the runner is to be told at once.
    async fn store(mut self, tx: &mut Tx, workspaces: &HashMap<AttemptId, WorkspaceId>) -> Result<Vec<Telling>> {
        let now = tx.now();
        let mut tellings = vec![];
        asked::insert(tx, &self.asked, &mut self.facts, &mut tellings).await?;
        let withdrawn = asked::withdraw(tx, &self.attempts_ended, &self.asked_no_more, workspaces).await?;
        self.facts.extend(withdrawn);
        telling::heard(tx, &self.heard).await?;
        session::insert(tx, &mut self.session, now).await?;
        verification::insert_rounds(tx, &self.rounds).await?;
        report_part::insert(tx, &self.parts).await?;
        let verifications: Vec<(WorkspaceId, AttemptKey, &VerificationReport)> = self
            .reports
            .iter()
            .filter_map(|(workspace, key, report)| Some((*workspace, *key, report.verification.as_ref()?)))
            // one that cannot be so is none, and no table takes it
            .filter(|(.., report)| report.is_sound())
            .collect();
        verification::insert_verifications(tx, &verifications).await?;
        let reported = self.reports.iter().map(|(workspace, key, report)| (*workspace, *key, report.artifacts.as_slice()));
        let artifacts: Vec<_> = reported
            .chain(self.left.iter().copied())
            .flat_map(|(workspace, key, artifacts)| artifacts.iter().map(move |new| (workspace, key, new)))
            .collect();
        artifact::insert(tx, &artifacts, now).await?;
        let results: Vec<_> =
            self.reports.iter().map(|(workspace, key, report)| (*workspace, *key, report.repositories.as_slice())).collect();
        repository::insert(tx, &results).await?;
        landing::store::ask(tx, &self.landings, now).await?;
        let findings: Vec<_> = self.reports.iter().map(|(workspace, key, report)| (*workspace, *key, report.findings.as_slice())).collect();
        finding::insert(tx, &findings).await?;
        let outputs: Vec<_> = self
            .reports
            .iter()
            .filter_map(|(_, key, report)| Some((key.task_id, report.output.as_ref().filter(|output| may_be_kept(output))?)))
            .collect();
        task::store::save_outputs(tx, &outputs).await?;
        tx.record_all(&self.facts).await?;
        task::release_below(tx, self.ended).await?;
        task::concurrency::release(tx, &self.let_go).await?;
        Ok(tellings)
    }
}

/// An attempt that holds its task, both as they stand after what was said so far.
struct Held {
    key: AttemptKey,
    task: Task,
    row: store::AttemptRow,
    lease_until: Timestamp,
    ends_by: Option<Timestamp>,
    renewable: bool,
    log_heard: u64,
}

impl Held {
    /// What a message changes of its task, if anything.
    fn hear<'a>(&mut self, tx: &Tx, message: &Message<'a>, written: &mut Written<'a>) -> Result<Option<ChangedRow>> {
        let Some(sequence) = message.sequence else { return self.take_in(tx, message.said, written) };
        match Arrival::of(sequence, self.row.heard) {
            Arrival::Again => return Ok(None),
            Arrival::TooEarly => return Err(Error::Missing),
            Arrival::Next => {}
        }
        let changed = self.take_in(tx, message.said, written)?;
        self.row.heard = sequence;
        Ok(changed)
    }

    fn take_in<'a>(&mut self, tx: &Tx, said: Said<'a>, written: &mut Written<'a>) -> Result<Option<ChangedRow>> {
        if self.row.state.is_final() {
            return Err(Error::StaleLease);
        }
        let now = tx.now();
        let attempt = self.key.number;
        match said {
            Said::Started { base_commit, branch, continues } => {
                self.only_in(AttemptState::Claimed)?;
                self.row.start(base_commit, branch, now, self.lease(now));
                // whatever a runner says, it is an earlier one
                self.row.continues = continues.filter(|earlier| (1..attempt).contains(earlier));
                written.facts.push(Fact::of(&self.task, EventKind::AttemptStarted { attempt }));
                Ok(None)
            }
            Said::Session { events } => {
                self.only_in(session::spoken_in(events)?)?;
                let (workspace, key) = (self.task.workspace_id, self.key);
                written.session.extend(events.iter().map(|event| session::NewEvent::new(workspace, key, event)));
                Ok(None)
            }
            Said::Asks { question, isolation, backend, asked } => {
                self.only_in(AttemptState::Running)?;
                let new = NewQuestion::new(&self.task, self.key, question, (isolation, backend), asked, now)?;
                written.facts.push(new.fact(&self.task));
                written.asked.push(new);
                Ok(None)
            }
            Said::AsksNoMore { question } => {
                written.asked_no_more.push((self.key, question));
                Ok(None)
            }
            Said::Heard { telling } => {
                written.heard.push((self.key.attempt_id, telling));
                Ok(None)
            }
            Said::Verifying => {
                self.only_in(AttemptState::Running)?;
                self.task = self.task.clone().verify()?;
                self.row.verify(self.lease(now));
                written.facts.push(Fact::of(&self.task, EventKind::AttemptVerifying { attempt }));
                Ok(Some(ChangedRow::of(&self.task)))
            }
            Said::WorksAgain { round, verification } => {
                self.only_in(AttemptState::Verifying)?;
                self.task = self.task.clone().work_again()?;
                self.row.work_again(self.lease(now));
                written.rounds.push((self.task.workspace_id, self.key.attempt_id, round, verification));
                let (checks_passed, checks) = (verification.passed(), verification.checks.len());
                written.facts.push(Fact::of(&self.task, EventKind::AttemptWorksAgain { attempt, round, checks_passed, checks }));
                Ok(Some(ChangedRow::of(&self.task)))
            }
            Said::Part { bytes } => {
                let sequence = self.row.heard + 1;
                written.parts.push(report_part::NewPart {
                    workspace: self.task.workspace_id,
                    attempt: self.key.attempt_id,
                    sequence,
                    bytes,
                });
                Ok(None)
            }
            Said::Report { log_end, .. } if log_end > self.log_heard => Err(Error::Missing),
            Said::Report { report, .. } => {
                let changed = self.end(tx, self.judged(report), report.verification.as_ref(), written)?;
                self.row.report(report);
                written.reports.push((self.task.workspace_id, self.key, report));
                let landings = NewLanding::of(&self.task, self.key, report);
                // one is asked for them all
                written.facts.extend(landings.first().map(NewLanding::fact));
                written.landings.extend(landings);
                Ok(Some(changed))
            }
            Said::GivenUp { artifacts } => {
                let changed = self.end(tx, self.lost("its runner gave it up"), None, written)?;
                written.left.push((self.task.workspace_id, self.key, artifacts));
                Ok(Some(changed))
            }
            Said::Lost => self.end(tx, self.lost("its runner came back without it"), None, written).map(Some),
            Said::Expired if self.lease_until >= now => Ok(None),
            Said::Expired => {
                tracing::info!(task.id = %self.task.id, attempt, "Attempt {attempt} of task {} lost its runner", self.task.id);
                self.end(tx, self.lost("its runner fell silent"), None, written).map(Some)
            }
            Said::GivenBack => self.end(tx, self.stuck().unwrap_or_else(Verdict::given_back), None, written).map(Some),
            Said::ModelFirst => self.end(tx, Verdict::model_first(), None, written).map(Some),
        }
    }

    /// From now on, unless it is renewed no more.
    fn lease(&self, now: Timestamp) -> Timestamp {
        if self.renewable { lease_until(now) } else { self.lease_until }
    }

    /// Its time was over and its runner was asked to end it, and nobody else had asked for that.
    fn is_overdue(&self) -> bool {
        self.ends_by.is_some() && self.task.state.stop().is_none()
    }

    /// Without a result.
    fn lost(&self, why: &str) -> Verdict {
        self.stuck().unwrap_or_else(|| Verdict::lost(why))
    }

    /// When its time was over, or it was taken from its runner: however that lets go of it then.
    fn stuck(&self) -> Option<Verdict> {
        if self.is_overdue() {
            return Some(Verdict::stuck(overdue(&self.task, self.row.state)));
        }
        (!self.renewable).then(|| Verdict::stuck("its runner did not end it when it was asked to".into()))
    }

    /// One that was ended because its time was over has not come to what its runner says then.
    fn judged(&self, report: &AttemptReport) -> Verdict {
        match &report.outcome {
            WorkOutcome::Cancelled if self.is_overdue() => Verdict::stuck(overdue(&self.task, self.row.state)),
            _ => judge(&self.task, report),
        }
    }

    fn only_in(&self, state: AttemptState) -> Result<()> {
        if self.row.state == state { Ok(()) } else { Err(Error::StaleLease) }
    }

    fn end(
        &mut self,
        tx: &Tx,
        verdict: Verdict,
        verification: Option<&VerificationReport>,
        written: &mut Written<'_>,
    ) -> Result<ChangedRow> {
        let now = tx.now();
        self.task = self.task.clone().attempt_ended(verdict.task, now, tx.luck())?;
        self.row.end(verdict.state, verdict.failure.clone(), now);
        written.attempts_ended.push(self.key);
        let kind = EventKind::AttemptEnded {
            attempt: self.key.number,
            state: verdict.state,
            failure: verdict.failure,
            checks_passed: verification.map_or(0, VerificationReport::passed),
            checks: verification.map_or(0, |report| report.checks.len()),
        };
        written.facts.push(Fact::of(&self.task, kind));
        let state = self.task.state.name();
        if state.is_final() {
            written.facts.push(Fact::of(&self.task, EventKind::TaskEnded { state, reason: self.task.state.reason() }));
            written.ended.push(Parent::of(&self.task));
        } else {
            written.facts.push(Fact::of(&self.task, EventKind::TaskRequeued { state }));
        }
        written.let_go.extend(self.task.concurrency.as_ref().map(|shared| (self.task.workspace_id, shared.key.clone())));
        Ok(ChangedRow::of(&self.task))
    }
}

/// The attempts among those spoken of that hold their tasks, with the tasks, all locked.
async fn lock_held(tx: &mut Tx, session: Option<&RunnerSession>, messages: &[Message<'_>]) -> Result<HashMap<AttemptKey, Held>> {
    let mut endings: HashMap<AttemptKey, followers::End> = HashMap::new();
    for message in messages {
        let known = endings.entry(message.attempt).or_insert(followers::End::None);
        if *known == followers::End::None {
            *known = predict(message.said);
        }
    }
    let endings: Vec<_> =
        endings.into_iter().map(|(key, end)| followers::Ending { task: key.task_id, attempt: Some(key.attempt_id), end }).collect();
    followers::lock_all(tx, &endings).await?;
    // Asked under the lock, by a statement of its own: the one that waited for it has seen the attempts as they were before.
    let rows = store::held(tx, session, &endings).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.key.task_id).collect();
    let mut tasks: HashMap<_, _> = task::store::lock_all(tx, &ids).await?.into_iter().map(|(task, _)| (task.id, task)).collect();
    let held = rows.into_iter().filter_map(|row| {
        let task = tasks.remove(&row.key.task_id)?;
        let store::HeldRow { key, lease_until, ends_by, renewable, log_heard, .. } = row;
        Some((key, Held { key, task, row: store::AttemptRow::new(&row), lease_until, ends_by, renewable, log_heard }))
    });
    Ok(held.collect())
}

/// What speaks of attempts that have ended may have had its effect already, while its answer was lost with the link: it is answered again.
async fn answer_again(
    tx: &mut Tx,
    session: &RunnerSession,
    messages: &[Message<'_>],
    held: &HashMap<AttemptKey, Held>,
    outcomes: &mut [Result<()>],
) -> Result<()> {
    let over = |message: &&Message<'_>| message.sequence.is_some() && !held.contains_key(&message.attempt);
    let keys: Vec<_> = messages.iter().filter(over).map(|message| message.attempt).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let heard: HashMap<_, _> = store::heard(tx, session, &keys).await?.into_iter().map(|heard| (heard.attempt, heard.sequence)).collect();
    for (message, outcome) in messages.iter().zip(outcomes).filter(|(message, _)| over(message)) {
        if heard.get(&message.attempt) >= message.sequence.as_ref() {
            *outcome = Ok(());
        }
    }
    Ok(())
}

/// The messages in rounds, by their places. Each attempt appears once in a round, and in the order in which it was spoken of.
fn rounds(messages: &[Message<'_>]) -> Vec<Vec<usize>> {
    let mut said: HashMap<AttemptKey, usize> = HashMap::new();
    let mut rounds: Vec<Vec<usize>> = vec![];
    for (index, message) in messages.iter().enumerate() {
        let round = said.entry(message.attempt).or_default();
        if *round == rounds.len() {
            rounds.push(vec![]);
        }
        rounds[*round].push(index);
        *round += 1;
    }
    rounds
}
