//! `muster workflow change`

use std::path::PathBuf;

use clap::Args;
use domain::{
    TaskStateName,
    workflow::{ChangeOutcome, ChangeRun, ChangedStep},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_run::{RunName, find_run, parse_run_name},
    input_file,
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    run_result::head_line,
    task_result::shown,
    words::{bold, dim},
};

#[derive(Args, Debug)]
#[command(after_help = "\
The file holds YAML or JSON: `add`, a list of steps as a definition has them; `remove`, a list of ids;
`rewire`, a list of `step`, `needs` and `inputs`. What is not named stays. All of it is done, or nothing.

In a pipe each line holds, separated by tabs: added, removed, rewired or follows; the step; its state
before and after; what it needs now.

Examples:
  muster workflow change 0c1d2e3f -f change.yaml --preview
  echo 'remove: [publish]' | muster workflow change 0c1d2e3f -f -")]
pub struct GraphArgs {
    /// The run: its full id, or the eight digits that lists show.
    #[arg(value_name = "RUN", value_parser = parse_run_name)]
    run: RunName,
    /// The file with the change, YAML or JSON; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Only say what would come of it.
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn change(args: &GraphArgs) -> Result<Exit, CliError> {
    let source = input_file::read(&args.file, "a change as YAML or JSON")?;
    let client = args.connection.client()?;
    let id = find_run(&client, &args.run).await?;
    let outcome = client.change_run(id, &ChangeRun { source, preview: args.preview, expected: None }).await?;
    match args.output.output() {
        Output::Json => print_json(&outcome)?,
        Output::Pipe => print_tab_separated(&outcome.steps.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => print_text(&told(&outcome))?,
    }
    Ok(Exit::Done)
}

fn fields(step: &ChangedStep) -> Vec<String> {
    let before = step.before.map_or("", TaskStateName::name).to_owned();
    vec![step.how.name().to_owned(), step.key.clone(), before, step.after.name().to_owned(), step.needs.join(",")]
}

/// The run, and a line for each step.
fn told(outcome: &ChangeOutcome) -> String {
    let (bold, dim) = (bold(), dim());
    let summary = &outcome.run.summary;
    let would = if outcome.preview { "would be " } else { "" };
    let mut text = format!("Run {} “{}”: {would}{}\n", summary.id.short(), shown(&summary.title), head_line(&outcome.run));
    for step in &outcome.steps {
        let before = step.before.map(|before| format!("{} → ", before.name())).unwrap_or_default();
        let needs = if step.needs.is_empty() { String::new() } else { format!("  {dim}needs{dim:#} {}", shown(&step.needs.join(", "))) };
        text.push_str(&format!(
            "  {dim}{:<8}{dim:#} {bold}{}{bold:#}  {before}{}{needs}\n",
            step.how.name(),
            shown(&step.key),
            step.after.name()
        ));
    }
    if outcome.steps.is_empty() {
        text.push_str("  nothing changes\n");
    }
    text
}
