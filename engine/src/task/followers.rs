//! The order in which rows of tasks are locked, so that no two transactions wait for each other.
//!
//! Whoever may end tasks locks them together with all that may follow from their ends, in one statement and in the order of their ids:
//! a hundred attempts that end at once, and every task below them that is released or skipped. Two batches with children in common meet
//! at the first row that both want, and one of them goes first. Whoever makes a task wait for others takes those in the same order.
//!
//! What follows is guessed before anything is locked, and decided afterwards. A guess that says too much locks a row for nothing. What it
//! leaves out (an edge that was added in this moment, a group that ends at its first member) is locked when it is met. Should two of
//! those ever wait for each other, Postgres ends one of them, and its message or request is tried again.
//!
//! After the tasks come the rows of their attempts, and last the counters of what tasks share: whoever waits for one of those holds
//! nothing that anybody who holds it still wants.

use domain::{AttemptId, Task, TaskId};
use sqlx::PgConnection;

use super::store;
use crate::Result;

/// A task that may end in this transaction.
pub(crate) struct Ending {
    pub task: TaskId,
    /// Only while this attempt holds it.
    pub attempt: Option<AttemptId>,
    pub end: End,
}

/// How a task may end, as far as it is known before its row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It goes on.
    None,
    Well,
    /// Whatever waits for its success is skipped.
    Badly,
    /// Badly, unless it may be tried once more.
    BadlyAtLast,
    /// Badly, when it was asked to end or has lost too many runners.
    BadlyWhenLost,
    /// Badly, when it waits.
    BadlyUnlessItRuns,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Well => "well",
            Self::Badly => "badly",
            Self::BadlyAtLast => "at last",
            Self::BadlyWhenLost => "when lost",
            Self::BadlyUnlessItRuns => "unless it runs",
        }
    }
}

/// A task that may end, with what may follow.
pub(crate) async fn lock(conn: &mut PgConnection, task: TaskId, end: End) -> Result<Task> {
    lock_all(conn, &[Ending { task, attempt: None, end }]).await?;
    store::lock(conn, task).await
}

/// Locks tasks that may end and what may follow from it. One whose attempt does not hold it is left alone, as it may be anywhere.
pub(crate) async fn lock_all(conn: &mut PgConnection, endings: &[Ending]) -> Result<()> {
    let tasks: Vec<_> = endings.iter().map(|ending| ending.task.0).collect();
    let attempts: Vec<_> = endings.iter().map(|ending| ending.attempt.map(|id| id.0)).collect();
    let ends: Vec<_> = endings.iter().map(|ending| ending.end.name().to_owned()).collect();
    sqlx::query!(
        "with recursive root as (
           select task.id, wanted.ends, case wanted.ends
                    when 'none' then false
                    when 'at last' then stop is not null or failures + 1 >= max_attempts or retry_strategy = 'none'
                    when 'when lost' then stop is not null or losses >= 2
                    when 'unless it runs' then state in ('blocked', 'scheduled', 'queued')
                    else true
                  end as is_end
           from unnest($1::uuid[], $2::uuid[], $3::text[]) as wanted (id, attempt, ends) join task on task.id = wanted.id
           where wanted.attempt is null
              or exists (select from attempt where attempt.id = wanted.attempt and attempt.task_id = task.id and ended_at is null)
         ), follows (id, badly, goes_on) as (
           select id, ends <> 'well', is_end from root
           union
           select child.id, ahead.badly, ahead.goes_on
           from follows
           join task_dependency edge on edge.depends_on_id = follows.id and not edge.satisfied
           join task child on child.id = edge.task_id and child.state = 'blocked'
           cross join lateral (
             select follows.badly and edge.on_kind <> 'end' or edge.on_kind = 'condition' as skips,
                    -- it may be passed, or refuse by itself, once nothing else is waited for
                    (child.control is not null or child.condition is not null) and child.waiting_for <= cardinality($1) as opens
           ) as may
           cross join lateral (select may.skips or may.opens as badly, may.skips or may.opens as goes_on) as ahead
           where follows.goes_on
         )
         select from task where id = any(array(select id from follows)) order by id for no key update",
        &tasks,
        &attempts as _,
        &ends
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks tasks that may come back, with what they wait for and those that will wait for them once more.
pub(super) async fn lock_families(conn: &mut PgConnection, tasks: &[TaskId]) -> Result<()> {
    let ids: Vec<_> = tasks.iter().map(|id| id.0).collect();
    sqlx::query!(
        "select from task
         where id = any(array(select unnest($1::uuid[])
                              union select depends_on_id from task_dependency where task_id = any($1)
                              union select task_id from task_dependency where depends_on_id = any($1) and satisfied))
         order by id for no key update",
        &ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a task with others that it is to wait for.
pub(super) async fn lock_with(conn: &mut PgConnection, task: TaskId, others: &[TaskId]) -> Result<Task> {
    let ids: Vec<_> = others.iter().chain([&task]).map(|id| id.0).collect();
    sqlx::query!("select from task where id = any($1) order by id for no key update", &ids).execute(&mut *conn).await?;
    store::lock(conn, task).await
}
