//! What tasks share: how many run with a key, and who is let go on when one of them has ended.
//!
//! A claim counts a key up, or parks the task when it is in use. The end of an attempt counts it down and brings the parked task
//! whose turn is lowest back into the runners' sight.

use domain::WorkspaceId;
use sqlx::PgConnection;

use crate::Result;

/// Attempts that ran with these keys have ended; a key is named once for each. In the order of the keys, so that two who let go of
/// several do not wait for each other.
pub(crate) async fn release(conn: &mut PgConnection, keys: &[(WorkspaceId, String)]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let workspaces: Vec<_> = keys.iter().map(|(workspace, _)| workspace.0).collect();
    let keys: Vec<_> = keys.iter().map(|(_, key)| key.clone()).collect();
    sqlx::query!(
        "with ended as (
           select workspace_id, key, count(*)::int as attempts from unnest($1::uuid[], $2::text[]) as ended (workspace_id, key) group by 1, 2
         ), locked as (
           select shared.workspace_id, shared.key, ended.attempts from concurrency shared join ended using (workspace_id, key)
           order by 1, 2 for no key update of shared
         )
         update concurrency shared set running = shared.running - locked.attempts from locked
         where shared.workspace_id = locked.workspace_id and shared.key = locked.key",
        &workspaces,
        &keys
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "with ended as (
           select workspace_id, key, count(*) as attempts from unnest($1::uuid[], $2::text[]) as ended (workspace_id, key) group by 1, 2
         )
         update task set parked = false
         where id in (select next.id from ended cross join lateral (
                        select id from task
                        where task.workspace_id = ended.workspace_id and concurrency_key = ended.key and parked and model_pull is null
                          and paused_by is null
                        order by turn, id limit ended.attempts for no key update skip locked
                      ) as next)",
        &workspaces,
        &keys
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
           select next.id from (select distinct workspace_id, concurrency_key from task where parked and model_pull is null) as waiting
           left join concurrency shared on shared.workspace_id = waiting.workspace_id and shared.key = waiting.concurrency_key
           cross join lateral (
             select id, concurrency_limit from task
             where task.workspace_id = waiting.workspace_id and task.concurrency_key = waiting.concurrency_key and parked
               and model_pull is null and paused_by is null
             order by turn, id limit 1 for no key update skip locked
           ) as next
           where coalesce(shared.running, 0) < next.concurrency_limit
         )"
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
