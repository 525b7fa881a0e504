//! The event log: what was committed, in an order that a reader can resume from.

mod batch;
pub(crate) mod position;
pub(crate) mod store;
mod stream;
mod tailer;

use std::{fmt, str::FromStr};

use domain::{Actor, Event, Permission, TaskId};

pub use batch::EventBatch;
pub use stream::{EventStream, Followed};
pub use tailer::Tailer;

use crate::{Engine, Result};

/// A position in the stream of events: the transaction that wrote it, then its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    pub(crate) xid: u64,
    pub(crate) id: i64,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.xid, self.id)
    }
}

impl FromStr for EventCursor {
    type Err = domain::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('-').and_then(|(xid, id)| Some(Self { xid: xid.parse().ok()?, id: id.parse().ok()? }));
        parsed
            .filter(|cursor| cursor.id >= 0 && i64::try_from(cursor.xid).is_ok())
            .ok_or_else(|| domain::Invalid::field("/last_event_id", "malformed", "is not a position of this stream"))
    }
}

impl Engine {
    /// A task's timeline, oldest first.
    pub async fn task_events(&self, actor: &Actor, task: TaskId) -> Result<Vec<Event>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        crate::task::store::exists(&mut tx, task).await?;
        let events = store::of_task(&mut tx, task).await?;
        tx.commit(events).await
    }
}
