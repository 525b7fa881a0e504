//! `muster demo`: Muster's main job on this machine, from an empty state directory to verified results.
//!
//! The server runs in this process, exactly as `muster serve` runs it; the tasks go through the public HTTP API like anybody's.

use std::time::{Duration, Instant};

use clap::Args;
use domain::{Role, TaskView};
use futures::future::try_join_all;

use super::{
    client::Client,
    connection::DEFAULT_URL,
    demo_screen::{DemoScreen, say, say_results},
    demo_tasks,
    error::{CliError, Exit},
    follow::follow_tasks,
    key_file,
    sample_repository::make_sample_repository,
    words::{bold, dim, duration},
};
use crate::{
    admin,
    config::{ServeConfig, StateConfig, default_state_dir},
    serve::{self, Running},
    signals::Signals,
    telemetry,
};

#[derive(Args)]
#[command(after_help = "\
Starts Muster, makes a small git repository and an API key, and hands in three tasks: one
plain, one that depends on it, and one whose check fails at first and passes at the second
attempt. Then it goes on serving until Ctrl-C.

Examples:
  muster demo
  MUSTER_DEMO_EXIT=1 muster demo --addr 127.0.0.1:0")]
pub struct DemoArgs {
    /// End when the tasks have ended; the exit status says whether all of them succeeded.
    #[arg(long = "exit", env = "MUSTER_DEMO_EXIT", value_parser = clap::builder::FalseyValueParser::new())]
    exit: bool,
    #[command(flatten)]
    config: ServeConfig,
}

/// They take seconds; a demo that nobody watches must not wait for ever.
const TASKS_AT_MOST: Duration = Duration::from_secs(600);

pub async fn demo(args: DemoArgs) -> Result<Exit, CliError> {
    let begun = Instant::now();
    // Its own output says what happens; the log only what goes wrong.
    telemetry::start(args.config.log_format, "warn");
    let state = args.config.state.clone();
    let mut signals = Signals::listen()?;
    let running = tokio::select! {
        running = serve::start(args.config) => running.map_err(|error| CliError::failed(error.to_string()))?,
        () = signals.asked_to_stop() => return Ok(Exit::Interrupted),
    };
    let outcome = tokio::select! {
        outcome = carry_out(&running, &state, begun.elapsed()) => outcome,
        () = signals.asked_to_stop() => Ok(Exit::Interrupted),
    };
    if !args.exit && matches!(outcome, Ok(Exit::Done | Exit::Failed)) {
        say_where_it_serves(&running, &state);
        signals.asked_to_stop().await;
    }
    say("Stopping.");
    tokio::select! {
        () = running.stop() => outcome,
        // A second time ends it at once.
        () = signals.asked_to_stop() => Ok(Exit::Interrupted),
    }
}

async fn carry_out(running: &Running, state: &StateConfig, start_took: Duration) -> Result<Exit, CliError> {
    let (bold, dim) = (bold(), dim());
    say(&format!("{bold}Muster is up{bold:#} at {} {dim}after {}{dim:#}", running.url(), duration(start_took)));
    let client = sign_in(running, state).await?;
    let all_succeeded = run_tasks(&client, state).await?;
    Ok(if all_succeeded { Exit::Done } else { Exit::Failed })
}

fn say_where_it_serves(running: &Running, state: &StateConfig) {
    let (bold, dim) = (bold(), dim());
    say(&format!("\nThe dashboard is at {bold}{}{bold:#}", running.url()));
    if let Some(link) = running.setup_url() {
        say(&format!("Nobody owns it yet. This link, good for one use, makes you its owner:\n  {bold}{link}{bold:#}"));
    }
    say(&format!("{dim}The command line is signed in on this machine:{dim:#} {}", command_line(running, state)));
    say(&format!("{dim}Ctrl-C stops Muster.{dim:#}"));
}

/// What to type in another terminal: nothing is set where what is usual holds.
fn command_line(running: &Running, state: &StateConfig) -> String {
    let mut words = vec![];
    if running.url() != DEFAULT_URL {
        words.push(format!("MUSTER_URL={}", running.url()));
    }
    if state.state_dir != default_state_dir() {
        words.push(format!("MUSTER_STATE_DIR={}", state.state_dir.display()));
    }
    words.push(std::env::args().next().unwrap_or_else(|| "muster".into()));
    words.push("task list".into());
    words.join(" ")
}

/// Signed in with the saved key when it is still good, or with a new one.
async fn sign_in(running: &Running, state: &StateConfig) -> Result<Client, CliError> {
    let url = running.url().parse().map_err(|error| CliError::failed(format!("{} is no address: {error}", running.url())))?;
    if let Some(key) = key_file::read(&state.state_dir)? {
        let client = Client::new(url, &key)?;
        if client.me().await.is_ok() {
            return Ok(client);
        }
        return new_key(client.url().clone(), state).await;
    }
    new_key(url, state).await
}

async fn new_key(url: reqwest::Url, state: &StateConfig) -> Result<Client, CliError> {
    let key = admin::create_key(state, "Demo", Role::Member).await.map_err(|error| CliError::failed(error.to_string()))?;
    let path = key_file::write(&state.state_dir, &key)?;
    say(&format!("An API key for the command line on this machine is in {}", path.display()));
    Client::new(url, &key)
}

async fn run_tasks(client: &Client, state: &StateConfig) -> Result<bool, CliError> {
    let repository = make_sample_repository(&state.state_dir.join("demo"))?;
    say(&format!("The tasks work on the sample repository {}\n", repository.display()));
    let begun = Instant::now();
    let plain = client.create_task(&demo_tasks::plain(&repository)).await?;
    let dependent = client.create_task(&demo_tasks::dependent(&repository, plain.summary.id)).await?;
    let mended = client.create_task(&demo_tasks::mended(&repository)).await?;
    let ids = [&plain, &dependent, &mended].map(|task| task.summary.id);
    let screen = DemoScreen::new(&[plain, dependent, mended]);
    let show = |seen| screen.show(seen);
    tokio::time::timeout(TASKS_AT_MOST, follow_tasks(client, &ids, &show)).await.map_err(|_| CliError::Failed {
        message: format!("the tasks did not end within {}", duration(TASKS_AT_MOST)),
        remedy: Some("MUSTER_LOG=info muster demo shows what the server does".into()),
    })??;
    let took = begun.elapsed();
    let ended: Vec<TaskView> = try_join_all(ids.map(|id| client.task(id))).await?;
    Ok(say_results(&ended, took))
}
