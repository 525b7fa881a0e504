//! What time does to tasks: deadlines pass, waits in the queue grow too long, what was waited for is there, and an urgent task that finds no
//! free slot gets one.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use domain::{EventKind, Task, TaskId, TaskState, Timestamp};
use tracing::info;

use super::{concurrency, followers, followers::End, record_end, release, store};
use crate::{Engine, Error, Result, Service, Tick, account::Isolations, endpoint, service::PassedOver};

/// Tasks looked at in one tick, for each of the reasons.
const BATCH: i64 = 100;

/// How long an urgent task waits for a slot to become free by itself.
const PRE_EMPT_AFTER: TimeDelta = TimeDelta::seconds(1);

#[derive(Default)]
pub struct Timekeeper {
    passed_over: PassedOver,
}

impl Service for Timekeeper {
    const NAME: &'static str = "timekeeper";
    const EVERY: Duration = Duration::from_secs(1);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let now = engine.clock.now(&engine.database).await?;
        let mut conn = engine.database.system.acquire().await?;
        let passed_over = &mut self.passed_over;
        let passed = passed_over.at(now);
        let overdue = store::overdue(&mut conn, now, &passed, BATCH).await?;
        let expired = store::expired(&mut conn, now, &passed, BATCH).await?;
        let left_behind = store::left_behind(&mut conn, &passed, BATCH).await?;
        concurrency::unpark(&mut conn).await?;
        endpoint::let_go(&mut conn, now).await?;
        drop(conn);
        // what cannot be done about one keeps nobody else waiting
        let mut all = true;
        for id in &overdue {
            all &= engine.done_or_passed_over(passed_over, now, *id, engine.task_overdue(*id).await).await?;
        }
        for id in &expired {
            all &= engine.done_or_passed_over(passed_over, now, *id, engine.task_expired(*id).await).await?;
        }
        for id in left_behind {
            all &= engine.done_or_passed_over(passed_over, now, id, engine.cancel_left_behind(id).await).await?;
        }
        engine.go_on_cancelling(passed_over, now).await?;
        engine.make_room(passed_over, now).await?;
        let full = overdue.len().max(expired.len()) as i64 == BATCH;
        Ok(if full && all { Tick::Busy } else { Tick::Idle })
    }
}

impl Engine {
    async fn task_overdue(&self, id: TaskId) -> Result<()> {
        let overdue = |task: Task, now| {
            let was_running = !matches!(task.state, TaskState::Blocked | TaskState::Scheduled { .. } | TaskState::Queued);
            Ok((task.overdue(now)?, was_running.then_some(EventKind::DeadlinePassed)))
        };
        self.change_by_time(id, overdue).await
    }

    /// Decided again under the lock: a runner that takes it first wins.
    async fn task_expired(&self, id: TaskId) -> Result<()> {
        self.change_by_time(id, |task, now| Ok((task.expire(now)?, None))).await
    }

    /// Its group has ended without it.
    async fn cancel_left_behind(&self, id: TaskId) -> Result<()> {
        self.change_by_time(id, |task, now| Ok((task.cancel(domain::account::SYSTEM, now)?, Some(EventKind::CancelRequested)))).await
    }

    /// Stops the youngest task of the low lane for an urgent one that waits, when every slot here that could be its own is taken.
    async fn make_room(&self, passed_over: &mut PassedOver, now: Timestamp) -> Result<()> {
        if self.hub.is_empty() {
            return Ok(());
        }
        let mut conn = self.database.system.acquire().await?;
        let pairs = store::to_pre_empt(&mut conn, now - PRE_EMPT_AFTER, &passed_over.at(now)).await?;
        if pairs.is_empty() {
            return Ok(());
        }
        let workspaces: Vec<_> = pairs.iter().map(|pair| pair.workspace).collect();
        let isolations = Isolations::of(&mut conn, &workspaces).await?;
        drop(conn);
        let mut served = BTreeSet::new();
        for store::Pair { workspace, victim, urgent: for_task, needs, is_path } in pairs {
            if !self.hub.is_full(workspace, is_path, &needs, &isolations) || !served.insert(workspace) {
                continue;
            }
            info!(task.id = %victim, "Task {victim} makes room for the urgent task {for_task}");
            let pre_empt = |task: Task, _| Ok((task.pre_empt(for_task)?, Some(EventKind::PreEmptionRequested { for_task })));
            // the next youngest makes room for as long as this one cannot
            self.done_or_passed_over(passed_over, now, victim, self.change_by_time(victim, pre_empt).await).await?;
        }
        Ok(())
    }

    /// One transition of one task. A task for which it no longer holds is left alone.
    pub(crate) async fn change_by_time(
        &self,
        id: TaskId,
        change: impl FnOnce(Task, Timestamp) -> std::result::Result<(Task, Option<EventKind>), domain::InvalidTransition> + Send,
    ) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        let task = match followers::lock(&mut tx, id, End::BadlyUnlessItRuns).await {
            Ok(task) => task,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = tx.now();
        let Ok((task, event)) = change(task, now) else { return Ok(()) };
        store::save(&mut tx, &task).await?;
        if let Some(event) = event {
            tx.record(task.workspace_id, id, &event).await?;
        }
        record_end(&mut tx, &task).await?;
        release::children(&mut tx, &task).await?;
        let attempt = crate::attempt::store::live(&mut tx, id).await?;
        tx.commit(()).await?;
        if let Some((runner, attempt)) = attempt {
            self.hub.cancel(runner, attempt);
        }
        Ok(())
    }
}
