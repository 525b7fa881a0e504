//! What is known of how a runner stood: when it was not there is written down once it is back, when it was to take nothing new once it is
//! not; the rest is what it carried out.

use std::collections::HashMap;

use chrono::TimeDelta;
use domain::{
    AttemptId, Runner, RunnerId, TaskId, Timestamp,
    runner::{
        OFFLINE_AFTER_SECONDS, RunnerDay,
        day::{DAY_ATTEMPTS, DayFacts, Occupied, Span, day},
    },
};
use sqlx::PgConnection;

use super::RunnerSession;
use crate::{Result, tx::Tx};

/// Before it is taken down that the runner was heard of: since when it was not, if that was so long that it was not there.
pub(crate) async fn note_return(conn: &mut PgConnection, runner: RunnerId, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "with back as (
           select id, case when ticket = 0 then created_at else coalesce(stopped_at, last_seen_at + make_interval(secs => $3)) end as since
           from runner where id = $1 and (ticket = 0 or stopped_at is not null or last_seen_at + make_interval(secs => $3) <= $2)
         ), noted as (
           insert into runner_pause (runner_id, kind, since, until) select id, 'offline', least(since, $2), $2 from back on conflict do nothing
         ), forgotten as (
           -- nobody looks back that far
           delete from runner_pause using back where runner_id = back.id and until < $2 - interval '7 days'
         )
         update runner set stopped_at = null from back where runner.id = back.id and stopped_at is not null",
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
    sqlx::query!("update runner set stopped_at = $3 where id = $1 and ticket = $2", session.id().0, session.ticket(), now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Before a runner is told to take work again: since when it was to take nothing new.
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
    let from = (now - day()).max(created_at);
    let mut attempts = attempts(conn, runner.id, from).await?;
    let is_cut = attempts.len() as i64 >= DAY_ATTEMPTS;
    let since = attempts.last().filter(|_| is_cut).map_or(from, |first| first.1.span.since.max(from));
    waits(conn, &mut attempts).await?;
    let (mut absent, mut draining) = pauses(conn, runner.id, since).await?;
    absent.extend(gone_since(conn, runner, created_at).await?.map(|since| Span { since, until: None }));
    draining.extend(runner.draining.as_ref().map(|draining| Span { since: draining.since, until: None }));
    let attempts = attempts.into_iter().rev().map(|(_, attempt)| attempt).collect();
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
    Ok(Some(row.stopped_at.unwrap_or(runner.last_seen_at + TimeDelta::seconds(OFFLINE_AFTER_SECONDS))))
}

async fn pauses(conn: &mut PgConnection, runner: RunnerId, since: Timestamp) -> Result<(Vec<Span>, Vec<Span>)> {
    let rows = sqlx::query!("select kind, since, until from runner_pause where runner_id = $1 and until >= $2", runner.0, since)
        .fetch_all(conn)
        .await?;
    let of = |kind: &str| {
        let rows = rows.iter().filter(|row| row.kind == kind);
        rows.map(|row| Span { since: row.since, until: Some(row.until) }).collect()
    };
    Ok((of("offline"), of("draining")))
}

/// The latest first. What it carries out now may have begun before.
async fn attempts(conn: &mut PgConnection, runner: RunnerId, since: Timestamp) -> Result<Vec<(AttemptId, Occupied)>> {
    let rows = sqlx::query!(
        r#"select id as "id!: AttemptId", task_id as "task_id!: TaskId", claimed_at as "claimed_at!", ended_at from (
             select id, task_id, claimed_at, ended_at from attempt
             where workspace_id = (select current_workspace()) and runner_id = $1 and claimed_at >= $2
             union
             select id, task_id, claimed_at, ended_at from attempt where runner_id = $1 and state in ('claimed', 'running', 'verifying')
           ) as occupied
           order by claimed_at desc, id desc limit $3"#,
        runner.0,
        since,
        DAY_ATTEMPTS
    )
    .fetch_all(conn)
    .await?;
    let occupied = rows.into_iter().map(|row| {
        let span = Span { since: row.claimed_at, until: row.ended_at };
        (row.id, Occupied { task_id: row.task_id, span, waited: vec![] })
    });
    Ok(occupied.collect())
}

async fn waits(conn: &mut PgConnection, attempts: &mut [(AttemptId, Occupied)]) -> Result<()> {
    let ids: Vec<_> = attempts.iter().map(|(id, _)| id.0).collect();
    let rows =
        sqlx::query!("select attempt_id, asked_at, closed_at from approval where attempt_id = any($1)", &ids).fetch_all(conn).await?;
    let mut waited: HashMap<AttemptId, Vec<Span>> = HashMap::new();
    for row in rows {
        waited.entry(row.attempt_id).or_default().push(Span { since: row.asked_at, until: row.closed_at });
    }
    for (id, attempt) in attempts {
        attempt.waited = waited.remove(id).unwrap_or_default();
    }
    Ok(())
}
