//! What happens when all that a task waits for is there: work goes into the queue, a gate waits to be passed, a group becomes several
//! tasks.

use domain::{
    Actor, EventKind, Failure, FailureCode, Invalid, Permission, Task, TaskId, TaskState, TaskView, Work, task::Gate, workflow::GateAnswer,
};

use super::{edit, followers, followers::End, group, query, record_end, release, store};
use crate::{Engine, Error, Result, expression, tx::Tx};

/// Its own condition is asked first. The task afterwards; when it has ended, whoever calls sees to its children.
pub(super) async fn arrived(tx: &mut Tx, task: Task) -> Result<Task> {
    if let Some(condition) = &task.condition {
        let inputs = serde_json::Value::Object(task.inputs.clone().into_iter().collect());
        let asked = expression::is_true(condition, "inputs", inputs).await;
        if !matches!(asked, Ok(true)) {
            let condition = match asked {
                Err(trouble) => Some(format!("{condition}: {trouble}")),
                Ok(_) => task.condition.clone(),
            };
            let task = Task { condition, ..task }.not_needed(tx.now())?;
            store::save(tx, &task).await?;
            record_end(tx, &task).await?;
            return Ok(task);
        }
    }
    match &task.work {
        Work::Command(_) | Work::Prompt(_) => release::queue(tx, task).await,
        Work::Gate(Gate::Wait) if task.delay_seconds.is_none_or(|seconds| seconds == 0) && task.not_before.is_none() => {
            let task = task.open()?;
            passed(tx, task, None).await
        }
        Work::Gate(Gate::Wait) => release::queue(tx, task).await,
        Work::Gate(_) => {
            let task = task.open()?;
            store::save_opened(tx, &task, 1).await?;
            tx.record(task.workspace_id, task.id, &EventKind::GateOpened).await?;
            Ok(task)
        }
        Work::Group(_) => Box::pin(group::expand(tx, task)).await,
    }
}

/// Lets a task that no runner executes succeed.
pub(super) async fn passed(tx: &mut Tx, task: Task, comment: Option<String>) -> Result<Task> {
    let is_gate = matches!(task.work, Work::Gate(_));
    let task = task.pass(tx.now())?;
    store::save(tx, &task).await?;
    if is_gate {
        tx.record(task.workspace_id, task.id, &EventKind::GatePassed { comment }).await?;
    }
    record_end(tx, &task).await?;
    Ok(task)
}

pub(super) async fn not_passed(tx: &mut Tx, task: Task, code: FailureCode, message: String) -> Result<Task> {
    let task = task.not_passed(Failure::new(code, message), tx.now())?;
    store::save(tx, &task).await?;
    record_end(tx, &task).await?;
    Ok(task)
}

/// Its run is being cancelled, and whoever does that has not come to it yet.
pub(super) async fn cancelled(tx: &mut Tx, task: Task, by: &str) -> Result<Task> {
    let task = task.cancel(by, tx.now())?;
    store::save(tx, &task).await?;
    record_end(tx, &task).await?;
    Ok(task)
}

impl Engine {
    /// A person says yes at a gate.
    pub async fn approve_task(&self, actor: &Actor, id: TaskId, answer: GateAnswer) -> Result<TaskView> {
        self.answer_gate(actor, id, answer, true).await
    }

    /// A person says no; what waits for it is skipped.
    pub async fn reject_task(&self, actor: &Actor, id: TaskId, answer: GateAnswer) -> Result<TaskView> {
        self.answer_gate(actor, id, answer, false).await
    }

    async fn answer_gate(&self, actor: &Actor, id: TaskId, answer: GateAnswer, yes: bool) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        let comment = answer.comment.map(|comment| comment.trim().to_owned()).filter(|comment| !comment.is_empty());
        if comment.as_ref().is_some_and(|comment| comment.chars().count() > 2000 || comment.contains('\0')) {
            return Err(Invalid::field("/comment", "too_long", "must be at most 2000 characters, without NUL").into());
        }
        let mut tx = self.begin(actor).await?;
        let task = followers::lock(&mut tx, id, if yes { End::Well } else { End::Badly }).await?;
        edit::refuse_unseen(&mut tx, actor, id).await?;
        refuse_what_is_no_open_approval(&task)?;
        let name = query::name_of(&mut tx, &actor.label()).await?;
        let task = if yes {
            store::save_output(&mut tx, id, &serde_json::json!({"approved_by": name, "comment": comment})).await?;
            let said = comment.map_or_else(|| format!("approved by {name}"), |comment| format!("approved by {name}: {comment}"));
            passed(&mut tx, task, Some(said)).await?
        } else {
            let said = comment.map_or_else(|| format!("rejected by {name}"), |comment| format!("rejected by {name}: {comment}"));
            not_passed(&mut tx, task, FailureCode::Rejected, said).await?
        };
        release::children(&mut tx, &task).await?;
        let view = query::view(&mut tx, id).await?;
        tx.answer(actor, view).await
    }
}

fn refuse_what_is_no_open_approval(task: &Task) -> Result<()> {
    let why = match (&task.work, &task.state) {
        (Work::Gate(Gate::Approval { .. }), TaskState::Blocked) if task.opened => return Ok(()),
        (Work::Gate(Gate::Approval { .. }), TaskState::Blocked) => "what it waits for is not done yet".into(),
        (Work::Gate(Gate::Approval { .. }), state) => format!("it has ended {} already", state.name().name()),
        _ => "nobody is asked to approve it".into(),
    };
    Err(Error::Conflict(why))
}

/// What an open gate waits for has happened outside.
pub(crate) async fn event_happened(tx: &mut Tx, id: TaskId, payload: &serde_json::Value) -> Result<()> {
    let task = followers::lock(tx, id, End::Well).await?;
    if !matches!((&task.work, &task.state), (Work::Gate(Gate::Event { .. }), TaskState::Blocked)) || !task.opened {
        return Ok(());
    }
    store::save_output(tx, id, payload).await?;
    let task = passed(tx, task, None).await?;
    release::children(tx, &task).await
}
