//! `muster runner log`

use clap::Args;
use domain::{
    Page,
    runner::{RunnerLogEntry, RunnerLogFilter, RunnerNews, RunnerTransition, log::LOG_SHOWN},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    pages::collect,
    runner::find_runner,
    words::{dim, duration, moment},
};

#[derive(Args)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: when it happened, since when that was so which ended with it, what
happened, id of the task that was not taken or not ended, all of it as a sentence. With --states: slot, state, when it
began, when it ended, id of the task.

Examples:
  muster runner log far
  muster runner log far --states
  muster runner log far --all --json | jq '.items[] | select(.what == \"not_taken\")'")]
pub struct LogArgs {
    /// Its name, or its id.
    name: String,
    /// The latest this many.
    #[arg(long, value_name = "N", default_value_t = LOG_SHOWN, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All that is kept.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// How it and its slots stood instead, each state with how long it lasted.
    #[arg(long)]
    states: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn log(args: &LogArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_runner(&client, &args.name).await?.id;
    let wanted = if args.all { u32::MAX } else { args.limit };
    let of = |cursor, limit| RunnerLogFilter { cursor, limit: Some(limit) };
    if args.states {
        let page = collect(wanted, async |cursor, limit| client.runner_periods(id, &of(cursor, limit)).await).await?;
        return show_states(args, &page);
    }
    let page = collect(wanted, async |cursor, limit| client.runner_log(id, &of(cursor, limit)).await).await?;
    match args.output.output() {
        Output::Json => print_json(&page)?,
        Output::Pipe => print_tab_separated(&page.items.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal if page.items.is_empty() => remark("Nothing has happened to it that is kept."),
        Output::Terminal => {
            print_table(&["WHEN", "WHAT HAPPENED", "AFTER"], &page.items.iter().map(row).collect::<Vec<_>>())?;
            if page.next_cursor.is_some() {
                remark(&format!("{0}There is more: --limit N shows it.{0:#}", dim()));
            }
        }
    }
    Ok(Exit::Done)
}

fn show_states(args: &LogArgs, page: &Page<RunnerTransition>) -> Result<Exit, CliError> {
    match args.output.output() {
        Output::Json => print_json(page)?,
        Output::Pipe => print_tab_separated(&page.items.iter().map(state_fields).collect::<Vec<_>>())?,
        Output::Terminal if page.items.is_empty() => remark("Nothing is kept yet of how it stood: that is a few minutes behind."),
        Output::Terminal => {
            print_table(&["UNTIL", "SLOT", "STOOD", "FOR"], &page.items.iter().map(state_row).collect::<Vec<_>>())?;
            if page.next_cursor.is_some() {
                remark(&format!("{0}There is more: --limit N shows it.{0:#}", dim()));
            }
        }
    }
    Ok(Exit::Done)
}

fn slot(period: &RunnerTransition) -> String {
    period.slot.map(|slot| slot.to_string()).unwrap_or_default()
}

fn state_fields(period: &RunnerTransition) -> Vec<String> {
    let task = period.task_id.map(|id| id.to_string()).unwrap_or_default();
    vec![slot(period), period.state.name().to_owned(), moment(period.since), moment(period.until), task]
}

fn state_row(period: &RunnerTransition) -> Vec<Cell> {
    let lasted = std::time::Duration::from_millis(u64::try_from(period.lasted_ms).unwrap_or_default());
    vec![
        Cell::styled(moment(period.until), dim()),
        Cell::plain(slot(period)),
        Cell::plain(period.state.name().to_owned()),
        Cell::plain(duration(lasted)),
    ]
}

fn fields(entry: &RunnerLogEntry) -> Vec<String> {
    let task = match &entry.what {
        RunnerNews::NotTaken { task_id, .. } | RunnerNews::NotEnded { task_id, .. } => task_id.to_string(),
        _ => String::new(),
    };
    vec![moment(entry.at), entry.since.map(moment).unwrap_or_default(), name(&entry.what), task, entry.what.sentence()]
}

/// As JSON calls it.
fn name(what: &RunnerNews) -> String {
    let json = serde_json::to_value(what).unwrap_or_default();
    json.get("what").and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}

fn row(entry: &RunnerLogEntry) -> Vec<Cell> {
    let lasted = entry.lasted_ms.and_then(|ms| u64::try_from(ms).ok());
    let lasted = lasted.map(|ms| duration(std::time::Duration::from_millis(ms))).unwrap_or_default();
    vec![Cell::styled(moment(entry.at), dim()), Cell::plain(entry.what.sentence()), Cell::plain(lasted)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_happened_as_json_does() {
        let at = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(90);
        let entry = RunnerLogEntry {
            number: 3,
            at,
            since: Some(chrono::DateTime::UNIX_EPOCH),
            lasted_ms: Some(90_000),
            what: RunnerNews::Resumed { by: "Ada".into() },
        };
        assert_eq!(fields(&entry)[2..], ["resumed", "", "Ada let it take work again"]);
    }
}
