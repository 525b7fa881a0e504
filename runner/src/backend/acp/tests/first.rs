//! The first sessions that were recorded of both, by somebody who has cut the longest lines: what is whole of them counts.

use std::iter;

use super::*;

/// Its lines as they came, each as far as it was kept.
fn recorded(name: &str) -> Vec<String> {
    let path = format!("{}/tests/transcripts/acp-{name}-first.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let ours = |line: &str| {
        let mut message = closed(line);
        if message["method"].is_null() && message["id"] == 2 {
            message["id"] = json!(TURN);
        }
        message.to_string()
    };
    text.lines().filter_map(|line| line.strip_prefix("<< ").map(ours)).collect()
}

/// What was cut is left out from its last comma on.
fn closed(line: &str) -> Value {
    let read = |end: usize| {
        let (mut open, mut in_text, mut is_escaped) = (vec![], false, false);
        for c in line[..end].chars() {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => in_text = !in_text,
                '{' if !in_text => open.push('}'),
                '[' if !in_text => open.push(']'),
                '}' | ']' if !in_text => drop(open.pop()),
                _ => {}
            }
        }
        let closing: String = open.into_iter().rev().collect();
        serde_json::from_str(&format!("{}{closing}", &line[..end])).ok().filter(|_| !in_text)
    };
    let mut ends = iter::once(line.len()).chain(line.rmatch_indices(',').map(|(at, _)| at));
    ends.find_map(read).unwrap()
}

const ROUND: [&str; 6] = ["started", "tool_call", "tool_result", "message", "usage", "ended"];

#[test]
fn the_first_session_of_gemini_cli_is_told_whole() {
    let terms = AgentTerms::default();
    let mut dialogue = gemini_cli::open(beginning(&terms), "write out.txt").1;
    let mut lines = recorded("gemini");
    // it was recorded without that
    lines.insert(2, answers(MODE, json!({})));
    let (events, said, is_over) = plays(&mut dialogue, &lines);
    assert_eq!(names(&events), ROUND, "{events:#?}");
    assert!(matches!(&events[0], Event::Started { version: Some(version), .. } if version == "0.61.0"));
    let run = json!({"command": "echo hello > out.txt && cat out.txt"});
    assert!(matches!(&events[1], Event::ToolCall { tool, input, .. } if tool == "execute" && *input == run), "{:?}", events[1]);
    assert_eq!(events[3], Event::Message { text: "All done.".into() });
    assert_eq!(
        events[4],
        Event::Usage {
            model: Some("gemini-2.5-flash".into()),
            input: 200,
            cached: 0,
            cache_written: 0,
            output: 40,
            cost: None,
            is_part: false
        }
    );
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());
    assert_eq!(said[3]["result"]["outcome"], json!({"outcome": "selected", "optionId": "proceed_once"}));
    assert_eq!(dialogue.session().as_deref(), Some("015dce8c-5de8-4a5d-9023-7a467e29a3be"));
}

#[test]
fn the_first_session_of_opencode_is_told_whole() {
    let terms = AgentTerms::default();
    let mut dialogue = opencode::open(beginning(&terms), "write out.txt").1;
    let (events, said, is_over) = plays(&mut dialogue, &recorded("opencode"));
    assert_eq!(names(&events), ROUND, "{events:#?}");
    let run = json!({"command": "echo hello > out.txt && cat out.txt", "description": "x"});
    assert!(matches!(&events[1], Event::ToolCall { tool, input, .. } if tool == "bash" && *input == run), "{:?}", events[1]);
    assert_eq!(events[2], Event::ToolResult { call: "call_1".into(), output: "hello".into(), is_error: false });
    assert_eq!(events[3], Event::Message { text: "All done.".into() });
    assert!(matches!(events[4], Event::Usage { input: 100, cached: 40, output: 20, .. }), "{:?}", events[4]);
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());
    assert_eq!(said[2]["result"]["outcome"], json!({"outcome": "selected", "optionId": "once"}));
}
