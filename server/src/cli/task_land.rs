//! `muster task land`

use clap::{Args, builder::PossibleValuesParser};
use domain::{Land, LandingState};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    task_result::{result_lines, shown},
    words::bold,
};

#[derive(Args, Debug)]
#[command(after_help = "\
The runner that has carried the task out pushes it, with the credentials of its machine. The exit
status says that this was asked for; `muster task show` says what came of it.

Examples:
  muster task land 0c1d2e3f
  muster task land 0c1d2e3f --how pull_request
  muster task show 0c1d2e3f --json | jq .landing")]
pub struct LandArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// What becomes of its result [default: as it was asked for, else push].
    #[arg(long, value_parser = PossibleValuesParser::new([Land::Push, Land::PullRequest].map(Land::name)))]
    how: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn land(args: &LandArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let how = match args.how.as_deref().and_then(Land::parse) {
        Some(how) => how,
        None => as_asked_for(&client.task(id).await?),
    };
    let task = client.land_task(id, how).await?;
    match args.output.output() {
        Output::Json => print_json(&task)?,
        Output::Pipe => {
            let landing = task.landing.iter().chain(&task.more_landings).find(|landing| landing.state == LandingState::Waiting);
            let state = landing.or(task.landing.as_ref()).map(|landing| landing.state.name()).unwrap_or_default();
            print_tab_separated(&[vec![task.summary.id.to_string(), how.name().to_owned(), state.to_owned()]])?;
        }
        Output::Terminal => {
            let head = format!("{bold}{}{bold:#}", shown(&task.summary.title), bold = bold());
            print_text(&format!("{head}\n{}\n", result_lines(&task).join("\n")))?;
        }
    }
    Ok(Exit::Done)
}

/// As it was tried the last time, or as the task says.
fn as_asked_for(task: &domain::TaskView) -> Land {
    let asked = task.landing.iter().chain(&task.more_landings).next().map_or(task.land, |landing| landing.how);
    if asked == Land::None { Land::Push } else { asked }
}
