//! What real sessions of Gemini CLI 0.61.0 and OpenCode 1.18.33 come to; the recorded ones are in `tests/transcripts`.

mod first;
mod unmeasured;
mod used;

use std::os::unix::process::ExitStatusExt;

use domain::{AgentTerms, Ask, session::FileChange};

use super::*;
use crate::backend::{Spent, gemini_cli, opencode};

/// Its lines as they came. Turns had other numbers when they were recorded.
fn transcript(name: &str, turn: u64) -> Vec<String> {
    let path = format!("{}/tests/transcripts/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let ours = |line: &str| {
        let mut message: Value = serde_json::from_str(line).unwrap();
        if message["method"].is_null() && message["id"] == turn {
            message["id"] = json!(TURN);
        }
        message.to_string()
    };
    text.lines().filter_map(|line| line.strip_prefix("<< ").map(ours)).collect()
}

fn exit(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn beginning(terms: &AgentTerms) -> Beginning<'_> {
    Beginning {
        worktree: "/home/dev/run".into(),
        more: None,
        config: "/home/dev/.own".into(),
        session: None,
        spent: Spent::default(),
        terms,
        leave: Leave::Anything,
        in_sandbox: true,
        given: &[],
    }
}

fn answers(id: u64, result: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

/// One whose turn has begun.
fn at_work(mut dialogue: Acp) -> Acp {
    dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1, "agentInfo": {"version": "1.2"}})));
    dialogue.hear(&answers(SESSION, json!({"sessionId": "s1"})));
    dialogue.hear(&answers(MODE, json!({})));
    assert_eq!(dialogue.turn, Some(TURN));
    dialogue
}

fn gemini(leave: Leave) -> Acp {
    let terms = AgentTerms::default();
    at_work(gemini_cli::open(Beginning { leave, ..beginning(&terms) }, "tidy up").1)
}

fn open_code(leave: Leave) -> Acp {
    let terms = AgentTerms::default();
    at_work(opencode::open(Beginning { leave, ..beginning(&terms) }, "tidy up").1)
}

fn told(dialogue: &mut Acp, update: Value) -> Vec<Event> {
    let params = json!({"sessionId": "s1", "update": update});
    dialogue.hear(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string()).events
}

fn says(dialogue: &mut Acp, text: &str) {
    let update = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}});
    assert!(told(dialogue, update).is_empty());
}

/// Its turn, after a word.
fn ends(dialogue: &mut Acp, turn: u64, reason: &str) -> Heard {
    dialogue.has_spoken = true;
    dialogue.hear(&answers(TURN + turn, json!({"stopReason": reason})))
}

/// It tells of a command before it asks for it.
fn asks(dialogue: &mut Acp, id: u64, call: Value) -> Heard {
    let mut begins = call.clone();
    begins["sessionUpdate"] = json!("tool_call");
    let mut before = if call["rawInput"]["command"].is_string() { told(dialogue, begins) } else { vec![] };
    let mut heard = asks_alone(dialogue, id, call);
    before.append(&mut heard.events);
    Heard { events: before, ..heard }
}

fn asks_alone(dialogue: &mut Acp, id: u64, call: Value) -> Heard {
    let option = |kind: &str| json!({"optionId": format!("the {kind} one"), "kind": kind, "name": kind});
    let options = ["allow_always", "allow_once", "reject_once"].map(option);
    let params = json!({"sessionId": "s1", "toolCall": call, "options": options});
    dialogue.hear(&json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}).to_string())
}

fn command(id: u64, command: &str) -> Value {
    json!({"toolCallId": format!("c{id}"), "kind": "execute", "title": command, "status": "pending", "rawInput": {"command": command}})
}

fn change(id: u64, path: &str) -> Value {
    let diff = json!({"type": "diff", "path": path, "oldText": "a", "newText": "b"});
    json!({"toolCallId": format!("c{id}"), "kind": "edit", "title": "Writing", "content": [diff], "locations": [{"path": path}]})
}

/// As both recordings have it.
fn made() -> Event {
    let diff = Some("@@ -0,0 +1,1 @@\n+hi\n".into());
    Event::FileChange { path: "made.txt".into(), change: FileChange::Written, diff }
}

fn lines(heard: &Heard) -> Vec<Value> {
    heard.answers.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn outcome(heard: &Heard) -> Value {
    lines(heard)[0]["result"]["outcome"].clone()
}

fn selected(kind: &str) -> Value {
    json!({"outcome": "selected", "optionId": format!("the {kind} one")})
}

fn cancelled() -> Value {
    json!({"outcome": "cancelled"})
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

fn code(verdict: Result<(), Failure>) -> Option<FailureCode> {
    verdict.err().map(|failure| failure.code)
}

fn answer(decision: Decision, message: Option<&str>) -> Answer {
    Answer { decision, by: "Ada".into(), message: message.map(Into::into), unanswered: false }
}

/// All that comes of it.
fn plays(dialogue: &mut Acp, lines: &[String]) -> (Vec<Event>, Vec<Value>, bool) {
    let (mut events, mut said, mut is_over) = (vec![], vec![], false);
    for line in lines {
        let heard = dialogue.hear(line);
        said.extend(self::lines(&heard));
        events.extend(heard.events);
        is_over |= heard.is_over;
    }
    (events, said, is_over)
}

const ROUND: [&str; 13] = [
    "started",
    "thinking",
    "message",
    "tool_call",
    "tool_result",
    "tool_call",
    "tool_result",
    "file_change",
    "tool_call",
    "tool_result",
    "message",
    "usage",
    "ended",
];

#[test]
fn a_recorded_session_of_gemini_cli_is_told_whole() {
    let terms = AgentTerms { model: Some("gemini-2.5-flash".into()), ..AgentTerms::default() };
    let mut dialogue = gemini_cli::open(beginning(&terms), "fake:perm").1;
    let mut recorded = transcript("acp-gemini-cli", 2);
    // it was recorded without that
    recorded.insert(2, answers(MODE, json!({})));
    let (events, said, is_over) = plays(&mut dialogue, &recorded);
    assert_eq!(names(&events), ROUND, "{events:#?}");
    let session = dialogue.session().unwrap();
    let model = Some("gemini-2.5-flash".to_owned());
    let started =
        Event::Started { backend: Backend::GeminiCli, version: Some("0.61.0".into()), model: model.clone(), session: Some(session) };
    assert_eq!(events[0], started);
    assert_eq!(events[2], Event::Message { text: "I look around.".into() });
    let run = json!({"command": "echo hi > ran.txt; cat ran.txt"});
    assert!(matches!(&events[3], Event::ToolCall { tool, input, .. } if tool == "execute" && *input == run), "{:?}", events[3]);
    assert_eq!(events[7], made());
    assert_eq!(events[11], Event::Usage { model, input: 400, cached: 0, cache_written: 0, output: 80, cost: None, is_part: false });
    assert_eq!(events[12], Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros: None });
    assert!(is_over && dialogue.verdict(exit(0)).is_ok() && dialogue.verdict(None).is_ok());
    let methods: Vec<_> = said.iter().filter_map(|line| line["method"].as_str()).collect();
    assert_eq!(methods, ["session/new", "session/set_mode", "session/prompt"]);
    let allowed = json!({"outcome": "selected", "optionId": "proceed_once"});
    assert!(said[3..].iter().all(|line| line["result"]["outcome"] == allowed), "never for always: {said:#?}");
}

#[test]
fn a_recorded_session_of_opencode_is_told_whole() {
    let terms = AgentTerms::default();
    let mut dialogue = opencode::open(beginning(&terms), "fake:perm").1;
    let (events, said, is_over) = plays(&mut dialogue, &transcript("acp-opencode", 2));
    assert_eq!(names(&events), ROUND, "{events:#?}");
    let run = json!({"command": "echo hi > ran.txt; cat ran.txt", "description": "Play a step of a scenario"});
    assert!(matches!(&events[3], Event::ToolCall { tool, input, .. } if tool == "bash" && *input == run), "{:?}", events[3]);
    assert_eq!(events[4], Event::ToolResult { call: "call_2_2".into(), output: "hi".into(), is_error: false });
    assert_eq!(events[7], made());
    assert_eq!(events[9], Event::ToolResult { call: "call_4_0".into(), output: "(no output)\n[exit code 3]".into(), is_error: true });
    assert!(matches!(events[11], Event::Usage { input: 100, output: 20, is_part: true, .. }), "of its last answer");
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());
    let methods: Vec<_> = said.iter().filter_map(|line| line["method"].as_str()).collect();
    assert_eq!(methods, ["session/new", "session/prompt"]);
    let errors: Vec<_> = said.iter().filter_map(|line| line["error"]["code"].as_i64()).collect();
    assert_eq!(errors, [-32601], "it writes its files itself");
}

#[test]
fn a_later_round_tells_nothing_of_the_earlier_one() {
    let terms = AgentTerms::default();
    let place = Beginning { session: Some("the-first".into()), ..beginning(&terms) };
    let mut dialogue = gemini_cli::open(place, "It is wrong").1;
    let recorded = transcript("acp-gemini-cli-later-round", 3);
    let again = recorded.iter().rposition(|line| line.contains("protocolVersion")).unwrap();
    let (events, said, is_over) = plays(&mut dialogue, &recorded[again..]);
    assert_eq!(names(&events), ["started", "message", "tool_call", "tool_result", "message", "usage", "ended"], "{events:#?}");
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());
    assert_eq!((&said[0]["method"], &said[0]["params"]["sessionId"]), (&json!("session/load"), &json!("latest")));
    assert_eq!(dialogue.session().as_deref(), Some("the-first"), "people know it by that");
    let place = Beginning { session: Some("ses_1".into()), ..beginning(&terms) };
    let mut dialogue = opencode::open(place, "It is wrong").1;
    let heard = dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1})));
    let resume = &lines(&heard)[0];
    assert_eq!((&resume["method"], &resume["params"]["sessionId"]), (&json!("session/resume"), &json!("ses_1")));
    let heard = dialogue.hear(&answers(SESSION, json!({})));
    assert_eq!(lines(&heard)[0]["params"]["sessionId"], "ses_1");
}

#[test]
fn a_beginning_that_fails_is_its_end() {
    let terms = AgentTerms::default();
    let error =
        json!({"jsonrpc": "2.0", "id": SESSION, "error": {"code": -32000, "message": "Gemini API key is missing or not configured."}});
    let mut dialogue = gemini_cli::open(beginning(&terms), "x").1;
    dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1})));
    assert!(dialogue.hear(&error.to_string()).is_over);
    let failure = dialogue.verdict(exit(0)).unwrap_err();
    assert_eq!(failure.code, FailureCode::ProviderRefused);
    assert_eq!(failure.message, "Gemini CLI was refused by its provider: Gemini API key is missing or not configured.");
    let mut dialogue = gemini_cli::open(beginning(&terms), "x").1;
    assert!(dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 2}))).is_over);
    assert!(dialogue.verdict(exit(0)).unwrap_err().message.contains("speaks version 2"));
    let dialogue = gemini_cli::open(beginning(&terms), "x").1;
    assert!(dialogue.verdict(exit(1)).unwrap_err().message.ends_with("without saying how it went"));
}

#[test]
fn an_end_is_judged_by_what_it_says_before_its_exit_code() {
    let mut dialogue = gemini(Leave::Anything);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::CommandFailed), "it has not said how it went");
    let heard = ends(&mut dialogue, 0, "end_turn");
    assert!(heard.is_over && dialogue.verdict(exit(0)).is_ok() && dialogue.verdict(None).is_ok());
    assert_eq!(code(dialogue.verdict(exit(1))), Some(FailureCode::CommandFailed));
    let mut dialogue = gemini(Leave::Anything);
    let refused =
        json!({"jsonrpc": "2.0", "id": TURN, "error": {"code": 402, "message": "{\"error\":{\"code\":402,\"message\":\"used up\"}}"}});
    assert!(dialogue.hear(&refused.to_string()).is_over);
    let failure = dialogue.verdict(exit(0)).unwrap_err();
    assert_eq!((failure.code, failure.message.as_str()), (FailureCode::ProviderRefused, "Gemini CLI was refused by its provider: used up"));
    let terms = AgentTerms { max_turns: Some(3), ..AgentTerms::default() };
    let mut dialogue = at_work(gemini_cli::open(beginning(&terms), "x").1);
    let heard = ends(&mut dialogue, 0, "max_turn_requests");
    assert_eq!(heard.events, [Event::Ended { how: SessionEnd::TurnsUsedUp, turns: None, cost_micros: None }]);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::AgentCapped));
}

#[test]
fn whatever_it_asks_is_answered_and_what_it_prints_is_output() {
    let mut dialogue = gemini(Leave::Anything);
    for method in ["fs/read_text_file", "terminal/create", "of/a/later/version"] {
        let heard = dialogue.hear(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": {}}).to_string());
        assert_eq!((&lines(&heard)[0]["id"], &lines(&heard)[0]["error"]["code"]), (&json!(7), &json!(-32601)), "{method}");
    }
    for line in ["", "Loaded cached credentials.", "[]", "{}"] {
        assert!(dialogue.hear(line).is_output, "{line}");
    }
    assert_eq!(dialogue.hear(r#"{"method": "of/a/later/version"}"#), Heard::default());
    assert!(dialogue.may_be_the_last(r#""result":{"stopReason":"end_turn"}"#) && !dialogue.may_be_the_last("x"));
}

#[test]
fn it_is_allowed_what_it_asks_for_once_and_never_for_always() {
    let mut dialogue = open_code(Leave::Anything);
    assert_eq!(outcome(&asks(&mut dialogue, 0, command(0, "make"))), selected("allow_once"));
    assert_eq!(outcome(&asks(&mut dialogue, 1, change(1, "/etc/passwd"))), selected("allow_once"), "its sandbox is around it");
    let options = json!([{"optionId": "always", "kind": "allow_always"}, {"optionId": "no", "kind": "reject_once"}]);
    let params = json!({"sessionId": "s1", "toolCall": command(2, "make"), "options": options});
    let heard = dialogue.hear(&json!({"jsonrpc": "2.0", "id": 2, "method": "session/request_permission", "params": params}).to_string());
    assert_eq!(outcome(&heard), json!({"outcome": "selected", "optionId": "no"}));
    assert_eq!(names(&heard.events), ["tool_call", "permission"]);
    ends(&mut dialogue, 0, "end_turn");
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::AgentDenied));
    let mut dialogue = open_code(Leave::Nothing);
    assert_eq!(outcome(&asks(&mut dialogue, 0, command(0, "make"))), selected("reject_once"));
}

#[test]
fn people_are_asked_and_their_answer_is_told() {
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    says(&mut dialogue, "I make it.");
    let heard = asks(&mut dialogue, 0, command(0, "make all"));
    assert_eq!(names(&heard.events), ["message", "tool_call"]);
    assert!(heard.answers.is_empty(), "it waits");
    let question = &heard.questions[0];
    assert_eq!((question.asked.kind, question.asked.subject.as_str()), (AskedKind::Command, "make all"));
    assert_eq!(outcome(&asks(&mut dialogue, 0, command(1, "rm -r /"))), selected("reject_once"), "the answer is for what was shown");
    let heard = dialogue.answer(&question.key, &answer(Decision::Allow, None));
    assert_eq!(outcome(&heard), selected("allow_once"));
    assert_eq!(names(&heard.events), ["permission"]);
    assert_eq!(dialogue.answer(&question.key, &answer(Decision::Deny, None)), Heard::default(), "it is answered once");

    let key = asks(&mut dialogue, 2, command(2, "rm -r /")).questions.remove(0).key;
    assert_eq!(outcome(&dialogue.answer(&key, &answer(Decision::Deny, Some("Use make clean")))), selected("reject_once"));
    // its turn takes no more; the next one begins with it
    let heard = ends(&mut dialogue, 0, "end_turn");
    assert!(!heard.is_over);
    assert_eq!(lines(&heard)[0]["params"]["prompt"][0]["text"], "Ada says:\n\nUse make clean");
    assert!(ends(&mut dialogue, 1, "end_turn").is_over);
    assert!(dialogue.verdict(exit(0)).is_ok(), "whoever has denied it knows");
}

#[test]
fn what_nobody_has_answered_in_time_counts_against_it() {
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let key = asks(&mut dialogue, 0, command(0, "make all")).questions.remove(0).key;
    dialogue.answer(&key, &Answer { unanswered: true, ..answer(Decision::Deny, None) });
    ends(&mut dialogue, 0, "end_turn");
    assert_eq!(dialogue.verdict(exit(0)).unwrap_err().message, "OpenCode was not allowed: make all");
}

#[test]
fn a_command_is_shown_to_the_letter_and_where_it_runs() {
    let subject = |dialogue: &mut Acp, call: Value| {
        let heard = asks(dialogue, 0, call);
        let Some(question) = heard.questions.first() else { return "denied".to_owned() };
        dialogue.answer(&question.key, &answer(Decision::Allow, None));
        question.asked.subject.clone()
    };
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let begins = |id: u64, folder: &str| {
        let input = json!({"command": "ls", "workdir": folder});
        json!({"sessionUpdate": "tool_call", "toolCallId": format!("c{id}"), "title": "bash", "kind": "execute", "status": "pending", "rawInput": input})
    };
    told(&mut dialogue, begins(1, "/home/dev/run/sub"));
    assert_eq!(subject(&mut dialogue, command(1, "ls")), "ls\nin sub");
    told(&mut dialogue, begins(2, "."));
    assert_eq!(subject(&mut dialogue, command(2, "ls")), "ls");
    // OpenCode may ask before it has told where that is, and tells it while it waits (measured)
    let begins = json!({"sessionUpdate": "tool_call", "toolCallId": "c3", "title": "bash", "kind": "execute", "status": "pending", "rawInput": {"cwd": "/home/dev/run"}});
    told(&mut dialogue, begins);
    assert_eq!(asks_alone(&mut dialogue, 3, command(3, "make")), Heard::default());
    assert_eq!(outcome(&asks_alone(&mut dialogue, 3, command(3, "ls"))), selected("reject_once"), "it is asked already");
    let input = json!({"command": "make", "description": "x", "workdir": "evil"});
    let tells =
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "c3", "kind": "execute", "status": "in_progress", "rawInput": input});
    let params = json!({"sessionId": "s1", "update": tells});
    let heard = dialogue.hear(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string());
    assert_eq!(names(&heard.events), ["tool_call"]);
    assert_eq!(heard.questions[0].asked.subject, "make\nin evil");
    // what it never tells is never shown
    let heard = asks_alone(&mut dialogue, 4, command(4, "make"));
    assert_eq!(heard, Heard::default());
    assert_eq!(lines(&ends(&mut dialogue, 0, "end_turn")).len(), 0, "it is over");
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let untold = json!({"toolCallId": "c9", "kind": "execute", "title": "looks around"});
    assert_eq!(subject(&mut dialogue, untold), "denied", "its title may say anything");

    let mut dialogue = gemini(Leave::Ask(Ask::Commands));
    let with = |note: &str| json!({"toolCallId": "c1", "kind": "execute", "title": "ls; id", "content": [{"type": "content", "content": {"type": "text", "text": note}}]});
    assert_eq!(subject(&mut dialogue, with("[current working directory /home/dev/run] (looks)")), "ls; id");
    assert_eq!(subject(&mut dialogue, with("[in sub] (looks)")), "ls; id\n[in sub] (looks)");
    let behind = "[current working directory /home/dev/run] [background]";
    assert_eq!(subject(&mut dialogue, with(behind)), format!("ls; id\n{behind}"));
}

#[test]
fn a_change_in_the_repository_is_asked_for_only_when_the_task_says_so() {
    let mut dialogue = gemini(Leave::Ask(Ask::Commands));
    assert_eq!(outcome(&asks(&mut dialogue, 0, change(0, "/home/dev/run/a.rs"))), selected("allow_once"));
    for (id, path) in [(1, "/etc/passwd"), (2, "/home/dev/run/.git/config"), (3, "/home/dev/run/.gemini/settings.json")] {
        assert_eq!(asks(&mut dialogue, id, change(id, path)).questions.len(), 1, "{path}");
    }
    let mut moves = change(4, "/home/dev/run/a.rs");
    moves["kind"] = json!("move");
    moves["locations"] = json!([{"path": "/home/dev/run/a.rs"}, {"path": "/etc/a.rs"}]);
    assert_eq!(asks(&mut dialogue, 4, moves).questions[0].asked.subject, "/home/dev/run/a.rs\n/etc/a.rs".replace("/home/dev/run/", ""));
    let unknown = json!({"toolCallId": "c5", "kind": "edit", "title": "Writing", "locations": [{"path": "/home/dev/run/a.rs"}]});
    assert_eq!(outcome(&asks(&mut dialogue, 5, unknown)), selected("reject_once"), "nobody could see it");
    let mut dialogue = gemini(Leave::Ask(Ask::Everything));
    let question = asks(&mut dialogue, 0, change(0, "/home/dev/run/a.rs")).questions.remove(0);
    let none = "\\ No newline at end of file\n";
    let changes = json!([{"path": "/home/dev/run/a.rs", "diff": format!("@@ -1,1 +1,1 @@\n-a\n{none}+b\n{none}")}]);
    assert_eq!((question.asked.subject.as_str(), &question.asked.input["changes"]), ("a.rs", &changes));
    let mut large = change(1, "/home/dev/run/a.rs");
    let all = "line\n".repeat(100_000);
    (large["content"][0]["oldText"], large["content"][0]["newText"]) = (json!(all), json!(format!("{all}more\n")));
    assert_eq!(asks(&mut dialogue, 1, large).questions.len(), 1, "of a large file a small change can be shown");
    let mut dialogue = open_code(Leave::Ask(Ask::Everything));
    let raw = json!({"filepath": "/home/dev/run/a.rs", "diff": "@@ -1 +1 @@\n-a\n+b\n"});
    let call = json!({"toolCallId": "c2", "kind": "edit", "locations": [{"path": "/home/dev/run/a.rs"}], "rawInput": raw});
    let asked = asks(&mut dialogue, 2, call).questions.remove(0).asked;
    assert_eq!(asked.input["changes"], json!([{"path": "/home/dev/run/a.rs", "diff": raw["diff"]}]), "as it says it itself");
}

#[test]
fn a_change_of_more_files_than_can_be_shown_is_not_allowed() {
    let mut dialogue = gemini(Leave::Ask(Ask::Commands));
    let many = |id: u64, files: usize| {
        let mut call = change(id, "/home/dev/run/a.rs");
        let places: Vec<_> = (1..files).map(|number| json!({"path": format!("/home/dev/run/{number}")})).collect();
        call["locations"] = json!(places);
        call
    };
    assert_eq!(outcome(&asks(&mut dialogue, 0, many(0, 1000))), selected("allow_once"));
    let mut hidden = many(1, 1000);
    hidden["locations"].as_array_mut().unwrap().push(json!({"path": "/home/dev/run/.git/hooks/pre-commit"}));
    assert_eq!(outcome(&asks(&mut dialogue, 1, hidden)), selected("reject_once"));
    let long = change(2, &format!("/home/dev/run/{}", "x".repeat(5000)));
    assert_eq!(outcome(&asks(&mut dialogue, 2, long)), selected("reject_once"), "no file has such a name");
}

#[test]
fn a_change_is_asked_for_where_links_lead_it() {
    let (worktree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = worktree.path().canonicalize().unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("docs")).unwrap();
    let terms = AgentTerms::default();
    let place = Beginning { worktree: root.clone(), leave: Leave::Ask(Ask::Commands), ..beginning(&terms) };
    let mut dialogue = at_work(gemini_cli::open(place, "tidy up").1);
    let path = |name: &str| root.join(name).display().to_string();
    assert_eq!(outcome(&asks(&mut dialogue, 0, change(0, &path("a.md")))), selected("allow_once"));
    let asked = asks(&mut dialogue, 1, change(1, &path("docs/a.md"))).questions.remove(0).asked;
    assert_eq!(asked.subject, outside.path().canonicalize().unwrap().join("a.md").display().to_string());
}

#[test]
fn any_other_tool_is_asked_for_with_all_that_it_is_called_with() {
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let begins = json!({"sessionUpdate": "tool_call", "toolCallId": "c0", "title": "webfetch", "kind": "fetch", "status": "pending"});
    told(&mut dialogue, begins);
    let call = json!({"toolCallId": "c0", "kind": "fetch", "title": "looks", "rawInput": {"url": "https://docs.rs"}});
    let asked = asks(&mut dialogue, 0, call).questions.remove(0).asked;
    assert_eq!(
        (asked.kind, asked.tool.as_str(), asked.subject.as_str()),
        (AskedKind::Tool, "webfetch", r#"webfetch {"url":"https://docs.rs"}"#)
    );
    let mut dialogue = gemini(Leave::Ask(Ask::Commands));
    let titled = |title: &str| json!({"toolCallId": "c1", "kind": "search", "title": title});
    let asked = asks(&mut dialogue, 1, titled("Searching the web for: \"rust\"")).questions.remove(0).asked;
    assert_eq!(asked.subject, "search Searching the web for: \"rust\"");
    for (id, cut) in [(2, "Reading all of the..."), (3, r#"Processing URLs and instructions from prompt: "Read https://docs.rs and...""#)] {
        assert_eq!(outcome(&asks(&mut dialogue, id, titled(cut))), selected("reject_once"), "{cut}: the rest could be anything");
    }
}

#[test]
fn what_people_say_waits_for_the_end_of_its_turn() {
    let terms = AgentTerms::default();
    let mut early = gemini_cli::open(beginning(&terms), "x").1;
    assert_eq!(early.tell("Mind the tests", false), None, "its turn has not begun");
    let mut dialogue = gemini(Leave::Anything);
    for text in ["Mind the tests", "And the docs"] {
        assert_eq!(dialogue.tell(text, false), Some(Heard::default()));
    }
    says(&mut dialogue, "Done.");
    let heard = ends(&mut dialogue, 0, "end_turn");
    assert!(!heard.is_over);
    assert_eq!(heard.events, [Event::Message { text: "Done.".into() }]);
    let next = lines(&heard).remove(0);
    assert_eq!((&next["id"], &next["params"]["prompt"][0]["text"]), (&json!(TURN + 1), &json!("Mind the tests\n\nAnd the docs")));
    assert!(!ends(&mut dialogue, 0, "end_turn").is_over, "that turn has ended before");
    assert!(ends(&mut dialogue, 1, "end_turn").is_over && dialogue.verdict(exit(0)).is_ok());
    // one that fails hears no more
    let mut dialogue = gemini(Leave::Anything);
    dialogue.tell("Mind the tests", false).unwrap();
    assert!(ends(&mut dialogue, 0, "max_tokens").is_over);
}

#[test]
fn an_interrupt_ends_its_turn_and_begins_another() {
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let key = asks(&mut dialogue, 5, command(0, "make")).questions.remove(0).key;
    let heard = dialogue.tell("Stop that", true).unwrap();
    let said = lines(&heard);
    assert_eq!((&said[0]["method"], &said[0]["id"]), (&json!("session/cancel"), &Value::Null));
    assert_eq!((&said[1]["id"], &said[1]["result"]["outcome"]), (&json!(5), &cancelled()));
    assert_eq!(heard.withdrawn, std::slice::from_ref(&key));
    assert_eq!(dialogue.answer(&key, &answer(Decision::Allow, None)), Heard::default());
    assert_eq!(outcome(&asks(&mut dialogue, 6, command(1, "make"))), cancelled(), "it is on its way out");
    assert_eq!(dialogue.tell("At once", true), Some(Heard::default()), "it is stopped once");
    let heard = ends(&mut dialogue, 0, "cancelled");
    assert!(!heard.is_over);
    assert_eq!(lines(&heard)[0]["params"]["prompt"][0]["text"], "Stop that\n\nAt once");
    assert!(ends(&mut dialogue, 1, "end_turn").is_over);
    assert!(dialogue.verdict(exit(0)).is_ok(), "nobody has denied it");
    // the order to stop has come late, and has stopped what it was to hear
    let mut dialogue = open_code(Leave::Anything);
    dialogue.tell("Stop that", true).unwrap();
    assert!(!ends(&mut dialogue, 0, "end_turn").is_over);
    let again = ends(&mut dialogue, 1, "cancelled");
    assert_eq!(lines(&again)[0]["params"]["prompt"][0]["text"], "Stop that");
    assert!(ends(&mut dialogue, 2, "cancelled").is_over, "it is said again once");
    // what went wrong meanwhile is told
    let mut dialogue = open_code(Leave::Anything);
    dialogue.tell("Stop that", true).unwrap();
    let error = json!({"jsonrpc": "2.0", "id": TURN, "error": {"code": -32603, "message": "Internal error: Overloaded"}});
    assert_eq!(names(&dialogue.hear(&error.to_string()).events), ["error"]);
    // without anything to say it is what it was
    let mut dialogue = gemini(Leave::Anything);
    assert!(ends(&mut dialogue, 0, "cancelled").is_over);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::CommandFailed));
}

#[test]
fn what_is_open_when_its_turn_ends_is_withdrawn() {
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let key = asks(&mut dialogue, 0, command(0, "make")).questions.remove(0).key;
    assert_eq!(ends(&mut dialogue, 0, "end_turn").withdrawn, [key]);
    assert_eq!(outcome(&asks(&mut dialogue, 1, command(1, "make"))), cancelled(), "it is over");
}

#[test]
fn what_it_asked_for_and_has_ended_is_withdrawn() {
    let mut dialogue = open_code(Leave::Ask(Ask::Commands));
    let key = asks(&mut dialogue, 0, command(0, "make")).questions.remove(0).key;
    // with one answer that is no, OpenCode says no to all that it has asked
    let gone = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c0", "status": "failed"});
    let params = json!({"sessionId": "s1", "update": gone});
    let heard = dialogue.hear(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string());
    assert_eq!((&heard.withdrawn, outcome(&heard)), (&vec![key], cancelled()));
    told(&mut dialogue, json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "failed"}));
    assert_eq!(outcome(&asks_alone(&mut dialogue, 1, command(1, "make"))), cancelled(), "nobody is asked about what is over");
    assert_eq!(asks(&mut dialogue, 2, command(1, "make")).questions.len(), 1, "another one of that name");
    ends(&mut dialogue, 0, "end_turn");
    assert!(dialogue.verdict(exit(0)).is_ok(), "nobody has denied it");
}

#[test]
fn an_end_without_a_word_is_none_of_gemini_clis() {
    let ends_at_once = |mut dialogue: Acp| {
        says(&mut dialogue, "I look.");
        told(&mut dialogue, json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "kind": "read", "status": "completed"}));
        assert!(dialogue.hear(&answers(TURN, json!({"stopReason": "end_turn"}))).is_over);
        dialogue.verdict(exit(0)).err().map(|failure| failure.message)
    };
    let broken = "Gemini CLI failed: it has ended its turn without a word";
    assert_eq!(ends_at_once(gemini(Leave::Anything)).as_deref(), Some(broken), "its model may have said anything but that it is done");
    assert_eq!(ends_at_once(open_code(Leave::Anything)), None);
}

#[test]
fn a_call_without_bounds_is_left_out() {
    let mut dialogue = gemini(Leave::Anything);
    let update = |name: &str| json!({"sessionUpdate": "tool_call_update", "toolCallId": name, "kind": "read", "status": "completed"});
    assert!(told(&mut dialogue, update(&"x".repeat(5000))).is_empty());
    assert_eq!(told(&mut dialogue, update(&"x".repeat(500))).len(), 2);
}

#[test]
fn what_it_does_is_told_with_its_beginning_however_little_it_says() {
    let mut dialogue = gemini(Leave::Anything);
    let update = |status: &str| json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "kind": "read", "title": "README.md", "status": status, "locations": [{"path": "/home/dev/run/README.md"}]});
    let events = told(&mut dialogue, update("completed"));
    assert_eq!(names(&events), ["tool_call", "tool_result"]);
    assert!(matches!(&events[0], Event::ToolCall { tool, input, .. } if tool == "read" && input["path"] == "README.md"), "{events:?}");
    let failed = json!({"sessionUpdate": "tool_call_update", "toolCallId": "d", "kind": "edit", "status": "failed", "locations": [{"path": "/home/dev/run/a"}], "content": [{"type": "content", "content": {"type": "text", "text": "no such file"}}]});
    let events = told(&mut dialogue, failed);
    assert_eq!(names(&events), ["tool_call", "tool_result"], "nothing was changed");
    assert_eq!(events[1], Event::ToolResult { call: "d".into(), output: "no such file".into(), is_error: true });
    let deleted = json!({"sessionUpdate": "tool_call_update", "toolCallId": "e", "kind": "delete", "status": "completed", "locations": [{"path": "/home/dev/run/b"}]});
    assert_eq!(told(&mut dialogue, deleted)[2], Event::FileChange { path: "b".into(), change: FileChange::Deleted, diff: None });
    let other = json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "a helper's", "update": update("completed")}});
    assert_eq!(dialogue.hear(&other.to_string()), Heard::default());
    for unknown in [json!({"sessionUpdate": "plan", "entries": []}), json!({"sessionUpdate": "tool_call"}), json!({})] {
        assert!(told(&mut dialogue, unknown).is_empty());
    }
}
