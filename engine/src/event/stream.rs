//! One follower of a workspace's events: first what it missed, read from the table, then what the tailer hands out. It sees
//! every event after its cursor exactly once and in order.

use std::{collections::VecDeque, sync::Arc};

use domain::{Actor, Event, Permission};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{EventBatch, EventCursor, store};
use crate::{Engine, Result};

/// Events read at once while catching up.
const BATCH: i64 = 200;

pub struct EventStream {
    engine: Engine,
    actor: Actor,
    cursor: EventCursor,
    live: Receiver<Arc<EventBatch>>,
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

    /// The next events. Waits for as long as there are none; may be dropped and called again without losing one.
    pub async fn next_batch(&mut self) -> Result<Arc<EventBatch>> {
        loop {
            if !self.caught_up {
                match self.catch_up().await? {
                    Some(batch) => return Ok(batch),
                    None => continue,
                }
            }
            match self.live.recv().await {
                Ok(batch) if batch.workspace != self.actor.workspace_id || batch.last <= self.cursor => {}
                Ok(batch) if batch.first > self.cursor => {
                    self.cursor = batch.last;
                    return Ok(batch);
                }
                // Part of it is known already: the table says which, which is seldom asked.
                Ok(_) | Err(RecvError::Lagged(_)) => self.caught_up = false,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// As [`next_batch`](Self::next_batch), one at a time.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            let batch = self.next_batch().await?;
            self.waiting.extend(batch.events().iter().cloned());
        }
    }

    /// A few followers at a time: those who are behind must not take the connections of those who work.
    async fn catch_up(&mut self) -> Result<Option<Arc<EventBatch>>> {
        let _turn = self.engine.hints.catching_up.acquire().await;
        let mut tx = self.engine.begin(&self.actor).await?;
        let missed = store::after(&mut tx, self.cursor, BATCH).await?;
        tx.commit(()).await?;
        self.caught_up = missed.is_empty();
        let batch = EventBatch::of(missed).map(Arc::new);
        if let Some(batch) = &batch {
            self.cursor = batch.last;
        }
        Ok(batch)
    }
}
