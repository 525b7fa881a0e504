//! The attempts this runner holds, and what each of them has been told to do.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Mutex,
};

use domain::{AttemptId, AttemptKey, protocol::Telling};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Moment,
    lock,
    tellings::{Teller, Tellings, tellings},
};

/// What an attempt is told. A later kind in this list overrides an earlier one, never the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Work,
    /// End the work, and report it as cancelled.
    Cancel,
    /// End and save the work, and report nothing more.
    Abandon(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The runner stops; journal and outbox keep the attempt for its next life.
    Stopping,
    /// The server has not answered for almost as long as a lease lasts, so somebody else may hold the attempt in a moment.
    Fenced,
    /// The server said that somebody else holds it.
    Stale,
}

#[derive(Default)]
pub(crate) struct Held(Mutex<BTreeMap<AttemptId, One>>);

struct One {
    key: AttemptKey,
    /// Since when the server is told that it is here.
    named_since: Option<Moment>,
    orders: watch::Sender<Order>,
    teller: Teller,
}

impl Held {
    /// Nothing when the attempt is held already. The server is told of it once it is [named](Self::name).
    pub fn take(&self, key: AttemptKey) -> Option<(Orders, Tellings)> {
        match lock(&self.0).entry(key.attempt_id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                let (orders, ordered) = watch::channel(Order::Work);
                let (teller, told) = tellings();
                vacant.insert(One { key, named_since: None, orders, teller });
                Some((Orders(ordered), told))
            }
        }
    }

    pub fn release(&self, id: AttemptId) {
        lock(&self.0).remove(&id);
    }

    /// Every hello and every sign of life from now on says that it is here, as the journal has it: whoever dies now tells of it in the next
    /// life. Whether this is news.
    pub fn name(&self, id: AttemptId) -> bool {
        let mut held = lock(&self.0);
        let Some(one) = held.get_mut(&id).filter(|one| one.named_since.is_none()) else { return false };
        // under the lock that whoever says it looks under, so that nothing of a later moment lacks it
        one.named_since = Some(Moment::now());
        true
    }

    /// What is said after this names it; nothing when it is not to be named yet.
    pub fn named_since(&self, id: AttemptId) -> Option<Moment> {
        lock(&self.0).get(&id)?.named_since
    }

    pub fn keys(&self) -> Vec<AttemptKey> {
        lock(&self.0).values().map(|one| one.key).collect()
    }

    /// Those that the server is told of.
    pub fn named(&self) -> Vec<AttemptKey> {
        lock(&self.0).values().filter(|one| one.named_since.is_some()).map(|one| one.key).collect()
    }

    pub fn order(&self, id: AttemptId, order: Order) {
        if let Some(one) = lock(&self.0).get(&id) {
            tell(&one.orders, order);
        }
    }

    /// One that is not held is told nothing.
    pub fn tell(&self, telling: Telling) {
        if let Some(one) = lock(&self.0).get_mut(&telling.attempt.attempt_id) {
            one.teller.tell(telling);
        }
    }

    /// Whether another of them is to end, or may be without this runner's having heard of it, so that there is a slot for this one in a moment:
    /// what a hello has not named the server has given back, and it says so once that is named.
    pub fn is_ending_one(&self, own: AttemptId) -> bool {
        let ends = |(id, one): (&AttemptId, &One)| *one.orders.borrow() != Order::Work || (one.named_since.is_none() && *id != own);
        lock(&self.0).iter().any(ends)
    }

    pub fn order_all(&self, order: Order) {
        for one in lock(&self.0).values() {
            tell(&one.orders, order);
        }
    }
}

fn tell(sender: &watch::Sender<Order>, order: Order) {
    sender.send_if_modified(|current| {
        let overrides = order > *current;
        if overrides {
            *current = order;
        }
        overrides
    });
}

/// One attempt's end of it.
#[derive(Clone)]
pub(crate) struct Orders(watch::Receiver<Order>);

impl Orders {
    pub fn current(&self) -> Order {
        *self.0.borrow()
    }

    /// Somebody else holds it, or will in a moment: it ends at once, and nothing is asked any more.
    pub fn is_anothers(&self) -> bool {
        matches!(self.current(), Order::Abandon(Why::Fenced | Why::Stale))
    }

    /// Waits until the attempt is told anything but to work.
    pub async fn told(&mut self) -> Order {
        self.wait(|order| *order != Order::Work).await
    }

    /// Waits until nothing more may be said about the attempt.
    pub async fn silenced(&mut self) -> Why {
        loop {
            if let Order::Abandon(why) = self.wait(|order| matches!(order, Order::Abandon(_))).await {
                return why;
            }
        }
    }

    /// Waits until somebody else holds the attempt.
    pub async fn taken_away(&mut self) {
        self.wait(|order| *order == Order::Abandon(Why::Stale)).await;
    }

    /// Waits for something, but no longer than anything may be said about the attempt.
    pub async fn unless_silenced<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut orders = self.clone();
        tokio::select! {
            biased;
            _ = orders.silenced() => None,
            done = work => Some(done),
        }
    }

    /// Does something that can be cut short: told to end, it hears of it through `give_up`, and is seen to its end all the same.
    pub async fn or_give_up<T>(&mut self, give_up: &CancellationToken, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = self.told() => give_up.cancel(),
        }
        work.await
    }

    async fn wait(&mut self, wanted: impl Fn(&Order) -> bool) -> Order {
        if let Ok(order) = self.0.wait_for(wanted).await {
            return *order;
        }
        // Released while somebody still listens: no order will come any more.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::TaskId;
    use uuid::Uuid;

    #[test]
    fn an_order_is_never_taken_back() {
        let key = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        let held = Held::default();
        let (orders, _tellings) = held.take(key).unwrap();
        assert!(held.take(key).is_none());
        assert_eq!((held.keys(), held.named()), (vec![key], vec![]), "nobody is told of what is only held");
        assert!(held.name(key.attempt_id) && !held.name(key.attempt_id));
        assert_eq!(held.named(), [key]);
        assert!(!held.is_ending_one(key.attempt_id));
        held.order(key.attempt_id, Order::Abandon(Why::Stopping));
        held.order(key.attempt_id, Order::Cancel);
        assert_eq!(orders.current(), Order::Abandon(Why::Stopping));
        assert!(held.is_ending_one(key.attempt_id));
        held.order_all(Order::Abandon(Why::Stale));
        assert_eq!(orders.current(), Order::Abandon(Why::Stale));
    }

    #[test]
    fn what_is_not_named_yet_may_be_given_back_and_its_slot_is_waited_for() {
        let key = |number| AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::from_u128(number)), number: 1 };
        let (first, next) = (key(1), key(2));
        let held = Held::default();
        let _first = held.take(first).unwrap();
        let _next = held.take(next).unwrap();
        assert!(held.is_ending_one(next.attempt_id), "a hello that did not name the first has given it back");
        held.name(first.attempt_id);
        assert!(!held.is_ending_one(next.attempt_id), "it has its slot for as long as it works, and this one waits for nobody");
    }
}
