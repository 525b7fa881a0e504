//! `muster task submit`

use std::path::PathBuf;

use clap::Args;
use domain::{NewTask, NewTasks, task::TaskLink};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    input_file,
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table},
    words::{dim, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
The file holds JSON: a list of tasks as the API takes them, or an object with such a list in `tasks`.
All of them are stored, or none. In a pipe each line holds, separated by tabs: id, state, title.

With --key the same file may be submitted again after an interruption: within a day it is stored once.

Examples:
  muster task submit -f tasks.json
  generate-tasks | muster task submit -f - --key nightly-2026-11-20")]
pub struct SubmitArgs {
    /// The file with the tasks; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Names this submission, so that it takes effect once however often it is sent.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn submit(args: &SubmitArgs) -> Result<Exit, CliError> {
    let new = parse(&input_file::read(&args.file, "tasks as JSON")?)?;
    new.validate().map_err(CliError::Invalid)?;
    if let Some(key) = &args.key {
        domain::idempotency::check_key(key).map_err(CliError::Invalid)?;
    }
    let tasks = args.connection.client()?.create_tasks(&new, args.key.as_deref()).await?;
    match args.output.output() {
        Output::Json => print_json(&tasks)?,
        Output::Pipe => print_tab_separated(&tasks.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => print_table(&["ID", "STATE", "TITLE"], &tasks.iter().map(row).collect::<Vec<_>>())?,
    }
    Ok(Exit::Done)
}

fn parse(text: &str) -> Result<NewTasks, CliError> {
    let is_list = text.trim_start().starts_with('[');
    let parsed = if is_list {
        serde_json::from_str::<Vec<NewTask>>(text).map(|tasks| NewTasks { tasks })
    } else {
        serde_json::from_str::<NewTasks>(text)
    };
    parsed.map_err(|error| CliError::Usage {
        message: format!("this is not a list of tasks: {error}"),
        remedy: "see POST /api/v1/tasks/batch at /api/docs for the form".into(),
    })
}

fn fields(task: &TaskLink) -> Vec<String> {
    vec![task.id.to_string(), task.state.name().to_owned(), task.title.clone()]
}

fn row(task: &TaskLink) -> Vec<Cell> {
    let state = Cell::styled(task.state.name(), state_style(task.state));
    vec![Cell::styled(task.id.short(), dim()), state, Cell::plain(&task.title)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_or_an_object_with_one() {
        let task = r#"{"title": "Tidy up", "repository": "/srv/app", "command": "make tidy"}"#;
        for text in [format!("[{task}]"), format!(" {{\"tasks\": [{task}]}}")] {
            assert_eq!(parse(&text).unwrap().tasks.len(), 1, "{text}");
        }
        for wrong in ["", "7", task, r#"[{"title": "x", "nonsense": 1}]"#] {
            assert_eq!(parse(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }
}
