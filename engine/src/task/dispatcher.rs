//! Gives queued tasks to runners that have a free slot, and queues what has waited for its time.

use std::{collections::HashSet, time::Duration};

use domain::{
    AgentTerms, EventKind, Failure, FailureCode, RunnerId, TaskId, Work, crash,
    protocol::{Assignment, TO_RUNNER_BYTES, ToRunner},
    runner::own_word,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::{edge, followers, followers::End, release, store};
use crate::{Engine, Error, Result, RunnerSession, Service, Tick, event::store::Fact, runner::Taker, service::PassedOver};

/// Due tasks moved in one transaction.
const DUE_BATCH: i64 = 100;
/// How long it takes for granted that no task is due, and does without a look at what joined while nobody could take it: less than it
/// waits without a hint.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Tasks claimed in one statement.
const CLAIM_BATCH: usize = 256;
/// Between two looks at whether a runner that is given nothing here was let take work again elsewhere, or one was set to other slots.
const RESUMED_AGAIN: Duration = Duration::from_secs(1);
/// How long the claim waits for a look around.
const LOOK_FOR: Duration = Duration::from_millis(10);

/// A runner with how many slots it has free.
type FreeSlots = (RunnerSession, usize);

#[derive(Default)]
pub struct Dispatcher {
    /// When it found last that no task is due.
    nothing_due: Option<Instant>,
    /// When it looked last at what has joined.
    looked: Option<Instant>,
    /// When it looked last for runners that were let take work again.
    looked_for_resumed: Option<Instant>,
    /// A look around that takes its time.
    looking: Option<AbortOnDropHandle<()>>,
    /// What is due and could not be queued.
    passed_over: PassedOver,
}

impl Service for Dispatcher {
    const NAME: &'static str = "dispatcher";
    const EVERY: Duration = Duration::from_millis(500);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        // What was committed makes no task due; time does.
        let mut due = 0;
        if self.nothing_due.is_none_or(|since| since.elapsed() >= LOOK_AGAIN) {
            due = engine.queue_due_tasks(&mut self.passed_over).await?;
            self.nothing_due = (due == 0).then(Instant::now);
        }
        if self.looked_for_resumed.is_none_or(|at| at.elapsed() >= RESUMED_AGAIN) {
            engine.look_for_resumed().await?;
            engine.look_for_slots().await?;
            self.looked_for_resumed = Some(Instant::now());
        }
        let free = engine.hub.with_free_slots();
        if !free.is_empty() {
            self.look_around(engine).await;
        }
        let mut looked = Ok(());
        // now and then also while nobody has a free slot, so that there is never much to look at
        if !free.is_empty() || self.looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN) {
            looked = engine.look_at_the_newest().await;
            self.looked = Some(Instant::now());
        }
        // what is known is given out, whatever came of it
        let assigned = engine.assign_queued_tasks(free).await?;
        looked?;
        Ok(if due + assigned > 0 { Tick::Busy } else { Tick::Idle })
    }

    fn hint(engine: &Engine) -> Option<&Notify> {
        Some(&engine.hints.work)
    }
}

impl Dispatcher {
    /// When it is time for it. One that takes long is not waited for: what is known can be given out meanwhile.
    async fn look_around(&mut self, engine: &Engine) {
        if self.looking.as_ref().is_some_and(|looking| !looking.is_finished()) || !engine.lines.lock().look_around_is_due(Instant::now()) {
            return;
        }
        let looker = engine.clone();
        let mut looking = AbortOnDropHandle::new(engine.undisturbed.spawn(async move {
            if let Err(error) = looker.look_around().await {
                warn!("It could not be seen what waits, and is tried again: {error}");
            }
        }));
        if timeout(LOOK_FOR, &mut looking).await.is_err() {
            let engine = engine.clone();
            self.looking = Some(AbortOnDropHandle::new(engine.clone().undisturbed.spawn(async move {
                let _ = looking.await;
                engine.hints.work.notify_one();
            })));
        }
    }
}

impl Engine {
    async fn queue_due_tasks(&self, passed_over: &mut PassedOver) -> Result<usize> {
        match self.queue_due(None, passed_over).await {
            Err(error) if !matches!(error, Error::Unavailable(_)) => {
                warn!("Tasks whose time has come are queued one by one, as one of them is refused: {error}");
                self.queue_due_one_by_one(passed_over).await
            }
            done => done,
        }
    }

    /// So that what cannot be read keeps nobody else waiting.
    async fn queue_due_one_by_one(&self, passed_over: &mut PassedOver) -> Result<usize> {
        let now = self.clock.now(&self.database).await?;
        let mut conn = self.database.system.acquire().await?;
        let due = store::lock_due(&mut conn, now, DUE_BATCH, None, &passed_over.at(now)).await?;
        drop(conn);
        let mut done = 0;
        for id in due {
            let outcome = self.queue_due(Some(id), passed_over).await.map(drop);
            done += usize::from(self.done_or_passed_over(passed_over, now, id, outcome).await?);
        }
        Ok(done)
    }

    /// All of them, or this one alone.
    async fn queue_due(&self, only: Option<TaskId>, passed_over: &mut PassedOver) -> Result<usize> {
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        let due = store::lock_due(&mut tx, now, DUE_BATCH, only, &passed_over.at(now)).await?;
        let ending: Vec<_> = due.iter().map(|id| followers::Ending { task: *id, attempt: None, end: End::Well }).collect();
        if !ending.is_empty() {
            followers::lock_all(&mut tx, &ending).await?;
        }
        let (mut queued, mut facts, mut passed) = (vec![], vec![], vec![]);
        for (task, _) in store::lock_all(&mut tx, &due).await? {
            if task.work.is_executed() {
                let task = task.due(now)?;
                facts.push(Fact::of(&task, EventKind::TaskDue));
                queued.push(store::ChangedRow::of(&task));
            } else {
                passed.push(edge::Parent::of(&super::open::passed(&mut tx, task, None).await?));
            }
        }
        store::save_all(&mut tx, &queued).await?;
        tx.record_all(&facts).await?;
        release::below(&mut tx, passed).await?;
        tx.commit(due.len()).await
    }

    /// Fills the free slots of runners that are connected here.
    async fn assign_queued_tasks(&self, free: Vec<FreeSlots>) -> Result<usize> {
        let (mut assigned, mut failed) = (0, None);
        let owners = if free.is_empty() { HashSet::new() } else { self.lines.lock().owners() };
        // before anybody else is given what they could go on from
        let keepers: HashSet<_> = self.hub.keepers().into_values().collect();
        let mut kinds = by_taker(free, &owners);
        kinds.sort_by_key(|(_, free)| !free.iter().any(|(session, _)| keepers.contains(&session.id())));
        for (taker, free) in kinds {
            let assignments = self.claim(&taker, &in_turn(&free)).await?;
            assigned += assignments.len();
            let runners: Vec<_> = assignments.iter().map(|(runner, _)| runner).collect();
            let (outdated, unknown) = match self.let_go_of_outdated(&runners).await {
                Ok(outdated) => (outdated, false),
                Err(error) => {
                    failed = Some(error);
                    (vec![], true)
                }
            };
            for (runner, assignment) in assignments {
                let is_outdated = runner.is_far() && (unknown || outdated.contains(&(runner.id(), runner.ticket())));
                // the others are given out all the same
                let given = match is_outdated {
                    true => self.attempt_not_given(assignment.attempt).await,
                    false => self.give(&runner, assignment).await,
                };
                failed = given.err().or(failed);
            }
        }
        failed.map_or(Ok(assigned), Err)
    }

    /// Over the link that it was claimed for.
    pub(crate) async fn give(&self, runner: &RunnerSession, assignment: Assignment) -> Result<()> {
        let attempt = assignment.attempt;
        let assignment = match over_a_socket(runner, assignment) {
            Ok(assignment) => assignment,
            Err(failure) => return self.attempt_impossible(attempt, failure).await,
        };
        crash::point("assign.before");
        if !self.hub.assign(runner, assignment) {
            self.attempt_not_given(attempt).await?;
        }
        crash::point("assign.after");
        Ok(())
    }
}

/// A runner elsewhere has to be able to read it: what it cannot read ends its link, and would be given again, over and over.
fn over_a_socket(runner: &RunnerSession, assignment: Assignment) -> std::result::Result<Assignment, Failure> {
    let assignment = if runner.hears_people() { assignment } else { without_whom_to_ask(assignment)? };
    if !runner.is_far() {
        return Ok(assignment);
    }
    readable(assignment).map_err(|why| Failure::new(FailureCode::TaskUnreadable, why))
}

fn readable(assignment: Assignment) -> std::result::Result<Assignment, String> {
    let message = ToRunner::Assign { assignment: Box::new(assignment) };
    let text = serde_json::to_string(&message).map_err(|error| format!("it cannot be written as a message: {error}"))?;
    if text.len() > TO_RUNNER_BYTES {
        return Err(format!("as a message to a runner it has {} bytes, and at most {TO_RUNNER_BYTES} are allowed", text.len()));
    }
    match serde_json::from_str(&text) {
        Ok(ToRunner::Assign { assignment }) => Ok(*assignment),
        Ok(_) => Err("as a message to a runner it is another one".into()),
        Err(error) => Err(format!("no runner could read it as a message: {error}")),
    }
}

/// Of an agent that asks nobody anyway, which an older runner has no word for. One that is to ask people is not begun without that: a task that was
/// handed in before there were words for what a prompt needs does not say that it is for newer runners alone.
fn without_whom_to_ask(assignment: Assignment) -> std::result::Result<Assignment, Failure> {
    if matches!(assignment.work, Work::Prompt(_)) && assignment.agent.asks() {
        let why = "its agent is to ask people, and the runner that was free is of a version whose agents ask nobody: update that runner";
        return Err(Failure::new(FailureCode::BackendMissing, why));
    }
    Ok(Assignment { agent: AgentTerms { ask: None, answer_minutes: None, ..assignment.agent }, ..assignment })
}

/// The free slots of runners, one of each in turn, so that none is given everything while the others wait.
fn in_turn(free: &[FreeSlots]) -> Vec<RunnerSession> {
    let most = free.iter().map(|(_, slots)| *slots).max().unwrap_or(0);
    let rounds = (0..most).flat_map(|round| free.iter().filter(move |(_, slots)| *slots > round).map(|(session, _)| session.clone()));
    rounds.take(CLAIM_BATCH).collect()
}

/// Runners that may be given the same claim together. Whoever something waits for that no other may take is on its own.
fn by_taker(free: Vec<FreeSlots>, owners: &HashSet<RunnerId>) -> Vec<(Taker, Vec<FreeSlots>)> {
    let mut kinds: Vec<(Taker, Vec<FreeSlots>)> = vec![];
    for (session, slots) in free {
        if owners.contains(&session.id()) {
            let mut taker = session.taker().clone();
            taker.capabilities.push(own_word(session.id()));
            kinds.push((taker, vec![(session, slots)]));
            continue;
        }
        match kinds.iter_mut().find(|(taker, _)| taker == session.taker()) {
            Some((_, alike)) => alike.push((session, slots)),
            None => kinds.push((session.taker().clone(), vec![(session, slots)])),
        }
    }
    kinds
}
