//! Tells runners what is to land, and tells it again until they have said what came of it.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    landing::TELLS_MAX,
    protocol::{Landed, Trouble},
};
use tokio::sync::Notify;
use tracing::warn;

use super::{
    order,
    store::{self, Due},
};
use crate::{Engine, Error, Result, Service, Tick, task::unreadable::is_of_a_row};

/// Told in one round.
const BATCH: i64 = 20;
/// Told to runners that have come back, of what they have not answered; the rest is told when it is due.
const AGAIN: i64 = 100;
/// After which a runner that has not answered is told again. One that is still at it does not begin anew.
const TELL_AGAIN: TimeDelta = TimeDelta::minutes(1);
/// After which what could not be read is read again the first time. It is a try as any other.
const READ_AGAIN_SECONDS: u32 = 60;

pub struct Lander {
    /// How people reach this server: what a pull request links to.
    origin: String,
}

impl Lander {
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into() }
    }
}

impl Service for Lander {
    const NAME: &'static str = "lander";
    const EVERY: Duration = Duration::from_secs(2);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let connected = engine.hub.connected();
        let runners: Vec<_> = connected.iter().map(|(id, _)| *id).collect();
        let back = engine.hub.asking_what_is_to_land();
        let are_back: Vec<_> = back.iter().map(|(id, _)| *id).collect();
        let mut tx = engine.begin_system(None).await?;
        let now = tx.now();
        let again = store::unanswered(&mut tx, &are_back, now, AGAIN).await?;
        let due = store::take_due(&mut tx, &runners, now, now + TELL_AGAIN, BATCH).await?;
        let due = tx.commit(due).await?;
        // whom it does not reach is told when it is due
        engine.hub.were_told_what_is_to_land(&back);
        let there_may_be_more = due.len() as i64 == BATCH;
        for one in again.into_iter().chain(due) {
            let task = one.attempt.task_id;
            let lands = are_back.contains(&one.runner) || connected.iter().any(|(id, lands)| *id == one.runner && *lands);
            // those after it wait for nothing of this one
            if let Err(error) = engine.see_to(one, lands, &self.origin).await {
                warn!(task.id = %task, "The result of task {task} does not land for now: {error}");
            }
        }
        Ok(if there_may_be_more { Tick::Busy } else { Tick::Idle })
    }

    fn hint(engine: &Engine) -> Option<&Notify> {
        Some(&engine.hints.landings)
    }
}

impl Engine {
    async fn see_to(&self, due: Due, lands: bool, origin: &str) -> Result<()> {
        if due.is_orphan {
            let advice = "Its commit is on that machine alone; create the task again to have it done by another runner.";
            return self.cannot_land(&due, "the runner that has the commit was removed", advice).await;
        }
        if !lands {
            let advice = "Update Muster on that machine, and try again.";
            return self.cannot_land(&due, "its runner is of a version of Muster that lands nothing", advice).await;
        }
        if due.is_due && due.tells >= TELLS_MAX {
            let advice =
                "See the runner's log and what its git waits for, restart the runner, and try again. What it has pushed stays there.";
            let message = format!("its runner was told {TELLS_MAX} times, and has not said what came of it");
            return self.cannot_land(&due, &message, advice).await;
        }
        // an older one would push anew what is to be said anew
        if (due.position > 0 || due.says_anew) && !due.knows_several {
            let advice = "Update Muster on that machine, and try again.";
            return self.cannot_land(&due, "its runner is of a version of Muster that knows one repository of a task", advice).await;
        }
        let order = match order::of(self, &due, origin).await {
            Ok(order) => order,
            // it would be so each time
            Err(error) if is_of_a_row(&error) || matches!(error, Error::NotFound { .. }) => {
                return self.cannot_be_told(&due, &error, None).await;
            }
            // the database is away, or its runner has come back before it was due: no try, and it is told again in a minute
            Err(error) if matches!(error, Error::Unavailable(_)) || !due.is_due => return Err(error),
            // nobody knows whether it will be so again
            Err(error) => return self.cannot_be_told(&due, &error, Some(READ_AGAIN_SECONDS)).await,
        };
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        // whom nobody tells has not been told: another minute, and it is not counted
        if store::note_told(&mut tx, &due, now).await? && self.hub.land(due.runner, order) {
            return tx.commit(()).await;
        }
        tx.rollback().await
    }

    async fn cannot_be_told(&self, due: &Due, error: &Error, again_in: Option<u32>) -> Result<()> {
        let why = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        warn!(task.id = %due.attempt.task_id, "What is to land of task {} cannot be read: {error}{why}", due.attempt.task_id);
        let advice = "See the server's log, have that mended by whoever runs it, and try again.";
        let message = format!("its runner cannot be told what is to land: {error}");
        self.note_trouble(due, Trouble { message, advice: advice.into(), again_in }).await
    }

    async fn cannot_land(&self, due: &Due, message: &str, advice: &str) -> Result<()> {
        self.note_trouble(due, Trouble { message: message.into(), advice: advice.into(), again_in: None }).await
    }

    /// Its runner has not said so: it may be at it, and that it has landed counts whenever it says that.
    async fn note_trouble(&self, due: &Due, trouble: Trouble) -> Result<()> {
        let Due { attempt, number, position, .. } = *due;
        let said = Landed { attempt, number, position, remote: None, pull_request: None, trouble: Some(trouble) };
        self.note_landed(None, due.runner, &said).await
    }
}
