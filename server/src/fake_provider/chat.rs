//! OpenAI Chat Completions, as OpenCode and most tools that are "compatible" speak it.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    asked::{Asked, Speaker, items, says},
    listings::MADE_SECONDS,
    reply::{Block, Call, Reply, deltas, event},
};

pub fn asked(body: &Value) -> Asked {
    let usage_in_stream = body["stream_options"]["include_usage"] == true;
    Asked { usage_in_stream, ..Asked::new(body, spoken(body), tools(body)) }
}

/// Ollama's conversations look alike.
pub fn spoken(body: &Value) -> Vec<(Speaker, String)> {
    let one = |message: &Value| match message["role"].as_str() {
        Some("assistant") => says(Speaker::Assistant, &Value::Null),
        Some("tool") => says(Speaker::Tool, &Value::Null),
        Some("user") => says(Speaker::User, &message["content"]),
        _ => says(Speaker::System, &message["content"]),
    };
    items(&body["messages"]).iter().flat_map(one).collect()
}

pub fn tools(body: &Value) -> Vec<String> {
    items(&body["tools"]).iter().filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect()
}

pub fn whole(reply: &Reply) -> Value {
    let calls: Vec<_> = reply.calls().map(|call| function_call(call, &call.input.to_string())).collect();
    let mut message = json!({ "role": "assistant", "content": reply.text() });
    if let Value::Object(fields) = &mut message {
        if !calls.is_empty() {
            fields.insert("tool_calls".into(), json!(calls));
        }
        let thinking = reply.thinking();
        if !thinking.is_empty() {
            fields.insert("reasoning_content".into(), json!(thinking));
        }
    }
    json!({
        "id": id(reply), "object": "chat.completion", "created": MADE_SECONDS, "model": reply.model,
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason(reply) }], "usage": usage(reply),
    })
}

pub fn frames(reply: &Reply, with_usage: bool) -> Vec<String> {
    let chunk = |delta: &Value, finish_reason: &Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        event(&completion_chunk(reply, &json!([choice]), &Value::Null))
    };
    let mut frames = vec![chunk(&json!({ "role": "assistant", "content": "" }), &Value::Null)];
    let mut calls = 0;
    for block in &reply.blocks {
        match block {
            Block::Thinking(text) => {
                frames.extend(deltas(text).map(|delta| chunk(&json!({ "reasoning_content": delta }), &Value::Null)));
            }
            Block::Text(text) => frames.extend(deltas(text).map(|delta| chunk(&json!({ "content": delta }), &Value::Null))),
            Block::Call(call) => {
                frames.extend(call_deltas(call, calls).iter().map(|delta| chunk(&json!({ "tool_calls": [delta] }), &Value::Null)));
                calls += 1;
            }
        }
    }
    frames.push(chunk(&json!({}), &json!(finish_reason(reply))));
    if with_usage {
        frames.push(event(&completion_chunk(reply, &json!([]), &usage(reply))));
    }
    frames.push("data: [DONE]\n\n".into());
    frames
}

pub fn error(status: StatusCode, message: &str) -> Value {
    let (kind, code) = match status.as_u16() {
        401 => ("invalid_request_error", "invalid_api_key"),
        402 => ("insufficient_quota", "insufficient_quota"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        500.. => ("server_error", "server_error"),
        _ => ("invalid_request_error", "invalid_request_error"),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

fn id(reply: &Reply) -> String {
    format!("chatcmpl-fake-{}", reply.number)
}

fn completion_chunk(reply: &Reply, choices: &Value, usage: &Value) -> Value {
    json!({
        "id": id(reply), "object": "chat.completion.chunk", "created": MADE_SECONDS, "model": reply.model,
        "choices": choices, "usage": usage,
    })
}

fn finish_reason(reply: &Reply) -> &'static str {
    if reply.calls_a_tool() { "tool_calls" } else { "stop" }
}

fn usage(reply: &Reply) -> Value {
    let usage = reply.usage;
    json!({
        "prompt_tokens": usage.input, "prompt_tokens_details": { "cached_tokens": usage.cached },
        "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
    })
}

fn function_call(call: &Call, arguments: &str) -> Value {
    json!({ "id": call.id, "type": "function", "function": { "name": call.tool, "arguments": arguments } })
}

fn call_deltas(call: &Call, index: usize) -> Vec<Value> {
    let function = json!({ "name": call.tool, "arguments": "" });
    let mut parts = vec![json!({ "index": index, "id": call.id, "type": "function", "function": function })];
    let arguments = call.input.to_string();
    parts.extend(deltas(&arguments).map(|delta| json!({ "index": index, "function": { "arguments": delta } })));
    parts
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_frames, reply};
    use super::*;

    fn expected(rows: &[(&str, &str)]) -> String {
        let head = r#""id": "chatcmpl-fake-7", "object": "chat.completion.chunk", "created": 1767225600, "model": "m""#;
        let rows = rows.iter().map(|(choices, usage)| format!("data: {{{head}, \"choices\": [{choices}], \"usage\": {usage}}}\n\n"));
        rows.collect::<String>() + "data: [DONE]\n\n"
    }

    #[test]
    fn a_reply_is_streamed_as_chunks() {
        let rows = [
            (r#"{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}"#, "null"),
            (r#"{"index": 0, "delta": {"reasoning_content": "Hm."}, "finish_reason": null}"#, "null"),
            (r#"{"index": 0, "delta": {"content": "I "}, "finish_reason": null}"#, "null"),
            (r#"{"index": 0, "delta": {"content": "look."}, "finish_reason": null}"#, "null"),
            (
                r#"{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "call_7_2", "type": "function", "function": {"name": "Bash", "arguments": ""}}]}, "finish_reason": null}"#,
                "null",
            ),
            (
                r#"{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{\"command\":\"ls "}}]}, "finish_reason": null}"#,
                "null",
            ),
            (r#"{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "-a\"}"}}]}, "finish_reason": null}"#, "null"),
            (r#"{"index": 0, "delta": {}, "finish_reason": "tool_calls"}"#, "null"),
            ("", r#"{"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens": 20, "total_tokens": 120}"#),
        ];
        assert_frames(&frames(&reply(), true), &expected(&rows));
        let (_, without_usage) = rows.split_last().unwrap();
        assert_frames(&frames(&reply(), false), &expected(without_usage));
    }

    #[test]
    fn a_conversation_is_read() {
        let asked = asked(&json!({
            "model": "m", "stream": true, "stream_options": { "include_usage": true },
            "tools": [{ "type": "function", "function": { "name": "bash" } }],
            "messages": [
                { "role": "system", "content": "<env>\n  Working directory: /w\n</env>" },
                { "role": "user", "content": [{ "type": "text", "text": "Go" }] },
                { "role": "assistant", "content": null, "tool_calls": [] },
                { "role": "tool", "content": "ok" },
                { "role": "assistant", "content": "Done." },
            ],
        }));
        assert_eq!((asked.turns, asked.prompt(), asked.cwd(), asked.usage_in_stream), (2, "Go", Some("/w"), true));
        assert_eq!(asked.tools, ["bash"]);
    }
}
