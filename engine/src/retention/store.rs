//! All SQL that deletes tasks and runs.

use domain::{Timestamp, WorkspaceId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cutoffs, Forgotten};
use crate::Result;

pub(super) async fn workspaces(conn: &mut PgConnection) -> Result<Vec<WorkspaceId>> {
    let ids = sqlx::query_scalar!(r#"select id as "id: WorkspaceId" from workspace order by id"#).fetch_all(conn).await?;
    Ok(ids)
}

/// Tasks that ended long enough ago and that nothing seems to need, locked, the oldest first. Locked ones of others are passed over.
pub(super) async fn lock_old(conn: &mut PgConnection, workspace: WorkspaceId, cutoffs: Cutoffs, limit: i64) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"select task.id as "id: Uuid" from task
           where task.workspace_id = $1 and ended_at < greatest($2::timestamptz, $3::timestamptz)
             and ended_at < case when state = 'dead' then $3 else $2 end
             and not exists (select from workflow_run run where run.id = task.workflow_run_id and forgotten_at is null)
             and not exists (select from workflow_step step join workflow_run run on run.id = step.run_id
                             where step.task_id = task.id and forgotten_at is null)
             and not exists (select from task_dependency edge join task child on child.id = edge.task_id
                             where edge.depends_on_id = task.id and child.state <> 'succeeded')
           order by ended_at limit $4 for update of task skip locked"#,
        workspace.0,
        cutoffs.ended,
        cutoffs.dead,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Which of these, whose rows are locked, nothing needs: no run shows them, and what waited for them has succeeded. What has not may
/// still wait, or may be brought back and would wait again.
pub(super) async fn not_needed(conn: &mut PgConnection, locked: &[Uuid]) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"select task.id as "id: Uuid" from task
           where task.id = any($1)
             and not exists (select from workflow_step step join workflow_run run on run.id = step.run_id
                             where step.task_id = task.id and forgotten_at is null)
             and not exists (select from task_dependency edge join task child on child.id = edge.task_id
                             where edge.depends_on_id = task.id and child.state <> 'succeeded')
           order by task.id"#,
        locked
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Deletes tasks with everything that names them. Their events are gone already, and the horizon knows.
pub(super) async fn delete_tasks(conn: &mut PgConnection, tasks: &[Uuid]) -> Result<()> {
    sqlx::query!("delete from landing where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from attempt_repository using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from task_repository where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from runner_log where task_id = any($1)", tasks).execute(&mut *conn).await?;
    // how long it stood so is true all the same
    sqlx::query!("update runner_period set task_id = null where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from artifact using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from verification_check using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from verification using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from approval_link using approval where approval.id = approval_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from approval where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from telling using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from report_part using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from finding using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from verification_round using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from attempt_usage using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from session_event using attempt where attempt.id = attempt_id and task_id = any($1)", tasks)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from attempt where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from log_chunk where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from workflow_step where task_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from task_dependency where task_id = any($1) or depends_on_id = any($1)", tasks).execute(&mut *conn).await?;
    sqlx::query!("delete from task where id = any($1)", tasks).execute(conn).await?;
    Ok(())
}

/// Runs of which every task ended long enough ago, of which no other run shows a task, and for which nothing outside waits: gone for
/// people from now on. How many.
pub(super) async fn forget_runs(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    cutoffs: Cutoffs,
    now: Timestamp,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "update workflow_run set forgotten_at = $4
         where id in (
           select run.id from workflow_run run
           where run.workspace_id = $1 and forgotten_at is null and run.created_at < greatest($2::timestamptz, $3::timestamptz)
             and not exists (select from task where workflow_run_id = run.id
                             and not coalesce(ended_at < case when state = 'dead' then $3 else $2 end, false))
             and not exists (select from workflow_step mine join workflow_step theirs on theirs.task_id = mine.task_id
                             join workflow_run other on other.id = theirs.run_id
                             where mine.run_id = run.id and not mine.reused and other.id <> run.id and other.forgotten_at is null)
             and not exists (select from task join task_dependency edge on edge.depends_on_id = task.id
                             join task child on child.id = edge.task_id
                             where task.workflow_run_id = run.id and child.workflow_run_id is distinct from run.id
                               and child.state <> 'succeeded')
           order by run.created_at limit $5 for update of run skip locked
         )",
        workspace.0,
        cutoffs.ended,
        cutoffs.dead,
        now,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Forgotten runs of which no task is left.
pub(super) async fn delete_empty_runs(conn: &mut PgConnection, workspace: WorkspaceId, limit: i64) -> Result<()> {
    let empty = sqlx::query_scalar!(
        r#"select run.id as "id: Uuid" from workflow_run run
           where run.workspace_id = $1 and forgotten_at is not null and not exists (select from task where workflow_run_id = run.id)
           order by run.id limit $2 for update of run skip locked"#,
        workspace.0,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    if empty.is_empty() {
        return Ok(());
    }
    // The tasks that it took over are those of another run, and stay.
    sqlx::query!("delete from workflow_step where run_id = any($1)", &empty).execute(&mut *conn).await?;
    sqlx::query!("delete from workflow_run_change where run_id = any($1)", &empty).execute(&mut *conn).await?;
    sqlx::query!("update workflow_run set restart_of = null where restart_of = any($1)", &empty).execute(&mut *conn).await?;
    sqlx::query!("delete from workflow_run where id = any($1)", &empty).execute(conn).await?;
    Ok(())
}

/// What would go: what ended long enough ago, without what others need, and what those need in turn.
pub(super) async fn count(conn: &mut PgConnection, cutoffs: Cutoffs) -> Result<Forgotten> {
    let row = sqlx::query!(
        r#"with recursive needed (id) as (
             select edge.depends_on_id from task child join task_dependency edge on edge.task_id = child.id
             where child.state <> 'succeeded' and not coalesce(child.ended_at < case when child.state = 'dead' then $2::timestamptz else $1::timestamptz end, false)
             union
             select edge.depends_on_id from needed join task on task.id = needed.id and task.state <> 'succeeded'
             join task_dependency edge on edge.task_id = task.id
           ),
           kept_run (id) as (
             select run.id from workflow_run run
             where forgotten_at is null and exists (
               select from task where workflow_run_id = run.id
                 and (not coalesce(ended_at < case when state = 'dead' then $2 else $1 end, false) or task.id in (select id from needed)))
           ),
           shown (id) as (select task_id from workflow_step where run_id in (select id from kept_run))
           select (select count(*) from task
                   where ended_at < case when state = 'dead' then $2::timestamptz else $1::timestamptz end
                     and task.id not in (select id from needed) and task.id not in (select id from shown)
                     and (workflow_run_id is null or workflow_run_id not in (select id from kept_run))) as "tasks!",
                  (select count(*) from workflow_run run
                   where forgotten_at is null and run.id not in (select id from kept_run)
                     and not exists (select from task join shown on shown.id = task.id where workflow_run_id = run.id)) as "runs!""#,
        cutoffs.ended,
        cutoffs.dead
    )
    .fetch_one(conn)
    .await?;
    Ok(Forgotten { tasks: row.tasks.unsigned_abs(), runs: row.runs.unsigned_abs() })
}
