//! Tasks: what people ask for, and what follows when one ends.
//!
//! Commands lock the task, decide in `domain`, save, and record the event. A task's row is locked before those of its children, and
//! the rows of its attempts only while its own is held, so that two use cases never wait for each other.

mod bulk;
pub(crate) mod concurrency;
mod dispatcher;
mod hold;
pub(crate) mod query;
mod release;
mod rescuer;
pub(crate) mod store;
mod timekeeper;

use domain::{
    Actor, EventKind, Invalid, NewTask, NewTasks, Permission, Task, TaskId, TaskState, TaskView,
    error::Errors,
    task::{Parents, TaskLink},
};

pub use dispatcher::Dispatcher;
pub use rescuer::Rescuer;
pub use timekeeper::Timekeeper;

use crate::{Engine, Error, Result, repository, tx::Tx};

impl Engine {
    pub async fn create_task(&self, actor: &Actor, new: NewTask) -> Result<TaskView> {
        actor.may(Permission::CreateTasks)?;
        new.validate()?;
        let mut tx = self.begin(actor).await?;
        let id = self.create_in(&mut tx, actor, new).await?.id;
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// All of them or none.
    pub async fn create_tasks(&self, actor: &Actor, new: NewTasks) -> Result<Vec<TaskLink>> {
        actor.may(Permission::CreateTasks)?;
        new.validate()?;
        let mut tx = self.begin(actor).await?;
        let mut links = Vec::with_capacity(new.tasks.len());
        for (index, new) in new.tasks.into_iter().enumerate() {
            let task = self.create_in(&mut tx, actor, new).await.map_err(|error| error.below(&format!("/tasks/{index}")))?;
            links.push(TaskLink { id: task.id, title: task.title, state: task.state.name() });
        }
        tx.answer(actor, links).await
    }

    async fn create_in(&self, tx: &mut Tx, actor: &Actor, new: NewTask) -> Result<Task> {
        let work = new.validate()?;
        let now = tx.now();
        if new.complete_by.is_some_and(|time| time <= now) {
            return Err(Invalid::field("/complete_by", "past", "has passed already").into());
        }
        let id = TaskId(self.new_id());
        let parents = parents_of_new(tx, &new.depends_on).await?;
        let waiting_for = parents.iter().filter(|parent| !is_success(parent)).count();
        let repository_id = repository::store::find_or_insert(tx, actor.workspace_id, self.new_id(), new.repository.trim(), now).await?;
        let task = Task {
            id,
            workspace_id: actor.workspace_id,
            repository_id,
            title: new.title.trim().to_owned(),
            work,
            base_ref: new.base_ref.map(|name| name.trim().to_owned()),
            files: new.files,
            success_criteria: new.success_criteria,
            checks: new.checks,
            priority: new.priority,
            timeout_seconds: i32::try_from(new.timeout_seconds).unwrap_or(i32::MAX),
            max_attempts: i32::try_from(new.max_attempts).unwrap_or(i32::MAX),
            retry: new.retry,
            not_before: new.run_at,
            complete_by: new.complete_by,
            queue_seconds: new.queue_seconds.and_then(|seconds| i32::try_from(seconds).ok()),
            concurrency: new.concurrency,
            tags: new.tags,
            correlation_id: new.correlation_id,
            paused_by: None,
            state: TaskState::initial(conclude(&parents), new.run_at, now),
            attempts: 0,
            failures: 0,
            losses: 0,
            created_at: now,
            created_by: actor.label(),
        };
        store::insert(tx, &task, waiting_for, now).await?;
        store::insert_dependencies(tx, &task, &new.depends_on, now).await?;
        tx.record(task.workspace_id, id, &EventKind::TaskCreated { state: task.state.name() }).await?;
        record_end(tx, &task).await?;
        Ok(task)
    }

    /// Ends a task. What waits ends at once; what runs ends when its runner has stopped it.
    pub async fn cancel_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = store::lock(&mut tx, id).await?;
        cancel(&mut tx, actor, task).await?;
        self.answer_and_stop(tx, actor, id).await
    }

    /// Brings an ended task back, with a fresh allowance of attempts.
    pub async fn retry_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = store::lock(&mut tx, id).await?;
        retry(&mut tx, task).await?;
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// Makes a task that has not begun wait for others too.
    pub async fn add_dependencies(&self, actor: &Actor, id: TaskId, depends_on: &[TaskId]) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        // One at a time in a workspace: two edges that close a cycle together must not pass each other.
        store::lock_graph(&mut tx).await?;
        let mut task = store::lock(&mut tx, id).await?;
        let parents = parents_of_new(&mut tx, depends_on).await?;
        refuse_cycle(&mut tx, id, depends_on).await?;
        if let Parents::Failed { title, state, .. } = conclude(&parents) {
            return Err(Invalid::field("/depends_on", "ended", format!("“{title}” has ended {} already", state.name())).into());
        }
        let now = tx.now();
        let new = store::insert_dependencies(&mut tx, &task, depends_on, now).await?;
        let waits = parents.iter().filter(|parent| new.contains(&parent.id) && !is_success(parent)).count();
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
    let parents = store::lock_parents(tx, task.id).await?;
    let conclusion = conclude(&parents);
    if let Parents::Failed { title, state, .. } = &conclusion {
        let message = format!("it waits for “{title}”, which ended {}; retry that one first", state.name());
        return Err(Error::Conflict(message));
    }
    let now = tx.now();
    let task = task.retry(conclusion, now)?;
    store::save_waiting(tx, &task, parents.iter().filter(|parent| !is_success(parent)).count()).await?;
    let kind = EventKind::TaskRetried { state: task.state.name() };
    tx.record(task.workspace_id, task.id, &kind).await?;
    Ok(task)
}

/// The tasks that a request wants to wait for, locked so that none of them ends unnoticed.
async fn parents_of_new(tx: &mut Tx, ids: &[TaskId]) -> Result<Vec<store::Parent>> {
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

fn is_success(parent: &store::Parent) -> bool {
    parent.state == domain::TaskStateName::Succeeded
}

fn conclude(parents: &[store::Parent]) -> Parents {
    if let Some(parent) = parents.iter().find(|parent| parent.state.is_final() && !is_success(parent)) {
        return Parents::Failed { id: parent.id, title: parent.title.clone(), state: parent.state };
    }
    if parents.iter().all(is_success) { Parents::AllSucceeded } else { Parents::Waiting }
}

/// The event of an end, when the task has come to one.
pub(crate) async fn record_end(tx: &mut Tx, task: &Task) -> Result<()> {
    if !task.state.is_final() {
        return Ok(());
    }
    let kind = EventKind::TaskEnded { state: task.state.name(), reason: task.state.reason() };
    tx.record(task.workspace_id, task.id, &kind).await
}

pub(crate) use release::children as release_children;
