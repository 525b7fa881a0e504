//! Looks at the endpoints that people have registered, and has them pull what they are to have. What is due and what is wanted the engine
//! says, so that any number of servers may do this; how one is asked is the same as on a runner's machine.
//!
//! So many looks and so many pulls go on at the same time, and no more is taken than there is room for: what one server has no room for
//! another one takes, and an endpoint that lets itself be waited for keeps none of the others waiting.

use std::{sync::Arc, time::Duration};

use domain::{
    EndpointId, WorkspaceId,
    endpoint::{Looked, PULLS_AT_ONCE, pull::PullProgress},
};
use engine::{Engine, HeldPull, Service, Tick};
use runner::ollama::{Asker, Pulled, Reach};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

/// Between two words about a pull. It is held for so much longer that some may be lost.
const TELLS: Duration = Duration::from_secs(1);
/// Looks that go on at the same time.
const LOOKS: usize = 50;
/// What nobody is at ends, and what ended long ago is deleted, so often.
const TIDIES: Duration = Duration::from_mins(1);

pub struct EndpointKeeper {
    /// Or why there is none.
    asker: Result<Asker, String>,
    looks: Arc<Semaphore>,
    /// Each with whoever wants it.
    pulls: Vec<(WorkspaceId, JoinHandle<()>)>,
    /// What is looked at, and pulled.
    tracker: TaskTracker,
    stop: CancellationToken,
    /// At the beginning nothing ends that waited while no server was there: first it is looked at.
    tidied: Instant,
}

impl EndpointKeeper {
    /// `own_machine`: whether the server's own is asked. Pulls are left off with `stop`; another server, or the next start, goes on.
    pub fn new(own_machine: bool, tracker: TaskTracker, stop: CancellationToken) -> Self {
        let asker = Asker::new(Reach::Others { own_machine });
        Self { asker, looks: Arc::new(Semaphore::new(LOOKS)), pulls: vec![], tracker, stop, tidied: Instant::now() }
    }
}

impl Service for EndpointKeeper {
    const NAME: &'static str = "endpoint keeper";
    const EVERY: Duration = Duration::from_secs(1);

    async fn tick(&mut self, engine: &Engine) -> engine::Result<Tick> {
        self.pulls.retain(|(_, pull)| !pull.is_finished());
        let at_work: Vec<_> = self.pulls.iter().map(|(workspace, _)| *workspace).collect();
        for pull in engine.take_pulls(PULLS_AT_ONCE.saturating_sub(at_work.len()), &at_work).await? {
            let workspace = pull.workspace;
            let carried_out = self.tracker.spawn(carry_out(engine.clone(), self.asker.clone(), pull, self.stop.clone()));
            self.pulls.push((workspace, carried_out));
        }
        for (id, url) in engine.due_endpoints(self.looks.available_permits()).await? {
            let room = Arc::clone(&self.looks).try_acquire_owned().ok();
            self.tracker.spawn(look_at(engine.clone(), self.asker.clone(), id, url, self.stop.clone(), room));
        }
        if self.tidied.elapsed() >= TIDIES {
            engine.tidy_endpoints().await?;
            self.tidied = Instant::now();
        }
        Ok(Tick::Idle)
    }
}

/// Its room is free when it has ended, whatever became of it.
async fn look_at(
    engine: Engine,
    asker: Result<Asker, String>,
    id: EndpointId,
    url: String,
    stop: CancellationToken,
    _room: Option<OwnedSemaphorePermit>,
) {
    let look = async {
        match asker.and_then(|asker| asker.at(&url)) {
            Ok(ollama) => ollama.look().await,
            Err(why) => Looked::Fails { why },
        }
    };
    let looked = tokio::select! {
        looked = look => looked,
        // it is due again soon, for another server
        () = stop.cancelled() => return,
    };
    if let Err(error) = engine.endpoint_looked(id, looked).await {
        warn!("What was seen of the endpoint at {url} could not be kept: {error}");
    }
}

/// Until it has ended or nobody wants it any more. One that nobody answers has not ended, nor has one that breaks off: once the endpoint answers
/// and this server is believed to be at it no more, it is taken again.
async fn carry_out(engine: Engine, asker: Result<Asker, String>, pull: HeldPull, stop: CancellationToken) {
    let HeldPull { model, url, .. } = &pull;
    info!("{model} is pulled at {url}");
    let last = watch::Sender::new(PullProgress::default());
    let news = Notify::new();
    let pulled = async {
        match asker.clone().and_then(|asker| asker.at(url)) {
            Ok(ollama) => {
                let tell = |progress: PullProgress| {
                    last.send_replace(PullProgress { end: None, ..progress });
                    news.notify_one();
                };
                ollama.pull(model, tell).await
            }
            Err(why) => Pulled::failed(why),
        }
    };
    let told = async {
        loop {
            // also when nothing is new: a server that is still at it says so
            let _ = timeout(TELLS * 5, news.notified()).await;
            let progress = last.borrow().clone();
            match engine.pull_has_come(&pull, progress).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => warn!("How far {model} has come at {url} could not be kept: {error}"),
            }
            tokio::time::sleep(TELLS).await;
        }
    };
    let pulled = tokio::select! {
        pulled = pulled => pulled,
        () = told => return info!("{model} is no longer wanted at {url}"),
        () = stop.cancelled() => return,
    };
    let end = match pulled {
        Pulled::Ended(end) => end,
        Pulled::Unanswered(why) => {
            info!("Pulling {model} at {url} has not begun, and is tried again: {why}");
            // when it is away, what waits there would be taken as well, one after the other; one that only does not pull is there for everybody
            return look_at(engine, asker, pull.endpoint, url.clone(), stop, None).await;
        }
        Pulled::BrokeOff => return info!("Pulling {model} at {url} has broken off, and is begun again"),
    };
    info!("Pulling {model} at {url} has ended: {end:?}");
    let progress = last.borrow().clone();
    if let Err(error) = engine.pull_has_come(&pull, PullProgress { end: Some(end), ..progress }).await {
        warn!("That pulling {model} at {url} has ended could not be kept, and it is pulled again: {error}");
    }
}
