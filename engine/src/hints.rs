//! What was just committed in this process, so that nobody has to wait for a timer. Losing one costs time, never truth.

use std::sync::Arc;

use domain::TaskId;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::EventBatch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// New events.
    Events,
    /// This task's log has grown.
    Log(TaskId),
}

pub(crate) struct Hints {
    sender: broadcast::Sender<Hint>,
    /// Settled events, from the tailer to everyone who follows.
    settled: broadcast::Sender<Arc<EventBatch>>,
    /// A task may have become ready for a runner.
    pub(crate) work: Notify,
    /// New events, for the tailer.
    pub(crate) events: Notify,
    /// A result is to land.
    pub(crate) landings: Notify,
    /// Turns for followers that are behind.
    pub(crate) catching_up: Semaphore,
}

/// Batches of events that are kept for whoever is not as fast as the others; who falls further behind reads the table.
const BATCHES_KEPT: usize = 128;
const CATCH_UP_AT_ONCE: usize = 2;

impl Default for Hints {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(1024).0,
            settled: broadcast::channel(BATCHES_KEPT).0,
            work: Notify::new(),
            events: Notify::new(),
            landings: Notify::new(),
            catching_up: Semaphore::new(CATCH_UP_AT_ONCE),
        }
    }
}

impl Hints {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Hint> {
        self.sender.subscribe()
    }

    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.settled.subscribe()
    }

    pub(crate) fn publish(&self, events: EventBatch) {
        let _ = self.settled.send(Arc::new(events));
    }

    /// How many follow the events of this process.
    pub(crate) fn followers(&self) -> usize {
        self.settled.receiver_count()
    }

    pub(crate) fn log_grew(&self, task: TaskId) {
        let _ = self.sender.send(Hint::Log(task));
    }

    pub(crate) fn committed(&self) {
        self.events.notify_one();
        self.work.notify_one();
        let _ = self.sender.send(Hint::Events);
    }
}
