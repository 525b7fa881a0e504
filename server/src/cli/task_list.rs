//! `muster task list`

use clap::Args;
use domain::{Page, TaskFilter, TaskStateName, TaskSummary, page::PAGE_LIMIT, page::PAGE_LIMIT_MAX};

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    words::{age, checks_field, dim, moment, now, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: id, state, checks passed/defined, attempts,
created at, repository, title.

Examples:
  muster task list --state failed
  muster task list --text login --all
  muster task list --state queued --json | jq -r '.items[].id'")]
pub struct ListArgs {
    /// Only tasks in this state.
    #[arg(long, value_parser = state_parser())]
    state: Option<String>,
    /// Only tasks whose title holds this text, whatever the case.
    #[arg(long)]
    text: Option<String>,
    /// Only tasks with this tag.
    #[arg(long)]
    tag: Option<String>,
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

pub async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let page = collect(&client, args).await?;
    match args.output.output() {
        Output::Json => print_json(&page)?,
        Output::Pipe => print_tab_separated(&page.items.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => show(&page)?,
    }
    Ok(Exit::Done)
}

/// As many pages as it takes.
async fn collect(client: &Client, args: &ListArgs) -> Result<Page<TaskSummary>, CliError> {
    let state = args.state.as_deref().and_then(TaskStateName::parse);
    let mut found = Page { items: vec![], next_cursor: None };
    loop {
        let wanted = if args.all { u32::MAX } else { args.limit };
        let missing = wanted.saturating_sub(u32::try_from(found.items.len()).unwrap_or(u32::MAX));
        let limit = Some(missing.min(PAGE_LIMIT_MAX));
        let cursor = found.next_cursor.take();
        let page = client.list_tasks(&TaskFilter { state, text: args.text.clone(), tag: args.tag.clone(), cursor, limit }).await?;
        found.items.extend(page.items);
        found.next_cursor = page.next_cursor;
        if found.next_cursor.is_none() || found.items.len() >= wanted as usize {
            return Ok(found);
        }
    }
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
    vec![
        Cell::styled(task.id.short(), dim()),
        Cell::styled(state.name(), state_style(state)),
        Cell::plain(checks_field(task)),
        Cell::plain(format!("{}/{}", task.attempts, task.max_attempts)),
        Cell::styled(age(task.created_at, now), dim()),
        Cell::plain(&task.title),
    ]
}
