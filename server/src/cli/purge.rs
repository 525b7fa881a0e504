//! `muster admin purge`: deletes what ended long ago, straight on the database.

use std::io::IsTerminal;

use chrono::TimeDelta;
use clap::Args;
use engine::{Forgotten, Keep};
use serde::Serialize;

use super::{
    admin::refusal,
    error::{CliError, Exit},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text, remark},
};
use crate::{admin, config::StateConfig};

#[derive(Args)]
#[command(after_help = "\
Tasks go with their attempts, checks, logs, diffs and history; the runs of workflows go as a whole. What
something that is kept still needs stays. It is counted first, and asked about unless --yes is there.

In a pipe the line holds, separated by a tab: tasks, runs.

Examples:
  muster admin purge --older-than 90d --preview
  muster admin purge --older-than 30d --yes")]
pub struct PurgeArgs {
    /// What ended longer ago than this: 30d, 12h. At least an hour.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: TimeDelta,
    /// Also what was set aside for a person to look at.
    #[arg(long)]
    dead: bool,
    /// Only say how much it would be.
    #[arg(long)]
    preview: bool,
    /// Do not ask.
    #[arg(long, short, conflicts_with = "preview")]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    state: StateConfig,
}

/// As JSON.
#[derive(Serialize)]
struct Line {
    tasks: u64,
    runs: u64,
    deleted: bool,
}

pub async fn purge(args: PurgeArgs) -> Result<Exit, CliError> {
    let keep = Keep { ended: Some(args.older_than), dead: args.dead.then_some(args.older_than) };
    let would = admin::would_purge(&args.state, keep).await.map_err(refusal)?;
    let output = args.output.output();
    if args.preview {
        print(output, would, false)?;
        return Ok(Exit::Done);
    }
    if !args.yes && would != Forgotten::default() && !is_wanted(would)? {
        remark("Nothing was deleted.");
        return Ok(Exit::Failed);
    }
    let done = admin::purge(&args.state, keep, |_| {}).await.map_err(refusal)?;
    print(output, done, true)?;
    Ok(Exit::Done)
}

/// Asks on the terminal; without one, nothing is deleted that nobody said yes to.
fn is_wanted(would: Forgotten) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::Usage {
            message: format!("it would delete {}, and there is no terminal to ask on", words(would)),
            remedy: "add --yes, or look with --preview".into(),
        });
    }
    let terminal = console::Term::stderr();
    terminal.write_str(&format!("Delete {} for good? [y/N] ", words(would)))?;
    Ok(matches!(terminal.read_line()?.trim(), "y" | "Y" | "yes"))
}

fn print(output: Output, forgotten: Forgotten, deleted: bool) -> Result<(), CliError> {
    let Forgotten { tasks, runs } = forgotten;
    match output {
        Output::Json => print_json(&Line { tasks, runs, deleted })?,
        Output::Pipe => print_tab_separated(&[vec![tasks.to_string(), runs.to_string()]])?,
        Output::Terminal if deleted => print_text(&format!("Deleted {}.\n", words(forgotten)))?,
        Output::Terminal => print_text(&format!("It would delete {}.\n", words(forgotten)))?,
    }
    Ok(())
}

fn words(Forgotten { tasks, runs }: Forgotten) -> String {
    let count = |number: u64, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
    format!("{} and {}", count(tasks, "task"), count(runs, "workflow run"))
}

/// `30d`, `12h`
fn parse_age(text: &str) -> Result<TimeDelta, String> {
    const WRONG: &str = "give days or hours, such as 30d or 12h";
    let days = text.strip_suffix('d').map(|days| (days, 24));
    let (number, hours) = days.or_else(|| text.strip_suffix('h').map(|hours| (hours, 1))).ok_or(WRONG)?;
    let number: u32 = number.parse().map_err(|_| WRONG)?;
    if !(1..=1_000_000).contains(&number) {
        return Err("must be at least an hour".into());
    }
    Ok(TimeDelta::hours(i64::from(number) * hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_days_or_hours() {
        assert_eq!(parse_age("30d"), Ok(TimeDelta::days(30)));
        assert_eq!(parse_age("12h"), Ok(TimeDelta::hours(12)));
        assert!(["", "d", "30", "0d", "-1d", "1w", "1.5h"].into_iter().all(|bad| parse_age(bad).is_err()));
    }

    #[test]
    fn an_amount_is_in_words() {
        assert_eq!(words(Forgotten { tasks: 1, runs: 0 }), "1 task and 0 workflow runs");
    }
}
