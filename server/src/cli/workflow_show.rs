//! `muster workflow show`

use clap::Args;
use domain::workflow::{Parameter, WorkflowView};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    log_output::LogOutput,
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    task_result::shown,
    words::{bold, dim, moment},
    workflow_levels::{level_lines, levels},
};

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: the level, the step, what it does, and what it waits for.

Examples:
  muster workflow show release
  muster workflow show release --version 2 --source > release.yaml")]
pub struct ShowArgs {
    /// The workflow.
    #[arg(value_name = "NAME")]
    name: String,
    /// This version [default: the newest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    version: Option<i32>,
    /// Print the definition as its author wrote it, and nothing else.
    #[arg(long, conflicts_with = "json")]
    source: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let workflow = args.connection.client()?.workflow(&args.name, args.version).await?;
    if args.source {
        let mut out = LogOutput::stdout();
        out.write(workflow.source.as_bytes())?;
        out.pause()?;
        return Ok(Exit::Done);
    }
    match args.output.output() {
        Output::Json => print_json(&workflow)?,
        Output::Pipe => print_tab_separated(&levels(&workflow.definition, &workflow.drawing))?,
        Output::Terminal => print_text(&page(&workflow))?,
    }
    Ok(Exit::Done)
}

fn page(workflow: &WorkflowView) -> String {
    let (bold, dim) = (bold(), dim());
    let definition = &workflow.definition;
    let field = |name: &str, value: &str| format!("{dim}{name:<11}{dim:#} {}", shown(value));
    let mut lines = vec![format!("{bold}{}{bold:#}", shown(&workflow.name))];
    lines.extend(definition.description.as_deref().map(shown));
    lines.push(field("version", &format!("{}, the newest is {}", workflow.version, workflow.newest_version)));
    lines.push(field("saved", &format!("{} by {}", moment(workflow.created_at), workflow.created_by)));
    lines.extend(definition.repository.as_ref().map(|repository| field("repository", repository)));
    lines.extend(definition.parameters.iter().map(|(name, parameter)| field("parameter", &parameter_text(name, parameter))));
    lines.push(format!("\n{bold}Steps{bold:#}"));
    lines.extend(level_lines(definition, &workflow.drawing));
    lines.join("\n") + "\n"
}

/// `stage: a text, one of "staging", "production", "staging" unless given. Where it goes`
fn parameter_text(name: &str, parameter: &Parameter) -> String {
    let choices: Vec<_> = parameter.choices.iter().map(ToString::to_string).collect();
    let choices = if choices.is_empty() { String::new() } else { format!(", one of {}", choices.join(", ")) };
    let given = match &parameter.default {
        Some(value) => format!("{value} unless given"),
        None => "to be given".into(),
    };
    let description = parameter.description.as_ref().map(|text| format!(". {text}")).unwrap_or_default();
    format!("{name}: {}{choices}, {given}{description}", parameter.kind.phrase())
}
