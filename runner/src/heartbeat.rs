//! Signs of life, and the fence: a runner that the server has not answered for as long as a lease lasts gives its attempts up
//! before somebody else takes them.

use std::time::Duration;

use domain::protocol::ToServer;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior},
};
use tracing::warn;

use crate::{
    held::{Held, Order, Why},
    outbox::{Closed, Outbox, Then},
};

/// Renews the leases of everything held, every so often and whenever `taken` tells of a new attempt. Ends with the link.
pub(crate) async fn beat(outbox: &Outbox, held: &Held, every: Duration, taken: &Notify) -> Closed {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = taken.notified() => {}
        }
        let permit = match outbox.reserve().await {
            Ok(permit) => permit,
            Err(closed) => return closed,
        };
        // Read first: an attempt that was taken before this moment is in it.
        let now = Instant::now();
        outbox.post(permit, ToServer::Heartbeat { attempts: held.keys() }, Then::Renew(now));
    }
}

/// Gives everything up once `renewed`, when the last heartbeat that was stored had been sent, is a lease ago. Never ends.
pub(crate) async fn fence(held: &Held, lease: Duration, mut renewed: watch::Receiver<Instant>) {
    loop {
        let deadline = *renewed.borrow_and_update() + lease;
        tokio::select! {
            changed = renewed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(deadline) => {
                let attempts = held.keys().len();
                if attempts > 0 {
                    warn!(attempts, "The server has not answered for {} s: giving up {attempts} attempts", lease.as_secs());
                }
                held.order_all(Order::Abandon(Why::Fenced));
                if renewed.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
