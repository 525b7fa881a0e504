//! `muster task session`

use clap::Args;
use domain::{CostSource, SessionEvent, SessionEventKind as Event, StepCost, price::UNKNOWN, session::dollars};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    log_output::LogOutput,
    output::{Output, OutputArgs, on_one_line, print_json, print_tab_separated, remark},
};

#[derive(Args, Debug)]
#[command(after_help = "\
What an agent says is shown as it said it; Muster has checked none of it. The checks say what is
proven: muster task show.

Examples:
  muster task session 0c1d2e3f
  muster task session 0c1d2e3f --attempt 1 --json")]
pub struct SessionArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// The attempt [default: the latest].
    #[arg(long, value_name = "N")]
    attempt: Option<i32>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn session(args: &SessionArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let mut whole = client.session(id, args.attempt, 0).await?;
    while whole.more {
        let after = whole.events.last().map_or(0, |event| event.number);
        // of the same attempt, whatever has begun meanwhile
        let part = client.session(id, whole.attempt, after).await?;
        whole.events.extend(part.events);
        (whole.more, whole.on_its_way) = (part.more, part.on_its_way);
    }
    let told_later = tells_costs_later(&whole.events);
    match args.output.output() {
        Output::Json => print_json(&whole)?,
        Output::Pipe => {
            let line = |event: &SessionEvent| {
                vec![event.number.to_string(), event.kind.name().to_owned(), on_one_line(&text_of(&event.kind, told_later))]
            };
            print_tab_separated(&whole.events.iter().map(line).collect::<Vec<_>>())?;
        }
        Output::Terminal if whole.events.is_empty() && whole.on_its_way.is_empty() => {
            remark("Its agent has said nothing that could be shown; `muster task logs` has what it printed.")
        }
        Output::Terminal => {
            let mut out = LogOutput::stdout();
            for event in &whole.events {
                out.write(
                    format!("{}: {}\n", event.kind.name().replace('_', " "), text_of(&event.kind, told_later).trim_end()).as_bytes(),
                )?;
            }
            for one in &whole.on_its_way {
                out.write(format!("on its way: {}: {}\n", one.by, one.text.trim_end()).as_bytes())?;
            }
            out.pause()?;
        }
    }
    Ok(Exit::Done)
}

/// Whether its agent tells what its answers have cost with the end of the turn.
fn tells_costs_later(events: &[SessionEvent]) -> bool {
    events.iter().any(|event| matches!(&event.kind, Event::Started { backend, .. } if backend.counts_money()))
}

fn text_of(event: &Event, told_later: bool) -> String {
    match event {
        Event::Started { backend, version, model, .. } => {
            [Some(backend.title().into_owned()), version.clone(), model.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Event::Prompt { text, by: Some(by) } => format!("{by}: {text}"),
        Event::Prompt { text, by: None } | Event::Message { text } | Event::Thinking { text } => text.clone(),
        Event::ToolCall { tool, input, .. } => format!("{tool} {input}"),
        Event::ToolResult { output, is_error, .. } => {
            if *is_error {
                format!("failed: {output}")
            } else {
                output.clone()
            }
        }
        Event::FileChange { path, .. } => path.clone(),
        Event::Permission { tool, subject, allowed, by } => {
            format!("{tool} {subject}: {} by {by}", if *allowed { "allowed" } else { "not allowed" })
        }
        Event::Usage { model, input, cached, output, cost, is_part, .. } => {
            let at_least = if *is_part { "at least " } else { "" };
            let model = model.as_ref().map(|model| format!("{model}: ")).unwrap_or_default();
            let cost = match cost.map(StepCost::in_words) {
                Some(cost) => format!(", {cost}"),
                None if told_later => String::new(),
                None => format!(", {UNKNOWN}"),
            };
            format!("{model}{at_least}{input} tokens in, {cached} of them cached, {output} out{cost}")
        }
        Event::Error { message } => message.clone(),
        Event::Ended { how, turns, cost_micros } => {
            let how = serde_json::to_value(how).ok().and_then(|how| how.as_str().map(|how| how.replace('_', " "))).unwrap_or_default();
            let turns = turns.map(|turns| format!(", {turns} turn{}", if turns == 1 { "" } else { "s" })).unwrap_or_default();
            let cost = cost_micros.map(|micros| format!(", {} {}", dollars(micros), CostSource::Agent.in_words())).unwrap_or_default();
            format!("{how}{turns}{cost}")
        }
        Event::LeftOut { events } => format!("{events} events"),
        Event::Judge { round, check, event } => {
            // whoever judges counts money
            format!("check {check} in round {round}, {}: {}", event.name().replace('_', " "), text_of(event, true))
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{Backend, Timestamp};

    use super::*;

    #[test]
    fn a_cost_that_nobody_knows_is_not_left_out() {
        let answer =
            |cost| Event::Usage { model: Some("m".into()), input: 10, cached: 0, cache_written: 0, output: 1, cost, is_part: false };
        let of = |backend, cost| {
            let begins = Event::Started { backend, version: None, model: None, session: None };
            let events = [SessionEvent { number: 1, at: Timestamp::UNIX_EPOCH, kind: begins }];
            text_of(&answer(cost), tells_costs_later(&events))
        };
        let tokens = "m: 10 tokens in, 0 of them cached, 1 out";
        assert_eq!(of(Backend::Codex, None), format!("{tokens}, price unknown"));
        assert_eq!(of(Backend::ClaudeCode, None), tokens, "it is told with the end of the turn");
        let priced = Some(StepCost { micros: 1300, source: CostSource::Workspace });
        assert_eq!(of(Backend::ClaudeCode, priced), format!("{tokens}, $0.0013 at the workspace's price"));
        let judge = Event::Judge { round: 1, check: 2, event: Box::new(answer(None)) };
        assert_eq!(text_of(&judge, false), format!("check 2 in round 1, usage: {tokens}"));
    }
}
