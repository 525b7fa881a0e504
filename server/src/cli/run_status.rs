//! `muster workflow status`

use clap::Args;
use domain::{
    Timestamp,
    task::plain,
    workflow::{RunStep, RunView},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_run::{RunName, find_run, parse_run_name},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, print_text},
    run_result::{advice, head_line, in_order, note},
    task_result::shown,
    words::{between, bold, dim, duration, moment, now, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: step, state, kind, id of its task, attempts, started at,
ended at, what there is to say about it.

The exit status says whether the run was found, not how it went; for that, see `state` in the JSON.

Examples:
  muster workflow status 0c1d2e3f
  muster workflow status 0c1d2e3f --json | jq -r .state")]
pub struct StatusArgs {
    /// The run: its full id, or the eight digits that lists show.
    #[arg(value_name = "RUN", value_parser = parse_run_name)]
    run: RunName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn status(args: &StatusArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_run(&client, &args.run).await?;
    print(&client.run(id).await?, args.output.output(), client.page_of_run(id).as_str())
}

/// The run and a table of its steps.
fn print(run: &RunView, output: Output, address: &str) -> Result<Exit, CliError> {
    match output {
        Output::Json => print_json(run)?,
        Output::Pipe => print_tab_separated(&in_order(run).into_iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => show(run, address)?,
    }
    Ok(Exit::Done)
}

fn fields(step: &RunStep) -> Vec<String> {
    vec![
        step.key.clone(),
        step.state.name().to_owned(),
        step.kind.clone(),
        step.task.to_string(),
        step.attempts.to_string(),
        step.started_at.map(moment).unwrap_or_default(),
        step.ended_at.map(moment).unwrap_or_default(),
        note(step),
    ]
}

fn show(run: &RunView, address: &str) -> Result<(), CliError> {
    let (bold, dim) = (bold(), dim());
    let summary = &run.summary;
    let field = |name: &str, value: &str| format!("{dim}{name:<11}{dim:#} {}", shown(value));
    let mut lines = vec![format!("{bold}{}{bold:#}", shown(&summary.title)), head_line(run), String::new()];
    lines.push(field("id", &summary.id.to_string()));
    lines.push(field("page", address));
    lines.push(field("workflow", &format!("{} version {}", summary.workflow, summary.version)));
    lines.push(field("repository", &run.repository));
    lines.extend(run.parameters.iter().map(|(name, value)| field("parameter", &format!("{name} = {}", plain(value)))));
    lines.extend(run.restart_of.map(|earlier| field("goes on", &format!("from run {}", earlier.short()))));
    lines.push(field("created", &format!("{} by {}", moment(summary.created_at), run.created_by)));
    print_text(&(lines.join("\n") + "\n\n"))?;
    let now = now();
    print_table(
        &["STEP", "STATE", "KIND", "TOOK", "TASK", "NOTE"],
        &in_order(run).into_iter().map(|step| row(step, now)).collect::<Vec<_>>(),
    )?;
    let advice: Vec<_> = run.steps.iter().filter_map(|step| advice(run, step)).map(|line| line + "\n").collect();
    Ok(print_text(&advice.concat())?)
}

fn row(step: &RunStep, now: Timestamp) -> Vec<Cell> {
    let took = step.started_at.map(|started| duration(between(started, step.ended_at.unwrap_or(now))));
    vec![
        Cell::plain(&step.key),
        Cell::styled(step.state.name(), state_style(step.state)),
        Cell::plain(&step.kind),
        Cell::styled(took.unwrap_or_default(), dim()),
        Cell::styled(step.task.short(), dim()),
        Cell::plain(note(step)),
    ]
}
