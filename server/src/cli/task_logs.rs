//! `muster task logs`

use std::cell::RefCell;

use clap::Args;
use domain::{LogChunk, TaskId};
use futures::StreamExt;

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    follow::{Seen, follow_log},
    log_output::LogOutput,
    output::{Output, OutputArgs, print_json, remark},
};

#[derive(Args, Debug)]
#[command(after_help = "\
On a terminal colors are kept, and whatever else could steer it is left out. In a pipe every
byte is as it was written.

Examples:
  muster task logs 0c1d2e3f
  muster task logs 0c1d2e3f --follow")]
pub struct LogsArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// Go on until the task is final, over lost connections too.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn logs(args: &LogsArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    match (args.output.output(), args.follow) {
        (Output::Json, true) => follow(&client, id, &|piece| Ok(print_json(&piece)?)).await?,
        (Output::Json, false) => pieces_so_far(&client, id).await?,
        (_, true) => {
            let out = RefCell::new(LogOutput::stdout());
            follow(&client, id, &|piece| Ok(out.borrow_mut().write(piece.text.as_bytes())?)).await?;
            out.borrow_mut().pause()?;
        }
        (_, false) => bytes_so_far(&client, id).await?,
    }
    Ok(Exit::Done)
}

async fn follow(client: &Client, id: TaskId, print: &impl Fn(LogChunk) -> Result<(), CliError>) -> Result<(), CliError> {
    let show = |seen| match seen {
        Seen::Log { piece, .. } => print(piece),
        Seen::Event(_) => Ok(()),
        Seen::ConnectionLost => {
            remark("muster: the connection is lost, trying again");
            Ok(())
        }
    };
    follow_log(client, id, 0, &show).await
}

async fn bytes_so_far(client: &Client, id: TaskId) -> Result<(), CliError> {
    let mut out = LogOutput::stdout();
    let mut bytes = client.log(id).await?.bytes_stream();
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(|error| CliError::failed(format!("the log broke off: {error}")))?;
        out.write(&piece)?;
    }
    Ok(out.pause()?)
}

/// The same as JSON: the pieces up to where the log ended when it was asked for.
async fn pieces_so_far(client: &Client, id: TaskId) -> Result<(), CliError> {
    let so_far = client.task(id).await?.log_bytes;
    let mut position = 0;
    let mut stream = client.follow_log(id, 0).await?;
    while position < so_far {
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(CliError::failed(format!("the log broke off: {error}"))),
            None => return Err(CliError::failed("the log broke off")),
        };
        match message.event.as_deref() {
            Some("log") => {
                let piece = super::follow::decode::<LogChunk>(&message)?;
                position = piece.end;
                print_json(&piece)?;
            }
            Some("end") => break,
            _ => {}
        }
    }
    Ok(())
}
