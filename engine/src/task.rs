//! Tasks: what people ask for, and what follows when one ends.
//!
//! Commands lock the task, decide in `domain`, save, and record the event. Rows are locked in the order of their ids, and those of
//! attempts only while their task's is held, so that two use cases never wait for each other: `followers` says how.

mod bulk;
pub(crate) mod concurrency;
mod dispatcher;
pub(crate) mod edge;
pub(crate) mod edit;
pub(crate) mod followers;
pub(crate) mod group;
mod hold;
pub(crate) mod intake;
mod judge;
pub(crate) mod line;
mod open;
pub(crate) mod plant;
mod preview;
pub(crate) mod query;
mod release;
mod repositories;
mod rescuer;
pub(crate) mod rewire;
mod row;
mod runner_wait;
pub(crate) mod store;
mod timekeeper;
pub(crate) mod unreadable;

use domain::{
    Actor, EventKind, Invalid, NewTask, NewTasks, Permission, RepositoryId, Task, TaskId, TaskView, Timestamp, Work,
    error::Errors,
    task::{Dependency, On, Parents, Standing, TaskLink, TaskRepository},
};

pub use dispatcher::Dispatcher;
pub(crate) use intake::Intake;
pub use rescuer::Rescuer;
pub use timekeeper::Timekeeper;

use crate::{Engine, Error, Result, expression, repository::Repositories, tx::Tx, workflow};
use followers::End;
use plant::{Origin, Seed, new_task, plant};

impl Engine {
    pub async fn create_task(&self, actor: &Actor, new: NewTask) -> Result<TaskView> {
        actor.may(Permission::CreateTasks)?;
        let work = new.validate()?;
        self.take_in(intake::Asked { actor: actor.clone(), new, work }).await
    }

    /// All of them or none.
    pub async fn create_tasks(&self, actor: &Actor, new: NewTasks) -> Result<Vec<TaskLink>> {
        actor.may(Permission::CreateTasks)?;
        new.validate()?;
        let mut tx = self.begin(actor).await?;
        let mut seeds = Vec::with_capacity(new.tasks.len());
        let mut known = Repositories::default();
        for (index, new) in new.tasks.into_iter().enumerate() {
            seeds.push(self.seed(&mut tx, actor, new, &mut known).await.map_err(|error| error.below(&format!("/tasks/{index}")))?);
        }
        let tasks = plant(&mut tx, seeds).await?;
        let links = tasks.into_iter().map(|task| TaskLink { id: task.id, title: task.title, state: task.state.name() }).collect();
        tx.answer(actor, links).await
    }

    /// `known` are the repositories that this transaction has found already.
    async fn seed(&self, tx: &mut Tx, actor: &Actor, new: NewTask, known: &mut Repositories) -> Result<Seed> {
        let work = new.validate()?;
        check_new(tx, &new).await?;
        let now = tx.now();
        let repository = known.find(tx, actor.workspace_id, new.repository.trim(), now).await?;
        Ok(seed(actor, new, work, repository, now))
    }

    /// Ends a task. What waits ends at once; what runs ends when its runner has stopped it.
    pub async fn cancel_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = followers::lock(&mut tx, id, End::BadlyUnlessItRuns).await?;
        edit::refuse_unseen(&mut tx, actor, id).await?;
        cancel(&mut tx, actor, task).await?;
        self.answer_and_stop(tx, actor, id).await
    }

    /// Brings an ended task back, with a fresh allowance of attempts.
    pub async fn retry_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        followers::lock_families(&mut tx, &[id]).await?;
        let task = edit::lock_as_seen(&mut tx, actor, id).await?;
        retry(&mut tx, task).await?;
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// Makes a task that has not begun wait for others too.
    pub async fn add_dependencies(&self, actor: &Actor, id: TaskId, depends_on: &[Dependency]) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        check_expressions(depends_on, None).await?;
        let ids: Vec<_> = depends_on.iter().map(|dependency| dependency.task).collect();
        let mut tx = self.begin(actor).await?;
        // One at a time in a workspace: two edges that close a cycle together must not pass each other.
        store::lock_graph(&mut tx).await?;
        let mut task = followers::lock_with(&mut tx, id, &ids).await?;
        edit::refuse_unseen(&mut tx, actor, id).await?;
        let parents = parents_of_new(&mut tx, &ids).await?;
        refuse_cycle(&mut tx, id, &ids).await?;
        let mut edges = vec![];
        let mut open = vec![];
        for (dependency, mut parent) in
            depends_on.iter().filter_map(|one| Some((one, parents.iter().find(|parent| parent.id == one.task)?.clone())))
        {
            let asked = edge::ask(&mut tx, &mut parent, dependency).await?;
            match asked.standing {
                Standing::Failed => {
                    let message = format!("“{}” has ended {} already", parent.title, parent.state.name());
                    return Err(Invalid::field("/depends_on", "ended", message).into());
                }
                Standing::Waiting => open.push(dependency.task),
                Standing::Satisfied => {
                    store::satisfy(&mut tx, id, &Dependency { on: On::Success, ..dependency.clone() }, &asked.inputs).await?
                }
            }
            edges.push(store::NewEdge::new(&task, dependency, asked.standing == Standing::Satisfied));
        }
        let now = tx.now();
        let new = store::insert_edges(&mut tx, &edges, now).await?;
        let waits = new.iter().filter(|id| open.contains(id)).count();
        if waits > 0 {
            task = task.depend()?;
            store::save_waiting_more(&mut tx, &task, waits).await?;
        }
        for parent in new {
            tx.record(task.workspace_id, id, &EventKind::DependencyAdded { depends_on: parent }).await?;
        }
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }
}

/// What is wrong with a new task that only this moment and the tasks that are there can say.
async fn check_new(tx: &mut Tx, new: &NewTask) -> Result<()> {
    let now = tx.now();
    if new.complete_by.is_some_and(|time| time <= now) {
        return Err(Invalid::field("/complete_by", "past", "has passed already").into());
    }
    check_expressions(&new.depends_on, new.when.as_deref()).await?;
    let ids: Vec<_> = new.depends_on.iter().map(|dependency| dependency.task).collect();
    parents_of_new(tx, &ids).await?;
    Ok(())
}

fn seed(actor: &Actor, new: NewTask, work: Work, repository: RepositoryId, now: Timestamp) -> Seed {
    let of = Origin { workspace: actor.workspace_id, repository, created_by: actor.label(), created_at: now };
    let (waits, repositories) = (new.depends_on.clone(), TaskRepository::all(&new.repositories));
    Seed { task: new_task(new, work, of), repositories, waits, by: actor.label() }
}

/// Compiles what is to be asked later.
async fn check_expressions(depends_on: &[Dependency], when: Option<&str>) -> Result<()> {
    let mut errors = Errors::default();
    for (index, dependency) in depends_on.iter().enumerate() {
        if let On::Condition(text) = &dependency.on
            && let Err(why) = expression::check(text, &["result"]).await
        {
            errors.add(format!("/depends_on/{index}/on/condition"), "malformed", why);
        }
    }
    if let Some(text) = when
        && let Err(why) = expression::check(text, &["inputs"]).await
    {
        errors.add("/when", "malformed", why);
    }
    Ok(errors.finish()?)
}

/// Ends a task, or asks for the end of what runs.
async fn cancel(tx: &mut Tx, actor: &Actor, task: Task) -> Result<Task> {
    let asked_before = task.state.cancel_requested().is_some();
    let now = tx.now();
    let task = task.cancel(&actor.label(), now)?;
    store::save(tx, &task).await?;
    if !task.state.is_final() && !asked_before {
        tx.record(task.workspace_id, task.id, &EventKind::CancelRequested).await?;
    }
    record_end(tx, &task).await?;
    release::children(tx, &task).await?;
    Ok(task)
}

/// Brings an ended task back.
async fn retry(tx: &mut Tx, task: Task) -> Result<Task> {
    if matches!(task.work, Work::Group(_)) {
        return Err(Error::Conflict("it became several tasks: retry those, or restart its run from this step".into()));
    }
    if task.workflow_run_id.is_some() && workflow::is_removed(tx, task.id).await? {
        return Err(Error::Conflict("it was removed from its run; add a step to the run instead".into()));
    }
    let mut waiting_for = 0;
    let mut satisfied = vec![];
    let mut inputs = task.inputs.clone();
    for (mut parent, dependency) in store::lock_parents(tx, task.id).await? {
        let asked = edge::ask(tx, &mut parent, &dependency).await?;
        match asked.standing {
            Standing::Waiting => waiting_for += 1,
            Standing::Satisfied => {
                store::satisfy(tx, task.id, &dependency, &asked.inputs).await?;
                inputs.extend(asked.inputs);
                satisfied.push(parent.id);
            }
            Standing::Failed => {
                let message = format!("it waits for “{}”, which ended {}; retry that one first", parent.title, parent.state.name());
                return Err(Error::Conflict(message));
            }
        }
    }
    let now = tx.now();
    let conclusion = if waiting_for == 0 { Parents::AllSucceeded } else { Parents::Waiting };
    let is_gate = !task.work.is_executed() && waiting_for == 0;
    let task = Task { inputs, ..task.retry(conclusion, now)? };
    store::set_satisfied(tx, task.id, &satisfied).await?;
    store::save_waiting(tx, &task, if is_gate { 1 } else { waiting_for }).await?;
    let kind = EventKind::TaskRetried { state: task.state.name() };
    tx.record(task.workspace_id, task.id, &kind).await?;
    store::unsatisfy(tx, task.id).await?;
    if !is_gate {
        return Ok(task);
    }
    let task = open::arrived(tx, task).await?;
    release::children(tx, &task).await?;
    Ok(task)
}

/// The tasks that a request wants to wait for, locked so that none of them ends unnoticed.
async fn parents_of_new(tx: &mut Tx, ids: &[TaskId]) -> Result<Vec<edge::Parent>> {
    let parents = store::lock_some(tx, ids).await?;
    let mut errors = Errors::default();
    for (index, id) in ids.iter().enumerate() {
        if !parents.iter().any(|parent| parent.id == *id) {
            errors.add(format!("/depends_on/{index}"), "not_found", format!("there is no task {id}"));
        }
    }
    errors.finish()?;
    Ok(parents)
}

async fn refuse_cycle(tx: &mut Tx, id: TaskId, depends_on: &[TaskId]) -> Result<()> {
    let ancestors = store::ancestors(tx, depends_on).await?;
    let mut errors = Errors::default();
    for (index, parent) in depends_on.iter().enumerate() {
        if *parent == id || ancestors.iter().any(|(of, ancestor)| of == parent && *ancestor == id) {
            errors.add(format!("/depends_on/{index}"), "cycle", "waits for this task itself, so neither could ever start");
        }
    }
    errors.finish()?;
    Ok(())
}

/// The event of an end, when the task has come to one.
pub(crate) async fn record_end(tx: &mut Tx, task: &Task) -> Result<()> {
    if !task.state.is_final() {
        return Ok(());
    }
    let kind = EventKind::TaskEnded { state: task.state.name(), reason: task.state.reason() };
    tx.record(task.workspace_id, task.id, &kind).await
}

pub(crate) use open::event_happened;
pub(crate) use release::{below as release_below, children as release_children};
