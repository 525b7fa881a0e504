//! What the tests of the wires share.

use serde_json::{Value, json};

use super::{
    reply::{Block, Call, Reply},
    scenario::Usage,
};

/// Thinking, a text and a call of a tool.
pub fn reply() -> Reply {
    let call = Call { id: "call_7_2".into(), tool: "Bash".into(), input: json!({ "command": "ls -a" }) };
    Reply {
        number: 7,
        model: "m".into(),
        blocks: vec![Block::Thinking("Hm.".into()), Block::Text("I look.".into()), Block::Call(call)],
        usage: Usage { input: 100, output: 20, cached: 40 },
    }
}

/// Byte for byte, but for the order of fields and the blanks inside JSON.
pub fn assert_frames(frames: &[String], expected: &str) {
    let streamed = frames.concat();
    for (number, (line, expected)) in streamed.split('\n').zip(expected.split('\n')).enumerate() {
        assert_eq!(normal(line), normal(expected), "line {}", number + 1);
    }
    assert_eq!(streamed.split('\n').count(), expected.split('\n').count(), "{streamed}");
}

fn normal(line: &str) -> String {
    let (field, data) = line.split_once("data: ").map_or(("", line), |(before, data)| (before, data));
    serde_json::from_str::<Value>(data).map_or_else(|_| line.to_owned(), |value| format!("{field}{value}"))
}
