//! Ollama's own chat API: lines of JSON, streamed unless the request says otherwise.

use serde_json::{Value, json};

use super::{
    asked::Asked,
    chat,
    listings::MADE,
    reply::{Block, Reply, deltas},
};

pub fn asked(body: &Value) -> Asked {
    Asked { stream: body["stream"] != false, ..Asked::new(body, chat::spoken(body), chat::tools(body)) }
}

pub fn whole(reply: &Reply) -> Value {
    let calls: Vec<_> = reply.calls().map(|call| json!({ "function": { "name": call.tool, "arguments": call.input } })).collect();
    ended(reply, &json!({ "role": "assistant", "content": reply.text(), "thinking": reply.thinking(), "tool_calls": calls }))
}

pub fn frames(reply: &Reply) -> Vec<String> {
    let mut messages = vec![];
    for block in &reply.blocks {
        match block {
            Block::Thinking(text) => {
                messages.extend(deltas(text).map(|delta| json!({ "role": "assistant", "content": "", "thinking": delta })));
            }
            Block::Text(text) => messages.extend(deltas(text).map(|delta| json!({ "role": "assistant", "content": delta }))),
            Block::Call(call) => {
                let call = json!({ "function": { "name": call.tool, "arguments": call.input } });
                messages.push(json!({ "role": "assistant", "content": "", "tool_calls": [call] }));
            }
        }
    }
    let lines = messages.iter().map(|message| json!({ "model": reply.model, "created_at": MADE, "message": message, "done": false }));
    let last = ended(reply, &json!({ "role": "assistant", "content": "" }));
    lines.chain([last]).map(|line| format!("{line}\n")).collect()
}

pub fn error(message: &str) -> Value {
    json!({ "error": message })
}

/// The last line, or the whole reply. Durations are in nanoseconds.
fn ended(reply: &Reply, message: &Value) -> Value {
    json!({
        "model": reply.model, "created_at": MADE, "message": message, "done": true, "done_reason": "stop",
        "total_duration": 3_000_000, "load_duration": 1_000_000, "prompt_eval_count": reply.usage.input, "prompt_eval_duration": 1_000_000,
        "eval_count": reply.usage.output, "eval_duration": 1_000_000,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_frames, reply};
    use super::*;

    #[test]
    fn a_reply_is_streamed_as_lines() {
        assert_frames(
            &frames(&reply()),
            r#"{"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "", "thinking": "Hm."}, "done": false}
{"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "I "}, "done": false}
{"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "look."}, "done": false}
{"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "Bash", "arguments": {"command": "ls -a"}}}]}, "done": false}
{"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop", "total_duration": 3000000, "load_duration": 1000000, "prompt_eval_count": 100, "prompt_eval_duration": 1000000, "eval_count": 20, "eval_duration": 1000000}
"#,
        );
    }

    #[test]
    fn it_streams_unless_the_request_says_otherwise() {
        assert!(asked(&json!({ "model": "m" })).stream);
        assert!(!asked(&json!({ "model": "m", "stream": false })).stream);
    }
}
