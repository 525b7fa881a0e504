//! `muster approval list`

use clap::{Args, builder::PossibleValuesParser};
use domain::{
    Approval, ApprovalStateName, Page, Timestamp,
    approval::ApprovalFilter,
    exact_text::{beginning, in_a_line},
    page::PAGE_LIMIT,
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    pages::collect,
    words::{age, approval_style, dim, moment, now},
};

/// Characters of what is asked that a table holds at most: it cuts what does not fit.
const SUBJECT: usize = 500;

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: id, state, kind, id of the task, asked at, deadline,
tool, what it is to be used on.

Examples:
  muster approval list
  muster approval list --task 0c1d2e3f --all
  muster approval list --json | jq -r '.items[].subject'")]
pub struct ListArgs {
    /// Only those in this state.
    #[arg(
        long,
        default_value = ApprovalStateName::Pending.name(),
        value_parser = PossibleValuesParser::new(ApprovalStateName::ALL.map(ApprovalStateName::name))
    )]
    state: String,
    /// Only what the agent of this task asks: its full id, or the eight digits that lists show.
    #[arg(long, value_name = "TASK", value_parser = parse_task_name)]
    task: Option<TaskName>,
    /// The newest this many.
    #[arg(long, value_name = "N", default_value_t = PAGE_LIMIT, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them, in whatever state and however many there are.
    #[arg(long, conflicts_with_all = ["limit", "state"])]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let task = match &args.task {
        Some(name) => Some(find_task(&client, name).await?),
        None => None,
    };
    let (state, wanted) = match args.all {
        true => (None, u32::MAX),
        false => (ApprovalStateName::parse(&args.state), args.limit),
    };
    let of = |cursor, limit| ApprovalFilter { state, task, cursor, limit: Some(limit), ..ApprovalFilter::default() };
    let page = collect(wanted, async |cursor, limit| client.list_approvals(&of(cursor, limit)).await).await?;
    match args.output.output() {
        Output::Json => print_json(&page)?,
        Output::Pipe => print_tab_separated(&page.items.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => show(&page, state)?,
    }
    Ok(Exit::Done)
}

fn fields(approval: &Approval) -> Vec<String> {
    vec![
        approval.id.to_string(),
        approval.state.name().to_owned(),
        approval.kind.name().to_owned(),
        approval.task_id.to_string(),
        moment(approval.asked_at),
        moment(approval.deadline),
        in_a_line(&approval.tool),
        in_a_line(&approval.subject),
    ]
}

fn show(page: &Page<Approval>, state: Option<ApprovalStateName>) -> Result<(), CliError> {
    if page.items.is_empty() {
        remark(match state {
            Some(ApprovalStateName::Pending) => "No agent waits for an answer.",
            _ => "No agent has asked for anything like that.",
        });
        return Ok(());
    }
    let now = now();
    let rows: Vec<_> = page.items.iter().map(|approval| row(approval, now)).collect();
    print_table(&["ID", "STATE", "AGE", "LEFT", "TASK", "KIND", "WHAT"], &rows)?;
    let dim = dim();
    if page.items.iter().any(|approval| approval.state == ApprovalStateName::Pending) {
        remark(&format!("{dim}See all of it with: muster approval show ID. Answer with: muster approval allow ID, or deny.{dim:#}"));
    }
    if page.next_cursor.is_some() {
        remark(&format!("{dim}There are more: --limit N shows them.{dim:#}"));
    }
    Ok(())
}

fn row(approval: &Approval, now: Timestamp) -> Vec<Cell> {
    let is_pending = approval.state == ApprovalStateName::Pending;
    let left = if is_pending { age(now, approval.deadline) } else { String::new() };
    vec![
        Cell::styled(approval.id.short(), dim()),
        Cell::styled(approval.state.name(), approval_style(approval.state)),
        Cell::styled(age(approval.asked_at, now), dim()),
        Cell::plain(left),
        Cell::styled(approval.task_id.short(), dim()),
        Cell::plain(approval.kind.name()),
        Cell::plain(beginning(&approval.subject, SUBJECT)),
    ]
}
