//! The SQL of changes to runs.

use domain::{
    Actor, TaskId, TaskStateName, WorkflowRunId,
    task::Inputs,
    workflow::{Changed, Definition, RunChange},
};
use sqlx::{PgConnection, types::Json};

use crate::{Error, Result, tx::Tx};

/// A run as far as a change needs it.
pub(super) struct RunRow {
    pub definition: Definition,
    /// How often it was changed.
    pub changes: i32,
    pub parameters: Inputs,
    pub repository: String,
    pub paused_by: Option<String>,
    pub cancelled_by: Option<String>,
}

/// Its row locked until the end of the transaction.
pub(super) async fn lock_run(conn: &mut PgConnection, id: WorkflowRunId) -> Result<RunRow> {
    sqlx::query!("select id from workflow_run where id = $1 for no key update", id.0).fetch_optional(&mut *conn).await?;
    read_run(conn, id).await
}

pub(super) async fn read_run(conn: &mut PgConnection, id: WorkflowRunId) -> Result<RunRow> {
    let row = sqlx::query!(
        r#"select coalesce(run.definition, version.definition) as "definition!: Json<Definition>", parameters as "parameters: Json<Inputs>",
                  repository, paused_by, cancelled_by,
                  (select count(*) from workflow_run_change made where made.run_id = run.id) as "changes!"
           from workflow_run run
           join workflow_version version on version.workflow_id = run.workflow_id and version.version = run.version
           where run.id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| Error::not_found("workflow run", id))?;
    Ok(RunRow {
        definition: row.definition.0,
        changes: i32::try_from(row.changes).unwrap_or(i32::MAX),
        parameters: row.parameters.0,
        repository: row.repository,
        paused_by: row.paused_by,
        cancelled_by: row.cancelled_by,
    })
}

/// The graph that belongs to a run alone, if it was changed.
pub(super) async fn own_definition(conn: &mut PgConnection, id: WorkflowRunId) -> Result<Option<Definition>> {
    let definition = sqlx::query_scalar!(r#"select definition as "definition: Json<Definition>" from workflow_run where id = $1"#, id.0)
        .fetch_one(conn)
        .await?;
    Ok(definition.map(|definition| definition.0))
}

/// A step of the run itself: none that a group has become.
pub(super) struct TopStep {
    pub key: String,
    pub task: TaskId,
    pub title: String,
    pub state: TaskStateName,
    pub opened: bool,
    pub attempts: i32,
    pub is_gate: bool,
    pub removed: bool,
}

pub(super) async fn top_steps(conn: &mut PgConnection, id: WorkflowRunId) -> Result<Vec<TopStep>> {
    let steps = sqlx::query_as!(
        TopStep,
        r#"select key, task.id as "task: TaskId", title, state as "state: TaskStateName", opened, attempts,
                  coalesce(control ? 'gate', false) as "is_gate!", removed
           from workflow_step step join task on task.id = step.task_id
           where run_id = $1 and group_key is null order by task.id"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(steps)
}

/// Those of these tasks, locked one after the other in this order until the end of the transaction.
pub(super) async fn lock_top_steps(conn: &mut PgConnection, id: WorkflowRunId, order: &[TaskId]) -> Result<Vec<TopStep>> {
    let order: Vec<_> = order.iter().map(|task| task.0).collect();
    let steps = sqlx::query_as!(
        TopStep,
        r#"select key as "key!", task.id as "task!: TaskId", title as "title!", state as "state!: TaskStateName", opened as "opened!",
                  attempts as "attempts!", coalesce(control ? 'gate', false) as "is_gate!", removed as "removed!"
           from unnest($2::uuid[]) with ordinality as wanted (id, position)
           join task on task.id = wanted.id
           join workflow_step step on step.task_id = task.id and step.run_id = $1
           order by wanted.position for update of task"#,
        id.0,
        &order
    )
    .fetch_all(conn)
    .await?;
    Ok(steps)
}

pub(super) async fn mark_removed(conn: &mut PgConnection, id: WorkflowRunId, keys: &[String]) -> Result<()> {
    sqlx::query!("update workflow_step set removed = true where run_id = $1 and key = any($2)", id.0, keys).execute(conn).await?;
    Ok(())
}

/// Keeps the graph as it is now with the run, and what was changed.
pub(super) async fn save(tx: &mut Tx, actor: &Actor, id: WorkflowRunId, number: i32, changed: &Changed, source: &str) -> Result<()> {
    let now = tx.now();
    sqlx::query!("update workflow_run set definition = $2 where id = $1", id.0, Json(&changed.definition) as _).execute(&mut **tx).await?;
    sqlx::query!(
        "insert into workflow_run_change (workspace_id, run_id, number, source, added, removed, rewired, changed_at, changed_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        actor.workspace_id.0,
        id.0,
        number,
        source,
        &changed.added,
        &changed.removed,
        &changed.rewired,
        now,
        actor.label()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was changed of a run, the first change first.
pub(super) async fn changes(conn: &mut PgConnection, id: WorkflowRunId) -> Result<Vec<RunChange>> {
    let changes = sqlx::query_as!(
        RunChange,
        r#"select number, changed_at as at, added, removed, rewired, source,
                  coalesce(person.name, api_key.name || ' (API key)', changed_by) as "by!"
           from workflow_run_change
           left join "user" person on changed_by = 'user:' || person.id
           left join api_key on changed_by = 'api_key:' || api_key.id
           where run_id = $1 order by number"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(changes)
}

/// Whether a task was taken out of its run.
pub(crate) async fn is_removed(conn: &mut PgConnection, task: TaskId) -> Result<bool> {
    let removed = sqlx::query_scalar!(r#"select exists (select from workflow_step where task_id = $1 and removed) as "removed!""#, task.0)
        .fetch_one(conn)
        .await?;
    Ok(removed)
}
