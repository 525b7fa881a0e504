//! What real sessions of Claude Code 2.1.328 come to; they are in `tests/transcripts`.

use std::os::unix::process::ExitStatusExt;

use domain::AgentTerms;

use super::*;

/// Its lines as they came, without what whoever recorded them has added.
fn transcript(name: &str) -> Vec<String> {
    let path = format!("{}/tests/transcripts/claude-{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let own = |line: &str| match line.strip_prefix("<< ") {
        Some(said) => said.find('{').map(|start| said[start..].to_owned()),
        None => line.starts_with('{').then(|| line.to_owned()),
    };
    text.lines().filter_map(own).collect()
}

fn exit(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn beginning(terms: &AgentTerms, leave: Leave) -> Beginning<'_> {
    let (worktree, config) = ("/home/dev/run".into(), "/home/dev/.claude".into());
    Beginning { worktree, more: None, config, session: None, spent: Spent::default(), terms, leave, in_sandbox: true, given: &[] }
}

fn conversation(leave: Leave) -> ClaudeCode {
    let terms = AgentTerms::default();
    open(beginning(&terms, leave), "write out.txt").1
}

/// All that a recorded session comes to, and how it is judged with this exit code.
fn played(name: &str, code: i32) -> (Vec<Event>, Result<(), Failure>) {
    let mut dialogue = conversation(Leave::Anything);
    let mut events = vec![];
    let mut is_over = false;
    for line in transcript(name) {
        let heard = dialogue.hear(&line);
        assert!(!heard.is_output, "{line}");
        is_over |= heard.is_over;
        events.extend(heard.events);
    }
    assert!(is_over, "{name} has a last message");
    (events, dialogue.verdict(exit(code)))
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

fn code(verdict: Result<(), Failure>) -> Option<FailureCode> {
    verdict.err().map(|failure| failure.code)
}

#[test]
fn a_session_that_goes_well_is_told_whole() {
    let (events, verdict) = played("ok", 0);
    assert_eq!(names(&events), ["started", "tool_call", "tool_result", "message", "ended"]);
    let Event::Started { backend, version, model, session } = &events[0] else { panic!("{events:?}") };
    assert_eq!((backend, version.as_deref(), model.is_some(), session.is_some()), (&Backend::ClaudeCode, Some("2.1.328"), true, true));
    let Event::ToolCall { tool, input, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!((tool.as_str(), &input["command"]), ("Bash", &json!("echo hello > out.txt && cat out.txt")));
    assert_eq!(events[2], Event::ToolResult { call: "toolu_01".into(), output: "hello".into(), is_error: false });
    assert_eq!(events[3], Event::Message { text: "All done.".into() });
    assert_eq!(events[4], Event::Ended { how: SessionEnd::Completed, turns: Some(2), cost_micros: Some(1305) });
    assert_eq!(verdict, Ok(()));
}

#[test]
fn what_each_answer_of_the_model_used_is_told_once() {
    let (events, verdict) = played("partial", 0);
    let used = Event::Usage {
        model: Some("claude-sonnet-4-5".into()),
        input: 160,
        cached: 50,
        cache_written: 10,
        output: 20,
        cost: None,
        is_part: false,
    };
    assert_eq!(events.iter().filter(|event| **event == used).count(), 2, "{events:#?}");
    assert_eq!(names(&events).iter().filter(|name| **name == "usage").count(), 2);
    assert_eq!(verdict, Ok(()));
}

/// Subtype and exit code are believed for none of these.
#[test]
fn an_end_is_judged_by_what_it_says_and_not_by_its_exit_code() {
    for (name, exit_code, expected) in [
        ("402", 1, FailureCode::ProviderRefused),
        ("402", 0, FailureCode::ProviderRefused),
        ("429-retry", 1, FailureCode::ProviderLimit),
        ("max-turns", 1, FailureCode::AgentCapped),
        ("max-budget", 1, FailureCode::AgentCapped),
        ("permission-denied", 0, FailureCode::AgentDenied),
        ("ok", 1, FailureCode::CommandFailed),
    ] {
        assert_eq!(code(played(name, exit_code).1), Some(expected), "{name}");
    }
    let refused = played("402", 1).1.unwrap_err();
    assert_eq!(refused.message, "Claude Code was refused by its provider: API Error: 402 run budget exhausted (USD 2.00)");
}

#[test]
fn errors_and_denials_are_told() {
    let (events, _) = played("429-retry", 1);
    assert_eq!(names(&events), ["started", "error", "error", "ended"]);
    let Event::Error { message } = &events[1] else { panic!("{events:?}") };
    assert_eq!(message, "the provider answered 429 (rate_limit); asked again in 1.0 s, 1 of 1 times");
    let (events, _) = played("permission-denied", 0);
    let subject = "echo hello > out.txt && cat out.txt".to_owned();
    let denied = Event::Permission { tool: "Bash".into(), subject, allowed: false, by: "Claude Code".into() };
    assert!(events.contains(&denied), "{events:#?}");
}

#[test]
fn an_end_without_a_last_message_is_a_failure() {
    let mut dialogue = conversation(Leave::Anything);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::CommandFailed));
    for line in transcript("ok").iter().filter(|line| !line.contains(r#""type":"result""#)) {
        assert!(!dialogue.hear(line).is_over);
    }
    // an interrupt ends it so, with 0
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::CommandFailed));
}

#[test]
fn it_may_do_all_that_its_sandbox_lets_it_and_nothing_without_one() {
    let lines = transcript("control-allow");
    let asked = lines.iter().find(|line| line.contains("can_use_tool")).unwrap();
    let answer = |leave| {
        let mut dialogue = conversation(leave);
        let heard = dialogue.hear(asked);
        let answer: Value = serde_json::from_str(&heard.answers[0]).unwrap();
        (answer["response"]["response"].clone(), heard.events, code(dialogue.verdict(exit(0))))
    };
    let (allowed, events, _) = answer(Leave::Anything);
    assert_eq!((&allowed["behavior"], events.len()), (&json!("allow"), 0));
    assert_eq!(allowed["updatedInput"]["command"], "echo hello > out.txt && cat out.txt");
    let (denied, events, _) = answer(Leave::Nothing);
    assert_eq!((&denied["behavior"], names(&events)), (&json!("deny"), vec!["permission"]));
}

#[test]
fn what_it_asks_that_nobody_can_answer_is_refused_and_not_left_waiting() {
    let mut dialogue = conversation(Leave::Anything);
    let heard = dialogue.hear(r#"{"type":"control_request","request_id":"7","request":{"subtype":"hook_callback"}}"#);
    let answer: Value = serde_json::from_str(&heard.answers[0]).unwrap();
    assert_eq!((&answer["response"]["subtype"], &answer["response"]["request_id"]), (&json!("error"), &json!("7")));
}

#[test]
fn a_file_that_a_tool_changed_is_named_as_in_the_worktree() {
    let mut dialogue = conversation(Leave::Anything);
    let call = json!({"type": "assistant", "message": {"content": [
        {"type": "tool_use", "id": "a", "name": "Write", "input": {"file_path": "/home/dev/run/src/a.rs", "content": "x"}},
        {"type": "tool_use", "id": "b", "name": "Edit", "input": {"file_path": "/etc/hosts"}},
    ]}});
    let result = json!({"type": "user", "message": {"content": [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "written"}, {"type": "image"}]},
        {"type": "tool_result", "tool_use_id": "b", "content": "no", "is_error": true},
    ]}});
    let calls = dialogue.hear(&call.to_string()).events;
    assert_eq!(names(&calls), ["tool_call", "tool_call"]);
    let paths = calls.iter().map(|call| if let Event::ToolCall { input, .. } = call { &input["file_path"] } else { &Value::Null });
    assert_eq!(paths.collect::<Vec<_>>(), ["src/a.rs", "/etc/hosts"]);
    let events = dialogue.hear(&result.to_string()).events;
    assert_eq!(names(&events), ["tool_result", "file_change", "tool_result"]);
    assert_eq!(events[0], Event::ToolResult { call: "a".into(), output: "written\n[image]".into(), is_error: false });
    assert_eq!(events[1], Event::FileChange { path: "src/a.rs".into(), change: FileChange::Written, diff: None });
}

#[test]
fn whatever_it_prints_beside_its_messages_is_output() {
    let mut dialogue = conversation(Leave::Anything);
    for line in ["", "npm warn", "[1]", "\"a\"", "{\"type\":", "1"] {
        assert!(dialogue.hear(line).is_output, "{line}");
    }
    for line in ["{}", r#"{"type":"of_a_later_version"}"#, r#"{"type":"assistant"}"#, r#"{"type":"user","message":{"content":"x"}}"#] {
        assert_eq!(dialogue.hear(line), Heard::default(), "{line}");
    }
}

#[test]
fn the_terms_are_told_to_it() {
    let terms = AgentTerms { model: Some("opus".into()), max_turns: Some(7), max_cost_cents: Some(205), ..AgentTerms::default() };
    let (opening, dialogue) = open(beginning(&terms, Leave::Anything), "tidy up");
    let arguments = opening.arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
    let session = dialogue.session().unwrap();
    let own_name = format!("--session-id {session}");
    for part in ["--permission-mode manual", "--model opus", "--max-turns 7", "--max-budget-usd 2.050000", &own_name] {
        assert!(arguments.contains(part), "{arguments}");
    }
    let (again, dialogue) = open(
        Beginning {
            session: Some(session.clone()),
            spent: Spent { micros: 50_001, ..Spent::default() },
            ..beginning(&terms, Leave::Nothing)
        },
        "again",
    );
    let arguments = again.arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
    assert!(arguments.contains(&format!("acceptEdits --resume {session}")) && !arguments.contains("--session-id"), "{arguments}");
    assert!(arguments.contains("--max-budget-usd 1.999999"), "what is left of it: {arguments}");
    let spent = Spent { micros: 50_001, earlier_micros: 50_000, ..Spent::default() };
    let later = open(Beginning { session: Some(session.clone()), spent, ..beginning(&terms, Leave::Anything) }, "go on").0;
    assert!(later.arguments.contains(&"2.049999".into()), "of what an earlier attempt has spent nothing counts: {:?}", later.arguments);
    assert!(arguments.contains("--setting-sources=user"), "a repository gives no leave: {arguments}");
    assert_eq!((dialogue.session(), dialogue.spent().micros), (Some(session), 50_001));
    let prompt: Value = serde_json::from_str(&opening.lines[1]).unwrap();
    assert_eq!(prompt["message"]["content"], "tidy up");
}

/// What a session has cost that has spent this before, after messages with these totals, and with what each says was added.
fn spends(before: u64, results: &[(f64, Option<f64>)]) -> Vec<u64> {
    let terms = AgentTerms::default();
    let spent = Spent { micros: before, ..Spent::default() };
    let mut dialogue = open(Beginning { session: Some("s1".into()), spent, ..beginning(&terms, Leave::Anything) }, "again").1;
    let result = |(total, since): &(f64, Option<f64>)| {
        let mut message = json!({"type": "result", "subtype": "success", "is_error": false, "total_cost_usd": total});
        if let Some(since) = since {
            message["model_usage_since_last_result"] = json!({"sonnet": {"costUSD": since}});
        }
        let heard = dialogue.hear(&message.to_string());
        let spent = dialogue.spent().micros;
        assert!(matches!(heard.events[..], [Event::Ended { cost_micros: Some(told), .. }] if told == spent), "{heard:?}");
        spent
    };
    results.iter().map(result).collect()
}

#[test]
fn a_session_has_cost_what_all_its_processes_have_whichever_way_they_count() {
    // as version 2.1.328 counts: on, over all processes
    assert_eq!(spends(0, &[(0.01, Some(0.01)), (0.015, Some(0.005))]), [10_000, 15_000]);
    assert_eq!(spends(10_000, &[(0.015, Some(0.005)), (0.03, Some(0.015))]), [15_000, 30_000]);
    assert_eq!(spends(10_000, &[(0.015, None), (0.03, None)]), [15_000, 30_000]);
    // as others have: anew in each process
    assert_eq!(spends(10_000, &[(0.005, None), (0.02, None)]), [15_000, 30_000]);
    assert_eq!(spends(10_000, &[(0.005, Some(0.005)), (0.02, Some(0.015))]), [15_000, 30_000]);
    assert_eq!(spends(10_000, &[(0.02, Some(0.02)), (0.03, Some(0.01))]), [30_000, 40_000], "though it is more than all before");
    assert_eq!(spends(10_000, &[(0.0, None)]), [10_000], "one that was refused at once");
}

fn asks(dialogue: &mut ClaudeCode, id: &str, tool: &str, input: Value) -> Heard {
    let request = json!({"subtype": "can_use_tool", "tool_name": tool, "input": input, "tool_use_id": format!("c{id}")});
    dialogue.hear(&json!({"type": "control_request", "request_id": id, "request": request}).to_string())
}

fn ends(dialogue: &mut ClaudeCode, denied: &[&str]) -> Heard {
    let denials: Vec<_> = denied.iter().map(|call| json!({"tool_name": "Bash", "tool_use_id": call})).collect();
    dialogue.hear(&json!({"type": "result", "subtype": "success", "is_error": false, "permission_denials": denials}).to_string())
}

fn answer(decision: Decision) -> Answer {
    Answer { decision, by: "Ada".into(), message: Some("Use make".into()), unanswered: false }
}

#[test]
fn people_are_asked_what_the_task_says() {
    let mut dialogue = conversation(Leave::Ask(domain::Ask::Commands));
    let edit = asks(&mut dialogue, "1", "Write", json!({"file_path": "/home/dev/run/a.rs", "content": "x"}));
    assert!(edit.questions.is_empty() && edit.answers[0].contains(r#""behavior":"allow""#));
    for (id, tool, input, subject) in [
        ("2", "Bash", json!({"command": "make all", "description": "harmless"}), "make all"),
        ("3", "Write", json!({"file_path": "/etc/passwd", "content": "x"}), "/etc/passwd"),
        ("4", "WebFetch", json!({"url": "https://docs.rs", "prompt": "x"}), "https://docs.rs"),
        ("5", "mcp__x__y", json!({"url": "https://docs.rs", "method": "DELETE"}), r#"{"method":"DELETE","url":"https://docs.rs"}"#),
    ] {
        let heard = asks(&mut dialogue, id, tool, input.clone());
        assert!(heard.answers.is_empty(), "it waits");
        assert_eq!((heard.questions[0].asked.subject.as_str(), &heard.questions[0].asked.input), (subject, &input));
    }
    let heard = dialogue.answer("2", &answer(Decision::Allow));
    assert!(heard.answers[0].contains(r#""behavior":"allow""#) && heard.answers[0].contains("harmless"));
    assert_eq!(heard.events, [Event::Permission { tool: "Bash".into(), subject: "make all".into(), allowed: true, by: "Ada".into() }]);
    assert_eq!(dialogue.answer("2", &answer(Decision::Deny)), Heard::default(), "it is answered once");
    let again = asks(&mut dialogue, "3", "Bash", json!({"command": "rm -r /"}));
    assert!(again.questions.is_empty() && again.answers[0].contains("error"), "the answer is for what was shown");
    let cancel = dialogue.hear(r#"{"type":"control_cancel_request","request_id":"3"}"#);
    assert_eq!(cancel.withdrawn, ["3"]);
    let mut left = ends(&mut dialogue, &["c3", "c4"]).withdrawn;
    left.sort();
    assert_eq!(left, ["4", "5"], "nobody waits after its end");
    assert!(dialogue.verdict(exit(0)).is_ok(), "what it has withdrawn nobody has denied");
}

#[test]
fn a_denial_by_a_person_is_no_failure_and_one_by_time_is() {
    for (expired, expected) in [(false, None), (true, Some(FailureCode::AgentDenied))] {
        let mut dialogue = conversation(Leave::Ask(domain::Ask::Commands));
        asks(&mut dialogue, "1", "Bash", json!({"command": "make all"}));
        let heard = dialogue.answer("1", &Answer { unanswered: expired, ..answer(Decision::Deny) });
        assert!(heard.answers[0].contains(r#""behavior":"deny""#) && heard.answers[0].contains("Use make"));
        dialogue.hear(r#"{"type":"system","subtype":"permission_denied","tool_name":"Bash","tool_use_id":"c1"}"#);
        ends(&mut dialogue, &["c1"]);
        assert_eq!(code(dialogue.verdict(exit(0))), expected);
    }
    let mut dialogue = conversation(Leave::Ask(domain::Ask::Commands));
    ends(&mut dialogue, &["c1"]);
    assert_eq!(code(dialogue.verdict(exit(0))), Some(FailureCode::AgentDenied), "nobody was asked about that");
}

#[test]
fn its_turn_goes_on_until_it_has_heard_what_people_say() {
    let mut dialogue = conversation(Leave::Anything);
    let lines = dialogue.tell("Stop that", true).unwrap().answers;
    assert!(lines[0].contains("interrupt") && lines[1].contains("Stop that"));
    let id = serde_json::from_str::<Value>(&lines[1]).unwrap()["uuid"].as_str().unwrap().to_owned();
    let lifecycle = |state: &str| json!({"type": "command_lifecycle", "command_uuid": id, "state": state}).to_string();
    dialogue.hear(&lifecycle("queued"));
    let interrupted = r#"{"type":"result","subtype":"error_during_execution","is_error":true}"#;
    let heard = dialogue.hear(interrupted);
    assert!(!heard.is_over && heard.events.is_empty(), "its turn makes way");
    dialogue.hear(&lifecycle("started"));
    let heard = ends(&mut dialogue, &[]);
    assert!(heard.is_over && dialogue.verdict(exit(0)).is_ok());
}

#[test]
fn one_that_asks_takes_no_leave_from_the_repository() {
    let terms = AgentTerms::default();
    let (opening, _) = open(beginning(&terms, Leave::Ask(domain::Ask::Commands)), "tidy up");
    let arguments = opening.arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
    assert!(arguments.contains("--permission-mode manual") && arguments.contains("--setting-sources=user"), "{arguments}");
}

#[test]
fn a_judge_has_no_tools_that_change_anything_and_no_leave() {
    let terms = AgentTerms::default();
    let arguments = |leave| open(beginning(&terms, leave), "x").0.arguments;
    let tools = |leave| {
        let all = arguments(leave);
        let at = all.iter().position(|argument| argument == "--tools")?;
        all.get(at + 1).and_then(|tools| tools.to_str()).map(str::to_owned)
    };
    assert_eq!([Leave::Look, Leave::Speak].map(tools), [Some("Read,Grep,Glob".to_owned()), Some(String::new())]);
    assert_eq!([Leave::Anything, Leave::Nothing].map(tools), [None, None]);
    for leave in [Leave::Look, Leave::Speak] {
        let all = arguments(leave);
        assert!(["manual", "--setting-sources=user"].iter().all(|own| all.iter().any(|argument| argument == own)), "{all:?}");
        let mut dialogue = conversation(leave);
        let heard = asks(&mut dialogue, "7", "Write", json!({"file_path": "a.txt", "content": "x"}));
        assert!(heard.answers[0].contains(r#""behavior":"deny""#) && heard.questions.is_empty(), "{heard:?}");
    }
}
