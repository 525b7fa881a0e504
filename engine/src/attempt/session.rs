//! What agents said and did: written as runners tell it, in the transaction of everything else that they say, and never acted on.

use domain::{
    Actor, AttemptId, AttemptKey, AttemptState, Backend, CostSource, Permission, SessionEvent, SessionEventKind, StepCost, TaskId,
    Timestamp, WorkspaceId, session::SessionPart,
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use super::usage::{self, Told};
use crate::{
    Engine, Error, Result,
    price::{self, Answered},
};

/// Read at once: so many events, and so many bytes of them, at least one event.
const PART: i64 = 500;
const PART_BYTES: i64 = 512 * 1024;

impl Engine {
    /// The events of the session of this attempt, or of the latest, after the one with this number.
    pub async fn session(&self, actor: &Actor, task: TaskId, attempt: Option<i32>, after: i64) -> Result<SessionPart> {
        actor.may(Permission::ReadTasks)?;
        if after < 0 {
            return Err(domain::Invalid::field("/after", "out_of_range", "must not be negative").into());
        }
        let mut tx = self.begin(actor).await?;
        crate::task::store::exists(&mut tx, task).await?;
        let part = match (attempt_of(&mut tx, task, attempt).await?, attempt) {
            (Some((id, number)), _) => part(&mut tx, id, number, after).await?,
            // none has begun
            (None, None) => SessionPart::default(),
            (None, Some(number)) => return Err(Error::not_found("attempt", format!("{number} of task {task}"))),
        };
        tx.commit(part).await
    }
}

/// This attempt of a task, or the latest.
async fn attempt_of(conn: &mut PgConnection, task: TaskId, attempt: Option<i32>) -> Result<Option<(AttemptId, i32)>> {
    let found = sqlx::query!(
        r#"select id as "id: AttemptId", number from attempt where task_id = $1 and number = coalesce($2, number) order by number desc limit 1"#,
        task.0,
        attempt
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|found| (found.id, found.number)))
}

async fn part(conn: &mut PgConnection, attempt: AttemptId, number: i32, after: i64) -> Result<SessionPart> {
    let rows = sqlx::query!(
        r#"select number, at as "at: Timestamp", payload as "kind: Json<SessionEventKind>" from session_event
           where attempt_id = $1 and number > $2
             and total - bytes < $4 + coalesce((select earlier.total from session_event earlier where earlier.attempt_id = $1 and earlier.number <= $2
                                                order by earlier.number desc limit 1), 0)
           order by number limit $3"#,
        attempt.0,
        after,
        PART,
        PART_BYTES
    )
    .fetch_all(&mut *conn)
    .await?;
    let last = rows.last().map_or(after, |row| row.number);
    let more = sqlx::query_scalar!(
        r#"select exists (select from session_event where attempt_id = $1 and number > $2) as "more!""#,
        attempt.0,
        last
    )
    .fetch_one(&mut *conn)
    .await?;
    let events = rows.into_iter().map(|row| SessionEvent { number: row.number, at: row.at, kind: row.kind.0 }).collect();
    let on_its_way = super::telling::on_its_way(conn, attempt).await?;
    let backend = if after > 0 { agent_before(conn, attempt, after).await? } else { None };
    Ok(SessionPart { attempt: Some(number), backend, events, on_its_way, more })
}

/// Which agent began the session, in one of the events up to that number: what comes later is read by that.
async fn agent_before(conn: &mut PgConnection, attempt: AttemptId, number: i64) -> Result<Option<Backend>> {
    let began = sqlx::query_scalar!(
        r#"select payload as "kind: Json<SessionEventKind>" from session_event
           where attempt_id = $1 and number <= $2 and kind = 'started' order by number limit 1"#,
        attempt.0,
        number
    )
    .fetch_optional(conn)
    .await?;
    Ok(match began {
        Some(Json(SessionEventKind::Started { backend, .. })) => Some(backend),
        _ => None,
    })
}

/// The state in which an attempt has such things to say: what its judges do while its work is looked at, everything else while that is
/// done. Never both at once.
pub(super) fn spoken_in(events: &[SessionEvent]) -> Result<AttemptState> {
    let of_judges = events.iter().filter(|event| matches!(event.kind, SessionEventKind::Judge { .. })).count();
    match of_judges {
        0 => Ok(AttemptState::Running),
        all if all == events.len() => Ok(AttemptState::Verifying),
        _ => Err(Error::StaleLease),
    }
}

/// A row of `session_event`. Its names are those of the columns.
#[derive(Serialize)]
pub(super) struct NewEvent {
    workspace_id: WorkspaceId,
    attempt_id: AttemptId,
    number: i64,
    at: Timestamp,
    kind: &'static str,
    payload: serde_json::Value,
    bytes: usize,
    #[serde(skip)]
    kept: SessionEventKind,
}

impl NewEvent {
    /// As it can be kept: a runner may say what it likes.
    pub fn new(workspace_id: WorkspaceId, attempt: AttemptKey, event: &SessionEvent) -> Self {
        let mut kind = event.kind.clone();
        kind.cost_is_its_agents();
        let (kept, bytes) = kind.kept();
        let payload = serde_json::to_value(&kept).unwrap_or_default();
        let (number, at, kind) = (event.number, event.at, kept.name());
        Self { workspace_id, attempt_id: attempt.attempt_id, number, at, kind, payload, bytes, kept }
    }

    /// An answer of a model whose cost its agent has not told along with it.
    fn uncosted(&self) -> Option<Answered> {
        let (model, tokens) = self.kept.uncosted()?;
        Some(Answered { workspace: self.workspace_id, attempt: self.attempt_id, model: model.to_owned(), at: self.at, tokens })
    }

    fn costs(&mut self, micros: u64) {
        self.kept.set_cost(StepCost { micros, source: CostSource::Workspace });
        let text = serde_json::to_string(&self.kept).unwrap_or_default();
        (self.payload, self.bytes) = (serde_json::to_value(&self.kept).unwrap_or_default(), text.len());
    }
}

/// What an answer has cost by the price of its time is kept with it: prices that are set later change nothing of it.
async fn price_answers(conn: &mut PgConnection, events: &mut [NewEvent], now: Timestamp) -> Result<()> {
    let (places, answers): (Vec<_>, Vec<_>) =
        events.iter().enumerate().filter_map(|(place, event)| Some((place, event.uncosted()?))).unzip();
    if answers.is_empty() {
        return Ok(());
    }
    let prices = price::at_their_times(conn, &answers, now).await?;
    for ((place, answer), prices) in places.into_iter().zip(answers).zip(prices) {
        if let Some(prices) = prices {
            events[place].costs(prices.cost(answer.tokens));
        }
    }
    Ok(())
}

/// Their numbers go on from those that are there, one by one.
pub(super) async fn insert(conn: &mut PgConnection, events: &mut [NewEvent], now: Timestamp) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    price_answers(conn, events, now).await?;
    let events = &*events;
    let done = sqlx::query!(
        "insert into session_event (workspace_id, attempt_id, number, at, kind, payload, bytes, total)
         select workspace_id, new.attempt_id, new.number, at, kind, payload, bytes, coalesce(last.total, 0) + so_far
         from (select *, row_number() over in_order as place, sum(bytes) over in_order as so_far
               from jsonb_to_recordset($1) as said (workspace_id uuid, attempt_id uuid, number bigint, at timestamptz, kind text, payload jsonb,
                                                    bytes int)
               window in_order as (partition by attempt_id order by number)) as new
         left join lateral (select number, total from session_event known where known.attempt_id = new.attempt_id
                            order by number desc limit 1) as last on true
         where new.number = coalesce(last.number, 0) + place",
        Json(events) as _
    )
    .execute(&mut *conn)
    .await?;
    match usize::try_from(done.rows_affected()) {
        Ok(stored) if stored == events.len() => {
            let told = events.iter().filter_map(|event| Told::of(event.workspace_id, event.attempt_id, &event.kept));
            usage::add(conn, told).await
        }
        _ => Err(Error::Conflict("the events of a session do not follow each other".into())),
    }
}
