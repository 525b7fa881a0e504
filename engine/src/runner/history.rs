//! What a runner does and has done, for whoever looks at it.

use domain::{
    Actor, AttemptState, Failure, Permission, RunnerId, TaskId, Timestamp,
    runner::{HISTORY_COUNTED, HISTORY_SHOWN, RunnerAttempt, RunnerDetail, RunnerTally},
};
use sqlx::{PgConnection, types::Json};

use super::{day, store};
use crate::{Engine, Error, Result};

/// What one runner may carry out at once: the most slots that it may have.
const CURRENT_MAX: i64 = 1000;

impl Engine {
    pub async fn find_runner(&self, actor: &Actor, id: RunnerId) -> Result<RunnerDetail> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let runner = store::list(&mut tx, now, Some(id)).await?.pop().ok_or_else(|| Error::not_found("runner", id))?;
        let (created_at, joined_by) = store::origin(&mut tx, id).await?;
        let current = current(&mut tx, id).await?;
        let history = history(&mut tx, id).await?;
        let tally = tally(&mut tx, id).await?;
        let day = day::told(&mut tx, &runner, created_at, now).await?;
        tx.commit(RunnerDetail { runner, created_at, joined_by, current, history, tally, day }).await
    }
}

struct Row {
    task_id: TaskId,
    title: String,
    number: i32,
    state: AttemptState,
    claimed_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    failure: Option<Json<Failure>>,
    is_blocked: bool,
}

impl From<Row> for RunnerAttempt {
    fn from(row: Row) -> Self {
        Self {
            task_id: row.task_id,
            task: row.title,
            number: row.number,
            state: row.state,
            claimed_at: row.claimed_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            is_blocked: row.is_blocked,
            failure: row.failure.map(|failure| failure.0),
        }
    }
}

/// The oldest first. By their states, as the index of what is held has them: a runner may have done a million others.
async fn current(conn: &mut PgConnection, runner: RunnerId) -> Result<Vec<RunnerAttempt>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select task_id, task.title, number, attempt.state, claimed_at, attempt.started_at, attempt.ended_at,
                  attempt.failure as "failure: Json<Failure>",
                  exists (select from approval where attempt_id = attempt.id and approval.state = 'pending') as "is_blocked!"
           from attempt join task on task.id = task_id
           where runner_id = $1 and attempt.state in ('claimed', 'running', 'verifying')
           order by claimed_at, attempt.id limit $2"#,
        runner.0,
        CURRENT_MAX
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(RunnerAttempt::from).collect())
}

/// The latest first. What was lost before it began never came to the runner.
async fn history(conn: &mut PgConnection, runner: RunnerId) -> Result<Vec<RunnerAttempt>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select task_id, task.title, number, attempt.state, claimed_at, attempt.started_at, attempt.ended_at,
                  attempt.failure as "failure: Json<Failure>", false as "is_blocked!"
           from attempt join task on task.id = task_id
           where attempt.workspace_id = (select current_workspace()) and runner_id = $1 and attempt.ended_at is not null
             and (attempt.state <> 'lost' or attempt.started_at is not null)
           order by claimed_at desc, attempt.id desc limit $2"#,
        runner.0,
        HISTORY_SHOWN
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(RunnerAttempt::from).collect())
}

async fn tally(conn: &mut PgConnection, runner: RunnerId) -> Result<RunnerTally> {
    let row = sqlx::query!(
        r#"with latest as (
             select id, state, started_at, ended_at from attempt
             where workspace_id = (select current_workspace()) and runner_id = $1 and ended_at is not null
               and (state <> 'lost' or started_at is not null)
             order by claimed_at desc limit $2
           ), used as (
             select coalesce(sum(input), 0)::bigint as input, coalesce(sum(cached), 0)::bigint as cached, coalesce(sum(output), 0)::bigint as output,
                    coalesce(bool_or(is_incomplete or coalesce(under_way > 0, false)), false) as is_incomplete
             from attempt_usage where attempt_id in (select id from latest)
           ), ended as (
             select count(*) filter (where state = 'succeeded') as succeeded, count(*) filter (where state in ('failed', 'timed_out')) as failed,
                    count(*) filter (where state = 'lost') as lost, count(*) filter (where state = 'cancelled') as cancelled,
                    (avg(extract(epoch from ended_at - started_at)) filter (where state in ('succeeded', 'failed', 'timed_out')) * 1000)::bigint as mean_ms
             from latest
           )
           select succeeded as "succeeded!", failed as "failed!", lost as "lost!", cancelled as "cancelled!", mean_ms,
                  input as "input!", cached as "cached!", output as "output!", is_incomplete as "is_incomplete!"
           from ended cross join used"#,
        runner.0,
        HISTORY_COUNTED
    )
    .fetch_one(conn)
    .await?;
    Ok(RunnerTally {
        succeeded: row.succeeded,
        failed: row.failed,
        lost: row.lost,
        cancelled: row.cancelled,
        mean_ms: row.mean_ms,
        input: row.input.unsigned_abs(),
        cached: row.cached.unsigned_abs(),
        output: row.output.unsigned_abs(),
        is_incomplete: row.is_incomplete,
    })
}
