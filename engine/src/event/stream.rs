//! One follower of a workspace's events: first what it missed, read from the table, then what the tailer hands out. It sees
//! every event after its cursor exactly once and in order, or is told that it has to begin anew.

use std::{collections::VecDeque, sync::Arc};

use domain::{Actor, Event, Permission};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{EventBatch, EventCursor, position, store};
use crate::{Engine, Error, Result};

/// Events read at once while catching up.
const BATCH: i64 = 200;

/// What a follower is told.
pub enum Followed {
    Events(Arc<EventBatch>),
    /// Something between its position and this one is not kept any more, or its position is none of this log: it has to look at everything
    /// again, and goes on from here.
    Resync(EventCursor),
}

pub struct EventStream {
    engine: Engine,
    actor: Actor,
    cursor: EventCursor,
    live: Receiver<Arc<EventBatch>>,
    waiting: VecDeque<Event>,
    caught_up: bool,
    /// Whether it is still to be told that it begins anew.
    begins_anew: bool,
}

impl Engine {
    /// Follows the events of the actor's workspace from a position, or from now.
    pub async fn follow_events(&self, actor: &Actor, from: Option<EventCursor>) -> Result<EventStream> {
        actor.may(Permission::ReadTasks)?;
        // Subscribed before the backlog is read: what is committed in between arrives twice and is dropped by its cursor.
        let live = self.hints.follow();
        let mut tx = self.begin(actor).await?;
        let kept = match from {
            Some(cursor) if position::is_kept(&mut tx, cursor).await? => Some(cursor),
            _ => None,
        };
        let cursor = match kept {
            Some(cursor) => cursor,
            None => position::newest(&mut tx).await?,
        };
        tx.commit(()).await?;
        Ok(EventStream {
            engine: self.clone(),
            actor: actor.clone(),
            cursor,
            live,
            waiting: VecDeque::new(),
            caught_up: kept.is_none(),
            begins_anew: kept.is_none() && from.is_some(),
        })
    }
}

impl EventStream {
    /// Where a new follower would go on.
    pub fn cursor(&self) -> EventCursor {
        self.cursor
    }

    /// Whether the first thing that it is told is to begin anew; its position means nothing before that.
    pub fn begins_anew(&self) -> bool {
        self.begins_anew
    }

    /// The next events. Waits for as long as there are none; may be dropped and called again without losing one.
    pub async fn next_batch(&mut self) -> Result<Followed> {
        if std::mem::take(&mut self.begins_anew) {
            return Ok(Followed::Resync(self.cursor));
        }
        loop {
            if !self.caught_up {
                match self.catch_up().await? {
                    Some(told) => return Ok(told),
                    None => continue,
                }
            }
            match self.live.recv().await {
                Ok(batch) if batch.workspace != self.actor.workspace_id || batch.last <= self.cursor => {}
                Ok(batch) if batch.first > self.cursor => {
                    self.cursor = batch.last;
                    return Ok(Followed::Events(batch));
                }
                // Part of it is known already: the table says which, which is seldom asked.
                Ok(_) | Err(RecvError::Lagged(_)) => self.caught_up = false,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// As [`next_batch`](Self::next_batch), one at a time, for whoever cannot begin anew.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            match self.next_batch().await? {
                Followed::Events(batch) => self.waiting.extend(batch.events().iter().cloned()),
                Followed::Resync(_) => return Err(Error::Conflict("events after this position are not kept any more".into())),
            }
        }
    }

    /// A few followers at a time: those who are behind must not take the connections of those who work.
    async fn catch_up(&mut self) -> Result<Option<Followed>> {
        let _turn = self.engine.hints.catching_up.acquire().await;
        let mut tx = self.engine.begin(&self.actor).await?;
        let missed = store::after(&mut tx, self.cursor, BATCH).await?;
        // Read after the events: what was deleted before they were read has moved it by now.
        if position::horizon(&mut tx).await? > self.cursor {
            let newest = position::newest(&mut tx).await?;
            tx.commit(()).await?;
            (self.cursor, self.caught_up) = (newest, true);
            return Ok(Some(Followed::Resync(newest)));
        }
        tx.commit(()).await?;
        self.caught_up = missed.is_empty();
        let Some(batch) = EventBatch::of(missed) else { return Ok(None) };
        self.cursor = batch.last;
        Ok(Some(Followed::Events(Arc::new(batch))))
    }
}
