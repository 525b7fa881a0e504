//! `muster task tell`

use std::path::Path;

use clap::Args;
use domain::session::TellAgent;

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    input_file,
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    words::moment,
};

#[derive(Args, Debug)]
#[command(after_help = "\
The agent hears of it between two steps, and goes on with that. muster task session shows when it has
come to it. In a pipe the line holds, separated by a tab: when it was said, who said it.

Examples:
  muster task tell 0c1d2e3f The tests are in tests/it, not in src
  muster task tell 0c1d2e3f --interrupt Stop, and leave the lock file as it was
  muster task tell 0c1d2e3f --interrupt
  muster task tell 0c1d2e3f - < what-to-do.md")]
pub struct TellArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// What its agent is told; - for standard input. An interrupt needs none: it says where it stands then, and ends its turn.
    #[arg(value_name = "TEXT", required_unless_present = "interrupt")]
    text: Vec<String>,
    /// What it does is to end at once.
    #[arg(long)]
    interrupt: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn tell(args: &TellArgs) -> Result<Exit, CliError> {
    let text = match args.text.join(" ") {
        text if text == "-" => input_file::read(Path::new("-"), "what the agent is told")?,
        text => text,
    };
    let tell = TellAgent { text, interrupt: args.interrupt };
    tell.validate().map_err(CliError::Invalid)?;
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let on_its_way = client.tell_agent(id, &tell).await?;
    match args.output.output() {
        Output::Json => print_json(&on_its_way)?,
        Output::Pipe => print_tab_separated(&[vec![moment(on_its_way.at), on_its_way.by]])?,
        Output::Terminal => print_text(&format!("It is on its way to the agent of task {}.\n", id.short()))?,
    }
    Ok(Exit::Done)
}
