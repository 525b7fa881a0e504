//! A task that has not begun is made to wait for others than before, or is taken out of its run. The rows of the tasks between which
//! edges go or come are locked by whoever calls, so none of them ends meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{
    Actor, EventKind, Task, TaskId, TaskState, TaskStateName, WorkflowRunId,
    task::{Dependency, Inputs, On, Standing},
};
use sqlx::{PgConnection, types::Json};

use super::{edge, open, record_end, release, store};
use crate::{Result, tx::Tx};

/// A task whose old edges are gone and whose new ones have yet to come.
pub(crate) struct Loose {
    task: Task,
    waiting_for: i32,
    /// What it is to wait for besides.
    wanted: Vec<Dependency>,
    gone: Vec<TaskId>,
}

/// An edge as it is stored.
struct Stored {
    dependency: Dependency,
    /// Whether the task still waits for it.
    is_open: bool,
}

/// Cuts what a task is no longer to wait for, of what it waits for among `own`. What else it waits for stays. What it is given without
/// anybody's end is `base`.
pub(crate) async fn cut(tx: &mut Tx, id: TaskId, own: &BTreeSet<TaskId>, wanted: Vec<Dependency>, base: &Inputs) -> Result<Loose> {
    let mut task = store::lock(tx, id).await?;
    let mut waiting_for = waiting_for(tx, id).await?;
    let stored: Vec<_> = stored_edges(tx, id).await?.into_iter().filter(|edge| own.contains(&edge.dependency.task)).collect();
    let (kept, gone): (Vec<_>, Vec<_>) = stored.into_iter().partition(|edge| wanted.contains(&edge.dependency));
    for edge in &gone {
        waiting_for -= i32::from(edge.is_open);
        for name in edge.dependency.feeds.keys() {
            match base.get(name) {
                Some(value) => task.inputs.insert(name.clone(), value.clone()),
                None => task.inputs.remove(name),
            };
        }
    }
    let gone: Vec<_> = gone.into_iter().map(|edge| edge.dependency.task).collect();
    delete_edges(tx, id, &gone).await?;
    let wanted = wanted.into_iter().filter(|dependency| !kept.iter().any(|edge| edge.dependency == *dependency)).collect();
    Ok(Loose { task, waiting_for, wanted, gone })
}

/// Ties it to what it is to wait for. Returned when it waits for nothing any more: it has then to [`arrive`].
pub(crate) async fn tie(
    tx: &mut Tx,
    loose: Loose,
    parents: &mut HashMap<TaskId, edge::Parent>,
    run: WorkflowRunId,
) -> Result<Option<Task>> {
    let Loose { mut task, mut waiting_for, wanted, gone } = loose;
    let mut edges = vec![];
    for dependency in &wanted {
        let Some(parent) = parents.get_mut(&dependency.task) else { continue };
        let asked = edge::ask(tx, parent, dependency).await?;
        if asked.standing == Standing::Satisfied {
            task.inputs.extend(asked.inputs);
        } else {
            waiting_for += 1;
        }
        edges.push(store::NewEdge::new(&task, dependency, asked.standing == Standing::Satisfied));
    }
    let now = tx.now();
    store::insert_edges(tx, &edges, now).await?;
    save_inputs(tx, &task).await?;
    let is_ready = matches!(task.state, TaskState::Blocked) && waiting_for == 0;
    if matches!(task.state, TaskState::Queued) && waiting_for > 0 {
        task = task.depend()?;
        store::save_waiting(tx, &task, waiting_for).await?;
    } else {
        // one that waits for nothing waits for itself until it is let go, a moment later
        store::set_waiting(tx, task.id, if is_ready { 1 } else { waiting_for }).await?;
    }
    let tied: BTreeSet<_> = wanted.iter().map(|dependency| dependency.task).collect();
    let cut: BTreeSet<_> = gone.into_iter().collect();
    let kind = EventKind::StepRewired {
        run,
        // one that is waited for in another way is neither
        added: tied.difference(&cut).copied().collect(),
        removed: cut.difference(&tied).copied().collect(),
    };
    tx.record(task.workspace_id, task.id, &kind).await?;
    Ok(is_ready.then_some(task))
}

/// All that it waits for is there.
pub(crate) async fn arrive(tx: &mut Tx, task: Task) -> Result<()> {
    let task = open::arrived(tx, task).await?;
    release::children(tx, &task).await
}

/// Ends a task that is taken out of its run. What waits for it is for the caller to see to.
pub(crate) async fn remove(tx: &mut Tx, actor: &Actor, id: TaskId, run: WorkflowRunId) -> Result<Task> {
    let now = tx.now();
    let task = store::lock(tx, id).await?.cancel(&actor.label(), now)?;
    store::save(tx, &task).await?;
    tx.record(task.workspace_id, id, &EventKind::StepRemoved { run }).await?;
    record_end(tx, &task).await?;
    Ok(task)
}

async fn waiting_for(conn: &mut PgConnection, id: TaskId) -> Result<i32> {
    Ok(sqlx::query_scalar!("select waiting_for from task where id = $1", id.0).fetch_one(conn).await?)
}

async fn stored_edges(conn: &mut PgConnection, id: TaskId) -> Result<Vec<Stored>> {
    let rows = sqlx::query!(
        r#"select depends_on_id as "parent: TaskId", on_kind, edge.condition, feeds as "feeds: Json<BTreeMap<String, String>>", satisfied,
                  task.state as "state: TaskStateName"
           from task_dependency edge join task on task.id = edge.depends_on_id where edge.task_id = $1 order by depends_on_id"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    let edges = rows.into_iter().map(|row| {
        let on = store::on(row.on_kind, row.condition);
        // success comes once, so it is not marked
        let is_open = if on == On::Success { row.state != TaskStateName::Succeeded } else { !row.satisfied };
        Stored { dependency: Dependency { task: row.parent, on, feeds: row.feeds.0 }, is_open }
    });
    Ok(edges.collect())
}

async fn delete_edges(conn: &mut PgConnection, id: TaskId, parents: &[TaskId]) -> Result<()> {
    let parents: Vec<_> = parents.iter().map(|parent| parent.0).collect();
    sqlx::query!("delete from task_dependency where task_id = $1 and depends_on_id = any($2)", id.0, &parents).execute(conn).await?;
    Ok(())
}

async fn save_inputs(conn: &mut PgConnection, task: &Task) -> Result<()> {
    sqlx::query!("update task set inputs = $2 where id = $1", task.id.0, Json(&task.inputs) as _).execute(conn).await?;
    Ok(())
}
