//! The runner inside `muster serve`: the same crate and messages as one on another machine, over channels instead of a socket.

use std::{
    future::{Ready, ready},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use engine::{Engine, Entrance, RunnerSession};
use runner::{Backoff, Link, NotLinked, Paths, RunnerConfig, RunnerError, SandboxConfig};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::config::{ServeConfig, WithoutSandbox};

/// Messages that may wait on either side.
const WAITING: usize = 256;

/// Before the second life of a runner that has ended by itself; before later ones longer, to half a minute.
const BEGINS_AGAIN: Duration = Duration::from_secs(1);
/// For work to end (SIGINT, SIGTERM and SIGKILL take 15 s at most) and for what is said about it to be stored.
const SAYS_ITS_LAST: Duration = Duration::from_secs(25);
/// For the runner to end when nobody hears it any more: what SIGKILL does not end at once is waited for.
const ENDS: Duration = Duration::from_secs(40);
/// For a database that answers to hear the rest.
const GIVES_BACK: Duration = Duration::from_secs(5);

pub struct LocalRunner {
    stop: CancellationToken,
    runner: JoinHandle<()>,
    served: Arc<Mutex<Option<Served>>>,
}

/// The server's side of the link that was opened last.
type Served = JoinHandle<Option<RunnerSession>>;

impl LocalRunner {
    pub fn start(config: &ServeConfig, engine: Engine, tracker: &TaskTracker) -> Self {
        let stop = CancellationToken::new();
        let state_dir = config.state.state_dir.join("runner");
        let runner_config = RunnerConfig {
            name: format!("{} (local)", host_name()),
            slots: config.slots,
            agent_command: config.agent_command.clone(),
            agents: config.agents.config(&state_dir),
            state_dir,
            capabilities: config.capabilities.iter().filter(|word| !word.is_empty()).cloned().collect(),
            paths: Paths::All,
            landing: config.landing.config(),
            sandbox: SandboxConfig { hidden: vec![config.state.state_dir.clone()], ..config.sandbox.config(WithoutSandbox::Allowed) },
        };
        let served: Arc<Mutex<Option<Served>>> = Arc::default();
        let (links, newest) = (tracker.clone(), Arc::clone(&served));
        let life = move |stop| runner::run(runner_config.clone(), dial(engine.clone(), links.clone(), Arc::clone(&newest)), stop);
        let runner = tracker.spawn(lives(life, stop.clone(), Backoff::new(BEGINS_AGAIN)));
        Self { stop, runner, served }
    }

    /// Ends what still runs, and gives it back to the queue so that the next start takes it up again. When the database does not
    /// answer, what the runner has to say is not stored: its journal tells it to the next start.
    pub async fn stop(mut self, engine: &Engine) {
        self.stop.cancel();
        if timeout(SAYS_ITS_LAST, &mut self.runner).await.is_err() {
            warn!("What the runner has to say was not stored within {SAYS_ITS_LAST:?}; it tells the next start");
            // its link closes, and it waits for no answer any more
            self.abort();
            if timeout(ENDS, &mut self.runner).await.is_err() {
                error!("The runner has not ended within {ENDS:?}; the next start ends what is left of its work");
            }
        }
        let Some(mut served) = self.take_served() else { return };
        let ended = timeout(GIVES_BACK, &mut served).await;
        served.abort();
        let Ok(Ok(Some(session))) = ended else { return };
        match timeout(GIVES_BACK, engine.give_back(&session)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => info!("{count} unfinished attempts are back in the queue"),
            Ok(Err(error)) => error!("Unfinished attempts could not be given back, the next start will: {error}"),
            Err(_) => error!("Unfinished attempts could not be given back within {GIVES_BACK:?}, the next start will"),
        }
    }

    fn take_served(&self) -> Option<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn abort(&self) {
        if let Some(served) = self.served.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            served.abort();
        }
    }
}

/// One life of the runner after the other, until it is to stop. One that comes to its end by itself is followed by the next, which takes up
/// what it has left: there is nobody else who would begin it again. What is refused says the same each time, and is not begun again.
async fn lives<F>(mut life: impl FnMut(CancellationToken) -> F, stop: CancellationToken, mut backoff: Backoff)
where
    F: Future<Output = Result<(), RunnerError>>,
{
    loop {
        let began = Instant::now();
        // one of its own: a life that comes to its end cancels it
        let Err(error) = life(stop.child_token()).await else { return };
        if stop.is_cancelled() || matches!(error, RunnerError::Unfit(_) | RunnerError::Unknown(_)) {
            error!("The local runner has stopped: {error}");
            return;
        }
        metrics::counter!("muster_service_failures_total", "service" => "local runner").increment(1);
        let wait = backoff.next(Some(began.elapsed()));
        error!("The local runner has ended, and begins again in {} ms: {error}", wait.as_millis());
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Opens links into this process.
fn dial(
    engine: Engine,
    tracker: TaskTracker,
    served: Arc<Mutex<Option<Served>>>,
) -> impl FnMut() -> Ready<Result<Link, NotLinked>> + Send + 'static {
    move || {
        let (to_server, from_runner) = mpsc::channel(WAITING);
        let (to_runner, from_server) = mpsc::channel(WAITING);
        let engine = engine.clone();
        let serving = tracker.spawn(async move {
            match engine::serve_runner(engine, Entrance::Here, from_runner, to_runner).await {
                Ok(session) => session,
                Err(error) => {
                    error!("The local runner was refused: {error}");
                    None
                }
            }
        });
        *served.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
        ready(Ok(Link { to_server, from_server }))
    }
}

pub fn host_name() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this machine".into() } else { name.chars().take(60).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only reached when something is broken.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_life_that_ends_by_itself_is_followed_by_another_until_it_is_to_stop() {
        let stop = CancellationToken::new();
        let mut begun = 0;
        let life = |ends: CancellationToken| {
            begun += 1;
            let (number, stop) = (begun, stop.clone());
            async move {
                assert!(!ends.is_cancelled(), "life {number} begins with its end");
                if number < 3 {
                    // as each does that comes to its end
                    ends.cancel();
                    return Err(RunnerError::FenceGone);
                }
                stop.cancel();
                ends.cancelled().await;
                Ok(())
            }
        };
        timeout(PATIENCE, lives(life, stop.clone(), Backoff::new(Duration::ZERO))).await.expect("it ends when it is to stop");
        assert_eq!(begun, 3);
    }

    #[tokio::test]
    async fn a_runner_that_is_refused_is_not_begun_again() {
        for refused in [RunnerError::Unfit, RunnerError::Unknown] {
            let mut begun = 0;
            let life = |_ends: CancellationToken| {
                begun += 1;
                std::future::ready(Err(refused("its name is too long".into())))
            };
            timeout(PATIENCE, lives(life, CancellationToken::new(), Backoff::new(Duration::ZERO))).await.expect("it ends by itself");
            assert_eq!(begun, 1);
        }
    }
}
