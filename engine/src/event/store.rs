use domain::{Event, EventKind, Task, TaskId, Timestamp, WorkspaceId, event::KeptKind};
use sqlx::{PgConnection, types::Json};

use super::EventCursor;
use crate::{Result, tx::Tx};

/// The longest timeline that is shown: of more, the latest.
const TIMELINE_LIMIT: i64 = 1000;

/// Something that has happened to a task.
pub(crate) struct Fact {
    pub workspace: WorkspaceId,
    pub task: TaskId,
    pub kind: EventKind,
}

impl Fact {
    pub(crate) fn of(task: &Task, kind: EventKind) -> Self {
        Self { workspace: task.workspace_id, task: task.id, kind }
    }
}

/// Facts in their order; the rows of their tasks are locked, so the numbers of each are consecutive.
pub(crate) async fn append(conn: &mut PgConnection, actor: &str, at: Timestamp, facts: &[Fact]) -> Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let workspaces: Vec<_> = facts.iter().map(|fact| fact.workspace.0).collect();
    let tasks: Vec<_> = facts.iter().map(|fact| fact.task.0).collect();
    let kinds: Vec<_> = facts.iter().map(|fact| fact.kind.name().to_owned()).collect();
    let payloads: Vec<_> = facts.iter().map(|fact| serde_json::to_value(&fact.kind).unwrap_or_default()).collect();
    sqlx::query!(
        "insert into event (workspace_id, task_id, number, actor, kind, payload, at)
         select workspace_id, task_id, known.number + row_number() over (partition by task_id order by position), $1, kind, payload, $2
         from unnest($3::uuid[], $4::uuid[], $5::text[], $6::jsonb[]) with ordinality as new (workspace_id, task_id, kind, payload, position)
         cross join lateral (select coalesce(max(number), 0) as number from event where event.task_id = new.task_id) as known
         order by position",
        actor,
        at,
        &workspaces,
        &tasks,
        &kinds,
        &payloads
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The first fact of each of several new tasks of one workspace, each with whoever wanted the task.
pub(crate) async fn append_first(tx: &mut Tx, workspace: Option<WorkspaceId>, facts: &[(TaskId, String, EventKind)]) -> Result<()> {
    let Some(workspace) = workspace else { return Ok(()) };
    let ids: Vec<_> = facts.iter().map(|(id, ..)| id.0).collect();
    let actors: Vec<_> = facts.iter().map(|(_, actor, _)| actor.clone()).collect();
    let kinds: Vec<_> = facts.iter().map(|(.., kind)| kind.name().to_owned()).collect();
    let payloads: Vec<_> = facts.iter().map(|(.., kind)| serde_json::to_value(kind).unwrap_or_default()).collect();
    let now = tx.now();
    sqlx::query!(
        "insert into event (workspace_id, task_id, number, actor, kind, payload, at)
         select $1, id, 1, actor, kind, payload, $2
         from unnest($3::uuid[], $4::text[], $5::text[], $6::jsonb[]) as new (id, actor, kind, payload)",
        workspace.0,
        now,
        &ids,
        &actors,
        &kinds,
        &payloads
    )
    .execute(&mut **tx)
    .await?;
    tx.has_recorded();
    Ok(())
}

struct EventRow {
    xid: i64,
    id: i64,
    workspace_id: uuid::Uuid,
    task_id: TaskId,
    number: i64,
    actor: String,
    payload: Json<KeptKind>,
    at: Timestamp,
}

/// An event with where it stands and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Positioned {
    pub(crate) cursor: EventCursor,
    pub(crate) workspace: WorkspaceId,
    pub(crate) event: Event,
}

impl From<EventRow> for Positioned {
    fn from(row: EventRow) -> Self {
        let cursor = EventCursor { xid: row.xid.unsigned_abs(), id: row.id };
        let event = Event {
            cursor: cursor.to_string(),
            at: row.at,
            actor: row.actor,
            task_id: row.task_id,
            number: row.number,
            kind: row.payload.0.0,
        };
        Self { cursor, workspace: WorkspaceId(row.workspace_id), event }
    }
}

pub(crate) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"select xid::text::bigint as "xid!", id, workspace_id, task_id, number, actor, payload as "payload: Json<KeptKind>", at
           from event where task_id = $1 order by number desc limit $2"#,
        task.0,
        TIMELINE_LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().rev().map(|row| Positioned::from(row).event).collect())
}

/// The number of a task's latest event, which is its version.
pub(crate) async fn version(conn: &mut PgConnection, task: TaskId) -> Result<i64> {
    let version = sqlx::query_scalar!(r#"select coalesce(max(number), 0) as "version!" from event where task_id = $1"#, task.0)
        .fetch_one(conn)
        .await?;
    Ok(version)
}

/// What happened to a task after this event, and who did it, in names.
pub(crate) async fn since(conn: &mut PgConnection, task: TaskId, number: i64) -> Result<Vec<(String, EventKind)>> {
    let rows = sqlx::query!(
        r#"select coalesce(person.name, api_key.name || ' (API key)', runner.name, case actor when 'system' then 'Muster' else actor end) as "who!",
                  payload as "payload: Json<KeptKind>"
           from event
           left join "user" person on actor = 'user:' || person.id
           left join api_key on actor = 'api_key:' || api_key.id
           left join runner on actor = 'runner:' || runner.id
           where task_id = $1 and number > $2 order by number limit $3"#,
        task.0,
        number,
        TIMELINE_LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.who, row.payload.0.0)).collect())
}

/// What comes after a position and is older than every running transaction: nothing can slip in before it any more.
pub(crate) async fn after(conn: &mut PgConnection, cursor: EventCursor, limit: i64) -> Result<Vec<Positioned>> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"select xid::text::bigint as "xid!", id, workspace_id, task_id, number, actor, payload as "payload: Json<KeptKind>", at
           from event
           where (xid, id) > ($1::text::xid8, $2) and xid < pg_snapshot_xmin(pg_current_snapshot())
           order by event.xid, event.id limit $3"#,
        cursor.xid.to_string(),
        cursor.id,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Positioned::from).collect())
}

/// The position after everything that is settled now, of all workspaces.
pub(crate) async fn newest(conn: &mut PgConnection) -> Result<EventCursor> {
    // Every transaction below xmin has ended, and what comes later is at xmin or above.
    let xmin = sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "xmin!""#).fetch_one(conn).await?;
    Ok(EventCursor { xid: xmin.unsigned_abs().saturating_sub(1), id: i64::MAX })
}

/// Whether events have been committed that are not settled yet.
pub(crate) async fn has_unsettled(conn: &mut PgConnection) -> Result<bool> {
    let found =
        sqlx::query_scalar!(r#"select exists (select from event where xid >= pg_snapshot_xmin(pg_current_snapshot())) as "found!""#)
            .fetch_one(conn)
            .await?;
    Ok(found)
}
