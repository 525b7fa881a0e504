//! What real sessions of Codex 0.169.0 come to; the recorded one is in `tests/transcripts`.

use std::os::unix::process::ExitStatusExt;

use domain::session::FileChange;

use super::*;
use crate::backend::{Leave, Spent};

/// Its lines as they came; the recording has cut the longest ones, of which one is needed.
fn transcript() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/codex-appserver-accept.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let thread = r#"{"id": 1, "result": {"thread": {"id": "01a1f844-5f80-7ce2-b5c0-2d22aad93b58", "model": "gpt-5.2"}}}"#;
    let whole = |line: &str| if line.starts_with(r#"{"id": 1,"#) { thread.to_owned() } else { line.to_owned() };
    text.lines().filter_map(|line| line.strip_prefix("<< ").map(whole)).collect()
}

fn exit(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn beginning(terms: &AgentTerms) -> Beginning<'_> {
    let leave = Leave::Anything;
    Beginning {
        worktree: "/home/dev/run".into(),
        more: None,
        config: "/home/dev/.codex".into(),
        session: None,
        spent: Spent::default(),
        terms,
        leave,
        in_sandbox: true,
        given: &[],
    }
}

fn conversation() -> Codex {
    open(beginning(&AgentTerms::default()), "write out.txt").1
}

/// One whose turn has begun.
fn at_work(terms: &AgentTerms) -> Codex {
    let mut dialogue = open(beginning(terms), "write out.txt").1;
    for answer in [
        json!({"id": INITIALIZE, "result": {"userAgent": "muster/0.169.0 (Debian)"}}),
        json!({"id": THREAD, "result": {"thread": {"id": "t1", "model": "gpt-5.2"}}}),
        json!({"id": TURN, "result": {"turn": {"id": "u1"}}}),
    ] {
        dialogue.hear(&answer.to_string());
    }
    dialogue
}

fn told(dialogue: &mut Codex, method: &str, params: Value) -> Heard {
    dialogue.hear(&json!({"method": method, "params": params}).to_string())
}

fn ends(dialogue: &mut Codex, status: &str, error: Value) -> Heard {
    told(dialogue, "turn/completed", json!({"turn": {"id": "u1", "status": status, "error": error}}))
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

fn code(verdict: Result<(), Failure>) -> Option<FailureCode> {
    verdict.err().map(|failure| failure.code)
}

#[test]
fn a_recorded_session_is_told_whole() {
    let mut dialogue = conversation();
    let (mut events, mut answers, mut is_over) = (vec![], vec![], false);
    for line in transcript() {
        let heard = dialogue.hear(&line);
        events.extend(heard.events);
        answers.extend(heard.answers);
        is_over |= heard.is_over;
    }
    assert_eq!(names(&events), ["started", "tool_call", "tool_result", "usage", "message", "usage", "ended"], "{events:#?}");
    assert_eq!(events[2], Event::ToolResult { call: "call_1".into(), output: "hi".into(), is_error: false });
    let model = Some("gpt-5.2".to_owned());
    assert_eq!(events[3], Event::Usage { model, input: 100, cached: 40, cache_written: 0, output: 20, cost: None, is_part: false });
    assert_eq!(events[6], Event::Ended { how: SessionEnd::Completed, turns: Some(2), cost_micros: None });
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());
    let methods: Vec<_> = answers.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    let method = |at: usize| methods[at]["method"].as_str().unwrap_or_default();
    assert_eq!([method(0), method(1), method(2)], ["initialized", "thread/start", "turn/start"]);
    assert_eq!(methods[3], json!({"id": 0, "result": {"decision": "accept"}}), "its sandbox is around it");
    assert_eq!(dialogue.session().as_deref(), Some("01a1f844-5f80-7ce2-b5c0-2d22aad93b58"));
}

#[test]
fn a_later_round_goes_on_with_its_thread() {
    let terms = AgentTerms { model: Some("gpt-5.2".into()), ..AgentTerms::default() };
    let mut dialogue = open(Beginning { session: Some("t1".into()), ..beginning(&terms) }, "again").1;
    let heard = dialogue.hear(&json!({"id": INITIALIZE, "result": {}}).to_string());
    let resume: Value = serde_json::from_str(&heard.answers[1]).unwrap();
    assert_eq!((&resume["method"], &resume["params"]["threadId"]), (&json!("thread/resume"), &json!("t1")));
    assert_eq!(resume["params"]["model"], "gpt-5.2");
    // what the earlier round used is told again, and is none of this one's
    let old = json!({"turnId": "old", "tokenUsage": {"total": {"totalTokens": 240}, "last": {"inputTokens": 100, "outputTokens": 20}}});
    assert_eq!(told(&mut dialogue, "thread/tokenUsage/updated", old), Heard::default());
    assert!(!told(&mut dialogue, "turn/completed", json!({"turn": {"id": "old", "status": "completed"}})).is_over);
}

#[test]
fn an_end_is_judged_by_what_it_says() {
    let terms = AgentTerms::default();
    let http = |status: u16| json!({"message": "no", "codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": status}}});
    let named = |name: &str| json!({"message": "no", "codexErrorInfo": name});
    for (status, error, expected) in [
        ("completed", Value::Null, None),
        ("failed", http(402), Some(FailureCode::ProviderRefused)),
        ("failed", http(529), Some(FailureCode::ProviderLimit)),
        ("failed", http(500), Some(FailureCode::CommandFailed)),
        ("failed", named("unauthorized"), Some(FailureCode::ProviderRefused)),
        ("failed", named("rateLimitExceeded"), Some(FailureCode::ProviderLimit)),
        ("failed", named("sessionBudgetExceeded"), Some(FailureCode::AgentCapped)),
        ("failed", named("of a later version"), Some(FailureCode::CommandFailed)),
        ("interrupted", Value::Null, Some(FailureCode::CommandFailed)),
    ] {
        let mut dialogue = at_work(&terms);
        assert!(ends(&mut dialogue, status, error.clone()).is_over);
        assert_eq!(code(dialogue.verdict(exit(0))), expected, "{status} {error}");
    }
    let mut dialogue = at_work(&terms);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::CommandFailed), "it has not said how it went");
    ends(&mut dialogue, "completed", Value::Null);
    assert_eq!(code(dialogue.verdict(exit(1))), Some(FailureCode::CommandFailed));
}

#[test]
fn a_request_that_it_refuses_is_its_end() {
    let mut dialogue = conversation();
    let heard = dialogue.hear(&json!({"id": THREAD, "error": {"code": -32600, "message": "no such thread"}}).to_string());
    assert!(heard.is_over);
    assert_eq!(dialogue.verdict(exit(0)).unwrap_err().message, "Codex failed: no such thread");
}

#[test]
fn whatever_it_asks_is_answered() {
    let terms = AgentTerms::default();
    let mut dialogue = at_work(&terms);
    let asked = |dialogue: &mut Codex, method: &str| dialogue.hear(&json!({"id": 4, "method": method, "params": {}}).to_string()).answers;
    for method in ["item/commandExecution/requestApproval", "item/fileChange/requestApproval"] {
        assert_eq!(asked(&mut dialogue, method), [json!({"id": 4, "result": {"decision": "accept"}}).to_string()]);
    }
    for method in ["item/tool/requestUserInput", "item/permissions/requestApproval", "mcpServer/elicitation/request"] {
        let answers = asked(&mut dialogue, method);
        assert!(answers.len() == 1 && answers[0].contains("error"), "nobody is left waiting: {method} {answers:?}");
    }
    let declined = json!({"item": {"type": "commandExecution", "id": "c", "command": "curl example.org", "status": "declined"}});
    told(&mut dialogue, "item/completed", declined);
    ends(&mut dialogue, "completed", Value::Null);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::AgentDenied), "by a rule of its own");
}

#[test]
fn a_turn_that_never_begins_has_an_end() {
    let terms = AgentTerms::default();
    let mut dialogue = open(beginning(&terms), "x").1;
    let refused = json!({"willRetry": false, "error": {"message": "no", "codexErrorInfo": "unauthorized"}});
    assert!(told(&mut dialogue, "error", refused).is_over);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::ProviderRefused));
    assert!(told(&mut at_work(&terms), "thread/closed", json!({"threadId": "t1"})).is_over);
    // its own answer may come after the first that is told of it
    let mut dialogue = open(beginning(&terms), "x").1;
    told(&mut dialogue, "turn/started", json!({"turn": {"id": "u1"}}));
    assert!(ends(&mut dialogue, "completed", Value::Null).is_over);
}

#[test]
fn helpers_count_and_are_not_the_session() {
    let terms = AgentTerms { max_turns: Some(1), ..AgentTerms::default() };
    let mut dialogue = at_work(&terms);
    let item = json!({"threadId": "t2", "item": {"type": "agentMessage", "id": "m", "text": "I help."}});
    assert_eq!(told(&mut dialogue, "item/completed", item), Heard::default());
    assert!(!told(&mut dialogue, "turn/completed", json!({"threadId": "t2", "turn": {"id": "u9", "status": "completed"}})).is_over);
    let used = |thread: &str, turn: &str| json!({"threadId": thread, "turnId": turn, "tokenUsage": {"total": {"totalTokens": 10}, "last": {"inputTokens": 1}}});
    assert!(told(&mut dialogue, "thread/tokenUsage/updated", used("t1", "u1")).answers.is_empty());
    assert!(told(&mut dialogue, "thread/tokenUsage/updated", used("t2", "u9")).answers[0].contains("turn/interrupt"));
}

#[test]
fn it_is_interrupted_once_it_has_answered_too_often() {
    let terms = AgentTerms { max_turns: Some(2), ..AgentTerms::default() };
    let mut dialogue = at_work(&terms);
    let answer = |total: u64| json!({"turnId": "u1", "tokenUsage": {"total": {"totalTokens": total}, "last": {"inputTokens": 1, "outputTokens": 1}}});
    for total in [10, 10, 20] {
        assert!(told(&mut dialogue, "thread/tokenUsage/updated", answer(total)).answers.is_empty(), "what is said twice counts once");
    }
    let heard = told(&mut dialogue, "thread/tokenUsage/updated", answer(30));
    assert!(heard.answers[0].contains("turn/interrupt"));
    ends(&mut dialogue, "interrupted", Value::Null);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::AgentCapped));
}

#[test]
fn what_it_does_to_files_and_what_fails_is_told() {
    let terms = AgentTerms::default();
    let mut dialogue = at_work(&terms);
    let changes = json!([
        {"path": "/home/dev/run/src/a.rs", "kind": {"type": "add"}, "diff": "x"},
        {"path": "/home/dev/run/b.rs", "kind": {"type": "update", "move_path": null}, "diff": "y"}
    ]);
    let patch = |status: &str| json!({"item": {"type": "fileChange", "id": "p", "changes": changes, "status": status}});
    assert_eq!(names(&told(&mut dialogue, "item/started", patch("inProgress")).events), ["tool_call"]);
    let events = told(&mut dialogue, "item/completed", patch("completed")).events;
    assert_eq!(names(&events), ["tool_result", "file_change", "file_change"]);
    assert_eq!(events[1], Event::FileChange { path: "src/a.rs".into(), change: FileChange::Written, diff: None });
    let failed = json!({"item": {"type": "commandExecution", "id": "c", "command": "make", "status": "failed", "exitCode": 2, "aggregatedOutput": "no rule\n"}});
    let events = told(&mut dialogue, "item/completed", failed).events;
    assert_eq!(names(&events), ["tool_call", "tool_result"], "what had not been told to begin is told now");
    assert_eq!(events[1], Event::ToolResult { call: "c".into(), output: "no rule\n[exit code 2]".into(), is_error: true });
    let thought = json!({"item": {"type": "reasoning", "id": "r", "summary": ["I look.", "I see."], "content": []}});
    assert_eq!(told(&mut dialogue, "item/completed", thought).events, [Event::Thinking { text: "I look.\n\nI see.".into() }]);
}

#[test]
fn that_a_command_was_declined_stands_on_a_line_of_its_own() {
    let mut dialogue = at_work(&AgentTerms::default());
    for (printed, expected) in [("", "[declined]"), ("I look.\n", "I look.\n[declined]")] {
        let item = json!({"type": "commandExecution", "id": "c", "command": "make", "status": "declined", "aggregatedOutput": printed});
        let events = told(&mut dialogue, "item/completed", json!({"item": item})).events;
        assert_eq!(events[1], Event::ToolResult { call: "c".into(), output: expected.into(), is_error: true });
    }
}

#[test]
fn its_provider_is_where_the_agents_are_told_and_what_it_prints_is_output() {
    let terms = AgentTerms::default();
    let given = [("OPENAI_BASE_URL".into(), "http://127.0.0.1:4010/a\"b/v1".into())];
    let (opening, mut dialogue) = open(Beginning { given: &given, ..beginning(&terms) }, "x");
    let arguments = opening.arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
    assert!(arguments.contains(r#"base_url="http://127.0.0.1:4010/a\"b/v1""#) && arguments.ends_with("app-server"), "{arguments}");
    for line in ["", "WARNING: x", "[]", "{}"] {
        assert!(dialogue.hear(line).is_output, "{line}");
    }
}

fn lines(heard: &Heard) -> Vec<Value> {
    heard.answers.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One that asks people, at work.
fn that_asks(ask: domain::Ask) -> Codex {
    Codex { leave: Leave::Ask(ask), ..at_work(&AgentTerms::default()) }
}

fn asks_to_run(dialogue: &mut Codex, id: u64, command: &str) -> Heard {
    let params = json!({"itemId": format!("i{id}"), "command": command, "cwd": "/home/dev/run"});
    dialogue.hear(&json!({"id": id, "method": "item/commandExecution/requestApproval", "params": params}).to_string())
}

fn asks_to_change(dialogue: &mut Codex, id: u64, path: &str) -> Heard {
    let item = json!({"id": format!("i{id}"), "type": "fileChange", "changes": [{"path": path, "kind": {"type": "add"}, "diff": "+x"}]});
    told(dialogue, "item/started", json!({"item": item}));
    let params = json!({"itemId": format!("i{id}")});
    dialogue.hear(&json!({"id": id, "method": "item/fileChange/requestApproval", "params": params}).to_string())
}

fn answer(decision: Decision, message: Option<&str>) -> Answer {
    Answer { decision, by: "Ada".into(), message: message.map(Into::into), unanswered: false }
}

#[test]
fn people_are_asked_and_their_answer_is_told() {
    let mut dialogue = that_asks(domain::Ask::Commands);
    let heard = asks_to_run(&mut dialogue, 0, "make all");
    assert!(heard.answers.is_empty(), "it waits");
    let question = &heard.questions[0];
    assert_eq!((question.asked.kind, question.asked.subject.as_str()), (AskedKind::Command, "make all"));
    let heard = dialogue.answer(&question.key, &answer(Decision::Allow, None));
    assert_eq!(lines(&heard), [json!({"id": 0, "result": {"decision": "accept"}})]);
    assert_eq!(names(&heard.events), ["permission"]);
    assert_eq!(dialogue.answer(&question.key, &answer(Decision::Deny, None)), Heard::default(), "it is answered once");
    let elsewhere =
        json!({"id": 8, "method": "item/commandExecution/requestApproval", "params": {"itemId": "i8", "command": "ls", "cwd": "/tmp"}});
    assert_eq!(dialogue.hear(&elsewhere.to_string()).questions[0].asked.subject, "ls\nin /tmp");
    let types = json!({"id": 9, "method": "item/commandExecution/requestApproval", "params": {"itemId": "i9", "kind": "writeStdin", "command": "ls"}});
    assert!(dialogue.hear(&types.to_string()).answers[0].contains("error"), "it is no command");

    let key = asks_to_run(&mut dialogue, 1, "rm -r /").questions.remove(0).key;
    let heard = lines(&dialogue.answer(&key, &answer(Decision::Deny, Some("Use make clean"))));
    assert_eq!(heard[0], json!({"id": 1, "result": {"decision": "decline"}}));
    assert_eq!(
        (&heard[1]["method"], &heard[1]["params"]["input"][0]["text"]),
        (&json!("turn/steer"), &json!("Ada says:\n\nUse make clean"))
    );
    let declined = json!({"item": {"id": "i1", "type": "commandExecution", "status": "declined", "command": "rm -r /"}});
    told(&mut dialogue, "item/completed", declined);
    dialogue.hear(&json!({"id": heard[1]["id"], "result": {"turnId": "u1"}}).to_string());
    assert!(ends(&mut dialogue, "completed", Value::Null).is_over);
    assert!(dialogue.verdict(exit(0)).is_ok(), "whoever has denied it knows");
}

#[test]
fn a_change_in_the_repository_is_asked_for_only_when_the_task_says_so() {
    let mut dialogue = that_asks(domain::Ask::Commands);
    assert_eq!(lines(&asks_to_change(&mut dialogue, 0, "/home/dev/run/a.rs")), [json!({"id": 0, "result": {"decision": "accept"}})]);
    assert_eq!(asks_to_change(&mut dialogue, 1, "/etc/passwd").questions[0].asked.subject, "/etc/passwd");
    assert_eq!(asks_to_change(&mut dialogue, 2, "/home/dev/run/.git/config").questions.len(), 1);
    assert_eq!(asks_to_change(&mut dialogue, 3, "/home/dev/run/.codex/rules/a.rules").questions.len(), 1, "its next orders");
    let moves = json!([{"path": "/home/dev/run/a.rs", "kind": {"type": "update", "move_path": "/etc/a.rs"}}]);
    told(&mut dialogue, "item/started", json!({"threadId": "a helper's", "item": {"id": "i4", "type": "fileChange", "changes": moves}}));
    let asked = json!({"id": 4, "method": "item/fileChange/requestApproval", "params": {"threadId": "a helper's", "itemId": "i4"}});
    assert_eq!(dialogue.hear(&asked.to_string()).questions[0].asked.subject, "a.rs\n/etc/a.rs", "and where it goes");
    let unknown = json!({"id": 5, "method": "item/fileChange/requestApproval", "params": {"itemId": "i5"}});
    assert_eq!(lines(&dialogue.hear(&unknown.to_string())), [json!({"id": 5, "result": {"decision": "decline"}})], "nobody could see it");
    let mut dialogue = that_asks(domain::Ask::Everything);
    let question = asks_to_change(&mut dialogue, 0, "/home/dev/run/a.rs").questions.remove(0);
    assert_eq!((question.asked.subject.as_str(), &question.asked.input["changes"][0]["diff"]), ("a.rs", &json!("+x")));
    assert_eq!(told(&mut dialogue, "serverRequest/resolved", json!({"requestId": 0})).withdrawn, [question.key]);
}

#[test]
fn what_nobody_has_answered_in_time_counts_against_it() {
    let mut dialogue = that_asks(domain::Ask::Commands);
    let key = asks_to_run(&mut dialogue, 0, "make all").questions.remove(0).key;
    dialogue.answer(&key, &Answer { unanswered: true, ..answer(Decision::Deny, None) });
    told(
        &mut dialogue,
        "item/completed",
        json!({"item": {"id": "i0", "type": "commandExecution", "status": "declined", "command": "make all"}}),
    );
    ends(&mut dialogue, "completed", Value::Null);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::AgentDenied));
}

#[test]
fn what_people_say_goes_into_its_turn_or_begins_another() {
    let mut dialogue = at_work(&AgentTerms::default());
    let steer = lines(&dialogue.tell("Mind the tests", false).unwrap()).remove(0);
    assert_eq!((&steer["method"], &steer["params"]["expectedTurnId"]), (&json!("turn/steer"), &json!("u1")));
    // it was over a moment before
    let heard = ends(&mut dialogue, "completed", Value::Null);
    assert!(!heard.is_over && heard.events.is_empty());
    let heard = dialogue.hear(&json!({"id": steer["id"], "error": {"message": "no active turn"}}).to_string());
    let begin = lines(&heard).remove(0);
    assert_eq!((&begin["method"], &begin["params"]["input"][0]["text"]), (&json!("turn/start"), &json!("Mind the tests")));
    dialogue.hear(&json!({"id": TURN, "result": {"turn": {"id": "u2"}}}).to_string());
    let over = told(&mut dialogue, "turn/completed", json!({"turn": {"id": "u2", "status": "completed"}}));
    assert!(over.is_over && dialogue.verdict(exit(0)).is_ok());

    // it had come in time, and that is told a moment later
    let mut dialogue = at_work(&AgentTerms::default());
    let steer = lines(&dialogue.tell("Mind the tests", false).unwrap()).remove(0);
    assert!(!ends(&mut dialogue, "completed", Value::Null).is_over);
    assert!(dialogue.hear(&json!({"id": steer["id"], "result": {"turnId": "u1"}}).to_string()).is_over);
}

#[test]
fn an_interrupt_ends_its_turn_and_begins_another() {
    let mut dialogue = at_work(&AgentTerms::default());
    let heard = lines(&dialogue.tell("Stop that", true).unwrap());
    assert_eq!((heard.len(), &heard[0]["method"]), (1, &json!("turn/interrupt")));
    let heard = ends(&mut dialogue, "interrupted", Value::Null);
    assert!(!heard.is_over);
    assert_eq!(lines(&heard)[0]["params"]["input"][0]["text"], "Stop that");
    assert_eq!(dialogue.tell("more", false), None, "its turn has not begun");
    // without anything to say it is what it was
    let mut dialogue = at_work(&AgentTerms::default());
    assert!(ends(&mut dialogue, "interrupted", Value::Null).is_over);
}

#[test]
fn a_repository_gives_it_no_leave() {
    let mut dialogue = conversation();
    let heard = dialogue.hear(&json!({"id": INITIALIZE, "result": {}}).to_string());
    let thread = &lines(&heard)[1]["params"];
    assert_eq!(thread["sandbox"], "read-only", "or it would trust the repository: {thread}");
    let heard = dialogue.hear(&json!({"id": THREAD, "result": {"thread": {"id": "t1"}}}).to_string());
    assert_eq!(lines(&heard)[0]["params"]["sandboxPolicy"]["type"], "dangerFullAccess");
    let asks = |leave| {
        let terms = AgentTerms::default();
        let arguments = open(Beginning { leave, ..beginning(&terms) }, "x").0.arguments;
        arguments.iter().any(|argument| argument == "features.unified_exec_tty=false")
    };
    assert!(asks(Leave::Ask(domain::Ask::Commands)) && !asks(Leave::Anything));
    let reads_what_it_is_told = |leave| {
        let terms = AgentTerms::default();
        let arguments = open(Beginning { leave, ..beginning(&terms) }, "x").0.arguments;
        !arguments.iter().any(|argument| argument == "project_doc_max_bytes=0")
    };
    assert!(reads_what_it_is_told(Leave::Anything) && !reads_what_it_is_told(Leave::Look), "a judge is not told how by what it judges");
}
