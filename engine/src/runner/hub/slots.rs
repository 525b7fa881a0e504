//! How many attempts the connected runners carry out at once, as far as this process has heard of it.

use domain::{RunnerId, protocol::ToRunner};

use super::{Connected, Hub, RunnerSession};
use crate::runner::slots::Slots;

impl Connected {
    /// One that takes it from here is told before it is given more. Where its queue is full, the next look tells it.
    pub(super) fn take_slots(&mut self, slots: Slots) {
        if self.session.takes_slots && self.told_slots != slots.set {
            if self.outgoing.try_send(ToRunner::Config { slots: slots.set, optional: true }).is_err() {
                self.slots = self.slots.min(slots.now);
                return;
            }
            self.told_slots = slots.set;
        }
        self.slots = slots.now;
    }
}

impl Hub {
    /// As somebody has set it. Where the runner is not connected, its hello tells.
    pub(crate) fn set_slots(&self, runner: RunnerId, slots: Slots) {
        if let Some(one) = self.lock().connected.get_mut(&runner) {
            one.take_slots(slots);
            one.said += 1;
        }
    }

    /// As its row was read, unless somebody has said something else since `said`.
    pub(crate) fn note_slots(&self, runner: RunnerId, slots: Slots, said: u64) {
        if let Some(one) = self.lock().connected.get_mut(&runner).filter(|one| one.said == said) {
            one.take_slots(slots);
        }
    }

    /// With how many the runner is given work over this link; nothing when that is gone.
    pub(crate) fn slots_of(&self, runner: &RunnerSession) -> Option<u32> {
        self.lock().of(runner).map(|one| one.slots)
    }

    /// The runners elsewhere that are connected here, each with what [`note_slots`](Self::note_slots) takes.
    pub(crate) fn far(&self) -> Vec<(RunnerId, u64)> {
        let links = self.lock();
        links.connected.values().filter(|one| one.session.is_far()).map(|one| (one.session.id(), one.said)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::AttemptKey;
    use tokio::sync::mpsc;

    use super::*;
    use crate::runner::hub::{Allowance, Standing, tests::session};

    fn standing(slots: Slots) -> Standing {
        Standing { allowance: Allowance::All, lingering: 0, slots, lacks_disk: false }
    }

    fn config(slots: Option<u32>) -> ToRunner {
        ToRunner::Config { slots, optional: true }
    }

    #[test]
    fn what_is_set_is_told_before_it_holds() {
        let hub = Arc::new(Hub::default());
        let (session, (outgoing, mut told)) = (session(), mpsc::channel(1));
        let id = session.id();
        let free = || hub.with_free_slots().first().map(|(_, free)| *free);
        let own = Slots { now: 2, set: None };
        let _connection = hub.connect(session.clone(), outgoing, [], standing(own), true);
        assert!(told.try_recv().is_err(), "it is as its hello says");
        hub.set_slots(id, Slots { now: 8, set: Some(8) });
        assert_eq!(told.try_recv(), Ok(config(Some(8))));
        assert_eq!(hub.slots_of(&session), Some(8));
        hub.note_slots(id, Slots { now: 8, set: Some(8) }, hub.said(&session));
        assert!(told.try_recv().is_err(), "it is told once");
        // its queue is full
        hub.set_slots(id, Slots { now: 3, set: Some(3) });
        assert_eq!((hub.slots_of(&session), free()), (Some(3), None));
        hub.set_slots(id, Slots { now: 9, set: Some(9) });
        assert_eq!(hub.slots_of(&session), Some(3), "more than it has heard of it is not given");
        let before = hub.said(&session);
        assert_eq!(told.try_recv(), Ok(config(Some(3))));
        hub.set_slots(id, own);
        hub.note_slots(id, Slots { now: 9, set: Some(9) }, before);
        assert_eq!((told.try_recv(), hub.slots_of(&session)), (Ok(config(None)), Some(2)), "what was read before that counts no more");
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn an_older_runner_is_told_nothing_and_held_to_what_its_row_says() {
        let hub = Arc::new(Hub::default());
        let session = RunnerSession { takes_slots: false, ..session() };
        let (outgoing, mut told) = mpsc::channel(9);
        let _connection = hub.connect(session.clone(), outgoing, [], standing(Slots { now: 1, set: Some(1) }), true);
        assert_eq!(hub.with_free_slots(), [(session, 1)]);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn what_is_claimed_meanwhile_is_not_given_beyond_what_is_set() {
        let hub = Arc::new(Hub::default());
        let (session, (outgoing, mut told)) = (session(), mpsc::channel(9));
        let key = AttemptKey { task_id: domain::TaskId(uuid::Uuid::nil()), attempt_id: domain::AttemptId(uuid::Uuid::nil()), number: 1 };
        let _connection = hub.connect(session.clone(), outgoing, [key], standing(Slots { now: 2, set: None }), true);
        let has_room = || hub.lock().of(&session).unwrap().has_room();
        hub.set_slots(session.id(), Slots { now: 1, set: Some(1) });
        assert!(!has_room());
        hub.set_slots(session.id(), Slots { now: 2, set: None });
        assert!(has_room());
        assert_eq!([told.try_recv(), told.try_recv()], [Ok(config(Some(1))), Ok(config(None))]);
    }
}
