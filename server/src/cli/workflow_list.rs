//! `muster workflow list`

use clap::Args;
use domain::workflow::WorkflowSummary;

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    words::{age, dim, moment, now, run_state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: name, newest version, steps, changed at, id and
state of the newest run, description.")]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let workflows = args.connection.client()?.list_workflows().await?;
    match args.output.output() {
        Output::Json => print_json(&workflows)?,
        Output::Pipe => print_tab_separated(&workflows.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal if workflows.is_empty() => remark("No workflows. Store one with: muster workflow save FILE"),
        Output::Terminal => {
            let now = now();
            let rows: Vec<_> = workflows.iter().map(|workflow| row(workflow, now)).collect();
            print_table(&["NAME", "VERSION", "STEPS", "CHANGED", "NEWEST RUN", "DESCRIPTION"], &rows)?;
        }
    }
    Ok(Exit::Done)
}

fn fields(workflow: &WorkflowSummary) -> Vec<String> {
    let run = workflow.last_run.as_ref();
    vec![
        workflow.name.clone(),
        workflow.version.to_string(),
        workflow.steps.to_string(),
        moment(workflow.changed_at),
        run.map(|run| run.id.to_string()).unwrap_or_default(),
        run.map(|run| run.state.name().to_owned()).unwrap_or_default(),
        workflow.description.clone().unwrap_or_default(),
    ]
}

fn row(workflow: &WorkflowSummary, now: domain::Timestamp) -> Vec<Cell> {
    let run = match &workflow.last_run {
        Some(run) => Cell::styled(format!("{} {}", run.id.short(), run.state.name()), run_state_style(run.state)),
        None => Cell::plain(""),
    };
    vec![
        Cell::plain(&workflow.name),
        Cell::plain(workflow.version.to_string()),
        Cell::plain(workflow.steps.to_string()),
        Cell::styled(age(workflow.changed_at, now), dim()),
        run,
        Cell::plain(workflow.description.clone().unwrap_or_default()),
    ]
}
