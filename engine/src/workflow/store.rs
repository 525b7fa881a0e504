//! All SQL that changes workflows and runs.

use domain::{Actor, IfMatch, TaskId, Timestamp, WorkflowId, WorkflowRunId, WorkspaceId, task::Inputs, workflow::Definition};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::instantiate::NewStep;
use crate::{Error, Result, new_id, task::group::Member, tx::Tx};

/// A new version under the definition's name, unless the newest says the same.
pub(super) async fn save(tx: &mut Tx, actor: &Actor, definition: &Definition, source: &str) -> Result<()> {
    let now = tx.now();
    let workspace = actor.workspace_id.0;
    sqlx::query!(
        "insert into workflow (id, workspace_id, name, version, created_at, changed_at) values ($1, $2, $3, 1, $4, $4)
         on conflict (workspace_id, name) do nothing",
        new_id(),
        workspace,
        definition.name,
        now
    )
    .execute(&mut **tx)
    .await?;
    let workflow =
        sqlx::query!("select id, version from workflow where workspace_id = $1 and name = $2 for update", workspace, definition.name)
            .fetch_one(&mut **tx)
            .await?;
    let newest =
        sqlx::query_scalar!("select source from workflow_version where workflow_id = $1 and version = $2", workflow.id.0, workflow.version)
            .fetch_optional(&mut **tx)
            .await?;
    let version = match &newest {
        Some(newest) if newest == source => return Ok(()),
        _ if !as_seen(actor, newest.is_some(), workflow.version) => return Err(saved_meanwhile(tx, workflow.id, newest.is_some()).await?),
        Some(_) => workflow.version + 1,
        None => 1,
    };
    sqlx::query!(
        "insert into workflow_version (workspace_id, workflow_id, version, definition, source, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7)",
        workspace,
        workflow.id.0,
        version,
        Json(definition) as _,
        source,
        now,
        actor.label()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("update workflow set version = $2, changed_at = $3 where id = $1", workflow.id.0, version, now).execute(&mut **tx).await?;
    Ok(())
}

/// Whether the newest version is the one that whoever saves has seen. Version 0 is none: whoever has seen that makes a new workflow.
fn as_seen(actor: &Actor, is_there: bool, version: i32) -> bool {
    let Some(seen) = &actor.if_match else { return true };
    if is_there { seen.matches(version.into()) } else { *seen == IfMatch::Versions(vec![0]) }
}

async fn saved_meanwhile(tx: &mut Tx, workflow: WorkflowId, is_there: bool) -> Result<Error> {
    if !is_there {
        return Ok(Error::Changed("there is no workflow of that name, so there is no version to match".into()));
    }
    let row = sqlx::query!(
        r#"select version.version, version.created_at, coalesce(person.name, api_key.name || ' (API key)', created_by) as "creator!"
           from workflow_version version
           left join "user" person on created_by = 'user:' || person.id
           left join api_key on created_by = 'api_key:' || api_key.id
           where workflow_id = $1 order by version.version desc limit 1"#,
        workflow.0
    )
    .fetch_one(&mut **tx)
    .await?;
    let at = row.created_at.format("%Y-%m-%d %H:%M:%S UTC");
    Ok(Error::Changed(format!("{} saved version {} at {at}; look at it and save again", row.creator, row.version)))
}

/// A version of a workflow, the newest when none is named.
pub(super) async fn definition(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    name: &str,
    version: Option<i32>,
) -> Result<Option<((WorkflowId, i32), Definition)>> {
    let row = sqlx::query!(
        r#"select workflow.id as "id: WorkflowId", workflow_version.version, definition as "definition: Json<Definition>"
           from workflow join workflow_version on workflow_version.workflow_id = workflow.id
           where workflow.workspace_id = $1 and name = $2 and workflow_version.version = coalesce($3, workflow.version)"#,
        workspace.0,
        name,
        version
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| ((row.id, row.version), row.definition.0)))
}

/// A run that is to be stored.
pub(super) struct NewRunRow<'a> {
    pub id: WorkflowRunId,
    pub workflow: (WorkflowId, i32),
    pub title: &'a str,
    pub parameters: &'a Inputs,
    pub repository: &'a str,
    pub restart_of: Option<WorkflowRunId>,
    /// In place of that of its version.
    pub definition: Option<&'a Definition>,
}

pub(super) async fn insert_run(tx: &mut Tx, actor: &Actor, run: NewRunRow<'_>) -> Result<()> {
    let now = tx.now();
    let (workflow, version) = run.workflow;
    sqlx::query!(
        "insert into workflow_run (id, workspace_id, workflow_id, version, title, parameters, repository, restart_of, created_at, created_by,
                                   definition)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        run.id.0,
        actor.workspace_id.0,
        workflow.0,
        version,
        run.title,
        Json(run.parameters) as _,
        run.repository,
        run.restart_of.map(|id| id.0),
        now,
        actor.label(),
        run.definition.map(Json) as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(crate) async fn insert_steps(conn: &mut PgConnection, workspace: WorkspaceId, run: WorkflowRunId, steps: &[NewStep]) -> Result<()> {
    let keys: Vec<_> = steps.iter().map(|step| step.key.clone()).collect();
    let groups: Vec<_> = steps.iter().map(|step| step.group_key.clone()).collect();
    let tasks: Vec<_> = steps.iter().map(|step| step.task.0).collect();
    let reused: Vec<_> = steps.iter().map(|step| step.reused).collect();
    sqlx::query!(
        "insert into workflow_step (workspace_id, run_id, key, group_key, task_id, reused)
         select $1, $2, key, group_key, task_id, reused
         from unnest($3::text[], $4::text[], $5::uuid[], $6::boolean[]) as new (key, group_key, task_id, reused)",
        workspace.0,
        run.0,
        &keys,
        &groups as _,
        &tasks,
        &reused
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where a group stands in its run.
pub(super) struct Place {
    pub run: WorkflowRunId,
    pub key: String,
    pub repository: String,
    pub paused_by: Option<String>,
    pub cancelled_by: Option<String>,
    /// How many tasks the run has.
    pub tasks: usize,
}

pub(super) async fn place(conn: &mut PgConnection, group: TaskId) -> Result<Option<Place>> {
    let row = sqlx::query!(
        r#"select run.id as "run: WorkflowRunId", key, repository.location, run.paused_by, run.cancelled_by,
                  (select count(*) from workflow_step counted where counted.run_id = run.id) as "tasks!"
           from task
           join workflow_run run on run.id = task.workflow_run_id
           join workflow_step step on step.run_id = run.id and step.task_id = task.id
           join repository on repository.id = task.repository_id
           where task.id = $1"#,
        group.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Place {
        run: row.run,
        key: row.key,
        repository: row.location,
        paused_by: row.paused_by,
        cancelled_by: row.cancelled_by,
        tasks: usize::try_from(row.tasks).unwrap_or(usize::MAX),
    }))
}

/// The tasks of a group, in the order in which they were made.
pub(crate) async fn members_of(conn: &mut PgConnection, group: TaskId) -> Result<Vec<Member>> {
    let rows = sqlx::query!(
        r#"select task.id as "id: TaskId", coalesce(step.key, task.title) as "key!", title, state as "state: domain::TaskStateName",
                  output as "output: Json<Value>"
           from task_dependency edge
           join task on task.id = edge.depends_on_id
           left join workflow_step step on step.task_id = task.id and step.run_id = task.workflow_run_id
           where edge.task_id = $1 and task.group_id = $1 order by task.id"#,
        group.0
    )
    .fetch_all(conn)
    .await?;
    let members = rows.into_iter().map(|row| Member {
        id: row.id,
        key: row.key,
        title: row.title,
        state: row.state,
        output: row.output.map(|output| output.0),
    });
    Ok(members.collect())
}

/// Members that still run may go on when their group has ended.
pub(crate) async fn let_go(conn: &mut PgConnection, group: TaskId) -> Result<()> {
    sqlx::query!("update task set group_id = null where group_id = $1 and ended_at is null", group.0).execute(conn).await?;
    Ok(())
}

/// A run, its row locked until the end of the transaction.
pub(super) struct LockedRun {
    pub workflow: String,
    pub version: i32,
    pub title: String,
    pub parameters: Inputs,
    pub repository: String,
    pub paused_by: Option<String>,
    pub cancelled_by: Option<String>,
}

pub(super) async fn lock_run(conn: &mut PgConnection, id: WorkflowRunId) -> Result<LockedRun> {
    let row = sqlx::query!(
        r#"select workflow.name, run.version, title, parameters as "parameters: Json<Inputs>", repository, paused_by, cancelled_by
           from workflow_run run join workflow on workflow.id = run.workflow_id where run.id = $1 and forgotten_at is null for no key update of run"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| Error::not_found("workflow run", id))?;
    Ok(LockedRun {
        workflow: row.name,
        version: row.version,
        title: row.title,
        parameters: row.parameters.0,
        repository: row.repository,
        paused_by: row.paused_by,
        cancelled_by: row.cancelled_by,
    })
}

pub(super) async fn set_paused(conn: &mut PgConnection, id: WorkflowRunId, by: Option<&str>) -> Result<()> {
    sqlx::query!("update workflow_run set paused_by = $2 where id = $1", id.0, by).execute(conn).await?;
    Ok(())
}

pub(super) async fn set_cancelled(conn: &mut PgConnection, id: WorkflowRunId, by: &str, now: Timestamp) -> Result<()> {
    sqlx::query!("update workflow_run set cancelled_by = $2, cancelling_since = $3 where id = $1", id.0, by, now).execute(conn).await?;
    Ok(())
}

pub(super) async fn is_cancelled_throughout(conn: &mut PgConnection, id: WorkflowRunId) -> Result<()> {
    sqlx::query!("update workflow_run set cancelling_since = null where id = $1", id.0).execute(conn).await?;
    Ok(())
}

/// Runs that are being cancelled, but for those of which everything that goes on is passed over.
pub(super) async fn cancelling(conn: &mut PgConnection, passed: &[Uuid], limit: i64) -> Result<Vec<(WorkflowRunId, String)>> {
    let rows = sqlx::query!(
        r#"select id as "id: WorkflowRunId", cancelled_by as "by!" from workflow_run run
           where cancelling_since is not null and cancelled_by is not null
             and (not exists (select from task where workflow_run_id = run.id and task.id = any($2))
                  or exists (select from task where workflow_run_id = run.id and ended_at is null
                             and (stop is null or stop ->> 'why' <> 'cancel') and task.id <> all($2)))
           order by cancelling_since limit $1"#,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.by)).collect())
}

/// The run's own tasks that have not ended and are not being ended, the oldest first, without those that are passed over.
pub(super) async fn going_on(conn: &mut PgConnection, id: WorkflowRunId, passed: &[Uuid], limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id: TaskId" from task
           where workflow_run_id = $1 and ended_at is null and (stop is null or stop ->> 'why' <> 'cancel') and id <> all($3)
           order by id limit $2"#,
        id.0,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// The gates of a run that wait for an event of this name.
pub(super) async fn waiting_gates(conn: &mut PgConnection, id: WorkflowRunId, name: &str) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id: TaskId" from task
           where workflow_run_id = $1 and state = 'blocked' and opened and control -> 'gate' ->> 'gate' = 'event'
             and control -> 'gate' ->> 'name' = $2 order by id"#,
        id.0,
        name
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
