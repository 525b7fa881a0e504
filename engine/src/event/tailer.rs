//! One reader of the log per process. It hands every settled event, once and in order, to all who follow.

use std::time::Duration;

use domain::crash;
use tokio::sync::Notify;

use super::{EventBatch, EventCursor, store};
use crate::{Engine, Result, Service, Tick};

/// How soon it looks again for an event whose neighbours are still being committed.
const UNSETTLED_WAIT: Duration = Duration::from_millis(4);
/// What it costs to hand a batch to one follower. After a batch the tailer rests for as long as that takes, so that the more follow,
/// the larger the batches are; and a little in any case, as each look has its price too.
const HANDING_OUT: Duration = Duration::from_micros(50);
const REST_MIN: Duration = Duration::from_millis(4);
const REST_MAX: Duration = Duration::from_millis(100);
/// Events read at once. A batch is the least that a follower holds who has stopped reading.
const BATCH: i64 = 256;

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
        let followers = u32::try_from(engine.hints.followers()).unwrap_or(u32::MAX);
        tokio::time::sleep(HANDING_OUT.saturating_mul(followers).clamp(REST_MIN, REST_MAX)).await;
        Ok(Tick::Busy)
    }

    fn hint(engine: &Engine) -> Option<&Notify> {
        Some(&engine.hints.events)
    }
}
