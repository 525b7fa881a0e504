//! The slots of a runner: how many attempts it carries out at once. The server may set another number than the machine's own at any time; what
//! has a slot keeps it, and where there are fewer than that, none is free before so many have ended.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::error;

use crate::lock;

pub(crate) struct Slots {
    own: u32,
    free: Arc<Semaphore>,
    count: Mutex<Count>,
}

#[derive(Clone, Copy)]
struct Count {
    most: u32,
    /// Of those that are taken, so many are not there any more once they are given back.
    to_go: usize,
}

/// One of them, taken until it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// As the machine says.
    pub fn new(own: u32) -> Arc<Self> {
        let own = own.max(1);
        Arc::new(Self { own, free: Arc::new(Semaphore::new(own as usize)), count: Mutex::new(Count { most: own, to_go: 0 }) })
    }

    /// How many the machine says.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// How many there are.
    pub fn most(&self) -> u32 {
        lock(&self.count).most
    }

    /// So many from now on, or as many as the machine says. Whether that is news.
    pub fn set(&self, wanted: Option<u32>) -> bool {
        let wanted = wanted.unwrap_or(self.own).max(1);
        let mut count = lock(&self.count);
        let before = std::mem::replace(&mut count.most, wanted);
        if wanted > before {
            let more = (wanted - before) as usize;
            let kept = count.to_go.min(more);
            count.to_go -= kept;
            self.free.add_permits(more - kept);
        } else {
            let fewer = (before - wanted) as usize;
            count.to_go += fewer - self.free.forget_permits(fewer);
        }
        wanted != before
    }

    /// Nothing when all of them are taken.
    pub fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { slots: Arc::clone(self), permit: Some(permit) })
    }

    /// The next that is free, in the order in which they are waited for.
    pub async fn take(self: &Arc<Self>) -> Slot {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        // nobody closes it
        let permit = permit.inspect_err(|closed| error!("The slots of this runner are counted no more: {closed}")).ok();
        Slot { slots: Arc::clone(self), permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut count = lock(&self.slots.count);
        let Some(permit) = self.permit.take() else { return };
        if count.to_go > 0 {
            count.to_go -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn taken(slots: &Arc<Slots>) -> Vec<Slot> {
        std::iter::from_fn(|| slots.try_take()).collect()
    }

    #[test]
    fn there_are_as_many_as_were_set() {
        let slots = Slots::new(2);
        assert_eq!((taken(&slots).len(), slots.most(), slots.own()), (2, 2, 2));
        assert!(slots.set(Some(5)) && !slots.set(Some(5)));
        assert_eq!((taken(&slots).len(), slots.most()), (5, 5));
        assert!(slots.set(Some(1)));
        assert_eq!(taken(&slots).len(), 1);
        assert!(slots.set(None));
        assert_eq!((taken(&slots).len(), slots.most()), (2, 2));
        assert!(slots.set(Some(0)));
        assert_eq!(taken(&slots).len(), 1, "a runner has one at least");
        assert_eq!(taken(&Slots::new(0)).len(), 1);
    }

    #[test]
    fn what_has_a_slot_keeps_it_and_none_is_free_above_the_number() {
        let slots = Slots::new(4);
        let mut held = taken(&slots);
        slots.set(Some(2));
        for _ in 0..2 {
            held.pop();
            assert!(slots.try_take().is_none(), "{} are taken", held.len());
        }
        held.pop();
        let next = slots.try_take();
        assert!(next.is_some() && slots.try_take().is_none());
    }

    #[test]
    fn what_was_to_go_stays_where_there_are_more_again() {
        let slots = Slots::new(4);
        let held = taken(&slots);
        slots.set(Some(1));
        slots.set(Some(5));
        assert_eq!(taken(&slots).len(), 1, "beside those that are taken");
        drop(held);
        assert_eq!(taken(&slots).len(), 5);
    }

    #[tokio::test]
    async fn who_waits_has_the_next() {
        let slots = Slots::new(1);
        let first = slots.try_take().unwrap();
        let waits = slots.take();
        tokio::pin!(waits);
        assert!(waits.as_mut().now_or_never().is_none());
        slots.set(Some(2));
        let second = waits.await;
        assert!(slots.try_take().is_none());
        drop((first, second));
        assert_eq!(taken(&slots).len(), 2);
    }
}
