//! The runners that are connected to this process: how to reach them, and what they hold as far as this process gave it to them.
//! In memory only; what a runner really holds is in the database.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{
    AttemptKey, RunnerId,
    protocol::{Assignment, ToRunner},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::RunnerSession;

#[derive(Default)]
pub(crate) struct Hub {
    connected: Mutex<HashMap<RunnerId, Connected>>,
}

struct Connected {
    session: RunnerSession,
    outgoing: mpsc::Sender<ToRunner>,
    held: HashSet<AttemptKey>,
    superseded: CancellationToken,
}

/// Takes the runner off the list when it is dropped.
pub(crate) struct Connection {
    hub: Arc<Hub>,
    id: RunnerId,
    ticket: i64,
    superseded: CancellationToken,
}

impl Connection {
    /// Until a newer link of the same runner has taken the place of this one.
    pub(crate) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut connected = self.hub.lock();
        // A newer connection of the same runner has taken the place: leave it.
        if connected.get(&self.id).is_some_and(|one| one.session.ticket == self.ticket) {
            connected.remove(&self.id);
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunnerId, Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the runner is given work over this link; it holds these attempts already.
    pub(crate) fn connect(
        self: &Arc<Self>,
        session: RunnerSession,
        outgoing: mpsc::Sender<ToRunner>,
        held: impl IntoIterator<Item = AttemptKey>,
    ) -> Connection {
        let (id, ticket, superseded) = (session.id(), session.ticket, CancellationToken::new());
        let connection = Connection { hub: self.clone(), id, ticket, superseded: superseded.clone() };
        let mut connected = self.lock();
        if connected.get(&id).is_some_and(|one| one.session.ticket > ticket) {
            superseded.cancel();
            return connection;
        }
        let one = Connected { session, outgoing, held: held.into_iter().collect(), superseded };
        if let Some(before) = connected.insert(id, one) {
            before.superseded.cancel();
        }
        connection
    }

    /// Nothing is given over links of this runner that were opened before this one.
    pub(crate) fn supersede(&self, newer: &RunnerSession) {
        let mut connected = self.lock();
        if connected.get(&newer.id()).is_some_and(|one| one.session.ticket < newer.ticket)
            && let Some(before) = connected.remove(&newer.id())
        {
            before.superseded.cancel();
        }
    }

    /// The connected runners that could take more, with how much.
    pub(crate) fn with_free_slots(&self) -> Vec<(RunnerSession, usize)> {
        let connected = self.lock();
        let free = connected.values().filter_map(|one| {
            // what its link cannot carry now has to wait as well
            let free = (one.session.slots as usize).saturating_sub(one.held.len()).min(one.outgoing.capacity());
            (free > 0).then(|| (one.session.clone(), free))
        });
        free.collect()
    }

    /// Whether runners are connected here and none of those that have what is needed has a free slot.
    pub(crate) fn is_full(&self, needed: &[String]) -> bool {
        let connected = self.lock();
        let has_all = |one: &&Connected| needed.iter().all(|need| one.session.capabilities().contains(need));
        let mut fitting = connected.values().filter(has_all).peekable();
        fitting.peek().is_some() && fitting.all(|one| one.held.len() >= one.session.slots as usize)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Sends an assignment; false when the runner is gone or its link is full.
    pub(crate) fn assign(&self, runner: RunnerId, assignment: Assignment) -> bool {
        let mut connected = self.lock();
        let Some(one) = connected.get_mut(&runner) else { return false };
        let attempt = assignment.attempt;
        let sent = one.outgoing.try_send(ToRunner::Assign { assignment: Box::new(assignment) }).is_ok();
        if sent {
            one.held.insert(attempt);
        }
        sent
    }

    /// Tells the runner to end an attempt. When it is not connected here, its next heartbeat tells it.
    pub(crate) fn cancel(&self, runner: RunnerId, attempt: AttemptKey) {
        if let Some(one) = self.lock().get(&runner) {
            // A full queue costs one heartbeat: its answer says it again.
            let _ = one.outgoing.try_send(ToRunner::Cancel { attempt });
        }
    }

    /// What this process gave to the runner, as far as it is not among these.
    pub(crate) fn held_beside(&self, runner: RunnerId, named: &[AttemptKey]) -> Vec<AttemptKey> {
        let connected = self.lock();
        let held = connected.get(&runner).into_iter().flat_map(|one| &one.held);
        held.filter(|attempt| !named.contains(attempt)).copied().collect()
    }

    /// The attempt has ended or is no longer this runner's: its slot is free.
    pub(crate) fn release(&self, runner: RunnerId, attempt: AttemptKey) {
        if let Some(one) = self.lock().get_mut(&runner) {
            one.held.remove(&attempt);
        }
    }
}
