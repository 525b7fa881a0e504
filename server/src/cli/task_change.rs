//! `muster task cancel`, `retry`, `pause` and `resume`

use clap::Args;
use domain::TaskView;

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    task_result::shown,
    words::state_style,
};

#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn cancel(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    print(args, &client.cancel_task(id).await?)
}

pub async fn retry(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    print(args, &client.retry_task(id).await?)
}

pub async fn pause(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    print(args, &client.pause_task(id).await?)
}

pub async fn resume(args: &ChangeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    print(args, &client.resume_task(id).await?)
}

fn print(args: &ChangeArgs, task: &TaskView) -> Result<Exit, CliError> {
    print_task(args.output.output(), task)
}

/// How the task stands now.
pub fn print_task(output: Output, task: &TaskView) -> Result<Exit, CliError> {
    let summary = &task.summary;
    let state = summary.state.name();
    match output {
        Output::Json => print_json(task)?,
        Output::Pipe => print_tab_separated(&[vec![summary.id.to_string(), state.name().to_owned()]])?,
        Output::Terminal => {
            let style = state_style(state);
            // What runs ends when its runner has confirmed it.
            let ending = match summary.state.stop() {
                Some(stop) if stop.goes_on() => ", goes back into the queue as soon as its runner has stopped the work",
                Some(_) => ", ends as soon as its runner has stopped the work",
                None if summary.paused => ", paused",
                None => "",
            };
            print_text(&format!("Task {} “{}”: {style}{}{style:#}{ending}\n", summary.id.short(), shown(&summary.title), state.phrase()))?;
        }
    }
    Ok(Exit::Done)
}
