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

/// A timer that is this late was not kept back by other work: the whole process, or the machine, stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// For a server that is there to answer the first heartbeat after that.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Whoever stood still was not left without an answer, it did not ask: what was taken away meanwhile is said in the answer to the next
/// heartbeat, and what was not goes on.
async fn is_heard(renewed: &mut watch::Receiver<Instant>, lease: Duration) -> bool {
    let heard = tokio::time::timeout(ANSWERS_WITHIN, renewed.wait_for(|renewed| renewed.elapsed() < lease)).await;
    heard.is_ok_and(|heard| heard.is_ok())
}

/// Gives everything up once `renewed`, when the last heartbeat that was stored had been sent, is a lease ago. Never ends.
pub(crate) async fn fence(held: &Held, lease: Duration, mut renewed: watch::Receiver<Instant>) {
    loop {
        let deadline = *renewed.borrow_and_update() + lease;
        tokio::select! {
            changed = renewed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(deadline) => {
                if deadline.elapsed() > STOOD_STILL && is_heard(&mut renewed, lease).await {
                    continue;
                }
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
