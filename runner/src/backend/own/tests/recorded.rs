//! Real agents that are told once, as the documentation has them: what they have printed where they were recorded is read by its tables.

use domain::{CostSource, StepCost};
use serde_json::Value;

use super::*;

/// The manifest of a program, as it stands in the documentation.
fn documented(program: &str) -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/backends.md")).unwrap();
    let mut examples = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    examples.find(|example| example.contains(&format!("command = [\"{program}\""))).unwrap().to_owned()
}

/// Its lines as they came, without what whoever recorded them has added.
fn recorded(name: &str) -> Vec<String> {
    let path = format!("{}/tests/transcripts/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

fn command() -> Value {
    json!({"command": "echo hello > out.txt && cat out.txt", "description": "x"})
}

#[test]
fn gemini_cli_says_how_it_went_in_its_last_line() {
    let mut dialogue = own(&documented("gemini"));
    let (events, is_over) = played(&mut dialogue, &recorded("gemini-ok"));
    assert_eq!(names(&events), ["started", "tool_call", "tool_result", "message", "usage", "ended"], "{events:#?}");
    let (session, model) = ("6256fa3d-7838-47d3-9284-9c0631bff7ad", "gemini-2.5-flash");
    assert!(matches!(&events[0], Event::Started { session: Some(own), model: Some(of), .. } if own == session && of == model));
    assert!(matches!(&events[1], Event::ToolCall { tool, input, .. } if tool == "run_shell_command" && *input == command()));
    assert!(matches!(&events[2], Event::ToolResult { output, is_error: false, .. } if output == "hello"), "{:?}", events[2]);
    assert_eq!(events[3], Event::Message { text: "All done.".into() });
    assert_eq!(
        events[4],
        Event::Usage { model: Some(model.into()), input: 200, cached: 80, cache_written: 0, output: 40, cost: None, is_part: false }
    );
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());

    let mut dialogue = own(&documented("gemini"));
    let (events, is_over) = played(&mut dialogue, &recorded("gemini-402"));
    assert_eq!((names(&events), is_over), (vec!["started", "ended"], true), "{events:#?}");
    let why = why(&dialogue, exit(146));
    assert!(why.starts_with("mine (own) failed: [API Error: ") && why.contains("run budget exhausted (USD 2.00)"), "{why}");
}

#[test]
fn opencode_says_only_when_it_went_badly() {
    let mut dialogue = own(&documented("opencode"));
    let (events, is_over) = played(&mut dialogue, &recorded("opencode-ok"));
    assert_eq!(names(&events), ["started", "tool_call", "tool_result", "usage", "message", "usage"], "{events:#?}");
    assert_eq!(events[1], Event::ToolCall { call: "call_1".into(), tool: "bash".into(), input: command() });
    assert_eq!(events[2], Event::ToolResult { call: "call_1".into(), output: "hello\n".into(), is_error: false });
    assert_eq!(events[4], Event::Message { text: "All done.".into() });
    let cost = Some(StepCost { micros: 492, source: CostSource::Agent });
    let used = Event::Usage { model: Some("large".into()), input: 60, cached: 40, cache_written: 0, output: 20, cost, is_part: false };
    assert_eq!((&events[3], &events[5]), (&used, &used), "each of its two answers");
    assert!(!is_over && dialogue.gone(exit(0)) == [ended(true)] && dialogue.verdict(exit(0)).is_ok());
    assert_eq!(dialogue.session().as_deref(), Some("ses_e07bbd1dcffecMIHyfzbl0dANi"));

    let mut dialogue = own(&documented("opencode"));
    let (events, is_over) = played(&mut dialogue, &recorded("opencode-402"));
    assert_eq!((names(&events), is_over), (vec!["started", "ended"], true), "{events:#?}");
    assert_eq!(why(&dialogue, exit(1)), "mine (own) failed: run budget exhausted (USD 2.00)");
}
