//! `muster workflow cancel`, `pause`, `resume`, `restart` and `event`

use clap::Args;
use domain::workflow::{GateEvent, RestartRun, RunView};
use serde_json::Value;

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_run::{RunName, find_run, parse_run_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    run_result::head_line,
    task_result::shown,
};

#[derive(Args, Debug)]
#[command(after_help = "In a pipe the line holds, separated by a tab: id, state.")]
pub struct ChangeArgs {
    /// The run: its full id, or the eight digits that lists show.
    #[arg(value_name = "RUN", value_parser = parse_run_name)]
    run: RunName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
The new run has an id of its own, which is printed. What succeeded before is not done again, but for
the step that is named and all that waits for it.")]
pub struct RestartArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// The step to begin with [default: all that did not succeed].
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  muster workflow event 0c1d2e3f deployed --payload '{\"address\": \"https://staging.example.org\"}'")]
pub struct EventArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// The event that the gate waits for.
    #[arg(value_name = "NAME")]
    name: String,
    /// What the steps after the gate can take from it, as JSON.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    payload: Option<Value>,
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))
}

pub async fn cancel(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_run(&client, &args.run).await?;
    print(args, &client.cancel_run(id).await?)
}

pub async fn pause(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_run(&client, &args.run).await?;
    print(args, &client.pause_run(id).await?)
}

pub async fn resume(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_run(&client, &args.run).await?;
    print(args, &client.resume_run(id).await?)
}

pub async fn restart(args: &RestartArgs) -> Result<Exit, CliError> {
    let client = args.change.connection.client()?;
    let id = find_run(&client, &args.change.run).await?;
    print(&args.change, &client.restart_run(id, &RestartRun { from: args.from.clone() }).await?)
}

pub async fn event(args: &EventArgs) -> Result<Exit, CliError> {
    let client = args.change.connection.client()?;
    let id = find_run(&client, &args.change.run).await?;
    let event = GateEvent { name: args.name.clone(), payload: args.payload.clone().unwrap_or_default() };
    print(&args.change, &client.send_event(id, &event).await?)
}

fn print(args: &ChangeArgs, run: &RunView) -> Result<Exit, CliError> {
    let summary = &run.summary;
    match args.output.output() {
        Output::Json => print_json(run)?,
        Output::Pipe => print_tab_separated(&[vec![summary.id.to_string(), summary.state.name().to_owned()]])?,
        Output::Terminal => print_text(&format!("Run {} “{}”: {}\n", summary.id.short(), shown(&summary.title), head_line(run)))?,
    }
    Ok(Exit::Done)
}
