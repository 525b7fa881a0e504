//! What tasks share: how many run with a key, and who is let go on when one of them has ended.
//!
//! A claim counts a key up, or parks the task when it is in use. The end of an attempt counts it down and brings the parked task
//! whose turn is lowest back into the runners' sight.

use domain::WorkspaceId;
use sqlx::PgConnection;

use crate::Result;

/// An attempt that ran with this key has ended.
pub(crate) async fn release(conn: &mut PgConnection, workspace: WorkspaceId, key: &str) -> Result<()> {
    sqlx::query!("update concurrency set running = running - 1 where workspace_id = $1 and key = $2", workspace.0, key)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "update task set parked = false
         where id = (select id from task where workspace_id = $1 and concurrency_key = $2 and parked and paused_by is null
                     order by turn, id limit 1 for update skip locked)",
        workspace.0,
        key
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings back what is parked although its key has room: whoever was to do so was in the middle of something else.
pub(super) async fn unpark(conn: &mut PgConnection) -> Result<u64> {
    let done = sqlx::query!(
        "update task set parked = false
         where id in (
           select next.id from (select distinct workspace_id, concurrency_key from task where parked) as waiting
           left join concurrency shared on shared.workspace_id = waiting.workspace_id and shared.key = waiting.concurrency_key
           cross join lateral (
             select id, concurrency_limit from task
             where task.workspace_id = waiting.workspace_id and task.concurrency_key = waiting.concurrency_key and parked
               and paused_by is null
             order by turn, id limit 1 for update skip locked
           ) as next
           where coalesce(shared.running, 0) < next.concurrency_limit
         )"
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
