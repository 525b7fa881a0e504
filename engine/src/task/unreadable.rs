//! Tasks of which the row cannot be read, as no transition of this version has written it. They end without being read: whoever met one would
//! meet it again and again, and come to nothing else.
//!
//! One that is with a runner is asked for first, as whatever goes on for longer than it may: as long as the lease lasts the runner is at work
//! on it, and nobody else is given what they share.

use std::collections::HashMap;

use chrono::TimeDelta;
use domain::{AttemptId, AttemptKey, EventKind, Failure, FailureCode, RunnerId, TaskId, TaskStateName, Timestamp};
use sqlx::{PgConnection, types::Json};
use tracing::warn;

use super::{
    concurrency,
    edge::Parent,
    followers::{self, End, Ending},
    release, store,
};
use crate::{Engine, Error, Result, approval::asked, service::PassedOver, tx::Tx};

/// Of those that wait for a task, so many are read at once.
const AT_ONCE: usize = 50;

impl Engine {
    /// What came of something about one task, for a service that has others to see to: whether it is done. If the task cannot be read it ends,
    /// and so does what waits for it and cannot, and it is tried again at once; whatever else it is that could not be done, after it was passed
    /// over for a while. An error when the database does not answer.
    pub(crate) async fn done_or_passed_over(
        &self,
        passed_over: &mut PassedOver,
        now: Timestamp,
        id: TaskId,
        outcome: Result<()>,
    ) -> Result<bool> {
        let error = match outcome {
            Ok(()) => return Ok(true),
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(error) => error,
        };
        warn!(task.id = %id, "Task {id} is passed over for now: {error}");
        // first, so that nobody waits for it either when the database does not answer what is asked of it now
        passed_over.note(id.0, now);
        let is_done = is_of_a_row(&error) && self.has_ended_unreadable(id).await?;
        let some_ended = is_of_a_row(&error) && self.have_followers_ended_unreadable(id).await?;
        if is_done || some_ended {
            passed_over.forget(id.0);
        }
        Ok(is_done)
    }

    /// Whether any has, of those that wait for it.
    async fn have_followers_ended_unreadable(&self, id: TaskId) -> Result<bool> {
        let mut conn = self.database.system.acquire().await?;
        let followers = followers_of(&mut conn, id).await?;
        drop(conn);
        let mut any = false;
        for some in followers.chunks(AT_ONCE) {
            if self.can_be_read(some).await? {
                continue;
            }
            for one in some {
                any |= self.has_ended_unreadable(*one).await?;
            }
        }
        Ok(any)
    }

    /// All of them, as whoever ends a task before them has to.
    async fn can_be_read(&self, ids: &[TaskId]) -> Result<bool> {
        let mut tx = self.begin_system(None).await?;
        let read = store::lock_all(&mut tx, ids).await;
        tx.rollback().await?;
        match read {
            Ok(_) => Ok(true),
            Err(why @ Error::Unavailable(_)) => Err(why),
            Err(_) => Ok(false),
        }
    }

    /// Whether it has ended now, as it cannot be read. An error when the database does not answer.
    async fn has_ended_unreadable(&self, id: TaskId) -> Result<bool> {
        match self.end_if_unreadable(id).await {
            Err(why) if !matches!(why, Error::Unavailable(_)) => {
                warn!(task.id = %id, "Task {id} cannot be read, nor can it be ended: {why}");
                Ok(false)
            }
            done => done,
        }
    }

    async fn end_if_unreadable(&self, id: TaskId) -> Result<bool> {
        let mut tx = self.begin_system(None).await?;
        followers::lock_all(&mut tx, &[Ending { task: id, attempt: None, end: End::Badly }]).await?;
        let why = match store::lock(&mut tx, id).await {
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => unreadable(id, error)?,
        };
        if let Some((runner, attempt)) = ask_its_runner(&mut tx, id, self.end_seconds()).await? {
            warn!(task.id = %id, runner.id = %runner, "Task {id} is to end, and its runner is asked to end attempt {}: {why}", attempt.number);
            tx.commit(()).await?;
            self.hub.cancel(runner, attempt);
            return Ok(false);
        }
        warn!(task.id = %id, "Task {id} ends: {why}");
        let is_ended = end(&mut tx, id, None, &Failure::new(FailureCode::TaskUnreadable, why)).await?;
        tx.commit(is_ended).await
    }

    /// A task that no runner can be given fails like any other, and blocks nobody.
    pub(crate) async fn attempt_impossible(&self, key: AttemptKey, failure: Failure) -> Result<()> {
        warn!(task.id = %key.task_id, "Task {} can be given to no runner: {}", key.task_id, failure.message);
        let mut tx = self.begin_system(None).await?;
        followers::lock_all(&mut tx, &[Ending { task: key.task_id, attempt: Some(key.attempt_id), end: End::Badly }]).await?;
        if !end(&mut tx, key.task_id, Some(key.attempt_id), &failure).await? {
            return Err(Error::StaleLease);
        }
        tx.commit(()).await
    }
}

/// Those that wait for a task, directly or through others.
async fn followers_of(conn: &mut PgConnection, id: TaskId) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        r#"with recursive follows (id) as (
             select $1::uuid
             union
             select child.id from follows join task_dependency edge on edge.depends_on_id = follows.id
             join task child on child.id = edge.task_id and child.state = 'blocked'
           )
           select id as "id!: TaskId" from follows where id <> $1 order by id"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Whether it is a row that cannot be read, and not something that was refused.
pub(crate) fn is_of_a_row(error: &Error) -> bool {
    matches!(error, Error::Inconsistent { .. } | Error::Database(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)))
}

/// Why, where it is the row itself that cannot be read.
fn unreadable(id: TaskId, error: Error) -> Result<String> {
    match error {
        error if !is_of_a_row(&error) => Err(error),
        Error::Database(why) => Ok(Error::inconsistent("task", id, why.to_string()).to_string()),
        error => Ok(error.to_string()),
    }
}

/// The attempt that is at work on it, as long as its lease lasts. Once it is asked for, it has no more time than it had. Its row is locked, and
/// read afterwards: a heartbeat that comes now has renewed it, or comes too late.
async fn ask_its_runner(tx: &mut Tx, id: TaskId, seconds: u32) -> Result<Option<(RunnerId, AttemptKey)>> {
    let now = tx.now();
    sqlx::query!("select from attempt where task_id = $1 and ended_at is null for no key update", id.0).execute(&mut **tx).await?;
    let row = sqlx::query!(
        "update attempt set ends_by = coalesce(ends_by, $3) where task_id = $1 and ended_at is null and lease_until >= $2
         returning id, number, runner_id",
        id.0,
        now,
        now + TimeDelta::seconds(seconds.into())
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.runner_id, AttemptKey { task_id: id, attempt_id: row.id, number: row.number })))
}

/// Ends a task and the attempt that works on it, as far as they have not ended; with `only`, nothing unless that is the attempt. Says whether
/// it did.
async fn end(tx: &mut Tx, id: TaskId, only: Option<AttemptId>, failure: &Failure) -> Result<bool> {
    let now = tx.now();
    let attempt = sqlx::query!(
        "update attempt set state = 'failed', failure = $3, ended_at = $4
         where task_id = $1 and ended_at is null and ($2::uuid is null or id = $2) returning id, number",
        id.0,
        only.map(|id| id.0),
        Json(failure) as _,
        now
    )
    .fetch_optional(&mut **tx)
    .await?;
    if only.is_some() && attempt.is_none() {
        return Ok(false);
    }
    let ended = sqlx::query!(
        "update task set state = 'failed', failure = $2, ended_at = $3, stop = null, paused_by = null, turn = null, queued_at = null,
                         run_at = null, parked = false, model_pull = null
         where id = $1 and ended_at is null returning workspace_id, title, concurrency_key",
        id.0,
        Json(failure) as _,
        now
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(task) = ended else { return Ok(false) };
    let state = TaskStateName::Failed;
    tx.record(task.workspace_id, id, &EventKind::TaskEnded { state, reason: Some(failure.message.clone()) }).await?;
    let mut shared = vec![];
    if let Some(row) = attempt {
        let key = AttemptKey { task_id: id, attempt_id: row.id, number: row.number };
        let facts = asked::withdraw(tx, &[key], &[], &HashMap::from([(row.id, task.workspace_id)])).await?;
        tx.record_all(&facts).await?;
        shared.extend(task.concurrency_key.map(|key| (task.workspace_id, key)));
    }
    release::below(tx, vec![Parent::new(id, task.title, state)]).await?;
    concurrency::release(tx, &shared).await?;
    Ok(true)
}
