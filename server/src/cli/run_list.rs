//! `muster workflow runs`

use clap::Args;
use domain::{
    Page,
    page::PAGE_LIMIT,
    workflow::{RunFilter, RunSummary},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    pages::collect,
    words::{age, dim, moment, now, run_state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: id, state, steps ended/all, created at, ended at,
workflow, version, title.

Examples:
  muster workflow runs --workflow release
  muster workflow runs --json | jq -r '.items[] | select(.state == \"waiting\") | .id'")]
pub struct ListArgs {
    /// Only runs of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
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

pub async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let wanted = if args.all { u32::MAX } else { args.limit };
    let of = |cursor, limit| RunFilter { workflow: args.workflow.clone(), cursor, limit: Some(limit) };
    let page = collect(wanted, async |cursor, limit| client.list_runs(&of(cursor, limit)).await).await?;
    match args.output.output() {
        Output::Json => print_json(&page)?,
        Output::Pipe => print_tab_separated(&page.items.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal => show(&page)?,
    }
    Ok(Exit::Done)
}

fn fields(run: &RunSummary) -> Vec<String> {
    vec![
        run.id.to_string(),
        run.state.name().to_owned(),
        format!("{}/{}", run.counts.ended(), run.counts.total),
        moment(run.created_at),
        run.ended_at.map(moment).unwrap_or_default(),
        run.workflow.clone(),
        run.version.to_string(),
        run.title.clone(),
    ]
}

fn show(page: &Page<RunSummary>) -> Result<(), CliError> {
    if page.items.is_empty() {
        remark("No runs. Start one with: muster workflow run NAME");
        return Ok(());
    }
    let now = now();
    let rows = page.items.iter().map(|run| {
        let state = format!("{}{}", run.state.name(), if run.paused_by.is_some() { ", paused" } else { "" });
        vec![
            Cell::styled(run.id.short(), dim()),
            Cell::styled(state, run_state_style(run.state)),
            Cell::plain(format!("{}/{}", run.counts.ended(), run.counts.total)),
            Cell::styled(age(run.created_at, now), dim()),
            Cell::plain(format!("{} {}", run.workflow, run.version)),
            Cell::plain(&run.title),
        ]
    });
    print_table(&["ID", "STATE", "STEPS", "AGE", "WORKFLOW", "TITLE"], &rows.collect::<Vec<_>>())?;
    if page.next_cursor.is_some() {
        remark(&format!("{dim}There are more: --limit N or --all shows them.{dim:#}", dim = dim()));
    }
    Ok(())
}
