//! `muster task show`

use clap::Args;
use domain::{Attempt, Event, TaskView, Work};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    task_result::{check_line, check_output, result_lines, shown},
    words::{between, bold, checks_field, dim, duration, moment, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
The exit status says whether the task was found, not how it went; for that, see `state` in the JSON.

Examples:
  muster task show 0c1d2e3f
  muster task show 0c1d2e3f --json | jq -r .state")]
pub struct ShowArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let task = client.task(id).await?;
    match args.output.output() {
        Output::Json => print_json(&task)?,
        Output::Pipe => print_tab_separated(&fields(&task))?,
        Output::Terminal => {
            let events = client.task_events(id).await?;
            print_text(&page(&task, &events, client.page_of(id).as_str()))?;
        }
    }
    Ok(Exit::Done)
}

/// Name and value per line.
fn fields(task: &TaskView) -> Vec<Vec<String>> {
    let summary = &task.summary;
    let mut fields = vec![
        ("id", summary.id.to_string()),
        ("title", summary.title.clone()),
        ("state", summary.state.name().name().to_owned()),
        ("reason", summary.state.reason().unwrap_or_default()),
        ("checks", checks_field(summary)),
        ("attempts", format!("{}/{}", summary.attempts, summary.max_attempts)),
        ("priority", summary.priority.name().to_owned()),
        ("repository", summary.repository.clone()),
        ("base_ref", task.base_ref.clone().unwrap_or_default()),
        ("created_at", moment(summary.created_at)),
        ("created_by", task.created_by.clone()),
        ("ended_at", summary.state.ended_at().map(moment).unwrap_or_default()),
        ("log_bytes", task.log_bytes.to_string()),
    ];
    if let Some(attempt) = task.attempt_list.last() {
        fields.push(("branch", attempt.branch.clone().unwrap_or_default()));
        fields.push(("commit", attempt.commit.clone().unwrap_or_default()));
    }
    fields.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

fn page(task: &TaskView, events: &[Event], address: &str) -> String {
    let summary = &task.summary;
    let mut lines = vec![format!("{bold}{}{bold:#}", shown(&summary.title), bold = bold())];
    lines.extend(result_lines(task));
    lines.push(String::new());
    lines.push(field("id", &summary.id.to_string()));
    lines.push(field("page", address));
    lines.push(field("repository", &summary.repository));
    lines.extend(task.base_ref.as_ref().map(|base| field("base", base)));
    lines.push(match &task.work {
        Work::Command(command) => field("command", command),
        Work::Prompt(prompt) => field("prompt", prompt),
    });
    lines.push(field("priority", summary.priority.name()));
    lines.push(field("attempts", &format!("{} of {}, each at most {} s", summary.attempts, summary.max_attempts, task.timeout_seconds)));
    lines.extend(task.not_before.map(|time| field("not before", &moment(time))));
    lines.push(field("created", &format!("{} by {}", moment(summary.created_at), task.created_by)));
    lines.extend(task.files.iter().map(|file| field("file", file)));
    lines.extend(task.success_criteria.iter().map(|criterion| field("criterion", criterion)));
    for (name, links) in [("waits for", &task.depends_on), ("awaited by", &task.dependents)] {
        lines.extend(links.iter().map(|link| {
            let style = state_style(link.state);
            format!("{}  {style}{}{style:#}", field(name, &format!("{} {}", link.id.short(), link.title)), link.state.name())
        }));
    }
    lines.extend(checks(task));
    lines.extend(section("Attempts", task.attempt_list.iter().map(attempt_line).collect()));
    lines.extend(section("History", events.iter().map(event_line).collect()));
    lines.join("\n") + "\n"
}

fn field(name: &str, value: &str) -> String {
    format!("{dim}{name:<11}{dim:#} {}", shown(value), dim = dim())
}

fn section(title: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return vec![];
    }
    let head = format!("{bold}{title}{bold:#}", bold = bold());
    [String::new(), head].into_iter().chain(lines.into_iter().map(|line| format!("  {line}"))).collect()
}

/// The checks of the latest attempt that has a report; before that, what will be checked.
fn checks(task: &TaskView) -> Vec<String> {
    let report = task.attempt_list.iter().rev().find_map(|attempt| attempt.verification.as_ref());
    let lines = match report {
        Some(report) => report.checks.iter().flat_map(|check| [vec![check_line(check)], check_output(check)].concat()).collect(),
        None => task
            .check_specs
            .iter()
            .map(|spec| match &spec.target {
                Some(target) => format!("{}={}", spec.kind.name(), shown(target)),
                None => spec.kind.name().to_owned(),
            })
            .collect(),
    };
    section("Checks", lines)
}

fn attempt_line(attempt: &Attempt) -> String {
    let dim = dim();
    let took = match (attempt.started_at, attempt.ended_at) {
        (Some(started), Some(ended)) => duration(between(started, ended)),
        _ => "-".into(),
    };
    let branch = attempt.branch.as_deref().unwrap_or_default();
    let why = attempt.failure.as_ref().map(|failure| format!("  {}", shown(&failure.message))).unwrap_or_default();
    format!("{}  {:<9}  {took:<10}  {dim}{}  {}{dim:#}{why}", attempt.number, attempt.state.name(), shown(&attempt.runner), shown(branch))
}

fn event_line(event: &Event) -> String {
    format!("{dim}{}{dim:#}  {}", event.at.format("%H:%M:%S"), shown(&event.kind.sentence()), dim = dim())
}
