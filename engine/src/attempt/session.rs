//! What agents said and did: written as runners tell it, in the transaction of everything else that they say, and never acted on.

use domain::{
    Actor, AttemptId, AttemptKey, Permission, SessionEvent, SessionEventKind, TaskId, Timestamp, WorkspaceId, session::SessionPart,
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use crate::{Engine, Error, Result};

/// Events read at once.
const PART: i64 = 500;

impl Engine {
    /// The events of the session of this attempt, or of the latest, after the one with this number.
    pub async fn session(&self, actor: &Actor, task: TaskId, attempt: Option<i32>, after: i64) -> Result<SessionPart> {
        actor.may(Permission::ReadTasks)?;
        if after < 0 {
            return Err(domain::Invalid::field("/after", "out_of_range", "must not be negative").into());
        }
        let mut tx = self.begin(actor).await?;
        crate::task::store::exists(&mut tx, task).await?;
        let found = sqlx::query_scalar!(
            r#"select id as "id: AttemptId" from attempt where task_id = $1 and number = coalesce($2, number) order by number desc limit 1"#,
            task.0,
            attempt
        )
        .fetch_optional(&mut *tx)
        .await?;
        let part = match (found, attempt) {
            (Some(id), _) => part(&mut tx, id, after).await?,
            // none has begun
            (None, None) => SessionPart::default(),
            (None, Some(number)) => return Err(Error::not_found("attempt", format!("{number} of task {task}"))),
        };
        tx.commit(part).await
    }
}

async fn part(conn: &mut PgConnection, attempt: AttemptId, after: i64) -> Result<SessionPart> {
    let rows = sqlx::query!(
        r#"select number, at as "at: Timestamp", payload as "kind: Json<SessionEventKind>" from session_event
           where attempt_id = $1 and number > $2 order by number limit $3"#,
        attempt.0,
        after,
        PART + 1
    )
    .fetch_all(conn)
    .await?;
    let more = rows.len() > PART as usize;
    let events = rows.into_iter().take(PART as usize);
    let events = events.map(|row| SessionEvent { number: row.number, at: row.at, kind: row.kind.0 }).collect();
    Ok(SessionPart { events, more })
}

/// A row of `session_event`. Its names are those of the columns.
#[derive(Serialize)]
pub(super) struct NewEvent<'a> {
    workspace_id: WorkspaceId,
    attempt_id: AttemptId,
    number: i64,
    at: Timestamp,
    kind: &'static str,
    payload: &'a SessionEventKind,
}

impl<'a> NewEvent<'a> {
    pub fn new(workspace_id: WorkspaceId, attempt: AttemptKey, event: &'a SessionEvent) -> Self {
        let (number, at, kind, payload) = (event.number, event.at, event.kind.name(), &event.kind);
        Self { workspace_id, attempt_id: attempt.attempt_id, number, at, kind, payload }
    }
}

pub(super) async fn insert(conn: &mut PgConnection, events: &[NewEvent<'_>]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into session_event (workspace_id, attempt_id, number, at, kind, payload)
         select workspace_id, attempt_id, number, at, kind, payload
         from jsonb_to_recordset($1) as new (workspace_id uuid, attempt_id uuid, number bigint, at timestamptz, kind text, payload jsonb)",
        Json(events) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}
