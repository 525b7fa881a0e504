//! The server that is measured: the real router with real sign-in, the real services and a real database, with runners that do nothing.
//! In a process of its own, so that its memory is its own. On standard output it says where it serves, and then what happens.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::ensure;
use chrono::TimeDelta;
use clap::Args;
use domain::Role;
use engine::{Clock, Database, Engine, Keep};
use leptos::config::LeptosOptions;
use server::{
    http_server::{self, Limits},
    router::{ServerState, router},
    serve::start_services,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::no_op_runner::{self, SLOTS_MAX, Tally};

/// How often it says how many attempts have ended.
const SAY_EVERY: Duration = Duration::from_millis(20);
/// For how long what has ended is kept where nobody says otherwise; what was set aside is kept for ever.
const KEPT_DAYS: i64 = 365;
/// As the server and a runner log.
pub const LOG: &str = "info,sqlx=warn,hyper=warn,tower_sessions=warn";

#[derive(Args)]
pub struct ServeArgs {
    /// The database, which gets its tables if it has none.
    #[arg(long)]
    database_url: String,
    /// Runners that do nothing, and the attempts that each takes at once.
    #[arg(long)]
    runners: u32,
    #[arg(long)]
    slots: u32,
    #[arg(long)]
    addr: SocketAddr,
    /// Say of every attempt when it was given to its runner.
    #[arg(long)]
    say_given: bool,
}

pub async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    ensure!(args.slots <= SLOTS_MAX, "a runner that does nothing has {SLOTS_MAX} slots at most");
    tracing_subscriber::fmt().with_env_filter(LOG).with_writer(std::io::stderr).init();
    let database = Database::open(&args.database_url).await?;
    let engine = Engine::new(database, Clock::Database).await?;
    engine.open_connections_ahead();
    let key = engine.create_key_here("bench", Role::Admin).await?;
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let listener = TcpListener::bind(args.addr).await?;
    let address = listener.local_addr()?;
    let origin = format!("http://{address}");
    let keep = Keep { ended: Some(TimeDelta::days(KEPT_DAYS)), dead: None };
    start_services(&engine, &origin, keep, false, &stop, &tracker);

    let tally = Arc::new(Tally::default());
    let (sender, given) = mpsc::unbounded_channel();
    for number in 0..args.runners {
        let sender = args.say_given.then(|| sender.clone());
        no_op_runner::attach(engine.clone(), number, args.slots, tally.clone(), sender, &tracker);
    }
    let state = ServerState {
        engine,
        leptos_options: LeptosOptions::builder().output_name("muster").build(),
        assets: app::SiteAssets { script: String::new(), wasm: String::new(), style: String::new(), parts: [].into() },
        origin,
        stop: stop.clone(),
        links: server::runner_link::Links::new(server::runner_link::Limits::default(), stop.clone()),
    };
    tracker.spawn(http_server::serve(listener, router(state), Limits::default(), stop));
    println!("serves {address} {}", key.reveal());
    say(&tally, given).await;
    Ok(())
}

/// Until it is killed.
async fn say(tally: &Tally, mut given: mpsc::UnboundedReceiver<(domain::TaskId, u128)>) {
    let mut every = tokio::time::interval(SAY_EVERY);
    let mut said = 0;
    loop {
        tokio::select! {
            Some((task, at)) = given.recv() => println!("given {task} {at}"),
            _ = every.tick() => {
                let ended = tally.ended.load(Ordering::Relaxed);
                if ended != said {
                    println!("ended {ended}");
                    said = ended;
                }
            }
        }
    }
}

/// Nanoseconds since 1970, for moments that two processes compare.
pub fn now_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
