//! Deleting what ended long ago, with everything that belongs to it, a few tasks at a time.
//!
//! A task goes when it has ended long enough ago and nothing needs it any more: nothing waits for it, and nothing that could be brought
//! back would. The tasks of a run go together: the run is forgotten first, for everybody and at once, and then deleted task by task. Each
//! batch is a short transaction that decides under the locks of its rows, so that any number of replicas may do this at the same time, and
//! a server that dies over it leaves the rest to the next round. What has happened to runners goes with it, after a time of its own.

mod store;

use std::time::Duration;

use chrono::TimeDelta;
use domain::{Timestamp, WorkspaceId};

use crate::{Engine, Result, Service, Tick, event, runner};

/// Tasks deleted in one transaction.
const BATCH: i64 = 50;
/// Runs forgotten in one transaction.
const RUNS: i64 = 20;
/// Rows about runners deleted in one statement.
const OF_RUNNERS: i64 = 1000;
/// Between two batches, for everybody else.
const PAUSE: Duration = Duration::from_millis(100);
/// Nothing is deleted sooner after its end: whoever follows the events of it live has seen them by then.
const KEPT_AT_LEAST: TimeDelta = TimeDelta::hours(1);

/// For how long what has ended is kept; nothing is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub ended: Option<TimeDelta>,
    /// What was set aside for a person to look at.
    pub dead: Option<TimeDelta>,
}

impl Keep {
    fn until(self, now: Timestamp) -> Cutoffs {
        let before = |age: Option<TimeDelta>| Some(now.checked_sub_signed(age?.max(KEPT_AT_LEAST)).unwrap_or(Timestamp::UNIX_EPOCH));
        Cutoffs { ended: before(self.ended), dead: before(self.dead) }
    }
}

/// What ended before goes.
#[derive(Clone, Copy, Debug)]
struct Cutoffs {
    ended: Option<Timestamp>,
    dead: Option<Timestamp>,
}

/// How much was deleted, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub tasks: u64,
    pub runs: u64,
}

pub struct Retention(pub Keep);

impl Service for Retention {
    const NAME: &'static str = "retention";
    const EVERY: Duration = Duration::from_mins(10);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let of_runners = engine.forget_of_runners().await?;
        if engine.forget_some(self.0).await? == Forgotten::default() && of_runners < OF_RUNNERS.unsigned_abs() {
            return Ok(Tick::Idle);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(Tick::Busy)
    }
}

impl Engine {
    /// One batch of each workspace.
    pub async fn forget_some(&self, keep: Keep) -> Result<Forgotten> {
        let cutoffs = keep.until(self.clock.now(&self.database).await?);
        let mut conn = self.database.system.acquire().await?;
        let workspaces = store::workspaces(&mut conn).await?;
        drop(conn);
        let mut forgotten = Forgotten::default();
        for workspace in workspaces {
            forgotten.runs += self.forget_runs(workspace, cutoffs).await?;
            forgotten.tasks += self.forget_tasks(workspace, cutoffs).await?;
        }
        Ok(forgotten)
    }

    /// What has happened to runners is no task's, and kept for a time of its own.
    async fn forget_of_runners(&self) -> Result<u64> {
        let now = self.clock.now(&self.database).await?;
        let mut conn = self.database.system.acquire().await?;
        let happened = runner::log::forget(&mut conn, now, OF_RUNNERS).await?;
        let stood = runner::period::forget(&mut conn, now, OF_RUNNERS).await?;
        // as long as there may be more of either
        Ok(happened.max(stood))
    }

    /// All of it, batch after batch; `done` hears after each how much is gone so far.
    pub async fn forget_all(&self, keep: Keep, done: impl Fn(Forgotten) + Send) -> Result<Forgotten> {
        let mut all = Forgotten::default();
        loop {
            let some = self.forget_some(keep).await?;
            if some == Forgotten::default() {
                return Ok(all);
            }
            all = Forgotten { tasks: all.tasks + some.tasks, runs: all.runs + some.runs };
            done(all);
        }
    }

    /// How much [`forget_all`](Self::forget_all) would delete now.
    pub async fn would_forget(&self, keep: Keep) -> Result<Forgotten> {
        let cutoffs = keep.until(self.clock.now(&self.database).await?);
        let mut conn = self.database.system.acquire().await?;
        store::count(&mut conn, cutoffs).await
    }

    async fn forget_runs(&self, workspace: WorkspaceId, cutoffs: Cutoffs) -> Result<u64> {
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        let forgotten = store::forget_runs(&mut tx, workspace, cutoffs, now, RUNS).await?;
        store::delete_empty_runs(&mut tx, workspace, RUNS).await?;
        tx.commit(forgotten).await
    }

    async fn forget_tasks(&self, workspace: WorkspaceId, cutoffs: Cutoffs) -> Result<u64> {
        let mut tx = self.begin_system(None).await?;
        let locked = store::lock_old(&mut tx, workspace, cutoffs, BATCH).await?;
        // Looked at once more under the locks: an edge that was added while they were waited for is seen only now.
        let free = store::not_needed(&mut tx, &locked).await?;
        if !free.is_empty() {
            event::position::delete_of_tasks(&mut tx, &free).await?;
            store::delete_tasks(&mut tx, &free).await?;
        }
        tx.commit(free.len() as u64).await
    }
}
