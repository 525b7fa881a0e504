//! `muster task approve` and `reject`

use clap::Args;
use domain::{TaskView, workflow::GateAnswer};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::OutputArgs,
    task_change,
};

#[derive(Args, Debug)]
#[command(after_help = "`muster workflow status RUN` lists the gates of a run that wait for an answer.")]
pub struct AnswerArgs {
    /// The approval: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// Why, for whoever looks at it later.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn approve(args: &AnswerArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    print(args, &client.approve_task(id, &args.answer()).await?)
}

pub async fn reject(args: &AnswerArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    print(args, &client.reject_task(id, &args.answer()).await?)
}

impl AnswerArgs {
    fn answer(&self) -> GateAnswer {
        GateAnswer { comment: self.comment.clone() }
    }
}

fn print(args: &AnswerArgs, task: &TaskView) -> Result<Exit, CliError> {
    task_change::print_task(args.output.output(), task)
}
