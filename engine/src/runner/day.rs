//! What is known of how a runner stood: when it was not there is written down once it is back, when it was to take nothing new once it is
//! not; the rest is what it carried out.

use std::collections::HashMap;

use chrono::TimeDelta;
use domain::{
    AttemptId, Runner, RunnerId, TaskId, Timestamp,
    runner::{
        OFFLINE_AFTER_SECONDS, RunnerDay,
        day::{DAY, DAY_ATTEMPTS, DayFacts, Occupied, Span},
    },
};
use sqlx::PgConnection;

use super::{RunnerSession, log};
use crate::{Result, tx::Tx};

/// Of a day: more is no runner that anybody looks at for that.
const PAUSES_MAX: i64 = 500;
const WAITS_MAX: i64 = 5000;

/// Before it is taken down that the runner was heard of: since when it was not, if that was so long that it was not there.
pub(crate) async fn note_return(conn: &mut PgConnection, runner: RunnerId, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "with back as (
           select id, case when ticket = 0 then created_at when stopped_at >= last_seen_at then stopped_at
                           else last_seen_at + make_interval(secs => $3) end as since, ticket = 0 as is_first
           from runner where id = $1 and (ticket = 0 or stopped_at >= last_seen_at or last_seen_at + make_interval(secs => $3) <= $2)
         ), noted as (
           insert into runner_pause (runner_id, kind, since, until) select id, 'offline', least(since, $2), $2 from back on conflict do nothing
         ), logged as (
           insert into runner_log (runner_id, at, kind, since) select id, $2, 'back', least(since, $2) from back where not is_first
         ), forgotten as (
           -- nobody looks back that far
           delete from runner_pause using back where runner_id = back.id and until < $2 - interval '7 days'
         )
         -- one that was stopped in order is begun anew
         update runner set stopped_at = null, unresponsive_since = null, not_taken_at = null from back
         where runner.id = back.id and stopped_at is not null",
        runner.0,
        now,
        OFFLINE_AFTER_SECONDS as f64
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// It was stopped in order, and says so over its newest link. It is not there from now on.
pub(super) async fn note_stop(tx: &mut Tx, session: &RunnerSession) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "with stopped as (update runner set stopped_at = $3 where id = $1 and ticket = $2 returning id)
         insert into runner_log (runner_id, at, kind) select id, $3::timestamptz, 'stopped' from stopped",
        session.id().0,
        session.ticket(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It was given these over this link, and has not taken them.
pub(crate) async fn note_not_taken(tx: &mut Tx, session: &RunnerSession, attempts: &[AttemptId]) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!(
        "update runner set unresponsive_since = coalesce(unresponsive_since, $3), not_taken_at = $3 where id = $1 and ticket = $2",
        session.id().0,
        session.ticket(),
        now
    )
    .execute(&mut **tx)
    .await?;
    match done.rows_affected() {
        0 => Ok(()),
        _ => log::note_not_taken(tx, session.id(), attempts).await,
    }
}

/// Before a runner, whose row is locked, is told to take work again: since when it was to take nothing new.
pub(super) async fn note_resumption(tx: &mut Tx, runner: RunnerId) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into runner_pause (runner_id, kind, since, until)
         select id, 'draining', least(draining_since, $2), $2 from runner where id = $1 and draining_since is not null on conflict do nothing",
        runner.0,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// As it stood, as far as its workspace can see.
pub(super) async fn told(conn: &mut PgConnection, runner: &Runner, created_at: Timestamp, now: Timestamp) -> Result<RunnerDay> {
    let from = (now - DAY).max(created_at);
    let mut attempts = ended(conn, runner.id, from).await?;
    let is_cut = attempts.len() > DAY_ATTEMPTS;
    attempts.truncate(DAY_ATTEMPTS);
    let since = attempts.last().filter(|_| is_cut).map_or(from, |first| first.1.span.since.max(from));
    attempts.extend(held(conn, runner.id).await?);
    attempts.sort_by_key(|(id, attempt)| (attempt.span.since, id.0));
    waits(conn, &mut attempts).await?;
    let (mut absent, mut draining) = pauses(conn, runner.id, since).await?;
    absent.extend(gone_since(conn, runner, created_at).await?.map(|since| Span { since, until: None }));
    draining.extend(runner.draining.as_ref().map(|draining| Span { since: draining.since, until: None }));
    let attempts = attempts.into_iter().map(|(_, attempt)| attempt).collect();
    let slots = usize::try_from(runner.slots).unwrap_or(1);
    Ok(DayFacts { since, slots, absent, draining, attempts }.told())
}

async fn gone_since(conn: &mut PgConnection, runner: &Runner, created_at: Timestamp) -> Result<Option<Timestamp>> {
    if runner.online {
        return Ok(None);
    }
    let row =
        sqlx::query!(r#"select stopped_at, ticket = 0 as "never_came!" from runner where id = $1"#, runner.id.0).fetch_one(conn).await?;
    if row.never_came {
        return Ok(Some(created_at));
    }
    let stopped = row.stopped_at.filter(|stopped| *stopped >= runner.last_seen_at);
    Ok(Some(stopped.unwrap_or(runner.last_seen_at + TimeDelta::seconds(OFFLINE_AFTER_SECONDS))))
}

pub(super) async fn pauses(conn: &mut PgConnection, runner: RunnerId, since: Timestamp) -> Result<(Vec<Span>, Vec<Span>)> {
    let rows = sqlx::query!(
        "select kind, since, until from runner_pause where runner_id = $1 and until >= $2 order by until desc limit $3",
        runner.0,
        since,
        PAUSES_MAX
    )
    .fetch_all(conn)
    .await?;
    let of = |kind: &str| {
        let rows = rows.iter().filter(|row| row.kind == kind);
        rows.map(|row| Span { since: row.since, until: Some(row.until) }).collect()
    };
    Ok((of("offline"), of("draining")))
}

/// What has ended since then, the latest first, and one more than are looked at when there are more. What is left out then was claimed before
/// all of these.
async fn ended(conn: &mut PgConnection, runner: RunnerId, since: Timestamp) -> Result<Vec<(AttemptId, Occupied)>> {
    let rows = sqlx::query!(
        "select id, task_id, claimed_at, ended_at from attempt
         where workspace_id = (select current_workspace()) and runner_id = $1 and claimed_at >= $2::timestamptz - interval '25 hours'
           and ended_at >= $2
         order by claimed_at desc limit $3",
        runner.0,
        since,
        DAY_ATTEMPTS as i64 + 1
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, occupied(row.task_id, row.claimed_at, row.ended_at))).collect())
}

async fn held(conn: &mut PgConnection, runner: RunnerId) -> Result<Vec<(AttemptId, Occupied)>> {
    let rows = sqlx::query!(
        "select id, task_id, claimed_at from attempt where runner_id = $1 and state in ('claimed', 'running', 'verifying')",
        runner.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, occupied(row.task_id, row.claimed_at, None))).collect())
}

pub(super) fn occupied(task_id: TaskId, since: Timestamp, until: Option<Timestamp>) -> Occupied {
    Occupied { task_id, span: Span { since, until }, waited: vec![] }
}

pub(super) async fn waits(conn: &mut PgConnection, attempts: &mut [(AttemptId, Occupied)]) -> Result<()> {
    let ids: Vec<_> = attempts.iter().map(|(id, _)| id.0).collect();
    let rows = sqlx::query!(
        "select attempt_id, asked_at, closed_at from approval where attempt_id = any($1) order by asked_at desc limit $2",
        &ids,
        WAITS_MAX
    )
    .fetch_all(conn)
    .await?;
    let mut waited: HashMap<AttemptId, Vec<Span>> = HashMap::new();
    for row in rows {
        waited.entry(row.attempt_id).or_default().push(Span { since: row.asked_at, until: row.closed_at });
    }
    for (id, attempt) in attempts {
        attempt.waited = waited.remove(id).unwrap_or_default();
    }
    Ok(())
}
