//! What real sessions of Codex 0.169.0 come to, told once; they are in `tests/transcripts`.

use std::os::unix::process::ExitStatusExt;

use domain::{AgentTerms, session::FileChange};
use serde_json::json;

use super::*;
use crate::backend::question::Leave;

/// Its lines as they came, without what whoever recorded them has added.
fn transcript(name: &str) -> Vec<String> {
    let path = format!("{}/tests/transcripts/codex-{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

fn exit(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn opened(terms: &AgentTerms, session: Option<&str>, spent: Spent) -> (Opening, Exec) {
    let place = Beginning {
        worktree: "/home/dev/run".into(),
        more: None,
        config: "/home/dev/.codex".into(),
        session: session.map(str::to_owned),
        spent,
        terms,
        leave: Leave::Anything,
        in_sandbox: true,
        given: &[],
    };
    open(place, "write out.txt", "0.169.0")
}

fn conversation() -> Exec {
    opened(&AgentTerms::default(), None, Spent::default()).1
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

/// All that it says in these lines, and whether it has said all.
fn played(dialogue: &mut Exec, lines: &[String]) -> (Vec<Event>, bool) {
    let heard: Vec<_> = lines.iter().map(|line| dialogue.hear(line)).collect();
    assert!(heard.iter().all(|heard| !heard.is_output && heard.answers.is_empty() && heard.questions.is_empty()));
    let is_over = heard.iter().any(|heard| heard.is_over);
    (heard.into_iter().flat_map(|heard| heard.events).collect(), is_over)
}

fn hears(dialogue: &mut Exec, message: &Value) -> Vec<Event> {
    dialogue.hear(&message.to_string()).events
}

fn fails(dialogue: &Exec, code: i32) -> Failure {
    dialogue.verdict(exit(code)).unwrap_err()
}

#[test]
fn a_session_that_goes_well_is_told_whole() {
    let mut dialogue = conversation();
    let (events, is_over) = played(&mut dialogue, &transcript("ok"));
    assert_eq!(names(&events), ["started", "error", "tool_call", "tool_result", "message", "usage", "ended"], "{events:#?}");
    let thread = Some("01a1f843-e2c7-7572-a504-851b7fbf3e5b".to_owned());
    let (backend, version) = (Backend::Codex, Some("0.169.0".to_owned()));
    assert_eq!(events[0], Event::Started { backend, version, model: None, session: thread.clone() });
    let command = json!({"command": "/bin/bash -lc 'echo hello > out.txt && cat out.txt'"});
    assert_eq!(events[2], Event::ToolCall { call: "item_1".into(), tool: "command".into(), input: command });
    assert_eq!(events[3], Event::ToolResult { call: "item_1".into(), output: "hello".into(), is_error: false });
    assert_eq!(events[4], Event::Message { text: "All done.".into() });
    assert_eq!(events[5], Event::Usage { model: None, input: 200, cached: 80, cache_written: 0, output: 40, cost: None, is_part: false });
    assert_eq!(events[6], Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros: None });
    assert!(is_over && dialogue.verdict(exit(0)).is_ok(), "what it calls an error it has got over");
    assert_eq!(fails(&dialogue, 1).message, "Codex ended with exit status 1 after it had said that all went well");
    assert_eq!(dialogue.session(), thread);
    let (events, is_over) = played(&mut dialogue, &transcript("ok"));
    assert!(events.is_empty() && !is_over, "it has said all");
}

#[test]
fn one_that_its_provider_refuses_has_failed_and_says_why() {
    let mut dialogue = conversation();
    let (events, is_over) = played(&mut dialogue, &transcript("402"));
    assert_eq!(names(&events), ["started", "error", "error", "error", "ended"], "{events:#?}");
    assert_eq!(events[4], Event::Ended { how: SessionEnd::Failed, turns: None, cost_micros: None });
    assert!(is_over);
    for code in [0, 1] {
        let failure = fails(&dialogue, code);
        assert_eq!(failure.code, FailureCode::ProviderRefused, "whatever its exit code");
        let why = "Codex was refused by its provider: unexpected status 402 Payment Required: run budget exhausted (USD 2.00)";
        assert!(failure.message.starts_with(why), "{}", failure.message);
    }
}

#[test]
fn an_end_is_judged_by_what_it_says() {
    for (message, expected) in [
        ("exceeded retry limit, last status: 429 Too Many Requests", FailureCode::ProviderLimit),
        ("unexpected status 503 Service Unavailable: later", FailureCode::ProviderLimit),
        ("unexpected status 401 Unauthorized: no such key", FailureCode::ProviderRefused),
        ("unexpected status 500 Internal Server Error: oh", FailureCode::CommandFailed),
        ("the model said: unexpected status 402", FailureCode::CommandFailed),
        ("stream disconnected before completion", FailureCode::CommandFailed),
        ("", FailureCode::CommandFailed),
    ] {
        let mut dialogue = conversation();
        assert_eq!(names(&hears(&mut dialogue, &json!({"type": "turn.failed", "error": {"message": message}}))), ["ended"]);
        assert_eq!(fails(&dialogue, 1).code, expected, "{message}");
    }
    let mut silent = conversation();
    let all = transcript("ok");
    assert!(!played(&mut silent, &all[..all.len() - 1]).1);
    assert!(fails(&silent, 0).message.ends_with("without saying how it went"));
    // a thread that it does not know, of which it says nothing on its standard output
    assert_eq!(fails(&conversation(), 1).code, FailureCode::CommandFailed);
    let mut declined = conversation();
    let item = json!({"id": "item_0", "type": "command_execution", "command": "rm -r /", "status": "declined"});
    hears(&mut declined, &json!({"type": "item.completed", "item": item}));
    hears(&mut declined, &json!({"type": "turn.completed", "usage": {}}));
    assert_eq!(fails(&declined, 0).message, "Codex was not allowed: rm -r /");
}

#[test]
fn a_later_round_goes_on_with_its_thread_and_tells_what_that_has_used_since() {
    let terms = AgentTerms { model: Some("gpt-5.2".into()), ..AgentTerms::default() };
    let arguments = |opening: &Opening| opening.arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
    let (opening, mut dialogue) = opened(&terms, None, Spent::default());
    let usual = "exec --json --skip-git-repo-check -s danger-full-access -C /home/dev/run -m gpt-5.2";
    assert!(arguments(&opening).ends_with(&format!(" {usual} -")), "{:?}", opening.arguments);
    assert_eq!((opening.lines, dialogue.listens()), (vec!["write out.txt".to_owned()], false), "its input ends there");
    played(&mut dialogue, &transcript("ok"));
    let (thread, spent) = (dialogue.session().unwrap(), dialogue.spent());

    let (opening, mut dialogue) = opened(&terms, Some(&thread), spent);
    assert!(arguments(&opening).ends_with(&format!(" {usual} resume {thread} -")), "{:?}", opening.arguments);
    let usage = json!({"input_tokens": 300, "cached_input_tokens": 120, "output_tokens": 60});
    let events = hears(&mut dialogue, &json!({"type": "turn.completed", "usage": usage}));
    assert_eq!(
        events[0],
        Event::Usage { model: terms.model.clone(), input: 100, cached: 40, cache_written: 0, output: 20, cost: None, is_part: false },
        "it tells of the whole thread"
    );
    let usage = json!({"input_tokens": 50, "cache_write_input_tokens": 5, "output_tokens": 10});
    let (_, mut alone) = opened(&terms, Some(&thread), spent);
    let events = hears(&mut alone, &json!({"type": "turn.completed", "usage": usage}));
    assert_eq!(
        events[0],
        Event::Usage { model: terms.model.clone(), input: 50, cached: 0, cache_written: 5, output: 10, cost: None, is_part: false },
        "or of this turn"
    );
    assert_eq!(alone.spent(), Spent { input: 250, cached: 80, cache_written: 5, output: 50, ..Spent::default() });

    let (opening, _) = opened(&terms, Some("--last"), Spent::default());
    assert!(arguments(&opening).ends_with(&format!(" {usual} -")), "no name of a thread");
}

#[test]
fn whatever_it_does_is_told() {
    let mut dialogue = conversation();
    let mut told = |kind: &str, item: Value| hears(&mut dialogue, &json!({"type": kind, "item": item}));
    let plan = |done: bool| json!({"id": "p", "type": "todo_list", "items": [{"text": "Look", "completed": done}, {"text": "Write", "completed": false}]});
    assert_eq!(told("item.started", plan(false)), [Event::Thinking { text: "[ ] Look\n[ ] Write".into() }]);
    assert_eq!(told("item.updated", plan(true)), [Event::Thinking { text: "[x] Look\n[ ] Write".into() }]);
    assert!(told("item.completed", plan(true)).is_empty(), "it has been told");
    let thought = json!({"id": "r", "type": "reasoning", "text": "I look."});
    assert_eq!(told("item.completed", thought), [Event::Thinking { text: "I look.".into() }]);

    let changes =
        json!([{"path": "/home/dev/run/src/a.rs", "kind": "add"}, {"path": "b.rs", "kind": "update"}, {"path": "c", "kind": "delete"}]);
    let patch = json!({"id": "f", "type": "file_change", "changes": changes, "status": "completed"});
    let events = told("item.completed", patch);
    assert_eq!(names(&events), ["tool_call", "tool_result", "file_change", "file_change", "file_change"]);
    let changed = |path: &str, change| Event::FileChange { path: path.into(), change, diff: None };
    assert_eq!(
        events[2..],
        [changed("src/a.rs", FileChange::Written), changed("b.rs", FileChange::Edited), changed("c", FileChange::Deleted)]
    );
    let failed = json!({"id": "f2", "type": "file_change", "changes": changes, "status": "failed"});
    assert_eq!(names(&told("item.completed", failed)), ["tool_call", "tool_result"]);

    let command = json!({"id": "c", "type": "command_execution", "command": "make", "exit_code": 2, "status": "failed", "aggregated_output": "no rule\n"});
    assert_eq!(
        told("item.completed", command)[1],
        Event::ToolResult { call: "c".into(), output: "no rule\n[exit code 2]".into(), is_error: true }
    );
    let call = |status: &str| json!({"id": "m", "type": "mcp_tool_call", "server": "docs", "tool": "find", "arguments": {"q": "x"}, "status": status, "result": null, "error": null});
    let begun = Event::ToolCall { call: "m".into(), tool: "docs find".into(), input: json!({"q": "x"}) };
    assert_eq!(told("item.started", call("in_progress")), [begun]);
    assert_eq!(told("item.completed", call("failed")), [Event::ToolResult { call: "m".into(), output: String::new(), is_error: true }]);
    let helper = json!({"id": "h", "type": "collab_tool_call", "tool": "spawn_agent", "prompt": "Look", "status": "completed"});
    assert_eq!(names(&told("item.completed", helper)), ["tool_call", "tool_result"]);
    let later = json!({"id": "l", "type": "of_a_later_version"});
    assert_eq!(names(&told("item.started", later)), ["tool_call"]);
}

#[test]
fn nothing_can_be_said_to_it_and_what_it_prints_beside_is_output() {
    let mut dialogue = conversation();
    assert_eq!(dialogue.tell("Ada says: stop", true), None);
    for line in ["", "WARNING: x", "[]", "{}"] {
        assert!(dialogue.hear(line).is_output, "{line}");
    }
    assert!(dialogue.hear(r#"{"type": "of.a.later.version"}"#) == Heard::default());
    assert!(dialogue.may_be_the_last(r#"{"type":"turn.failed","error":{"mes"#) && !dialogue.may_be_the_last(r#"{"type":"item.completed""#));
}
