//! The pure model judges the database: random commands are carried out by the engine and by `domain` alone, and after each one
//! every task has to stand where the model says. A difference is shrunk to the shortest list of commands that shows it.

use chrono::TimeDelta;
use domain::{
    Actor, CheckStatus, Failure, FailureCode, NewTask, Priority, Task, TaskId, TaskState, TaskStateName, Timestamp,
    protocol::{Assignment, AttemptReport, WorkOutcome},
    task::{AttemptEnd, Broken, Concurrency, Dependency, On, Parents},
};
use engine::{
    Error,
    testing::{START, TestEngine, TestRunner, report},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner as Cases},
};
use sqlx::PgPool;

use crate::{line::wrong_places, scenario::checked};

#[derive(Clone, Copy, Debug)]
enum Command {
    /// With up to two parents, picked by number.
    Create {
        first: Option<u8>,
        second: Option<u8>,
        max_attempts: u32,
        priority: Priority,
        with: With,
    },
    Cancel(u8),
    Pause(u8),
    Resume(u8),
    Retry(u8),
    Depend {
        task: u8,
        on: u8,
    },
    /// By the runner that has a gpu, or by the one that has nothing.
    Claim {
        gpu: bool,
    },
    Start(u8),
    Verify(u8),
    Report {
        task: u8,
        how: How,
    },
    Lose(u8),
    /// Time passes, and the dispatcher and the timekeeper look.
    Wait(u8),
}

/// What holds a task back or ends it early, beside the rest.
#[derive(Clone, Copy, Debug)]
enum With {
    Nothing,
    /// To be complete in so many seconds.
    Deadline(u8),
    /// To be taken within so many seconds.
    QueueSeconds(u8),
    /// Of these at most two at once.
    SharedKey,
    /// Of what it waits for any end is enough.
    AnyEnd,
    /// For a runner with a gpu alone.
    Gpu,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Passed,
    ChecksFailed,
    CommandFailed,
    Hopeless,
    ToldToComeBack,
    Cancelled,
}

fn command() -> impl Strategy<Value = Command> {
    let how = prop_oneof![
        Just(How::Passed),
        Just(How::ChecksFailed),
        Just(How::CommandFailed),
        Just(How::Hopeless),
        Just(How::ToldToComeBack),
        Just(How::Cancelled)
    ];
    let with = prop_oneof![
        3 => Just(With::Nothing),
        1 => (1..6_u8).prop_map(With::Deadline),
        1 => (1..6_u8).prop_map(With::QueueSeconds),
        2 => Just(With::SharedKey),
        3 => Just(With::AnyEnd),
        2 => Just(With::Gpu),
    ];
    prop_oneof![
        4 => (any::<Option<u8>>(), any::<Option<u8>>(), 1..3_u32, 0..4_usize, with).prop_map(|(first, second, max_attempts, lane, with)| {
            Command::Create { first, second, max_attempts, priority: Priority::ALL[lane], with }
        }),
        1 => any::<u8>().prop_map(Command::Cancel),
        1 => any::<u8>().prop_map(Command::Pause),
        1 => any::<u8>().prop_map(Command::Resume),
        1 => any::<u8>().prop_map(Command::Retry),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(task, on)| Command::Depend { task, on }),
        4 => any::<bool>().prop_map(|gpu| Command::Claim { gpu }),
        3 => any::<u8>().prop_map(Command::Start),
        3 => any::<u8>().prop_map(Command::Verify),
        4 => (any::<u8>(), how).prop_map(|(task, how)| Command::Report { task, how }),
        1 => any::<u8>().prop_map(Command::Lose),
        2 => (0..4_u8).prop_map(Command::Wait),
    ]
}

/// The tasks as `domain` alone has them.
struct Model {
    now: Timestamp,
    tasks: Vec<Modelled>,
    /// Numbers drawn for the queue so far.
    drawn: i64,
}

#[derive(Clone)]
struct Modelled {
    task: Task,
    /// What it waits for, and whether any end of it is enough.
    parents: Vec<(usize, bool)>,
    /// While it is queued, and kept while it runs.
    turn: Option<i64>,
    /// While it is queued.
    queued_at: Option<Timestamp>,
    held: Option<Held>,
}

/// The attempt that holds a task, whether it has begun, and whether it is with the runner that has a gpu.
#[derive(Clone)]
struct Held {
    assignment: Assignment,
    begun: bool,
    gpu: bool,
}

impl Model {
    fn parents(&self, of: &[(usize, bool)]) -> Parents {
        let tasks = || of.iter().map(|(index, end)| (&self.tasks[*index].task, *end));
        let succeeded = |task: &Task| task.state.name() == TaskStateName::Succeeded;
        if let Some((failed, _)) = tasks().find(|(task, end)| task.state.is_final() && !succeeded(task) && !end) {
            return Parents::Failed(Broken::new(failed.id, &failed.title, failed.state.name()));
        }
        let satisfied = tasks().all(|(task, end)| succeeded(task) || end && task.state.is_final());
        if satisfied { Parents::AllSucceeded } else { Parents::Waiting }
    }

    fn set(&mut self, index: usize, task: Task) {
        self.set_for(index, task, None);
    }

    /// `why` is what it was skipped for, as those that wait for it see it.
    fn set_for(&mut self, index: usize, task: Task, why: Option<Broken>) {
        let turn = self.tasks[index].turn;
        let turn = match task.state {
            TaskState::Queued => turn.or_else(|| Some(self.draw(&task))),
            TaskState::Running { .. } | TaskState::Verifying { .. } => turn,
            _ => None,
        };
        let now = self.now;
        let one = &mut self.tasks[index];
        one.turn = turn;
        one.queued_at = (task.state == TaskState::Queued).then(|| one.queued_at.unwrap_or(now));
        let ended = task.state.is_final();
        one.task = task;
        if !matches!(one.task.state, TaskState::Running { .. } | TaskState::Verifying { .. }) {
            one.held = None;
        }
        if ended {
            self.release_children(index, why);
        }
    }

    fn draw(&mut self, task: &Task) -> i64 {
        self.drawn += 1;
        self.drawn + task.priority.patience()
    }

    fn release_children(&mut self, parent: usize, why: Option<Broken>) {
        for index in 0..self.tasks.len() {
            let child = &self.tasks[index];
            let Some((_, end)) = child.parents.iter().find(|(one, _)| *one == parent) else { continue };
            if child.task.state != TaskState::Blocked {
                continue;
            }
            let ended = &self.tasks[parent].task;
            let broken = match ended.state.name() {
                TaskStateName::Succeeded => None,
                _ if *end => None,
                state => Some(why.clone().unwrap_or_else(|| Broken::new(ended.id, &ended.title, state))),
            };
            let parents = broken.clone().map_or_else(|| self.parents(&child.parents), Parents::Failed);
            let task = child.task.clone().parent_ended(parents, self.now).unwrap();
            let why = broken.map(|broken| broken.and_so(&task));
            self.set_for(index, task, why);
        }
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        from == to || self.tasks[from].parents.iter().any(|(parent, _)| self.reaches(*parent, to))
    }

    fn next_in_queue(&self, gpu: bool) -> Option<usize> {
        let queued = (0..self.tasks.len()).filter(|index| {
            let task = &self.tasks[*index].task;
            task.state == TaskState::Queued && task.paused_by.is_none() && (gpu || task.capabilities.is_empty()) && self.has_room(task)
        });
        queued.min_by_key(|index| (self.tasks[*index].turn, self.tasks[*index].task.id))
    }

    fn has_room(&self, task: &Task) -> bool {
        let Some(shared) = &task.concurrency else { return true };
        let runs = |one: &&Modelled| {
            one.task.concurrency.is_some() && matches!(one.task.state, TaskState::Running { .. } | TaskState::Verifying { .. })
        };
        self.tasks.iter().filter(runs).count() < shared.limit as usize
    }

    /// What the timekeeper does: deadlines first, then whoever has waited too long in the queue.
    fn keep_time(&mut self) {
        let mut all: Vec<_> = (0..self.tasks.len()).collect();
        all.sort_by_key(|index| (self.tasks[*index].task.complete_by, self.tasks[*index].task.id));
        for index in &all {
            if let Ok(task) = self.tasks[*index].task.clone().overdue(self.now) {
                self.set(*index, task);
            }
        }
        all.sort_by_key(|index| (self.tasks[*index].queued_at, self.tasks[*index].task.id));
        for index in all {
            let one = &self.tasks[index];
            let waited = one.queued_at.zip(one.task.queue_seconds).filter(|_| one.task.paused_by.is_none());
            if waited.is_some_and(|(since, seconds)| since + TimeDelta::seconds(seconds.into()) <= self.now) {
                let task = one.task.clone().expire(self.now).unwrap();
                self.set(index, task);
            }
        }
    }

    fn pick(&self, number: u8) -> Option<usize> {
        (!self.tasks.is_empty()).then(|| usize::from(number) % self.tasks.len())
    }
}

struct World {
    test: TestEngine,
    ada: Actor,
    runner: TestRunner,
    with_gpu: TestRunner,
    model: Model,
}

impl World {
    async fn new(pool: &PgPool) -> Self {
        let test = TestEngine::new(pool).await;
        let ada = match test.engine.needs_owner().await.unwrap() {
            true => test.owner().await,
            false => test.stranger().await,
        };
        let (runner, with_gpu) = (test.runner("r1").await, test.runner_with("r2", &["gpu"]).await);
        Self { ada, runner, with_gpu, model: Model { now: START.parse().unwrap(), tasks: vec![], drawn: 0 }, test }
    }

    async fn apply(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Create { first, second, max_attempts, priority, with } => {
                self.create(first, second, max_attempts, priority, with).await
            }
            Command::Pause(number) => {
                let Some(index) = self.model.pick(number) else { return Ok(()) };
                let expected = self.model.tasks[index].task.clone().pause(&self.ada.label()).ok();
                let done = self.test.engine.pause_task(&self.ada, self.id(index)).await;
                self.agree(index, expected, done.map(drop))
            }
            Command::Resume(number) => {
                let Some(index) = self.model.pick(number) else { return Ok(()) };
                let expected = self.model.tasks[index].task.clone().resume().ok();
                let done = self.test.engine.resume_task(&self.ada, self.id(index)).await;
                self.agree(index, expected, done.map(drop))
            }
            Command::Cancel(number) => {
                let Some(index) = self.model.pick(number) else { return Ok(()) };
                let expected = self.model.tasks[index].task.clone().cancel(&self.ada.label(), self.model.now).ok();
                let done = self.test.engine.cancel_task(&self.ada, self.id(index)).await;
                self.agree(index, expected, done.map(drop))
            }
            Command::Retry(number) => {
                let Some(index) = self.model.pick(number) else { return Ok(()) };
                let parents = self.model.parents(&self.model.tasks[index].parents);
                let expected = self.model.tasks[index].task.clone().retry(parents, self.model.now).ok();
                let done = self.test.engine.retry_task(&self.ada, self.id(index)).await;
                self.agree(index, expected, done.map(drop))
            }
            Command::Depend { task, on } => self.depend(task, on).await,
            Command::Claim { gpu } => self.claim(gpu).await,
            Command::Start(number) => {
                let Some((index, held)) = self.held(number) else { return Ok(()) };
                let done = self.runner_of(held.gpu).starts(held.assignment.attempt).await;
                if done.is_ok() == held.begun {
                    return Err(format!("starting answered {done:?}"));
                }
                self.model.tasks[index].held = Some(Held { begun: true, ..held });
                Ok(())
            }
            Command::Verify(number) => {
                let Some((index, held)) = self.held(number) else { return Ok(()) };
                let expected = self.model.tasks[index].task.clone().verify().ok().filter(|_| held.begun);
                let done = self.runner_of(held.gpu).verifies(held.assignment.attempt).await;
                self.agree(index, expected, done)
            }
            Command::Report { task, how } => self.report(task, how).await,
            Command::Lose(number) => {
                let Some((index, held)) = self.held(number) else { return Ok(()) };
                let expected = self.model.tasks[index].task.clone().attempt_ended(AttemptEnd::Lost, self.model.now, 1.0).ok();
                let done = self.runner_of(held.gpu).comes_back_without(held.assignment.attempt).await;
                self.agree(index, expected, done)
            }
            Command::Wait(seconds) => {
                let by = TimeDelta::seconds(seconds.into());
                self.test.advance(by);
                self.model.now += by;
                self.test.dispatch().await;
                let due_at = |task: &Task| if let TaskState::Scheduled { run_at } = task.state { Some(run_at) } else { None };
                let mut by_time: Vec<_> = (0..self.model.tasks.len()).collect();
                by_time.sort_by_key(|index| due_at(&self.model.tasks[*index].task));
                for index in by_time {
                    if let Ok(due) = self.model.tasks[index].task.clone().due(self.model.now) {
                        self.model.set(index, due);
                    }
                }
                self.test.keep_time().await;
                self.model.keep_time();
                Ok(())
            }
        }
    }

    fn id(&self, index: usize) -> TaskId {
        self.model.tasks[index].task.id
    }

    fn held(&self, number: u8) -> Option<(usize, Held)> {
        let index = self.model.pick(number)?;
        Some((index, self.model.tasks[index].held.clone()?))
    }

    fn runner_of(&self, gpu: bool) -> &TestRunner {
        if gpu { &self.with_gpu } else { &self.runner }
    }

    /// The engine did what the model expects, or refused what the model refuses.
    fn agree(&mut self, index: usize, expected: Option<Task>, done: engine::Result<()>) -> Result<(), String> {
        match (expected, done) {
            (Some(task), Ok(())) => {
                self.model.set(index, task);
                Ok(())
            }
            (None, Err(Error::InvalidTransition(_) | Error::Conflict(_) | Error::StaleLease | Error::Invalid(_))) => Ok(()),
            (expected, done) => Err(format!("the model says {expected:?}, the engine {done:?}")),
        }
    }

    async fn create(
        &mut self,
        first: Option<u8>,
        second: Option<u8>,
        max_attempts: u32,
        priority: Priority,
        with: With,
    ) -> Result<(), String> {
        let mut parents: Vec<_> = [first, second].into_iter().flatten().filter_map(|number| self.model.pick(number)).collect();
        parents.dedup();
        let end = matches!(with, With::AnyEnd);
        let on = if end { On::End } else { On::Success };
        let depends_on = parents.iter().map(|index| Dependency { on: on.clone(), ..self.id(*index).into() }).collect();
        let parents: Vec<_> = parents.into_iter().map(|index| (index, end)).collect();
        let title = format!("task {}", self.model.tasks.len());
        let mut new = NewTask { depends_on, max_attempts, priority, ..checked(&title) };
        match with {
            With::Nothing | With::AnyEnd => {}
            With::Deadline(seconds) => new.complete_by = Some(self.model.now + TimeDelta::seconds(seconds.into())),
            With::QueueSeconds(seconds) => new.queue_seconds = Some(seconds.into()),
            With::Gpu => new.capabilities = vec!["gpu".into()],
            With::SharedKey => new.concurrency = Some(Concurrency { key: "shared".into(), limit: 2 }),
        }
        let view = self.test.engine.create_task(&self.ada, new.clone()).await.map_err(|error| format!("creating: {error:?}"))?;
        let state = TaskState::initial(self.model.parents(&parents), new.run_at, self.model.now);
        let task = Task {
            id: view.summary.id,
            workspace_id: self.ada.workspace_id,
            repository_id: domain::RepositoryId(uuid::Uuid::nil()),
            title,
            work: view.work,
            base_ref: None,
            submodules: false,
            lfs: false,
            files: vec![],
            success_criteria: vec![],
            checks: new.checks,
            priority: new.priority,
            timeout_seconds: view.timeout_seconds,
            max_attempts: view.summary.max_attempts,
            retry: view.retry,
            inputs: view.inputs,
            condition: None,
            workflow_run_id: None,
            delay_seconds: None,
            opened: false,
            not_before: view.not_before,
            complete_by: view.complete_by,
            queue_seconds: view.queue_seconds,
            concurrency: view.concurrency,
            tags: view.summary.tags,
            correlation_id: view.correlation_id,
            paused_by: None,
            capabilities: view.capabilities,
            agent: view.agent,
            complexity: view.complexity,
            estimate_seconds: view.estimate_seconds,
            land: view.land,
            state,
            attempts: 0,
            failures: 0,
            losses: 0,
            limits: 0,
            created_at: self.model.now,
            created_by: self.ada.label(),
        };
        let turn = (task.state == TaskState::Queued).then(|| self.model.draw(&task));
        let queued_at = turn.map(|_| self.model.now);
        self.model.tasks.push(Modelled { task, parents, turn, queued_at, held: None });
        Ok(())
    }

    async fn depend(&mut self, task: u8, on: u8) -> Result<(), String> {
        let (Some(index), Some(on)) = (self.model.pick(task), self.model.pick(on)) else { return Ok(()) };
        let one = &self.model.tasks[index];
        let known = one.parents.iter().any(|(parent, _)| *parent == on);
        let parent = &self.model.tasks[on].task;
        let succeeded = parent.state.name() == TaskStateName::Succeeded;
        let ended_badly = parent.state.is_final() && !succeeded;
        let expected = if self.model.reaches(on, index) || ended_badly {
            None
        } else if known || succeeded {
            Some(one.task.clone())
        } else {
            one.task.clone().depend().ok()
        };
        let done = self.test.engine.add_dependencies(&self.ada, self.id(index), &[self.id(on).into()]).await;
        if expected.is_some() && done.is_ok() && !known {
            self.model.tasks[index].parents.push((on, false));
        }
        self.agree(index, expected, done.map(drop))
    }

    async fn claim(&mut self, gpu: bool) -> Result<(), String> {
        let claimed = self.runner_of(gpu).claims(1).await.pop();
        let expected = self.model.next_in_queue(gpu);
        let (Some(assignment), Some(index)) = (&claimed, expected) else {
            return if claimed.is_none() && expected.is_none() {
                Ok(())
            } else {
                Err(format!("claimed {claimed:?}, expected task {expected:?}"))
            };
        };
        if assignment.attempt.task_id != self.id(index) {
            return Err(format!("claimed {}, expected task {index}", assignment.title));
        }
        let task = self.model.tasks[index].task.clone().claim().unwrap();
        if task.attempts != assignment.attempt.number {
            return Err(format!("attempt {} instead of {}", assignment.attempt.number, task.attempts));
        }
        self.model.set(index, task);
        self.model.tasks[index].held = Some(Held { assignment: assignment.clone(), begun: false, gpu });
        Ok(())
    }

    async fn report(&mut self, number: u8, how: How) -> Result<(), String> {
        let Some((index, Held { assignment, gpu, .. })) = self.held(number) else { return Ok(()) };
        let before = self.model.tasks[index].task.clone();
        let verifying = matches!(before.state, TaskState::Verifying { .. });
        let failed = |code| AttemptEnd::Failed(Failure::new(code, ""));
        let outcome = |code| WorkOutcome::Failed { failure: Failure::new(code, "as the test wants it") };
        let completed = |status| report(&assignment, status);
        let without_checks = |outcome| AttemptReport { outcome, verification: None, ..completed(CheckStatus::Passed) };
        let (sent, end) = match how {
            How::Passed if verifying => (completed(CheckStatus::Passed), AttemptEnd::Succeeded),
            How::Passed => (completed(CheckStatus::Passed), failed(FailureCode::RunnerFault)),
            How::ChecksFailed if verifying => (completed(CheckStatus::Failed), failed(FailureCode::ChecksFailed)),
            How::ChecksFailed => (completed(CheckStatus::Failed), failed(FailureCode::RunnerFault)),
            How::CommandFailed => (without_checks(outcome(FailureCode::CommandFailed)), failed(FailureCode::CommandFailed)),
            How::Hopeless => (without_checks(outcome(FailureCode::RefNotFound)), failed(FailureCode::RefNotFound)),
            How::ToldToComeBack => {
                let failure = Failure { retry_after_seconds: Some(2), ..Failure::new(FailureCode::ProviderLimit, "later") };
                (without_checks(WorkOutcome::Failed { failure: failure.clone() }), AttemptEnd::Failed(failure))
            }
            How::Cancelled => (without_checks(WorkOutcome::Cancelled), AttemptEnd::Cancelled),
        };
        let expected = before.attempt_ended(end, self.model.now, 1.0).ok();
        let done = self.runner_of(gpu).reports(assignment.attempt, sent).await;
        self.agree(index, expected, done)
    }

    /// Every task stands where the model says.
    async fn compare(&self) -> Result<(), String> {
        for (index, one) in self.model.tasks.iter().enumerate() {
            let view = self.test.engine.get_task(&self.ada, one.task.id).await.map_err(|error| format!("{error:?}"))?;
            let (found, expected) = (view.summary.state.name(), one.task.state.name());
            let times = (view.summary.state.ended_at(), one.task.state.ended_at());
            let run_at = |state: &TaskState| if let TaskState::Scheduled { run_at } = state { Some(*run_at) } else { None };
            let due = (run_at(&view.summary.state), run_at(&one.task.state));
            let held = (view.summary.paused, one.task.paused_by.is_some());
            if held.0 != held.1 || view.summary.state.stop() != one.task.state.stop() {
                return Err(format!(
                    "task {index} is {:?}, held {}; the model says {:?}, held {}",
                    view.summary.state, held.0, one.task.state, held.1
                ));
            }
            if found != expected || times.0 != times.1 || due.0 != due.1 || view.summary.attempts != one.task.attempts {
                return Err(format!("task {index} is {:?}, the model says {:?}", view.summary.state, one.task.state));
            }
        }
        Ok(())
    }
}

async fn run(pool: &PgPool, commands: &[Command]) -> Result<(), String> {
    // What an earlier case left waiting is not this one's, and could still join the queue: it is cancelled before.
    sqlx::query("update task set state = 'cancelled', queued_at = null, turn = null, run_at = null, ended_at = now(), cancelled_by = 'test', paused_by = null, parked = false where state in ('queued', 'scheduled', 'blocked')")
        .execute(pool)
        .await
        .map_err(|error| error.to_string())?;
    let mut world = World::new(pool).await;
    for (step, command) in commands.iter().enumerate() {
        world.apply(*command).await.map_err(|error| format!("step {step}, {command:?}: {error}"))?;
        world.compare().await.map_err(|error| format!("after step {step}, {command:?}: {error}"))?;
        let wrong = wrong_places(pool).await;
        if !wrong.is_empty() {
            return Err(format!("after step {step}, {command:?}: the places of {wrong:?} are not as their tasks are"));
        }
    }
    Ok(())
}

/// How many lists of commands are tried; `MUSTER_MODEL_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("MUSTER_MODEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_database_does_what_the_model_says(pool: PgPool) {
    let mut seed = [0_u8; 32];
    seed[..16].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    eprintln!("seed {seed:?}");
    let mut runner = Cases::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    for _ in 0..cases() {
        let mut tree = vec(command(), 1..40).new_tree(&mut runner).unwrap();
        let Err(mut difference) = run(&pool, &tree.current()).await else { continue };
        let mut smallest = tree.current();
        let mut simpler = tree.simplify();
        while simpler {
            match run(&pool, &tree.current()).await {
                Err(found) => {
                    difference = found;
                    smallest = tree.current();
                    simpler = tree.simplify();
                }
                Ok(()) => simpler = tree.complicate(),
            }
        }
        panic!("{difference}\nwith {smallest:#?}");
    }
}
