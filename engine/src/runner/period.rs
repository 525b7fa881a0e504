//! How runners stood, kept: what the facts tell of it is taken over piece by piece, beside all that makes it so.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    Actor, AttemptId, Page, Permission, RunnerId, TaskId, Timestamp, WorkspaceId,
    runner::{
        OFFLINE_AFTER_SECONDS, RunnerLogFilter, RunnerState, RunnerTransition,
        day::{DAY, DayFacts, Occupied, Span},
        kept::{Ended, Piece, Standing},
    },
};
use sqlx::{PgConnection, types::Json};

use super::{
    day::{occupied, pauses, waits},
    log::{KEPT, Part, is_seen},
};
use crate::{Engine, Result, Service, Tick, tx::Tx};

/// What happened so long ago is written down by now: a transaction has the time of its beginning, and does not last so long.
const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(60);
/// A piece is at least so long, so that nothing is read of thousands of runners all the time.
const PIECE_LEAST: TimeDelta = TimeDelta::minutes(2);
/// And at most so long, or has so many attempts.
const PIECE_MOST: TimeDelta = DAY;
const PIECE_ATTEMPTS: usize = 5000;
/// Pieces taken over in one tick.
const BATCH: usize = 50;

/// Keeps how runners stood.
pub struct Chronicler;

impl Service for Chronicler {
    const NAME: &'static str = "chronicler";
    const EVERY: Duration = Duration::from_secs(30);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        engine.begin_and_end_horizons().await?;
        for _ in 0..BATCH {
            if !engine.take_over_piece().await? {
                return Ok(Tick::Idle);
            }
        }
        Ok(Tick::Busy)
    }
}

impl Engine {
    /// How a runner and its slots stood, what ended last first. Of a runner that serves every workspace, what it did for this one.
    pub async fn runner_periods(&self, actor: &Actor, id: RunnerId, filter: &RunnerLogFilter) -> Result<Page<RunnerTransition>> {
        actor.may(Permission::ReadTasks)?;
        let part = Part::asked(filter)?;
        let mut tx = self.begin(actor).await?;
        is_seen(&mut tx, id).await?;
        let page = list(&mut tx, actor.workspace_id, id, &part).await?;
        tx.commit(page).await
    }

    /// Of runners of which nothing is kept yet: from the last day on. Of those that were removed nothing more is to be kept, and every look for
    /// the oldest would come by them.
    async fn begin_and_end_horizons(&self) -> Result<()> {
        let now = self.clock.now(&self.database).await?;
        let mut conn = self.database.system.acquire().await?;
        sqlx::query!(
            "insert into runner_horizon (runner_id, workspace_id, at)
             select runner.id, workspace.id, greatest(runner.created_at, $1)
             from runner join workspace on runner.workspace_id is null or workspace.id = runner.workspace_id
             where removed_at is null
               and not exists (select from runner_horizon where runner_id = runner.id and runner_horizon.workspace_id = workspace.id)
             on conflict do nothing",
            now - DAY
        )
        .execute(&mut *conn)
        .await?;
        sqlx::query!("delete from runner_horizon using runner where runner.id = runner_id and removed_at is not null")
            .execute(&mut *conn)
            .await?;
        Ok(())
    }

    /// The oldest that nobody else takes over; whether there was one.
    async fn take_over_piece(&self) -> Result<bool> {
        let mut tx = self.begin_system(None).await?;
        let settled = tx.now() - SETTLED_AFTER;
        let Some(horizon) = lock_horizon(&mut tx, settled - PIECE_LEAST).await? else { return tx.commit(false).await };
        let mut until = settled.min(horizon.at + PIECE_MOST);
        let mut attempts = attempts(&mut tx, &horizon, until).await?;
        if attempts.len() > PIECE_ATTEMPTS {
            // all that was claimed before the last of them is among them
            let last = attempts[PIECE_ATTEMPTS].1.span.since - TimeDelta::microseconds(1);
            until = last.max(horizon.at + TimeDelta::microseconds(1));
        }
        waits(&mut tx, &mut attempts).await?;
        let (mut absent, mut draining) = pauses(&mut tx, horizon.runner, horizon.at).await?;
        absent.extend(horizon.gone_since.map(|since| Span { since, until: None }));
        draining.extend(horizon.draining_since.map(|since| Span { since, until: None }));
        let attempts = attempts.into_iter().map(|(_, attempt)| attempt).collect();
        let facts = DayFacts { since: horizon.at, slots: horizon.slots, absent, draining, attempts };
        let piece = facts.piece(&horizon.standing, until);
        keep(&mut tx, &horizon, &piece, until).await?;
        tx.commit(true).await
    }
}

struct Horizon {
    runner: RunnerId,
    workspace: WorkspaceId,
    at: Timestamp,
    standing: Vec<Standing>,
    slots: usize,
    gone_since: Option<Timestamp>,
    draining_since: Option<Timestamp>,
}

/// How the runner stands is read with it, before what it was is: what is over meanwhile is told twice then, and not left out.
async fn lock_horizon(tx: &mut Tx, before: Timestamp) -> Result<Option<Horizon>> {
    let now = tx.now();
    let row = sqlx::query!(
        r#"select runner_id, horizon.workspace_id, at, standing as "standing: Json<Vec<Standing>>", slots_now, draining_since, last_seen_at,
                  case when ticket = 0 then runner.created_at when stopped_at >= last_seen_at then stopped_at end as gone_at
           from runner_horizon horizon join runner on runner.id = runner_id
           where at < $1 and removed_at is null order by at limit 1 for update of horizon skip locked"#,
        before
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| {
        let silent_since = row.last_seen_at + TimeDelta::seconds(OFFLINE_AFTER_SECONDS);
        Horizon {
            runner: row.runner_id,
            workspace: row.workspace_id,
            at: row.at,
            standing: row.standing.0,
            slots: usize::try_from(row.slots_now).unwrap_or(1),
            gone_since: row.gone_at.or_else(|| Some(silent_since).filter(|since| *since <= now)),
            draining_since: row.draining_since,
        }
    }))
}

/// What it had in this piece, in the order in which it was given it, and one more than is looked at when there is more.
async fn attempts(conn: &mut PgConnection, horizon: &Horizon, until: Timestamp) -> Result<Vec<(AttemptId, Occupied)>> {
    let rows = sqlx::query!(
        r#"select id as "id!: AttemptId", task_id as "task_id!: TaskId", claimed_at as "claimed_at!", ended_at from (
             select id, task_id, claimed_at, ended_at from attempt
             where workspace_id = $1 and runner_id = $2 and claimed_at >= $3::timestamptz - interval '25 hours' and claimed_at <= $4
               and ended_at >= $3
             union all
             select id, task_id, claimed_at, null from attempt
             where workspace_id = $1 and runner_id = $2 and claimed_at <= $4 and state in ('claimed', 'running', 'verifying')
           ) had order by 3, 1 limit $5"#,
        horizon.workspace.0,
        horizon.runner.0,
        horizon.at,
        until,
        PIECE_ATTEMPTS as i64 + 1
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, occupied(row.task_id, row.claimed_at, row.ended_at))).collect())
}

/// Under the lock of its horizon.
async fn keep(tx: &mut Tx, horizon: &Horizon, piece: &Piece, until: Timestamp) -> Result<()> {
    let each = piece.ended.iter();
    let slots: Vec<_> = each.clone().map(|ended| ended.slot.unwrap_or_default()).collect();
    let states: Vec<_> = each.clone().map(|ended| ended.state.name().to_owned()).collect();
    let since: Vec<_> = each.clone().map(|ended| ended.since).collect();
    let ends: Vec<_> = each.clone().map(|ended| ended.until).collect();
    let tasks: Vec<_> = each.map(|ended: &Ended| ended.task_id.map(|task| task.0).unwrap_or_default()).collect();
    sqlx::query!(
        "with had as (
           insert into runner_period (runner_id, workspace_id, slot, state, since, until, task_id)
           select $1, $2, nullif(ended.slot, 0), ended.state, ended.since, ended.until, task.id
           from unnest($3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::uuid[])
                with ordinality as ended (slot, state, since, until, task_id, position)
                -- one that is gone is named nowhere
                left join task on task.id = ended.task_id
           order by ended.position
         )
         update runner_horizon set at = $8, standing = $9 where runner_id = $1 and workspace_id = $2",
        horizon.runner.0,
        horizon.workspace.0,
        &slots,
        &states,
        &since,
        &ends,
        &tasks,
        until,
        Json(&piece.standing) as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn list(conn: &mut PgConnection, workspace: WorkspaceId, runner: RunnerId, part: &Part) -> Result<Page<RunnerTransition>> {
    let rows = sqlx::query!(
        r#"select period.number, period.slot, period.state, period.since, period.until, period.task_id, task.title as "title?"
           from runner_period period left join task on task.id = period.task_id
           where period.workspace_id = $1 and runner_id = $2 and ($3::bigint is null or period.number < $3)
           order by period.number desc limit $4"#,
        workspace.0,
        runner.0,
        part.before,
        part.limit()
    )
    .fetch_all(conn)
    .await?;
    let page = part.page(
        rows,
        |row| row.number,
        |row| {
            Some(RunnerTransition {
                number: row.number,
                slot: row.slot,
                state: RunnerState::named(&row.state)?,
                since: row.since,
                until: row.until,
                lasted_ms: (row.until - row.since).num_milliseconds(),
                task_id: row.task_id,
                task: row.title,
            })
        },
    );
    Ok(page)
}

/// Forgets how they stood long ago, so much of it at most; how much.
pub(crate) async fn forget(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from runner_period
         where number in (select number from runner_period where until < $1 order by until limit $2)",
        now - KEPT,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
