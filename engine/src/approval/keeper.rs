//! Denies what nobody has answered in time.

use std::time::Duration;

use domain::{ApprovalId, ApprovalStateName, account::SYSTEM};
use tracing::{info, warn};

use super::{
    expired, lock, say,
    store::{self, Close},
};
use crate::{Engine, Error, Result, Service, Tick, service::PassedOver};

const BATCH: i64 = 100;

#[derive(Default)]
pub struct ApprovalKeeper {
    passed_over: PassedOver,
}

impl Service for ApprovalKeeper {
    const NAME: &'static str = "approval keeper";
    const EVERY: Duration = Duration::from_secs(1);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let now = engine.clock.now(&engine.database).await?;
        let mut conn = engine.database.system.acquire().await?;
        let overdue = store::overdue(&mut conn, now, &self.passed_over.at(now), BATCH).await?;
        drop(conn);
        let mut all = true;
        for id in &overdue {
            match engine.approval_expired(*id).await {
                // it is gone with its task, or somebody was faster
                Ok(()) | Err(Error::NotFound { .. } | Error::Conflict(_)) => {}
                // those after it wait for nothing of this one
                Err(error) => {
                    warn!("The question {id} could not be closed at its deadline: {error}");
                    all = false;
                    // what the database had no time for is tried again with the next tick
                    if !matches!(error, Error::Unavailable(_)) {
                        self.passed_over.note(id.0, now);
                    }
                }
            }
        }
        Ok(if overdue.len() as i64 == BATCH && all { Tick::Busy } else { Tick::Idle })
    }
}

impl Engine {
    /// Decided again under the lock: whoever answers first has answered.
    async fn approval_expired(&self, id: ApprovalId) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        let question = lock(&mut tx, id).await?;
        let now = tx.now();
        if question.state != ApprovalStateName::Pending || now < question.deadline {
            return Ok(());
        }
        let close = Close { state: ApprovalStateName::Expired, by: None, actor: Some(SYSTEM), message: None, rule: None };
        store::close(&mut tx, id, &close, now).await?;
        let telling = say(&mut tx, &question, ApprovalStateName::Expired, expired(), SYSTEM).await?;
        tx.commit(()).await?;
        info!(task.id = %question.attempt.task_id, "Nobody has answered what the agent of task {} asks: it is denied", question.attempt.task_id);
        self.hub.tell(question.runner, telling);
        Ok(())
    }
}
