//! What runners that do nothing have come to, wherever they are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use tokio::sync::watch;

#[derive(Clone)]
pub struct Seen {
    ended: watch::Sender<u64>,
    given: Arc<Mutex<HashMap<String, u128>>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { ended: watch::Sender::new(0), given: Arc::default() }
    }
}

impl Seen {
    /// A task was given to its runner, at this nanosecond since 1970.
    pub fn is_given(&self, task: String, at: u128) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(task, at);
    }

    /// So many attempts have ended since the beginning.
    pub fn have_ended(&self, count: u64) {
        self.ended.send_replace(count);
    }

    pub fn one_has_ended(&self) {
        self.ended.send_modify(|count| *count += 1);
    }

    /// Waits until so many attempts have ended since the beginning.
    pub async fn until_ended(&self, count: u64) -> anyhow::Result<()> {
        self.ended.subscribe().wait_for(|ended| *ended >= count).await.context("nobody counts any more")?;
        Ok(())
    }

    pub fn ended(&self) -> u64 {
        *self.ended.borrow()
    }

    pub fn given(&self) -> usize {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// When each task was given to its runner; what was told before is forgotten.
    pub fn take_given(&self) -> HashMap<String, u128> {
        std::mem::take(&mut *self.given.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
