//! One reader of the log per process. It hands every settled event, once and in order, to all who follow.

use std::time::Duration;

use domain::crash;
use tokio::sync::Notify;

use super::{EventBatch, EventCursor, store};
use crate::{Engine, Result, Service, Tick};

/// How soon it looks again for an event whose neighbours are still being committed.
const UNSETTLED_WAIT: Duration = Duration::from_millis(4);
/// With many who follow, events are handed out in larger batches: each costs something for every one of them.
const MANY_FOLLOWERS: usize = 50;
const GATHER: Duration = Duration::from_millis(20);
/// Events read at once.
const BATCH: i64 = 500;

#[derive(Default)]
pub struct Tailer {
    cursor: Option<EventCursor>,
}

impl Service for Tailer {
    const NAME: &'static str = "event tailer";
    const EVERY: Duration = Duration::from_secs(1);

    async fn tick(&mut self, engine: &Engine) -> Result<Tick> {
        let mut conn = engine.database.system.acquire().await?;
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => *self.cursor.insert(store::newest(&mut conn).await?),
        };
        let events = store::after(&mut conn, cursor, BATCH).await?;
        let Some(last) = events.last() else {
            if !store::has_unsettled(&mut conn).await? {
                return Ok(Tick::Idle);
            }
            drop(conn);
            tokio::time::sleep(UNSETTLED_WAIT).await;
            return Ok(Tick::Busy);
        };
        self.cursor = Some(last.cursor);
        drop(conn);
        crash::point("events.before");
        for batch in EventBatch::by_workspace(events) {
            engine.hints.publish(batch);
        }
        crash::point("events.after");
        if engine.hints.followers() > MANY_FOLLOWERS {
            tokio::time::sleep(GATHER).await;
        }
        Ok(Tick::Busy)
    }

    fn hint(engine: &Engine) -> Option<&Notify> {
        Some(&engine.hints.events)
    }
}
