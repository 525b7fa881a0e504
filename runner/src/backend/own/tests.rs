//! What agents of manifests say comes to, a recorded session of a real one among them.

mod recorded;

use std::os::unix::process::ExitStatusExt;

use domain::{AgentTerms, CostSource, StepCost, session::FileChange};
use serde_json::json;

use super::*;
use crate::backend::{Spent, question::Leave};

/// Of a program whose messages are known: Claude Code 2.1.328 prints them so without being spoken with.
const CLAUDE: &str = r#"
speaks = "lines"
command = ["claude", "-p", "--output-format", "stream-json", "--verbose"]
resume = ["--resume", "{session}"]

[[line]]
when = { "/type" = "system", "/subtype" = "init" }
started = { session = "/session_id", model = "/model" }

[[line]]
when = { "/type" = "assistant", "/message/content/0/type" = "text" }
message = { text = "/message/content/0/text" }

[[line]]
when = { "/type" = "assistant", "/message/content/0/type" = "tool_use" }
tool_call = { call = "/message/content/0/id", tool = "/message/content/0/name", input = "/message/content/0/input" }

[[line]]
when = { "/type" = "user", "/message/content/0/type" = "tool_result" }
tool_result = { call = "/message/content/0/tool_use_id", output = "/message/content/0/content", failed = "/message/content/0/is_error" }

[[line]]
when = { "/type" = "result" }
usage = { input = "/usage/input_tokens", cached = "/usage/cache_read_input_tokens", output = "/usage/output_tokens" }
end = { failed = "/is_error", text = "/result" }
"#;

const TEXT: &str = "speaks = \"text\"\ncommand = [\"mine\"]\n";

fn transcript(name: &str) -> Vec<String> {
    let path = format!("{}/tests/transcripts/claude-{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

fn exit(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn opened(manifest: &str, prompt: &str, session: Option<&str>) -> (Opening, Own) {
    let terms = AgentTerms::default();
    let place = Beginning {
        worktree: "/home/dev/run".into(),
        more: None,
        config: "/home/dev/.agent".into(),
        session: session.map(str::to_owned),
        spent: Spent::default(),
        terms: &terms,
        leave: Leave::Anything,
        in_sandbox: true,
        given: &[],
    };
    let manifest = Arc::new(Manifest::parse(manifest).unwrap());
    open(place, prompt, (&Backend::parse("own:mine").unwrap(), "1.2"), &manifest)
}

fn own(manifest: &str) -> Own {
    opened(manifest, "tidy up", None).1
}

/// One whose lines mean this.
fn lines(meaning: &str) -> Own {
    own(&format!("speaks = \"lines\"\ncommand = [\"mine\"]\n{meaning}"))
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

/// All that it says in these lines, and how they ended.
fn played(dialogue: &mut Own, lines: &[String]) -> (Vec<Event>, bool) {
    let heard: Vec<_> = lines.iter().map(|line| dialogue.hear(line)).collect();
    let is_over = heard.iter().any(|heard| heard.is_over);
    (heard.into_iter().flat_map(|heard| heard.events).collect(), is_over)
}

fn why(dialogue: &Own, ended: Option<ExitStatus>) -> String {
    dialogue.verdict(ended).err().map(|failure| failure.message).unwrap_or_default()
}

#[test]
fn a_recorded_session_is_told_as_its_manifest_says() {
    let mut dialogue = own(CLAUDE);
    let (events, is_over) = played(&mut dialogue, &transcript("ok"));
    assert_eq!(names(&events), ["started", "tool_call", "tool_result", "message", "usage", "ended"], "{events:#?}");
    let session = Some("88be5864-6043-406d-8b58-21871a8a6bbb".to_owned());
    let model = Some("claude-sonnet-4-5".to_owned());
    let backend = Backend::parse("own:mine").unwrap();
    assert_eq!(events[0], Event::Started { backend, version: Some("1.2".into()), model, session: session.clone() });
    let input = json!({"command": "echo hello > out.txt && cat out.txt", "description": "x"});
    assert_eq!(events[1], Event::ToolCall { call: "toolu_01".into(), tool: "Bash".into(), input });
    assert_eq!(events[2], Event::ToolResult { call: "toolu_01".into(), output: "hello".into(), is_error: false });
    let model = Some("claude-sonnet-4-5".to_owned());
    assert_eq!(events[4], Event::Usage { model, input: 200, cached: 100, cache_written: 0, output: 40, cost: None, is_part: false });
    assert_eq!(events[5], ended(true));
    assert!(is_over && dialogue.gone(exit(0)).is_empty());
    assert_eq!((dialogue.verdict(exit(0)), dialogue.verdict(None)), (Ok(()), Ok(())), "it had said all, and would not go");
    assert!(why(&dialogue, exit(3)).ends_with("after it had said that all went well"));
    assert_eq!(dialogue.session(), session);
    let mut dialogue = own(CLAUDE);
    let (events, _) = played(&mut dialogue, &transcript("402"));
    assert_eq!(events.last(), Some(&ended(false)));
    assert_eq!(why(&dialogue, exit(0)), "mine (own) failed: API Error: 402 run budget exhausted (USD 2.00)", "whatever its exit code");
}

#[test]
fn one_that_is_to_say_how_it_went_and_does_not_has_failed() {
    let mut dialogue = own(CLAUDE);
    let mut all = transcript("ok");
    all.pop();
    let (events, is_over) = played(&mut dialogue, &all);
    assert!(!is_over && names(&events).last() == Some(&"message"));
    assert_eq!(dialogue.gone(exit(0)), [ended(false)]);
    assert!(why(&dialogue, exit(0)).ends_with("without saying how it went"));
}

#[test]
fn what_comes_after_the_end_is_not_told() {
    let mut dialogue = own(CLAUDE);
    let all = transcript("ok");
    played(&mut dialogue, &all);
    let (events, is_over) = played(&mut dialogue, &all);
    assert!(events.is_empty() && !is_over, "{events:#?}");
}

#[test]
fn a_line_means_what_its_table_says_and_any_other_nothing() {
    let mut dialogue = lines(
        r#"
[[line]]
when = { "/kind" = "do", "/nr" = 2, "/really" = true }
thinking = { text = "/why" }
tool_call = { tool = "/tool", input = "/with" }

[[line]]
when = { "/kind" = "done" }
tool_result = { output = "/said", failed = "/code" }
file_change = { path = "/file", change = "written" }
error = { text = "/wrong" }
"#,
    );
    assert!(dialogue.hear("not JSON").is_output, "it is for the log");
    assert!(dialogue.hear(r#"{"kind": "other"}"#) == Heard::default());
    for other in [r#"{"kind": "do", "nr": 2}"#, r#"{"kind": "do", "nr": "2", "really": true}"#, r#"{"kind": "do", "nr": 2, "really": 1}"#] {
        assert!(dialogue.hear(other) == Heard::default(), "{other}");
    }
    let heard =
        dialogue.hear(r#"{"kind": "do", "nr": 2, "really": true, "why": "So.", "tool": "sh", "with": "{\"path\": \"/home/dev/run/a\"}"}"#);
    assert_eq!(names(&heard.events), ["started", "thinking", "tool_call"]);
    assert_eq!(heard.events[2], Event::ToolCall { call: "1".into(), tool: "sh".into(), input: json!({"path": "a"}) });
    let heard = dialogue.hear(r#"{"kind": "done", "said": {"lines": 2}, "code": 1, "file": "/home/dev/run/b", "wrong": null}"#);
    let result = Event::ToolResult { call: "1".into(), output: r#"{"lines":2}"#.into(), is_error: true };
    assert_eq!(heard.events, [result, Event::FileChange { path: "b".into(), change: FileChange::Written, diff: None }]);
    assert_eq!(dialogue.gone(exit(0)), [ended(true)], "nothing says how it went but its exit code");
    assert_eq!((dialogue.verdict(exit(0)), why(&dialogue, exit(4)).as_str()), (Ok(()), "mine (own) ended with exit status 4"));
}

#[test]
fn an_end_in_words_is_one_that_went_badly() {
    let mut dialogue = lines("[[line]]\nwhen = { \"/status\" = \"error\" }\nfailure = { text = \"/why\" }\n");
    let heard = dialogue.hear(r#"{"status": "error", "why": "no model"}"#);
    assert!(heard.is_over && names(&heard.events) == ["started", "ended"]);
    assert_eq!(why(&dialogue, exit(0)), "mine (own) failed: no model");
}

#[test]
fn one_that_says_only_when_it_went_badly_has_gone_well_without_a_word() {
    let opened = || lines("[[line]]\nwhen = { \"/status\" = \"error\" }\nfailure = { text = \"/why\" }\n");
    let mut dialogue = opened();
    assert_eq!(dialogue.hear(r#"{"status": "working"}"#), Heard::default());
    assert_eq!(names(&dialogue.gone(exit(0))), ["started", "ended"]);
    assert_eq!(dialogue.verdict(exit(0)), Ok(()));
    assert_eq!(why(&opened(), exit(2)), "mine (own) ended with exit status 2");
}

#[test]
fn an_error_in_whatever_form_is_a_failure() {
    let ends = |line: &str| {
        let mut dialogue = lines("[[line]]\nend = { failed = \"/error\" }\n");
        assert!(dialogue.hear(line).is_over, "{line}");
        why(&dialogue, exit(0))
    };
    for well in [
        "{}",
        r#"{"error": null}"#,
        r#"{"error": false}"#,
        r#"{"error": 0}"#,
        r#"{"error": ""}"#,
        r#"{"error": "0"}"#,
        r#"{"error": "false"}"#,
        r#"{"error": []}"#,
    ] {
        assert_eq!(ends(well), "", "{well}");
    }
    for (badly, expected) in [
        (r#"{"error": true}"#, "mine (own) failed"),
        (r#"{"error": 3}"#, "mine (own) failed"),
        (r#"{"error": "no model"}"#, "mine (own) failed: no model"),
        (r#"{"error": {"code": 402}}"#, r#"mine (own) failed: {"code":402}"#),
        (r#"{"error": ["a"]}"#, r#"mine (own) failed: ["a"]"#),
    ] {
        assert_eq!(ends(badly), expected, "{badly}");
    }
    let mut calls = lines("[[line]]\ntool_result = { output = \"/output\", failed = \"/error\" }\n");
    let heard = calls.hear(r#"{"output": "", "error": "no such file"}"#);
    assert!(matches!(&heard.events[1], Event::ToolResult { is_error: true, .. }), "{heard:?}");
}

#[test]
fn whatever_else_a_line_says_comes_before_its_end() {
    let mut dialogue = lines(
        r#"
[[line]]
when = { "/type" = "result" }
end = {}

[[line]]
when = { "/type" = "result" }
usage = { input = "/input", output = "/output" }

[[line]]
when = { "/status" = "error" }
failure = { text = "/why" }
"#,
    );
    let heard = dialogue.hear(r#"{"type": "result", "input": 7, "output": 3, "status": "error", "why": "no model"}"#);
    assert_eq!(names(&heard.events), ["started", "usage", "ended"], "{:#?}", heard.events);
    assert!(heard.is_over);
    assert_eq!(why(&dialogue, exit(0)), "mine (own) failed: no model", "of two ends the one that went badly counts");
}

#[test]
fn what_an_answer_has_cost_is_told_where_the_agent_knows_it() {
    let usage = "[[line]]\nusage = { model = \"/model\", input = \"/in\", output = \"/out\", cache_written = \"/kept\", cost = \"/cost\" }";
    for (line, cost) in [
        (r#"{"model": "m", "in": 7, "out": 3, "kept": 2, "cost": 0.0125}"#, Some(StepCost { micros: 12_500, source: CostSource::Agent })),
        (r#"{"model": "m", "in": 7, "out": 3, "kept": 2, "cost": 0}"#, None),
        (r#"{"model": "m", "in": 7, "out": 3, "kept": 2}"#, None),
    ] {
        let heard = lines(usage).hear(line);
        let model = Some("m".to_owned());
        assert_eq!(
            heard.events[1],
            Event::Usage { model, input: 7, cached: 0, cache_written: 2, output: 3, cost, is_part: false },
            "{line}"
        );
    }
}

#[test]
fn what_a_text_says_together_is_one_message() {
    let mut dialogue = own(TEXT);
    let said = ["I look", "around.", "", "", "All is tidy."].map(str::to_owned);
    let (events, is_over) = played(&mut dialogue, &said);
    assert_eq!(names(&events), ["started", "message"]);
    assert_eq!(events[1], Event::Message { text: "I look\naround.".into() });
    assert!(!is_over, "nobody knows before it goes");
    assert_eq!(dialogue.gone(exit(0)), [Event::Message { text: "All is tidy.".into() }, ended(true)]);
    assert_eq!(dialogue.verdict(exit(0)), Ok(()));
    let mut silent = own(TEXT);
    assert_eq!(names(&silent.gone(exit(1))), ["started", "ended"]);
    assert!(silent.verdict(exit(1)).is_err() && silent.verdict(None).is_err());
    let mut cut = own(TEXT);
    cut.hear("half");
    assert_eq!(names(&cut.gone(None)), ["started", "message"], "how it ended is said elsewhere");
}

#[test]
fn a_prompt_is_told_on_the_standard_input_or_as_an_argument() {
    let (opening, dialogue) = opened(TEXT, "tidy up", None);
    assert_eq!((opening.lines, opening.arguments.len()), (vec!["tidy up".to_owned()], 0));
    assert!(!dialogue.listens(), "its input ends there");
    let (opening, _) = opened(TEXT, "/exit", None);
    assert_eq!(opening.lines, ["This is to be done:\n\n/exit"], "it is no command of its own");
    let argument = "speaks = \"text\"\ncommand = [\"mine\", \"--message\", \"{prompt}\"]\n";
    for (prompt, expected) in [("tidy up", "tidy up"), ("--yes", "This is to be done:\n\n--yes")] {
        let (opening, _) = opened(argument, prompt, None);
        assert_eq!((opening.arguments, opening.lines), (vec!["--message".into(), expected.into()], vec![]));
    }
}

#[test]
fn a_later_round_goes_on_with_what_it_has_called_its_session() {
    let (opening, dialogue) = opened(CLAUDE, "It is wrong", Some("s1"));
    assert_eq!(opening.arguments[opening.arguments.len() - 2..], ["--resume", "s1"]);
    assert_eq!(dialogue.session().as_deref(), Some("s1"));
    for bad in ["--dangerous", "a b", ""] {
        let mut dialogue = own(CLAUDE);
        dialogue.hear(&json!({"type": "system", "subtype": "init", "session_id": bad}).to_string());
        assert_eq!(dialogue.session(), None, "{bad:?} could be something else to it");
    }
    let mut without = own(&CLAUDE.replace("resume = [\"--resume\", \"{session}\"]", ""));
    played(&mut without, &transcript("ok"));
    assert_eq!(without.session(), None, "it has one round");
}

#[test]
fn nothing_can_be_said_to_it_and_it_asks_nobody() {
    let mut dialogue = own(TEXT);
    assert_eq!(dialogue.tell("Ada says: stop", true), None);
    assert!(dialogue.hear("Shall I?").questions.is_empty());
}
