//! One follower of a workspace's events: first what it missed, read from the table, then what the tailer hands out. It sees
//! every event after its cursor exactly once and in order.

use std::{collections::VecDeque, sync::Arc};

use domain::{Actor, Event, Permission};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{EventCursor, store, store::Positioned};
use crate::{Engine, Result};

/// Events read at once while catching up.
const BATCH: i64 = 200;

pub struct EventStream {
    engine: Engine,
    actor: Actor,
    cursor: EventCursor,
    live: Receiver<Arc<Vec<Positioned>>>,
    waiting: VecDeque<Event>,
    caught_up: bool,
}

impl Engine {
    /// Follows the events of the actor's workspace from a position, or from now.
    pub async fn follow_events(&self, actor: &Actor, from: Option<EventCursor>) -> Result<EventStream> {
        actor.may(Permission::ReadTasks)?;
        // Subscribed before the backlog is read: what is committed in between arrives twice and is dropped by its cursor.
        let live = self.hints.follow();
        let mut tx = self.begin(actor).await?;
        let cursor = match from {
            Some(cursor) => cursor,
            None => store::newest(&mut tx).await?,
        };
        tx.commit(()).await?;
        Ok(EventStream { engine: self.clone(), actor: actor.clone(), cursor, live, waiting: VecDeque::new(), caught_up: from.is_none() })
    }
}

impl EventStream {
    /// Where a new follower would go on.
    pub fn cursor(&self) -> EventCursor {
        self.cursor
    }

    /// The next event. Waits for as long as there is none; may be dropped and called again without losing one.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.cursor = event.cursor.parse().unwrap_or(self.cursor);
                return Ok(event);
            }
            if !self.caught_up {
                self.catch_up().await?;
                continue;
            }
            match self.live.recv().await {
                Ok(batch) => {
                    let ours = batch.iter().filter(|one| one.workspace == self.actor.workspace_id && one.cursor > self.cursor);
                    self.waiting.extend(ours.map(|one| one.event.clone()));
                }
                // Too slow for the live feed, or the feed has gone: the table has it all.
                Err(RecvError::Lagged(_)) => self.caught_up = false,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn catch_up(&mut self) -> Result<()> {
        let mut tx = self.engine.begin(&self.actor).await?;
        let missed = store::after(&mut tx, self.cursor, BATCH).await?;
        tx.commit(()).await?;
        self.caught_up = missed.is_empty();
        self.waiting.extend(missed.into_iter().map(|one| one.event));
        Ok(())
    }
}
