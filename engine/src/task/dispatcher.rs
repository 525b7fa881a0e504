//! Gives queued tasks to runners that have a free slot, and queues what has waited for its time.

use std::time::Duration;

use domain::{EventKind, crash};
use tokio::sync::Notify;

use super::store;
use crate::{Engine, Result, Service, Tick};

/// Due tasks moved in one transaction.
const DUE_BATCH: i64 = 100;

#[derive(Default)]
pub struct Dispatcher;

impl Service for Dispatcher {
    const NAME: &'static str = "dispatcher";
    const EVERY: Duration = Duration::from_millis(500);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let due = engine.queue_due_tasks().await?;
        let assigned = engine.assign_queued_tasks().await?;
        Ok(if due + assigned > 0 { Tick::Busy } else { Tick::Idle })
    }

    fn hint(engine: &Engine) -> Option<&Notify> {
        Some(&engine.hints.work)
    }
}

impl Engine {
    async fn queue_due_tasks(&self) -> Result<usize> {
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        let due = store::lock_due(&mut tx, now, DUE_BATCH).await?;
        for id in &due {
            let task = store::lock(&mut tx, *id).await?;
            if task.work.is_executed() {
                let task = task.due(now)?;
                store::save(&mut tx, &task).await?;
                tx.record(task.workspace_id, *id, &EventKind::TaskDue).await?;
            } else {
                let task = super::open::passed(&mut tx, task, None).await?;
                super::release::children(&mut tx, &task).await?;
            }
        }
        tx.commit(due.len()).await
    }

    /// Fills the free slots of every runner that is connected here.
    async fn assign_queued_tasks(&self) -> Result<usize> {
        let mut assigned = 0;
        for (session, free) in self.hub.with_free_slots() {
            let assignments = self.claim(&session, free).await?;
            assigned += assignments.len();
            for assignment in assignments {
                let attempt = assignment.attempt;
                crash::point("assign.before");
                if !self.hub.assign(session.id(), assignment) {
                    self.attempt_lost(attempt).await?;
                }
                crash::point("assign.after");
            }
        }
        Ok(assigned)
    }
}
