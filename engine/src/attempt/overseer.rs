//! Sees to it that what is with a runner comes to an end, also when the runner gives signs of life and does not bring it there.
//!
//! First it is asked: an attempt whose time is over is to be ended, as one that somebody has cancelled is. The runner does that in a minute, as
//! a rule, and what it reports until then counts. When the attempt is still there after [`END_SECONDS`], or as long as the server's settings say,
//! its lease is renewed no more. The runner hears that it is another's, ends what there is of it, and nobody is given the task before the rest of
//! the lease has run out: so no two are at work, as when a runner falls silent. From there on the rescuer does what it does.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    AttemptId, AttemptKey, AttemptState, EventKind, RunnerId, Timestamp, WorkspaceId,
    check::VERIFICATION_TIMEOUT_SECONDS,
    runner::{BEGIN_BESIDE_SECONDS, BEGIN_SECONDS, END_SECONDS, LINGER_SECONDS},
};
use sqlx::PgConnection;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use crate::{
    Engine, Error, Result, Service, Tick,
    error::hit_one,
    runner::log::note_not_ended,
    service::{PassedOver, Presence, RESTS},
    task::followers::{self, End, Ending},
    tx::Tx,
};

/// Attempts that one tick sees to.
const BATCH: i64 = 100;

#[derive(Default)]
pub struct Overseer {
    presence: Presence,
    passed_over: PassedOver,
    rests_until: Option<Instant>,
}

#[cfg(feature = "testing")]
impl Overseer {
    pub(crate) fn that_looked_at(now: Timestamp) -> Self {
        Self { presence: Presence::that_looked_at(now), ..Self::default() }
    }
}

impl Service for Overseer {
    const NAME: &'static str = "overseer";
    const EVERY: Duration = Duration::from_secs(10);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let now = engine.clock.now(&engine.database).await?;
        // what a runner could not say while nobody listened is heard before anything is taken from it
        let has_listened = self.presence.has_listened(engine, now);
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(Tick::Idle);
        }
        let mut conn = engine.database.system.acquire().await?;
        let began = Instant::now();
        let since = self.presence.since(engine);
        let passed = self.passed_over.at(now);
        let to_be_asked = to_be_asked(&mut conn, (since, now), engine.linger_seconds(), None, (&passed, BATCH)).await?;
        let unheeding = if has_listened { unheeding(&mut conn, now, (&passed, BATCH)).await? } else { vec![] };
        drop(conn);
        let rest = began.elapsed() * RESTS;
        self.rests_until = (rest > Self::EVERY).then(|| Instant::now() + rest);
        for one in to_be_asked {
            let outcome = engine.ask_for_its_end(one.attempt, since).await;
            note(&mut self.passed_over, now, one.attempt, outcome)?;
        }
        for attempt in unheeding {
            note(&mut self.passed_over, now, attempt, engine.renew_no_more(attempt).await)?;
        }
        if has_listened {
            engine.end_silent_links(now).await?;
        }
        Ok(Tick::Idle)
    }
}

/// Those after it wait for nothing of this one, and neither do those of the next ticks.
fn note(passed_over: &mut PassedOver, now: Timestamp, attempt: AttemptKey, outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error @ Error::Unavailable(_)) => Err(error),
        Err(error) => {
            warn!(task.id = %attempt.task_id, "Attempt {} of task {} is passed over for now: {error}", attempt.number, attempt.task_id);
            passed_over.note(attempt.attempt_id.0, now);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

impl Engine {
    /// For how long an attempt may go on after its time is over, and as long again its runner has to end it, as the settings of the server say;
    /// what is said first counts.
    pub fn set_stuck_seconds(&self, seconds: u32) {
        let _ = self.stuck_seconds.set(seconds);
    }

    fn linger_seconds(&self) -> u32 {
        self.stuck_seconds.get().copied().unwrap_or(LINGER_SECONDS)
    }

    pub(crate) fn end_seconds(&self) -> u32 {
        self.stuck_seconds.get().copied().unwrap_or(END_SECONDS)
    }

    /// Decided again under the lock. Its row is not read: also what cannot be read comes to an end.
    async fn ask_for_its_end(&self, attempt: AttemptKey, since: Timestamp) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        followers::lock_all(&mut tx, &[Ending { task: attempt.task_id, attempt: Some(attempt.attempt_id), end: End::None }]).await?;
        let now = tx.now();
        let only = Some(attempt.attempt_id);
        let Some(found) = to_be_asked(&mut tx, (since, now), self.linger_seconds(), only, (&[], 1)).await?.pop() else { return Ok(()) };
        set_end(&mut tx, attempt, self.end_seconds()).await?;
        if !found.is_asked {
            let kind = EventKind::AttemptOverdue { attempt: attempt.number, state: found.state };
            tx.record(found.workspace, attempt.task_id, &kind).await?;
            warn!(
                task.id = %attempt.task_id, runner.id = %found.runner,
                "Attempt {} of task {} goes on for longer than it may: its runner is asked to end it", attempt.number, attempt.task_id
            );
        }
        tx.commit(()).await?;
        self.hub.cancel(found.runner, attempt);
        Ok(())
    }

    async fn renew_no_more(&self, attempt: AttemptKey) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        let done = take_lease(&mut tx, attempt).await?;
        if done {
            note_not_ended(&mut tx, attempt.attempt_id, self.end_seconds()).await?;
        }
        tx.commit(()).await?;
        if done {
            warn!(
                task.id = %attempt.task_id,
                "The runner of attempt {} of task {} has not ended it {} minutes after it was asked to: its lease is renewed no more",
                attempt.number, attempt.task_id, self.end_seconds() / 60
            );
        }
        Ok(())
    }
}

struct ToBeAsked {
    attempt: AttemptKey,
    workspace: WorkspaceId,
    runner: RunnerId,
    state: AttemptState,
    /// By whoever wants the end of the task; nobody has said yet by when that is to be.
    is_asked: bool,
}

/// Attempts whose time is over, and those that somebody wants to end, as far as they have no time yet by which they are to have ended. A runner
/// keeps all of these times itself: what it had to begin; the work, but for the time in which people were waited for; and the checks of all
/// rounds. What comes after them, it may take `linger` seconds for. Its clock stands still with its machine, which may be this one: no time
/// counts before `since`.
async fn to_be_asked(
    conn: &mut PgConnection,
    (since, now): (Timestamp, Timestamp),
    linger: u32,
    only: Option<AttemptId>,
    (passed, limit): (&[Uuid], i64),
) -> Result<Vec<ToBeAsked>> {
    let rows = sqlx::query!(
        r#"select attempt.id, task_id, number, attempt.workspace_id, runner_id, attempt.state, task.stop is not null as "is_asked!"
           from attempt join task on task.id = task_id and task.attempts = number
           where attempt.state in ('claimed', 'running', 'verifying') and attempt.ends_by is null and ($2::uuid is null or attempt.id = $2)
             and attempt.id <> all($8)
             and (task.stop is not null or $1 >= case attempt.state
                    when 'claimed' then greatest(claimed_at, $6) + make_interval(secs => $3)
                      + (select count(*) from task_repository beside where beside.task_id = task.id) * make_interval(secs => $7)
                    when 'verifying' then make_interval(secs => $4) + greatest($6, coalesce(
                      (select max(event.at) from event where event.task_id = attempt.task_id and event.kind = 'attempt_verifying'), started_at))
                    else greatest(started_at, $6) + make_interval(secs => timeout_seconds) + make_interval(secs => $4) + coalesce(
                      (select sum(upper(waited) - lower(waited)) from unnest((
                         select range_agg(tstzrange(asked_at, greatest(asked_at, least(coalesce(closed_at, $1), deadline))))
                         from approval where attempt_id = attempt.id)) as waited), interval '0')
                  end)
           order by attempt.id limit $5"#,
        now,
        only.map(|id| id.0),
        f64::from(BEGIN_SECONDS),
        f64::from(VERIFICATION_TIMEOUT_SECONDS + linger),
        limit,
        since,
        f64::from(BEGIN_BESIDE_SECONDS),
        passed
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| ToBeAsked {
        attempt: AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number },
        workspace: row.workspace_id,
        runner: row.runner_id,
        state: row.state,
        is_asked: row.is_asked,
    });
    Ok(found.collect())
}

/// Once: whoever asks again does not give it more time. Its task is locked.
async fn set_end(tx: &mut Tx, attempt: AttemptKey, seconds: u32) -> Result<()> {
    let by = tx.now() + TimeDelta::seconds(seconds.into());
    sqlx::query!(
        "update attempt set ends_by = $3 where id = $1 and number = $2 and ended_at is null and ends_by is null",
        attempt.attempt_id.0,
        attempt.number,
        by
    )
    .execute(&mut **tx)
    .await
    .map_err(Error::from)
    .and_then(|done| hit_one(&done, || Error::StaleLease))
}

/// Attempts that are still there although they were to have ended.
async fn unheeding(conn: &mut PgConnection, now: Timestamp, (passed, limit): (&[Uuid], i64)) -> Result<Vec<AttemptKey>> {
    let rows = sqlx::query!(
        "select id, task_id, number from attempt
         where state in ('claimed', 'running', 'verifying') and renewable and ends_by <= $1 and id <> all($3)
         order by ends_by limit $2",
        now,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number }).collect())
}

/// Unless it has ended meanwhile. What is left of the lease stays its runner's.
async fn take_lease(tx: &mut Tx, attempt: AttemptKey) -> Result<bool> {
    let now = tx.now();
    let done = sqlx::query!(
        "update attempt set renewable = false where id = $1 and number = $2 and ended_at is null and renewable and ends_by <= $3",
        attempt.attempt_id.0,
        attempt.number,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
