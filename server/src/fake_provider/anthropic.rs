//! Anthropic Messages, as Claude Code speaks it.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    asked::{Asked, Speaker, items, says, texts},
    reply::{Block, Reply, deltas, named_event},
};

/// Claude Code puts it between a request that was interrupted and the next prompt; no model said it.
const NOT_SAID: &str = "No response requested.";

pub fn asked(body: &Value) -> Asked {
    let mut spoken = says(Speaker::System, &body["system"]);
    for message in items(&body["messages"]) {
        match message["role"].as_str() {
            Some("assistant") if texts(&message["content"]) == [NOT_SAID] => {}
            Some("assistant") => spoken.push((Speaker::Assistant, String::new())),
            Some("system") => spoken.extend(says(Speaker::System, &message["content"])),
            _ => spoken.extend(says(Speaker::User, &message["content"])),
        }
    }
    let tools = items(&body["tools"]).iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
    Asked::new(body, spoken, tools)
}

pub fn whole(reply: &Reply) -> Value {
    let content: Vec<_> = reply.blocks.iter().map(block).collect();
    message(reply, &json!(content), &json!(stop_reason(reply)), reply.usage.output)
}

pub fn frames(reply: &Reply) -> Vec<String> {
    let begun = message(reply, &json!([]), &Value::Null, 1);
    let mut events = vec![json!({ "type": "message_start", "message": begun })];
    for (index, said) in reply.blocks.iter().enumerate() {
        let (begin, deltas) = streamed(said);
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": begin }));
        events.extend(deltas.iter().map(|delta| json!({ "type": "content_block_delta", "index": index, "delta": delta })));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let stop = json!({ "stop_reason": stop_reason(reply), "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": stop, "usage": usage(reply, reply.usage.output) }));
    events.push(json!({ "type": "message_stop" }));
    events.iter().map(named_event).collect()
}

pub fn error(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

fn message(reply: &Reply, content: &Value, stop_reason: &Value, output: u64) -> Value {
    json!({
        "id": format!("msg_fake_{}", reply.number), "type": "message", "role": "assistant", "model": reply.model,
        "content": content, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(reply, output),
    })
}

/// What was read from the cache is counted by itself here.
fn usage(reply: &Reply, output: u64) -> Value {
    let usage = reply.usage;
    json!({
        "input_tokens": usage.input.saturating_sub(usage.cached), "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached, "output_tokens": output,
    })
}

fn stop_reason(reply: &Reply) -> &'static str {
    if reply.calls_a_tool() { "tool_use" } else { "end_turn" }
}

/// Thinking is only taken back with a signature.
const SIGNATURE: &str = "ZmFrZQ==";

fn block(block: &Block) -> Value {
    match block {
        Block::Thinking(text) => json!({ "type": "thinking", "thinking": text, "signature": SIGNATURE }),
        Block::Text(text) => json!({ "type": "text", "text": text }),
        Block::Call(call) => json!({ "type": "tool_use", "id": call.id, "name": call.tool, "input": call.input }),
    }
}

/// How a block begins, and the deltas that fill it.
fn streamed(block: &Block) -> (Value, Vec<Value>) {
    match block {
        Block::Thinking(text) => {
            let mut parts: Vec<_> = deltas(text).map(|delta| json!({ "type": "thinking_delta", "thinking": delta })).collect();
            parts.push(json!({ "type": "signature_delta", "signature": SIGNATURE }));
            (json!({ "type": "thinking", "thinking": "", "signature": "" }), parts)
        }
        Block::Text(text) => {
            let parts = deltas(text).map(|delta| json!({ "type": "text_delta", "text": delta })).collect();
            (json!({ "type": "text", "text": "" }), parts)
        }
        Block::Call(call) => {
            let input = call.input.to_string();
            let parts = deltas(&input).map(|delta| json!({ "type": "input_json_delta", "partial_json": delta })).collect();
            (json!({ "type": "tool_use", "id": call.id, "name": call.tool, "input": {} }), parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_frames, reply};
    use super::*;

    #[test]
    fn a_reply_is_streamed_as_messages_events() {
        assert_frames(
            &frames(&reply()),
            r#"event: message_start
data: {"type": "message_start", "message": {"id": "msg_fake_7", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40, "output_tokens": 1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "ZmFrZQ=="}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: content_block_start
data: {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I "}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "look."}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 1}

event: content_block_start
data: {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "call_7_2", "name": "Bash", "input": {}}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"command\":\"ls "}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "-a\"}"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 2}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"input_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40, "output_tokens": 20}}

event: message_stop
data: {"type": "message_stop"}

"#,
        );
    }

    #[test]
    fn a_conversation_is_read() {
        let asked = asked(&json!({
            "model": "m", "stream": true, "system": [{ "type": "text", "text": "Be good." }],
            "tools": [{ "name": "Bash", "input_schema": {} }],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "<system-reminder>x</system-reminder>" }, { "type": "text", "text": "Go" }] },
                { "role": "assistant", "content": [{ "type": "text", "text": "I look." }, { "type": "tool_use", "id": "a", "name": "Bash", "input": {} }] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a", "content": "ok" }] },
                { "role": "user", "content": [{ "type": "text", "text": "[Request interrupted by user]" }] },
                { "role": "system", "content": " - Primary working directory: /w\n" },
                { "role": "assistant", "content": [{ "type": "text", "text": "No response requested." }] },
                { "role": "user", "content": "Again" },
            ],
        }));
        assert_eq!((asked.model.as_str(), asked.stream, asked.turns, asked.tools.len()), ("m", true, 1, 1));
        assert_eq!(asked.prompts, ["Go", "Again"]);
        assert_eq!(asked.cwd(), Some("/w"));
    }
}
