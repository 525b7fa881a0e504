//! Positions of a workspace's stream: the newest, and whether one that somebody brings along can be gone on from.
//!
//! Events are deleted with their task. What is kept of that is the horizon: up to where events of the workspace may be gone. Whoever
//! stands at the horizon or after it has missed nothing; whoever stands before it has to begin anew. A position that names no event of
//! this log comes from elsewhere: from another database, from a log that a restored backup does not have, from another workspace.

use sqlx::PgConnection;

use super::EventCursor;
use crate::Result;

/// The position after everything of the workspace that is settled now.
pub(super) async fn newest(conn: &mut PgConnection) -> Result<EventCursor> {
    let row = sqlx::query!(
        r#"select known.xid::text::bigint as "xid!", known.id as "id!"
           from (
             (select xid, id from event
              where workspace_id = (select current_workspace()) and xid < pg_snapshot_xmin(pg_current_snapshot())
              order by event.xid desc, event.id desc limit 1)
             union all
             (select xid, id from event_horizon where workspace_id = (select current_workspace()))
           ) as known
           order by known.xid desc, known.id desc limit 1"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| EventCursor { xid: row.xid.unsigned_abs(), id: row.id }).unwrap_or_default())
}

/// Up to where events of the workspace may have been deleted; the beginning when none was.
pub(super) async fn horizon(conn: &mut PgConnection) -> Result<EventCursor> {
    let row = sqlx::query!(
        r#"select xid::text::bigint as "xid!", id as "id!" from event_horizon where workspace_id = (select current_workspace())"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| EventCursor { xid: row.xid.unsigned_abs(), id: row.id }).unwrap_or_default())
}

/// Whether a reader can go on from here and miss nothing.
pub(super) async fn is_kept(conn: &mut PgConnection, cursor: EventCursor) -> Result<bool> {
    let horizon = horizon(conn).await?;
    Ok(cursor == horizon || (cursor > horizon && is_an_event(conn, cursor).await?))
}

async fn is_an_event(conn: &mut PgConnection, cursor: EventCursor) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from event where id = $2 and xid = $1::text::xid8 and workspace_id = (select current_workspace())) as "found!""#,
        cursor.xid.to_string(),
        cursor.id
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// Deletes the events of tasks of one workspace and moves its horizon up to the last of them.
pub(crate) async fn delete_of_tasks(conn: &mut PgConnection, tasks: &[uuid::Uuid]) -> Result<()> {
    sqlx::query!(
        "with gone as (delete from event where task_id = any($1) returning workspace_id, xid, id),
         last as (select distinct on (workspace_id) workspace_id, xid, id from gone order by workspace_id, xid desc, id desc)
         insert into event_horizon as kept (workspace_id, xid, id) select workspace_id, xid, id from last
         on conflict (workspace_id) do update set xid = excluded.xid, id = excluded.id
         where (kept.xid, kept.id) < (excluded.xid, excluded.id)",
        tasks
    )
    .execute(conn)
    .await?;
    Ok(())
}
