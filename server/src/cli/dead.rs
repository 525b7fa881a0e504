//! `muster dead`: tasks that were set aside for a person to look at.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use domain::{
    FailureCode, TaskFilter, TaskStateName,
    page::PAGE_LIMIT_MAX,
    task::{BulkAct, BulkOutcome, BulkTasks},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, print_text, remark},
    words::{age, dim, moment, now},
};

#[derive(Subcommand)]
pub enum DeadCommand {
    /// List them, with why each was set aside.
    List(ListArgs),
    /// Bring them back, with all their attempts ahead of them.
    Retry(WhichArgs),
    /// Let go of them: they count as cancelled.
    Discard(WhichArgs),
}

#[derive(Args)]
#[command(after_help = "In a pipe each line holds, separated by tabs: id, set aside at, code, reason, title, cause, what to do next.")]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
#[group(id = "which", required = true, multiple = false, args = ["tasks", "all"])]
pub struct WhichArgs {
    /// The tasks: full ids, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    tasks: Vec<TaskName>,
    /// All that were set aside.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

fn dead() -> TaskFilter {
    TaskFilter { state: Some(TaskStateName::Dead), ..TaskFilter::default() }
}

pub async fn run(command: &DeadCommand) -> Result<Exit, CliError> {
    match command {
        DeadCommand::List(args) => list(args).await,
        DeadCommand::Retry(args) => change(args, BulkAct::Retry).await,
        DeadCommand::Discard(args) => change(args, BulkAct::Discard).await,
    }
}

async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let page = client.list_tasks(&TaskFilter { limit: Some(PAGE_LIMIT_MAX), ..dead() }).await?;
    let now = now();
    let why = |task: &domain::TaskSummary| {
        let failure = task.state.failure();
        (failure.map(|failure| failure.code.name()).unwrap_or_default(), task.state.reason().unwrap_or_default())
    };
    match args.output.output() {
        Output::Json => print_json(&page)?,
        Output::Pipe => {
            let rows = page.items.iter().map(|task| {
                let (code, reason) = why(task);
                let at = task.state.ended_at().map(moment).unwrap_or_default();
                let (cause, next) = task.state.failure().map(|failure| (failure.code.cause(), failure.code.advice())).unwrap_or_default();
                vec![task.id.to_string(), at, code.to_owned(), reason, task.title.clone(), cause.to_owned(), next.to_owned()]
            });
            print_tab_separated(&rows.collect::<Vec<_>>())?;
        }
        Output::Terminal if page.items.is_empty() => remark("Nothing was set aside."),
        Output::Terminal => {
            let rows = page.items.iter().map(|task| {
                let at = task.state.ended_at().map(|at| age(at, now)).unwrap_or_default();
                vec![Cell::styled(task.id.short(), dim()), Cell::styled(at, dim()), Cell::plain(why(task).1), Cell::plain(&task.title)]
            });
            print_table(&["ID", "SINCE", "WHY", "TITLE"], &rows.collect::<Vec<_>>())?;
            // once for each kind, below the list
            let codes: BTreeSet<_> = page.items.iter().filter_map(|task| task.state.failure()).map(|failure| failure.code.name()).collect();
            for code in FailureCode::ALL.into_iter().filter(|code| codes.contains(code.name())) {
                remark(&format!("{dim}{}:{dim:#} {} {}", code.name(), code.cause(), code.advice(), dim = dim()));
            }
            if page.next_cursor.is_some() {
                remark(&format!("{dim}These are the newest {PAGE_LIMIT_MAX}; there are more.{dim:#}", dim = dim()));
            }
        }
    }
    Ok(Exit::Done)
}

async fn change(args: &WhichArgs, act: BulkAct) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let mut ids = vec![];
    for name in &args.tasks {
        ids.push(find_task(&client, name).await?);
    }
    let filter = ids.is_empty().then(dead);
    let asked_for = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let bulk = BulkTasks { act, priority: None, ids, filter, preview: false, expected: None };
    let mut outcome = client.change_tasks(&bulk).await?;
    // In portions, as many as it takes.
    while args.all && outcome.left > 0 {
        let next = client.change_tasks(&bulk).await?;
        if next.changed == 0 {
            break;
        }
        let passed_over = outcome.passed_over + next.passed_over;
        outcome = BulkOutcome { matched: outcome.matched, changed: outcome.changed + next.changed, passed_over, left: next.left };
    }
    let done = match act {
        BulkAct::Retry => "brought back",
        _ => "let go",
    };
    match args.output.output() {
        Output::Json => print_json(&outcome)?,
        Output::Pipe => print_tab_separated(&[vec![outcome.changed.to_string(), outcome.passed_over.to_string()]])?,
        Output::Terminal => print_text(&format!("{} {done}, {} passed over\n", outcome.changed, outcome.passed_over))?,
    }
    Ok(if args.all || outcome.changed == asked_for { Exit::Done } else { Exit::Failed })
}
