//! What has happened to a runner, written down in the statement that makes it so.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use domain::{
    Actor, AttemptId, Invalid, Page, Permission, RunnerId, TaskId, Timestamp,
    runner::{RunnerLogEntry, RunnerLogFilter, RunnerNews},
};
use sqlx::PgConnection;

use super::store;
use crate::{Engine, Error, Result, task::query::names_of, tx::Tx};

impl Engine {
    /// The latest first. Of a runner that serves every workspace, what is everybody's and what is this one's.
    pub async fn runner_log(&self, actor: &Actor, id: RunnerId, filter: &RunnerLogFilter) -> Result<Page<RunnerLogEntry>> {
        actor.may(Permission::ReadTasks)?;
        let part = Part::asked(filter)?;
        let mut tx = self.begin(actor).await?;
        is_seen(&mut tx, id).await?;
        let page = list(&mut tx, id, &part).await?;
        tx.commit(page).await
    }
}

/// By whoever asks; one that was removed nobody sees.
pub(super) async fn is_seen(tx: &mut Tx, id: RunnerId) -> Result<()> {
    let now = tx.now();
    store::list(tx, now, Some(id)).await?.pop().map(drop).ok_or_else(|| Error::not_found("runner", id))
}

/// What is asked for of a list that goes back by its numbers, the latest first.
pub(super) struct Part {
    pub before: Option<i64>,
    wanted: u32,
}

impl Part {
    pub fn asked(filter: &RunnerLogFilter) -> Result<Self> {
        filter.validate()?;
        let before = filter.cursor.as_deref().map(parse_cursor).transpose()?;
        Ok(Self { before, wanted: filter.limit() })
    }

    /// One more than asked for tells whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::from(self.wanted) + 1
    }

    /// Of the rows that were read. A row of which nothing can be told is left out, and ends no list.
    pub fn page<R, T>(&self, mut rows: Vec<R>, number: impl Fn(&R) -> i64, told: impl Fn(R) -> Option<T>) -> Page<T> {
        let wanted = self.wanted as usize;
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next_cursor = rows.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(number(last).to_be_bytes()));
        Page { items: rows.into_iter().filter_map(told).collect(), next_cursor }
    }
}

fn parse_cursor(text: &str) -> Result<i64, Invalid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let number = bytes.and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
    number.ok_or_else(|| Invalid::field("/cursor", "malformed", "is not a cursor of this list"))
}

struct Row {
    number: i64,
    at: Timestamp,
    since: Option<Timestamp>,
    kind: String,
    actor: Option<String>,
    detail: Option<String>,
    task_id: Option<TaskId>,
    attempt: Option<i32>,
    title: Option<String>,
}

async fn list(conn: &mut PgConnection, runner: RunnerId, part: &Part) -> Result<Page<RunnerLogEntry>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select runner_log.number, at, since, kind, actor, detail, runner_log.task_id, attempt, task.title as "title?"
           from runner_log left join task on task.id = runner_log.task_id
           where runner_id = $1 and ($2::bigint is null or runner_log.number < $2) order by runner_log.number desc limit $3"#,
        runner.0,
        part.before,
        part.limit()
    )
    .fetch_all(&mut *conn)
    .await?;
    let labels = rows.iter().filter_map(|row| row.actor.clone()).collect();
    let names = names_of(conn, labels).await?;
    Ok(part.page(rows, |row| row.number, |row| entry(row, &names)))
}

/// Nothing where it is of a kind that came after this version.
fn entry(row: Row, names: &HashMap<String, String>) -> Option<RunnerLogEntry> {
    let by = row.actor.map(|label| names.get(&label).cloned().unwrap_or(label)).unwrap_or_default();
    let detail = row.detail.unwrap_or_default();
    let what = match row.kind.as_str() {
        "joined" => RunnerNews::Joined { by },
        "back" => RunnerNews::Back,
        "stopped" => RunnerNews::Stopped,
        "drained" => RunnerNews::Drained { by },
        "resumed" => RunnerNews::Resumed { by },
        "slots_set" => RunnerNews::SlotsSet { by, slots: detail.parse().ok()? },
        "slots_own" => RunnerNews::SlotsOwn { by },
        "no_sandbox" => RunnerNews::NoSandbox { why: detail },
        "sandbox" => RunnerNews::Sandbox,
        "left_behind" => RunnerNews::LeftBehind { rest: detail },
        "cleared" => RunnerNews::Cleared,
        "not_taken" => RunnerNews::NotTaken { task_id: row.task_id?, task: row.title, attempt: row.attempt? },
        "not_ended" => RunnerNews::NotEnded { task_id: row.task_id?, task: row.title, attempt: row.attempt? },
        _ => return None,
    };
    let lasted_ms = row.since.map(|since| (row.at - since).num_milliseconds());
    Some(RunnerLogEntry { number: row.number, at: row.at, since: row.since, lasted_ms, what })
}

/// For so long it is kept what has happened to runners, and how they stood.
pub(super) const KEPT: TimeDelta = TimeDelta::days(90);

/// Forgets what happened long ago, so much of it at most; how much.
pub(crate) async fn forget(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from runner_log
         where number in (select number from runner_log where at < $1 order by number limit $2)",
        now - KEPT,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// It has joined with a token of whoever this is.
pub(super) async fn note_joined(tx: &mut Tx, runner: RunnerId, by: &str) -> Result<()> {
    let now = tx.now();
    sqlx::query!("insert into runner_log (runner_id, at, kind, actor) values ($1, $2, 'joined', $3)", runner.0, now, by)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// These were sent to it, and it has not taken them.
pub(super) async fn note_not_taken(tx: &mut Tx, runner: RunnerId, attempts: &[AttemptId]) -> Result<()> {
    let now = tx.now();
    let attempts: Vec<_> = attempts.iter().map(|attempt| attempt.0).collect();
    sqlx::query!(
        "insert into runner_log (runner_id, workspace_id, at, kind, since, task_id, attempt)
         select runner_id, workspace_id, $2::timestamptz, 'not_taken', least(claimed_at, $2), task_id, number
         from attempt where id = any($3) and runner_id = $1 order by id",
        runner.0,
        now,
        &attempts
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It has not ended this one although it was asked to so many seconds ago, and loses it now.
pub(crate) async fn note_not_ended(tx: &mut Tx, attempt: AttemptId, seconds: u32) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into runner_log (runner_id, workspace_id, at, kind, since, task_id, attempt)
         select runner_id, workspace_id, $2::timestamptz, 'not_ended', least(ends_by - make_interval(secs => $3), $2), task_id, number
         from attempt where id = $1",
        attempt.0,
        now,
        f64::from(seconds)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
