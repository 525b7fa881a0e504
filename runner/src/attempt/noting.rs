//! Writes down what an agent calls its session, so that a later attempt can go on from it where this life of the runner ends in the middle.

use tracing::warn;

use crate::{
    interrupted::Spoken,
    journal::{Entry, Journal},
};

/// Of an agent that says what it calls its session once it has begun.
pub(crate) struct Noting {
    pub journal: Journal,
    /// As the journal has it, or is about to.
    pub entry: Entry,
    /// But for the session.
    pub spoken: Option<Spoken>,
}

impl Noting {
    /// Once it is known, and once.
    pub async fn note(&mut self, session: Option<String>) {
        let Some(session) = session else { return };
        let Some(spoken) = self.spoken.take() else { return };
        self.entry.spoken = Some(Spoken { session, ..spoken });
        if let Err(error) = self.journal.write(&self.entry).await {
            // the next attempt begins anew then
            warn!("The journal does not know the session of attempt {}: {error}", self.entry.attempt.attempt_id);
        }
    }
}
