//! `muster serve`: everything that runs, in the order in which it starts and stops.

use std::{net::SocketAddr, time::Duration};

use engine::{
    ApprovalKeeper, Chronicler, Dispatcher, Engine, Keep, Lander, Overseer, Rescuer, Retention, Service, Tailer, Tick, Timekeeper,
};
use leptos::config::LeptosOptions;
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    assets,
    config::{EndpointsHere, ServeConfig},
    endpoint_keeper::EndpointKeeper,
    http_server,
    local_runner::LocalRunner,
    metrics,
    postgres::{PostgresError, StateLock},
    router::{self, ServerState},
    runner_link::{Limits, Links},
    signals::Signals,
    state::{State, StateError},
    telemetry,
};

/// Why Muster cannot start, in one line that says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{addr} cannot be listened on: {reason}")]
    Listen { addr: SocketAddr, reason: String },
    #[error("MUSTER_PUBLIC_URL is not an http or https address: {0}")]
    PublicUrl(String),
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the database does not answer: {0}")]
    Engine(#[from] engine::Error),
    #[error("the signals of the operating system cannot be heard: {0}")]
    Signal(#[from] std::io::Error),
}

/// A Muster that serves. Stop it, or it is cut off in the middle.
pub struct Running {
    origin: String,
    setup_url: Option<String>,
    state: State,
    stop: CancellationToken,
    http: JoinHandle<()>,
    links: Links,
    runner: Option<LocalRunner>,
    tracker: TaskTracker,
    _lock: StateLock,
}

impl Running {
    /// Where people reach it.
    pub fn url(&self) -> &str {
        &self.origin
    }

    /// The one-time link for the first owner, while there is none.
    pub fn setup_url(&self) -> Option<&str> {
        self.setup_url.as_deref()
    }

    /// Not ready at once; requests finish, streams are told to come back; what runs is ended and given back; the database last.
    /// Every part has its time, so that a database that is gone, or a client that never reads, cannot hold the process.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.http.await;
        if timeout(SERVICES_END, self.links.ended()).await.is_err() {
            warn!("Links of runners did not end within {SERVICES_END:?} and are cut off; the runners come again");
        }
        if let Some(runner) = self.runner {
            runner.stop(&self.state.engine).await;
        }
        self.tracker.close();
        if timeout(SERVICES_END, self.tracker.wait()).await.is_err() {
            warn!("Background work did not end within {SERVICES_END:?} and is cut off; the next start takes it up");
        }
        if timeout(SERVICES_END, self.state.engine.settled()).await.is_err() {
            warn!("What nobody waits for any more did not end within {SERVICES_END:?} and is cut off");
        }
        if let Err(error) = self.state.close().await {
            error!("The database was not closed in order: {error}");
        }
    }
}

/// For background work to come to its end; a tick that waits for the database may not.
const SERVICES_END: Duration = Duration::from_secs(5);

/// Serves until Ctrl-C or SIGTERM; a second one ends it at once, and leaves what it started to the next start.
pub async fn serve(config: ServeConfig) -> Result<(), StartError> {
    telemetry::start(config.log_format, telemetry::SERVER);
    let mut signals = Signals::listen()?;
    let running = tokio::select! {
        running = start(config) => running?,
        () = signals.asked_to_stop() => return Ok(()),
    };
    info!("Muster serves at {}", running.url());
    if let Some(url) = running.setup_url() {
        info!("Nobody can sign in yet. Open this link once to become the owner: {url}");
    }
    signals.asked_to_stop().await;
    info!("Stopping");
    tokio::select! {
        () = running.stop() => info!("Stopped"),
        () = signals.asked_to_stop() => warn!("Stopped at once, in the middle of stopping"),
    }
    Ok(())
}

pub async fn start(config: ServeConfig) -> Result<Running, StartError> {
    metrics::start();
    if let Some(url) = config.public_url.as_deref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(StartError::PublicUrl(url.to_owned()));
    }
    let listener = listen(config.addr).await?;
    let addr = listener.local_addr().map_err(|error| StartError::Listen { addr: config.addr, reason: error.to_string() })?;
    let lock = StateLock::take(&config.state.state_dir)?;
    let state = State::open(&config.state).await?;
    let engine = state.engine.clone();
    engine.open_connections_ahead();
    engine.set_shared_pulls(config.shared_pulls.into());
    engine.set_stuck_seconds(config.stuck_minutes * 60);
    let origin = config.origin(addr);
    let setup_url = engine.setup_token().await?.map(|token| format!("{origin}/setup?token={token}"));

    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    tracker.spawn(metrics::keep_small(stop.clone()));
    let own_machine = config.endpoints_here == EndpointsHere::Allowed;
    start_services(&engine, &origin, config.keep(), own_machine, &stop, &tracker);
    let runner = (config.slots > 0).then(|| LocalRunner::start(&config, engine.clone(), &tracker));
    let links = Links::new(Limits::default(), stop.clone());
    let server = ServerState {
        engine,
        links: links.clone(),
        leptos_options: LeptosOptions::builder().output_name("muster").build(),
        assets: assets::names(),
        origin: origin.clone(),
        stop: stop.clone(),
    };
    let router = router::router(server);
    let http = tracker.spawn(http_server::serve(listener, router, http_server::Limits::default(), stop.clone()));
    Ok(Running { origin, setup_url, state, stop, http, links, runner, tracker, _lock: lock })
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there; stop it, or choose another address with --addr".to_owned(),
            _ => error.to_string(),
        };
        StartError::Listen { addr, reason }
    })
}

/// All that goes on beside requests, here and in a server that is measured. `own_machine`: whether endpoints on the server's own machine are
/// asked.
pub fn start_services(engine: &Engine, origin: &str, keep: Keep, own_machine: bool, stop: &CancellationToken, tracker: &TaskTracker) {
    start_service(Tailer::default(), engine, stop, tracker);
    start_service(Dispatcher::default(), engine, stop, tracker);
    start_service(Rescuer::default(), engine, stop, tracker);
    start_service(Overseer::default(), engine, stop, tracker);
    start_service(Timekeeper::default(), engine, stop, tracker);
    start_service(ApprovalKeeper::default(), engine, stop, tracker);
    start_service(Lander::new(origin.to_owned()), engine, stop, tracker);
    start_service(Chronicler, engine, stop, tracker);
    start_service(Retention(keep), engine, stop, tracker);
    start_service(Sweeper, engine, stop, tracker);
    start_service(EndpointKeeper::new(own_machine, tracker.clone(), stop.clone()), engine, stop, tracker);
}

fn start_service<S: Service>(service: S, engine: &Engine, stop: &CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(engine::supervise(service, engine.clone(), stop.clone()));
}

/// Removes what has expired: sessions, answers kept for requests that may come again, and parts of reports that were never whole.
struct Sweeper;

impl Service for Sweeper {
    const NAME: &'static str = "sweeper";
    const EVERY: Duration = Duration::from_mins(10);

    async fn tick(&mut self, engine: &Engine) -> engine::Result<Tick> {
        let deleted =
            engine.delete_expired_sessions().await? + engine.delete_expired_answers().await? + engine.delete_spent_report_parts().await?;
        Ok(if deleted > 0 { Tick::Busy } else { Tick::Idle })
    }
}
