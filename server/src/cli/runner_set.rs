//! `muster runner set`

use clap::Args;
use domain::{
    Runner,
    runner::{RunnerChange, SLOTS_MAX},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Output, OutputArgs, on_one_line, print_json, print_tab_separated, print_text},
    runner::find_runner,
};

#[derive(Args)]
#[command(after_help = "\
It holds at once, and until it is set otherwise, also when its machine or the server is restarted. What
the runner carries out beyond that goes on. One of an older version of Muster is held to fewer than its
machine says, and has more once it is updated.

In a pipe the line holds, separated by tabs: id, slots, how many were set, how many its machine says.

Example:
  muster runner set far --slots 8
  muster runner set far --slots own")]
pub struct SetArgs {
    /// Its name, or its id.
    name: String,
    /// Attempts carried out at once; `own` for as many as its machine says.
    #[arg(long, value_name = "N", value_parser = parse_slots)]
    slots: Wanted,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Nothing for as many as its machine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted(Option<i32>);

fn parse_slots(text: &str) -> Result<Wanted, String> {
    if text == "own" {
        return Ok(Wanted(None));
    }
    let slots = text.parse::<i32>().ok().filter(|slots| (1..=SLOTS_MAX.cast_signed()).contains(slots));
    slots.map(|slots| Wanted(Some(slots))).ok_or_else(|| format!("must be a number from 1 to {SLOTS_MAX}, or own"))
}

pub async fn set(args: &SetArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_runner(&client, &args.name).await?.id;
    let runner = client.change_runner(id, &RunnerChange { slots: args.slots.0 }).await?;
    match args.output.output() {
        Output::Json => print_json(&runner)?,
        Output::Pipe => print_tab_separated(&[fields(&runner)])?,
        Output::Terminal => print_text(&sentence(&runner))?,
    }
    Ok(Exit::Done)
}

fn fields(runner: &Runner) -> Vec<String> {
    let set = runner.slots_set.map(|slots| slots.to_string()).unwrap_or_default();
    vec![runner.id.to_string(), runner.slots.to_string(), set, runner.slots_own.to_string()]
}

fn sentence(runner: &Runner) -> String {
    let at_once = if runner.slots == 1 { "1 attempt".to_owned() } else { format!("{} attempts at once", runner.slots) };
    let why = runner.slots_in_words().unwrap_or_else(|| "as its machine says".into());
    format!("Runner {} carries out {at_once}: {why}\n", on_one_line(&runner.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_slots_is_read_as_it_is_meant() {
        assert_eq!((parse_slots("8"), parse_slots("own")), (Ok(Wanted(Some(8))), Ok(Wanted(None))));
        for wrong in ["0", "-1", "1001", "all", ""] {
            assert_eq!(parse_slots(wrong), Err("must be a number from 1 to 1000, or own".into()), "{wrong}");
        }
    }

    #[test]
    fn what_was_set_is_said_with_what_comes_of_it() {
        let mut runner: Runner = serde_json::from_value(serde_json::json!({
            "id": "00000000-0000-7000-8000-000000000001", "name": "far", "slots": 8, "slots_own": 2, "slots_set": 8, "busy": 0, "blocked": 0,
            "capabilities": ["linux"], "online": true, "state": "idle", "draining": null, "joined": true,
            "last_seen_at": "1970-01-01T00:00:00Z", "no_sandbox": null, "backends": [],
        }))
        .unwrap();
        assert_eq!(sentence(&runner), "Runner far carries out 8 attempts at once: as was set; its machine says 2\n");
        assert_eq!(fields(&runner)[1..], ["8", "8", "2"]);
        runner.slots = 2;
        assert!(sentence(&runner).starts_with("Runner far carries out 2 attempts at once: 8 were set; it has 2 until "));
        runner = Runner { slots: 1, slots_own: 1, slots_set: None, ..runner };
        assert_eq!(sentence(&runner), "Runner far carries out 1 attempt: as its machine says\n");
        assert_eq!(fields(&runner)[1..], ["1", "", "1"]);
    }
}
