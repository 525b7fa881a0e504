//! Changing what a task says and how it is to be done; and changing a task only as whoever asks has seen it.

use domain::{Actor, EventKind, Permission, Task, TaskId, TaskView, task::TaskChange};
use sqlx::types::Json;

use super::{query, store};
use crate::{Engine, Error, Result, error::hit_one, event, tx::Tx};

/// Events that a refusal names.
const NAMED: usize = 5;

impl Engine {
    /// Changes what may still be changed of a task that has not ended. What is as it was leaves no trace.
    pub async fn edit_task(&self, actor: &Actor, id: TaskId, change: TaskChange) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let task = lock_as_seen(&mut tx, actor, id).await?;
        let now = tx.now();
        let (task, changes) = task.change(change, now)?;
        if !changes.is_empty() {
            store::save(&mut tx, &task).await?;
            save_terms(&mut tx, &task).await?;
            tx.record(task.workspace_id, id, &EventKind::TaskChanged { changes }).await?;
        }
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }
}

/// The task, locked, unless something has happened to it that whoever asks has not seen. Events are written under the lock, so none can
/// come between.
pub(crate) async fn lock_as_seen(tx: &mut Tx, actor: &Actor, id: TaskId) -> Result<Task> {
    let task = store::lock(tx, id).await?;
    refuse_unseen(tx, actor, id).await?;
    Ok(task)
}

/// As [`lock_as_seen`], of a task that is locked already.
pub(super) async fn refuse_unseen(tx: &mut Tx, actor: &Actor, id: TaskId) -> Result<()> {
    let Some(seen) = &actor.if_match else { return Ok(()) };
    let version = event::store::version(tx, id).await?;
    if seen.matches(version) {
        return Ok(());
    }
    Err(Error::Changed(since(tx, id, seen.newest(), version).await?))
}

/// Who did what to the task since, in words.
async fn since(tx: &mut Tx, id: TaskId, seen: Option<i64>, version: i64) -> Result<String> {
    let Some(seen) = seen.filter(|seen| (0..version).contains(seen)) else {
        return Ok(format!("that is no version of this task; it is at version {version}"));
    };
    let events = event::store::since(tx, id, seen).await?;
    let more = events.len().saturating_sub(NAMED);
    let named = events.into_iter().take(NAMED).map(|(who, kind)| format!("{who}: {}", kind.sentence()));
    let mut said = named.collect::<Vec<_>>().join("; ");
    if more > 0 {
        said.push_str(&format!("; and {more} more"));
    }
    Ok(format!("it has changed since version {seen} and is at version {version} now. {said}"))
}

/// What [`store::save`] does not write, as no transition changes it.
async fn save_terms(tx: &mut Tx, task: &Task) -> Result<()> {
    let done = sqlx::query!(
        "update task set title = $2, tags = $3, queue_seconds = $4, timeout_seconds = $5, max_attempts = $6, retry_strategy = $7,
                         retry_base_seconds = $8, retry_cap_seconds = $9, retry_by_class = $10
         where id = $1",
        task.id.0,
        task.title,
        &task.tags,
        task.queue_seconds,
        task.timeout_seconds,
        task.max_attempts,
        task.retry.strategy.name(),
        i32::try_from(task.retry.base_seconds).unwrap_or(i32::MAX),
        i32::try_from(task.retry.cap_seconds).unwrap_or(i32::MAX),
        (!task.retry.by_class.is_usual()).then_some(Json(task.retry.by_class)) as _
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::not_found("task", task.id))
}
