//! What a runner does and has done, for whoever looks at it.

use domain::{
    Actor, Failure, Permission, RunnerId,
    runner::{HISTORY_COUNTED, HISTORY_SHOWN, RunnerAttempt, RunnerDetail, RunnerTally},
};
use sqlx::{PgConnection, types::Json};

use super::store;
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
        let mut current = attempts(&mut tx, id, false, CURRENT_MAX).await?;
        current.reverse();
        let history = attempts(&mut tx, id, true, HISTORY_SHOWN).await?;
        let tally = tally(&mut tx, id).await?;
        tx.commit(RunnerDetail { runner, created_at, joined_by, current, history, tally }).await
    }
}

/// The latest first.
async fn attempts(conn: &mut PgConnection, runner: RunnerId, ended: bool, limit: i64) -> Result<Vec<RunnerAttempt>> {
    let rows = sqlx::query!(
        r#"select task_id, task.title, number, attempt.state, claimed_at, attempt.started_at, attempt.ended_at,
                  attempt.failure as "failure: Json<Failure>",
                  exists (select from approval where attempt_id = attempt.id and approval.state = 'pending') as "is_blocked!"
           from attempt join task on task.id = task_id
           where runner_id = $1 and (attempt.ended_at is not null) = $2
           order by claimed_at desc, attempt.id desc limit $3"#,
        runner.0,
        ended,
        limit
    )
    .fetch_all(conn)
    .await?;
    let attempts = rows.into_iter().map(|row| RunnerAttempt {
        task_id: row.task_id,
        task: row.title,
        number: row.number,
        state: row.state,
        claimed_at: row.claimed_at,
        started_at: row.started_at,
        ended_at: row.ended_at,
        is_blocked: row.is_blocked,
        failure: row.failure.map(|failure| failure.0),
    });
    Ok(attempts.collect())
}

async fn tally(conn: &mut PgConnection, runner: RunnerId) -> Result<RunnerTally> {
    let row = sqlx::query!(
        r#"select count(*) filter (where state = 'succeeded') as "succeeded!", count(*) filter (where state in ('failed', 'timed_out')) as "failed!",
                  count(*) filter (where state = 'lost') as "lost!", count(*) filter (where state = 'cancelled') as "cancelled!"
           from (select state from attempt where runner_id = $1 and ended_at is not null order by claimed_at desc limit $2) as latest"#,
        runner.0,
        HISTORY_COUNTED
    )
    .fetch_one(conn)
    .await?;
    Ok(RunnerTally { succeeded: row.succeeded, failed: row.failed, lost: row.lost, cancelled: row.cancelled })
}
