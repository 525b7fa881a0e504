//! What the runner says: numbers every message, and knows which ones the server has not answered.
//!
//! Messages enter the channel in the order of their numbers. Nothing is sent twice: a link that closes ends the runner, and what
//! was not stored is told as lost by the next one.

use std::{collections::HashMap, sync::Mutex};

use domain::{
    AttemptId, crash,
    protocol::{Numbered, ToServer},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use crate::lock;

pub(crate) struct Outbox {
    to_server: mpsc::Sender<Numbered>,
    sent: Mutex<Sent>,
    answered: Notify,
}

#[derive(Default)]
struct Sent {
    last: u64,
    waiting: HashMap<u64, Waiting>,
    unanswered: HashMap<AttemptId, usize>,
}

struct Waiting {
    attempt: Option<AttemptId>,
    then: Then,
}

/// What the answer to a message is good for.
pub(crate) enum Then {
    Nothing,
    /// It renews the leases as of this moment.
    Renew(Instant),
    /// Somebody waits for it.
    Tell(oneshot::Sender<Answer>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored,
    Stale,
}

/// The link is gone; nothing can be said any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Outbox {
    pub fn new(to_server: mpsc::Sender<Numbered>) -> Self {
        Self { to_server, sent: Mutex::default(), answered: Notify::new() }
    }

    /// Waits for room. What is posted with the permit is in order with everything else that is posted.
    pub async fn reserve(&self) -> Result<mpsc::Permit<'_, Numbered>, Closed> {
        self.to_server.reserve().await.map_err(|_| Closed)
    }

    /// Room, if there is some now.
    pub fn try_reserve(&self) -> Option<mpsc::Permit<'_, Numbered>> {
        self.to_server.try_reserve().ok()
    }

    pub fn post(&self, permit: mpsc::Permit<'_, Numbered>, message: ToServer, then: Then) {
        let mut sent = lock(&self.sent);
        sent.last += 1;
        let sequence = sent.last;
        let attempt = attempt_of(&message);
        if let Some(id) = attempt {
            *sent.unanswered.entry(id).or_default() += 1;
        }
        sent.waiting.insert(sequence, Waiting { attempt, then });
        permit.send(Numbered { sequence, message });
    }

    pub async fn send(&self, message: ToServer) -> Result<(), Closed> {
        let permit = self.reserve().await?;
        self.post(permit, message, Then::Nothing);
        Ok(())
    }

    /// Sends, and waits for the answer.
    pub async fn ask(&self, message: ToServer) -> Result<Answer, Closed> {
        let (tell, told) = oneshot::channel();
        let permit = self.reserve().await?;
        self.post(permit, message, Then::Tell(tell));
        crash::point("report.sent");
        told.await.map_err(|_| Closed)
    }

    /// Message `sequence` is committed. For a heartbeat: the moment from which the leases are renewed.
    pub fn stored(&self, sequence: u64) -> Option<Instant> {
        match self.answer(sequence, Answer::Stored)? {
            Then::Renew(sent_at) => Some(sent_at),
            Then::Nothing | Then::Tell(_) => None,
        }
    }

    /// Message `sequence` was refused. A heartbeat is about many attempts, of which one is refused here; it still waits for the
    /// answer about the others.
    pub fn stale(&self, sequence: u64) {
        let about_many = lock(&self.sent).waiting.get(&sequence).is_some_and(|waiting| matches!(waiting.then, Then::Renew(_)));
        if !about_many {
            self.answer(sequence, Answer::Stale);
        }
    }

    fn answer(&self, sequence: u64, answer: Answer) -> Option<Then> {
        let waiting = {
            let mut sent = lock(&self.sent);
            let waiting = sent.waiting.remove(&sequence)?;
            if let Some(id) = waiting.attempt
                && let Some(count) = sent.unanswered.get_mut(&id)
            {
                *count -= 1;
                if *count == 0 {
                    sent.unanswered.remove(&id);
                }
            }
            waiting
        };
        self.answered.notify_waiters();
        match waiting.then {
            Then::Tell(tell) => {
                // Whoever asked may have given up meanwhile.
                let _ = tell.send(answer);
                None
            }
            then => Some(then),
        }
    }

    /// No answer will come any more: whoever waits for one hears so.
    pub fn close(&self) {
        let mut sent = lock(&self.sent);
        sent.waiting.clear();
        sent.unanswered.clear();
        drop(sent);
        self.answered.notify_waiters();
    }

    /// Waits until every message about this attempt is answered.
    pub async fn all_answered(&self, attempt: AttemptId) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            // Before looking, so that no answer is missed.
            answered.as_mut().enable();
            if !lock(&self.sent).unanswered.contains_key(&attempt) {
                return;
            }
            answered.await;
        }
    }
}

fn attempt_of(message: &ToServer) -> Option<AttemptId> {
    match message {
        ToServer::Hello { .. } | ToServer::Heartbeat { .. } => None,
        ToServer::Started { attempt, .. }
        | ToServer::Log { attempt, .. }
        | ToServer::Verifying { attempt }
        | ToServer::Report { attempt, .. } => Some(attempt.attempt_id),
    }
}
