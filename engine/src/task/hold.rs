//! Holding a task back, letting it go on, and letting go of what was set aside.

use domain::{Actor, EventKind, Permission, Task, TaskId, TaskView};

use super::{edit, query, record_end, store};
use crate::{Engine, Result, tx::Tx};

impl Engine {
    /// No runner takes it until it is resumed. What works on it is stopped, its work saved, and goes back into the queue.
    pub async fn pause_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = edit::lock_as_seen(&mut tx, actor, id).await?;
        pause(&mut tx, actor, task).await?;
        self.answer_and_stop(tx, actor, id).await
    }

    pub async fn resume_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = edit::lock_as_seen(&mut tx, actor, id).await?;
        resume(&mut tx, task).await?;
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// Lets go of a task that was set aside.
    pub async fn discard_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = edit::lock_as_seen(&mut tx, actor, id).await?;
        discard(&mut tx, actor, task).await?;
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// The answer of a use case that may want what runs to end; its runner is told after the commit.
    pub(super) async fn answer_and_stop(&self, mut tx: Tx, actor: &Actor, id: TaskId) -> Result<TaskView> {
        let view = query::view(&mut tx, id).await?;
        let attempt = match view.summary.state.stop() {
            Some(_) => crate::attempt::store::live(&mut tx, id).await?,
            None => None,
        };
        let view = tx.answer(actor, view).await?;
        if let Some((runner, attempt)) = attempt {
            self.hub.cancel(runner, attempt);
        }
        Ok(view)
    }
}

pub(super) async fn pause(tx: &mut Tx, actor: &Actor, task: Task) -> Result<Task> {
    let held_before = task.paused_by.is_some();
    let task = task.pause(&actor.label())?;
    store::save(tx, &task).await?;
    if !held_before {
        tx.record(task.workspace_id, task.id, &EventKind::TaskPaused).await?;
    }
    Ok(task)
}

pub(super) async fn resume(tx: &mut Tx, task: Task) -> Result<Task> {
    let task = task.resume()?;
    store::save(tx, &task).await?;
    tx.record(task.workspace_id, task.id, &EventKind::TaskResumed).await?;
    Ok(task)
}

pub(super) async fn discard(tx: &mut Tx, actor: &Actor, task: Task) -> Result<Task> {
    let now = tx.now();
    let task = task.discard(&actor.label(), now)?;
    store::save(tx, &task).await?;
    record_end(tx, &task).await?;
    Ok(task)
}
