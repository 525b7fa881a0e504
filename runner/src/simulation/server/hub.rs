//! The links that are open, as `engine/src/runner/hub.rs` knows them: of each runner the newest.

use std::{collections::BTreeMap, sync::Mutex};

use domain::{
    RunnerId,
    protocol::{Assignment, ToRunner},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{lock, simulation::store::Session};

/// Messages to a runner that may wait.
const OUTGOING: usize = 256;

#[derive(Default)]
pub(super) struct Hub(Mutex<Links>);

#[derive(Default)]
struct Links {
    connected: BTreeMap<RunnerId, Connected>,
    /// The highest ticket of each runner that was seen.
    newest: BTreeMap<RunnerId, i64>,
}

struct Connected {
    session: Session,
    slots: usize,
    outgoing: mpsc::Sender<ToRunner>,
    over: CancellationToken,
}

/// A link's own end of it.
pub(super) struct Connection {
    pub outgoing: mpsc::Receiver<ToRunner>,
    /// A newer one has taken its place, or it is to end.
    pub over: CancellationToken,
}

impl Links {
    /// Whether there is none newer. Older ones end.
    fn note(&mut self, session: Session) -> bool {
        let newest = self.newest.entry(session.runner).or_insert(session.ticket);
        *newest = session.ticket.max(*newest);
        let newest = *newest;
        if self.connected.get(&session.runner).is_some_and(|one| one.session.ticket < newest) {
            self.end(session.runner);
        }
        session.ticket == newest
    }

    fn end(&mut self, runner: RunnerId) {
        if let Some(one) = self.connected.remove(&runner) {
            one.over.cancel();
        }
    }
}

impl Hub {
    pub fn connect(&self, session: Session, slots: usize) -> Connection {
        let (outgoing, waiting) = mpsc::channel(OUTGOING);
        let over = CancellationToken::new();
        let mut links = lock(&self.0);
        if links.note(session) {
            links.connected.insert(session.runner, Connected { session, slots, outgoing, over: over.clone() });
        } else {
            over.cancel();
        }
        Connection { outgoing: waiting, over }
    }

    pub fn supersede(&self, newer: Session) {
        lock(&self.0).note(newer);
    }

    pub fn leave(&self, session: Session) {
        let mut links = lock(&self.0);
        if links.connected.get(&session.runner).is_some_and(|one| one.session == session) {
            links.connected.remove(&session.runner);
        }
    }

    /// Whichever it is.
    pub fn end(&self, runner: RunnerId) {
        lock(&self.0).end(runner);
    }

    pub fn connected(&self) -> Vec<(Session, usize)> {
        lock(&self.0).connected.values().map(|one| (one.session, one.slots)).collect()
    }

    /// Over the link that it was claimed for; false when that is gone.
    pub fn assign(&self, session: Session, assignment: Assignment) -> bool {
        let links = lock(&self.0);
        let link = links.connected.get(&session.runner).filter(|one| one.session == session);
        link.is_some_and(|one| one.outgoing.try_send(ToRunner::Assign { assignment: Box::new(assignment) }).is_ok())
    }

    /// Where it is not connected, its next sign of life is answered with the same.
    pub fn send(&self, runner: RunnerId, message: ToRunner) {
        if let Some(one) = lock(&self.0).connected.get(&runner) {
            let _ = one.outgoing.try_send(message);
        }
    }
}
