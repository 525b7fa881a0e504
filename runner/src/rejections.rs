//! What was assigned and is not taken, until the server is told so.

use std::{collections::VecDeque, sync::Mutex};

use domain::{AttemptKey, protocol::ToServer};
use tokio::sync::Notify;

use crate::lock;

#[derive(Default)]
pub(crate) struct Rejections {
    to_say: Mutex<VecDeque<(AttemptKey, String)>>,
    news: Notify,
}

impl Rejections {
    pub fn say(&self, attempt: AttemptKey, reason: String) {
        lock(&self.to_say).push_back((attempt, reason));
        self.news.notify_one();
    }

    /// What is to be said next, once there is something. What is lost with a link is not named by the next hello, which says the same.
    pub async fn next(&self) -> ToServer {
        loop {
            let next = lock(&self.to_say).pop_front();
            match next {
                Some((attempt, reason)) => return ToServer::Rejects { attempt, reason, optional: true },
                None => self.news.notified().await,
            }
        }
    }

    /// A new link, whose hello names none of these.
    pub fn begin_again(&self) {
        lock(&self.to_say).clear();
    }
}
