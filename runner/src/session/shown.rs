//! An event of a session as the log shows it.

use domain::{
    SessionEventKind as Event,
    session::{FileChange, SessionEnd, dollars, subject},
};
use serde_json::Value;

/// Of what a tool answered.
const LINES: usize = 20;
/// Of what a tool is called with.
const WIDTH: usize = 300;

/// Whole lines; nothing for what only the session's page shows.
pub(super) fn shown(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { backend, version, model, .. } => {
            let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            let model = model.as_ref().map(|model| format!(" with {model}")).unwrap_or_default();
            dim(&format!("{}{version}{model}", backend.title()))
        }
        // what it is told is the task's own
        Event::Prompt { by: None, .. } | Event::Usage { .. } => return None,
        Event::Prompt { text, by: Some(by) } => format!("\x1b[36m{by}: {}\x1b[0m\n", text.trim_end()),
        Event::Message { text } => format!("{}\n", text.trim_end()),
        Event::Thinking { text } => dim(text.trim_end()),
        Event::ToolCall { tool, input, .. } => format!("\x1b[1m› {tool}\x1b[0m {}\n", in_one_line(input)),
        Event::ToolResult { output, is_error, .. } => indented(output, *is_error),
        Event::FileChange { path, change, .. } => {
            let word = match change {
                FileChange::Written => "wrote",
                FileChange::Edited => "edited",
                FileChange::Deleted => "deleted",
            };
            format!("  {word} {path}\n")
        }
        Event::Permission { tool, subject, allowed, by } => {
            let word = if *allowed { "allowed" } else { "not allowed" };
            format!("\x1b[33m! {tool} {subject}: {word} by {by}\x1b[0m\n")
        }
        Event::Error { message } => format!("\x1b[31m! {message}\x1b[0m\n"),
        Event::Ended { how, turns, cost_micros } => {
            let how = match how {
                SessionEnd::Completed => "done",
                SessionEnd::Failed => "failed",
                SessionEnd::TurnsUsedUp => "its turns are used up",
                SessionEnd::MoneyUsedUp => "its money is used up",
            };
            let turns = turns.map(|turns| format!(", {turns} turn{}", if turns == 1 { "" } else { "s" })).unwrap_or_default();
            let cost = cost_micros.map(|micros| format!(", {} at list prices", dollars(micros))).unwrap_or_default();
            dim(&format!("{how}{turns}{cost}"))
        }
        Event::LeftOut { events } => dim(&format!("{events} events of the session are left out")),
        Event::Judge { event, .. } => of_a_judge(&shown(event)?),
    })
}

/// So that nobody takes it for what the agent says that did the work.
pub(super) fn of_a_judge(text: &str) -> String {
    text.lines().map(|line| format!("\x1b[2mjudge\x1b[0m {line}\n")).collect()
}

fn dim(text: &str) -> String {
    text.lines().map(|line| format!("\x1b[2m{line}\x1b[0m\n")).collect()
}

/// What a tool is about.
fn in_one_line(input: &Value) -> String {
    let text = subject(input).map_or_else(|| input.to_string(), str::to_owned).replace('\n', "⏎ ");
    let cut = text.floor_char_boundary(WIDTH);
    if cut < text.len() { format!("{}…", &text[..cut]) } else { text }
}

fn indented(output: &str, is_error: bool) -> String {
    let lines: Vec<_> = output.trim_end().lines().collect();
    let (start, end) = if is_error { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    let mut text: String = lines.iter().take(LINES).map(|line| format!("  {start}{line}{end}\n")).collect();
    if lines.len() > LINES {
        text.push_str(&dim(&format!("  {} more lines, in the session", lines.len() - LINES)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_reads_as_what_was_done() {
        let call = |input: Value| Event::ToolCall { call: "a".into(), tool: "Bash".into(), input };
        assert_eq!(shown(&call(json!({"command": "make\ntest"}))).unwrap(), "\x1b[1m› Bash\x1b[0m make⏎ test\n");
        assert!(shown(&call(json!({"command": "é".repeat(1000)}))).unwrap().ends_with("…\n"));
        let output = (0..25).map(|line| format!("row {line}\n")).collect();
        let result = shown(&Event::ToolResult { call: "a".into(), output, is_error: false }).unwrap();
        assert!(result.starts_with("  row 0\n") && result.contains("  5 more lines, in the session"));
        let ended = Event::Ended { how: SessionEnd::Completed, turns: Some(2), cost_micros: Some(1305) };
        assert_eq!(shown(&ended).unwrap(), "\x1b[2mdone, 2 turns, $0.0013 at list prices\x1b[0m\n");
        assert_eq!(shown(&Event::Prompt { text: "x".into(), by: None }), None);
        let judge = |event| Event::Judge { round: 1, check: 1, event: Box::new(event) };
        let says = shown(&judge(Event::Message { text: "One.\nTwo.".into() })).unwrap();
        assert_eq!(says, "\x1b[2mjudge\x1b[0m One.\n\x1b[2mjudge\x1b[0m Two.\n");
        assert_eq!(shown(&judge(Event::Prompt { text: "x".into(), by: None })), None);
    }
}
