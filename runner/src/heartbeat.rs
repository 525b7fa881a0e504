//! Signs of life, and the fence: a runner that the server has not answered for almost as long as a lease lasts gives its attempts up, so that
//! nothing of them runs any more when somebody else may take them, and says nothing but signs of life once the lease is over and it has not.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use domain::{AttemptKey, protocol::ToServer};
use tokio::{
    runtime,
    sync::{Notify, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{clock::Moment, held::Held, life::Runner, lock};

/// The heartbeats of one link that are not answered, and what their answers have asked.
#[derive(Default)]
pub(crate) struct Beats {
    sent: Mutex<Sent>,
    lacking: Mutex<Vec<AttemptKey>>,
    lacks: Notify,
}

#[derive(Default)]
struct Sent {
    last: u64,
    unanswered: VecDeque<(u64, Moment)>,
}

impl Beats {
    /// The next one, sent now.
    pub fn next(&self, held: &Held, left_behind: Option<String>) -> ToServer {
        // Read first: an attempt that was named before this moment is in it.
        let now = Moment::now();
        let mut sent = lock(&self.sent);
        sent.last += 1;
        let beat = sent.last;
        sent.unanswered.push_back((beat, now));
        ToServer::Heartbeat { beat, attempts: held.named(), left_behind }
    }

    /// When the one that is answered was sent. Those before it will not be answered any more.
    pub fn answered(&self, beat: u64) -> Option<Moment> {
        let mut sent = lock(&self.sent);
        while let Some((number, at)) = sent.unanswered.pop_front_if(|(number, _)| *number <= beat) {
            if number == beat {
                return Some(at);
            }
        }
        None
    }

    /// What the server believes to be here and its answers to heartbeats have named; what is not here it is told.
    pub fn look_for(&self, held: &Held, believed: &[AttemptKey]) {
        if believed.is_empty() {
            return;
        }
        let here = held.keys();
        let missing = believed.iter().filter(|key| !here.contains(key)).copied();
        lock(&self.lacking).extend(missing);
        self.lacks.notify_one();
    }

    /// What the server is to be told to be not here, once there is any.
    pub async fn lacking(&self) -> ToServer {
        loop {
            let lacks = self.lacks.notified();
            let attempts = std::mem::take(&mut *lock(&self.lacking));
            if !attempts.is_empty() {
                return ToServer::Lacks { attempts, optional: true };
            }
            lacks.await;
        }
    }
}

/// What is this late was not kept back by other work: the whole process, or the machine, stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// What is given up is to be gone before the lease is over, as somebody else may have it then. It is killed without being asked, which takes a
/// moment where a machine is busy.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// The most of a lease that this may take, where leases are short.
const OF_A_LEASE: u32 = 8;
/// For a server that is there to answer the first heartbeat after that.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Timers stand still while the machine sleeps, so the lease is looked at again and again.
const LOOKS: Duration = Duration::from_secs(1);

/// Whoever stood still was not left without an answer, it did not ask: what was taken away meanwhile is said in the answer to the next
/// heartbeat, and what was not goes on.
async fn is_heard(renewed: &mut watch::Receiver<Moment>, patience: Duration) -> bool {
    let heard = tokio::time::timeout(ANSWERS_WITHIN, renewed.wait_for(|renewed| renewed.elapsed() < patience)).await;
    heard.is_ok_and(|heard| heard.is_ok())
}

/// Up until it is dropped.
pub(crate) struct Fence {
    down: CancellationToken,
    gone: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl Fence {
    /// On a thread of its own, with timers of its own: a talk that stands still, as for a disk, keeps whoever shares its runtime from giving
    /// up, when it is the one that looks after the timers.
    pub fn put_up(runner: Arc<Runner>) -> io::Result<Self> {
        Self::keep(fence(runner))
    }

    fn keep(watch: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let (down, gone) = (CancellationToken::new(), CancellationToken::new());
        let (until, goes) = (down.clone(), gone.clone().drop_guard());
        let keep = move || {
            // dropped however the thread ends
            let _goes = goes;
            runtime.block_on(async {
                tokio::select! {
                    () = until.cancelled() => {}
                    () = watch => {}
                }
            });
        };
        let thread = thread::Builder::new().name("fence".into()).spawn(keep)?;
        Ok(Self { down, gone, thread: Some(thread) })
    }

    /// When its thread has ended though nobody has dropped it, which is an error of the runner's own: nobody would give anything up any more.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.down.cancel();
        // it only ever waits, so this is soon; the runner's folder is free after it
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// How long whoever holds something goes on after a heartbeat was sent that is the last one to be answered.
fn patience_of(lease: Duration) -> Duration {
    lease.saturating_sub(GONE_WITHIN.min(lease / OF_A_LEASE))
}

/// Gives everything up when `renewed`, which is when the last heartbeat that was answered had been sent, is almost a lease ago. Before the first
/// welcome says how long that is, nothing is held. Never ends.
pub(crate) async fn fence(runner: Arc<Runner>) {
    let (mut lease, mut renewed) = (runner.lease.subscribe(), runner.renewed.subscribe());
    loop {
        let Ok(Some(lease)) = lease.wait_for(Option::is_some).await.map(|lease| *lease) else { return std::future::pending().await };
        let (since, patience) = (renewed.borrow_and_update().elapsed(), patience_of(lease));
        if since < patience {
            tokio::select! {
                biased;
                changed = renewed.changed() => if changed.is_err() { return std::future::pending().await },
                () = tokio::time::sleep(LOOKS.min(patience - since)) => {}
            }
            continue;
        }
        // with what is left of a lease that is not over nobody is asked: what is asked for goes on meanwhile
        if since.saturating_sub(lease) > STOOD_STILL {
            runner.beat_now.notify_one();
            if is_heard(&mut renewed, patience).await {
                continue;
            }
        }
        let attempts = runner.held.keys().len();
        if !runner.give_up(patience) {
            continue;
        }
        if attempts > 0 {
            warn!(attempts, "The server has not answered for {} s: giving up {attempts} attempts", since.as_secs());
        }
        runner.outbox.wake();
        if renewed.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fence_that_falls_is_noticed() {
        let fence = Fence::keep(async { panic!("a fault of its own") }).unwrap();
        tokio::time::timeout(Duration::from_secs(60), fence.gone()).await.expect("it is noticed");
    }

    #[test]
    fn what_is_given_up_has_a_part_of_its_lease_to_be_gone() {
        let patience = |millis| patience_of(Duration::from_millis(millis)).as_millis();
        assert_eq!([120_000, 40_000, 8000, 1000].map(patience), [115_000, 35_000, 7000, 875]);
    }
}
