//! `muster task session`

use clap::Args;
use domain::{CostSource, SessionEvent, SessionEventKind as Event, session::dollars};

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
    match args.output.output() {
        Output::Json => print_json(&whole)?,
        Output::Pipe => {
            let line =
                |event: &SessionEvent| vec![event.number.to_string(), event.kind.name().to_owned(), on_one_line(&text_of(&event.kind))];
            print_tab_separated(&whole.events.iter().map(line).collect::<Vec<_>>())?;
        }
        Output::Terminal if whole.events.is_empty() && whole.on_its_way.is_empty() => {
            remark("Its agent has said nothing that could be shown; `muster task logs` has what it printed.")
        }
        Output::Terminal => {
            let mut out = LogOutput::stdout();
            for event in &whole.events {
                out.write(format!("{}: {}\n", event.kind.name().replace('_', " "), text_of(&event.kind).trim_end()).as_bytes())?;
            }
            for one in &whole.on_its_way {
                out.write(format!("on its way: {}: {}\n", one.by, one.text.trim_end()).as_bytes())?;
            }
            out.pause()?;
        }
    }
    Ok(Exit::Done)
}

fn text_of(event: &Event) -> String {
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
            let cost = cost.map(|cost| format!(", {}", cost.in_words())).unwrap_or_default();
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
            format!("check {check} in round {round}, {}: {}", event.name().replace('_', " "), text_of(event))
        }
    }
}
