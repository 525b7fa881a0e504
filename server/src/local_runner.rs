//! The runner inside `muster serve`: the same crate and messages as one on another machine, over channels instead of a socket.

use std::{
    future::{Ready, ready},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engine::{Engine, Entrance, RunnerSession};
use runner::{Link, NotLinked, Paths, RunnerConfig, SandboxConfig};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::config::{ServeConfig, WithoutSandbox};

/// Messages that may wait on either side.
const WAITING: usize = 256;

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
        let served = Arc::default();
        let dial = dial(engine, tracker.clone(), Arc::clone(&served));
        let stopped = stop.clone();
        let runner = tracker.spawn(async move {
            if let Err(error) = runner::run(runner_config, dial, stopped).await {
                error!("The local runner has stopped: {error}");
            }
        });
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
