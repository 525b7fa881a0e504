//! `muster task list`

use clap::Args;
use domain::{Page, Priority, TaskFilter, TaskStateName, TaskSummary, page::PAGE_LIMIT};

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    pages::collect,
    words::{age, checks_field, dim, moment, now, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: id, state, checks passed/defined, attempts,
created at, repository, title.

Examples:
  muster task list --state failed
  muster task list --text login --all
  muster task list --view 'Broken at night'
  muster task list --state queued --json | jq -r '.items[].id'")]
pub struct ListArgs {
    /// Only tasks in this state.
    #[arg(long, value_parser = state_parser())]
    state: Option<String>,
    /// Only tasks with this text in their title, prompt, command or tags, whatever the case.
    #[arg(long)]
    text: Option<String>,
    /// Only tasks with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only tasks in this lane.
    #[arg(long, value_parser = priority_parser())]
    priority: Option<String>,
    /// What a saved view looks for; the filters above go before those of the view.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// The newest this many.
    #[arg(long, value_name = "N", default_value_t = PAGE_LIMIT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them, however many there are.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

fn state_parser() -> clap::builder::PossibleValuesParser {
    TaskStateName::ALL.map(TaskStateName::name).into()
}

fn priority_parser() -> clap::builder::PossibleValuesParser {
    Priority::ALL.map(Priority::name).into()
}

pub async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let wanted = if args.all { u32::MAX } else { args.limit };
    let wanted_filter = filter(&client, args).await?;
    let of = |cursor, limit| TaskFilter { cursor, limit: Some(limit), ..wanted_filter.clone() };
    let page = collect(wanted, async |cursor, limit| client.list_tasks(&of(cursor, limit)).await).await?;
    match args.output.output() {
        Output::Json => print_json(&page)?,
        Output::Pipe => print_tab_separated(&page.items.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => show(&page)?,
    }
    Ok(Exit::Done)
}

/// What is asked for by name, and what is asked for beside it.
async fn filter(client: &Client, args: &ListArgs) -> Result<TaskFilter, CliError> {
    let view = match &args.view {
        Some(name) => view(client, name).await?,
        None => TaskFilter::default(),
    };
    Ok(TaskFilter {
        state: args.state.as_deref().and_then(TaskStateName::parse).or(view.state),
        text: args.text.clone().or(view.text),
        tag: args.tag.clone().or(view.tag),
        priority: args.priority.as_deref().and_then(Priority::parse).or(view.priority),
        ..TaskFilter::default()
    })
}

/// One's own view goes before one that is shared.
async fn view(client: &Client, name: &str) -> Result<TaskFilter, CliError> {
    let views = client.views().await?;
    let names: Vec<_> = views.iter().map(|view| format!("`{}`", view.name)).collect();
    let found = views.into_iter().find(|view| view.name.to_lowercase() == name.trim().to_lowercase());
    found.map(|view| view.filter).ok_or_else(|| CliError::Failed {
        message: format!("there is no view named `{name}`"),
        remedy: Some(match names.is_empty() {
            true => "save one above the task list on the pages".into(),
            false => format!("one of {}", names.join(", ")),
        }),
    })
}

fn fields(task: &TaskSummary) -> Vec<String> {
    vec![
        task.id.to_string(),
        task.state.name().name().to_owned(),
        checks_field(task),
        format!("{}/{}", task.attempts, task.max_attempts),
        moment(task.created_at),
        task.repository.clone(),
        task.title.clone(),
    ]
}

fn show(page: &Page<TaskSummary>) -> Result<(), CliError> {
    if page.items.is_empty() {
        remark("No tasks. Hand one in with: muster task run");
        return Ok(());
    }
    let now = now();
    let rows: Vec<_> = page.items.iter().map(|task| row(task, now)).collect();
    print_table(&["ID", "STATE", "CHECKS", "TRIES", "AGE", "TITLE"], &rows)?;
    if page.next_cursor.is_some() {
        remark(&format!("{dim}There are more: --limit N or --all shows them.{dim:#}", dim = dim()));
    }
    Ok(())
}

fn row(task: &TaskSummary, now: domain::Timestamp) -> Vec<Cell> {
    let state = task.state.name();
    let asks = if task.asks { ", asks" } else { "" };
    vec![
        Cell::styled(task.id.short(), dim()),
        Cell::styled(format!("{}{asks}", state.name()), state_style(state)),
        Cell::plain(checks_field(task)),
        Cell::plain(format!("{}/{}", task.attempts, task.max_attempts)),
        Cell::styled(age(task.created_at, now), dim()),
        Cell::plain(&task.title),
    ]
}
