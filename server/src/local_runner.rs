//! The runner inside `muster serve`: the same crate and messages as one on another machine, over channels instead of a socket.

use std::path::Path;

use engine::{Engine, RunnerSession};
use runner::{Link, RunnerConfig};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use crate::config::ServeConfig;

/// Messages that may wait on either side.
const WAITING: usize = 256;

pub struct LocalRunner {
    stop: CancellationToken,
    runner: JoinHandle<()>,
    served: JoinHandle<Option<RunnerSession>>,
}

impl LocalRunner {
    pub fn start(config: &ServeConfig, engine: Engine, tracker: &TaskTracker) -> Self {
        let (to_server, from_runner) = mpsc::channel(WAITING);
        let (to_runner, from_server) = mpsc::channel(WAITING);
        let stop = CancellationToken::new();
        let runner_config = RunnerConfig {
            name: format!("{} (local)", host_name()),
            state_dir: config.state.state_dir.join("runner"),
            slots: config.slots,
            agent_command: config.agent_command.clone(),
        };
        let stopped = stop.clone();
        let runner = tracker.spawn(async move {
            if let Err(error) = runner::run(runner_config, Link { to_server, from_server }, stopped).await {
                error!("The local runner has stopped: {error}");
            }
        });
        let served = tracker.spawn(async move {
            match engine::serve_runner(engine, from_runner, to_runner).await {
                Ok(session) => session,
                Err(error) => {
                    error!("The local runner was refused: {error}");
                    None
                }
            }
        });
        Self { stop, runner, served }
    }

    /// Ends what still runs, and gives it back to the queue so that the next start takes it up again.
    pub async fn stop(self, engine: &Engine) {
        self.stop.cancel();
        let _ = self.runner.await;
        let Ok(Some(session)) = self.served.await else { return };
        match engine.give_back(&session).await {
            Ok(0) => {}
            Ok(count) => info!("{count} unfinished attempts are back in the queue"),
            Err(error) => error!("Unfinished attempts could not be given back, the next start will: {error}"),
        }
    }
}

fn host_name() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this machine".into() } else { name.chars().take(60).collect() }
}
