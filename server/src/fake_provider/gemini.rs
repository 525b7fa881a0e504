//! Gemini's REST API, as Gemini CLI speaks it. Model and verb stand in the path.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    asked::{Asked, Speaker, items, says},
    endpoint::gemini_call,
    reply::{Block, Reply, deltas, event},
};

pub fn asked(path: &str, body: &Value) -> Asked {
    let (model, verb) = gemini_call(path).unwrap_or_default();
    let mut spoken = says(Speaker::System, &body["systemInstruction"]["parts"]);
    for content in items(&body["contents"]) {
        let parts = &content["parts"];
        match content["role"].as_str() {
            Some("model") => spoken.push((Speaker::Assistant, String::new())),
            _ if items(parts).iter().any(|part| part.get("functionResponse").is_some()) => spoken.push((Speaker::Tool, String::new())),
            _ => spoken.extend(says(Speaker::User, parts)),
        }
    }
    let functions = items(&body["tools"]).iter().flat_map(|tool| items(&tool["functionDeclarations"]));
    let tools = functions.filter_map(|function| function["name"].as_str().map(str::to_owned)).collect();
    Asked { model: model.to_owned(), stream: verb == "streamGenerateContent", ..Asked::new(body, spoken, tools) }
}

pub fn whole(reply: &Reply) -> Value {
    let parts: Vec<_> = reply.blocks.iter().map(|block| part(block, None)).collect();
    response(reply, &json!(parts), true)
}

pub fn frames(reply: &Reply) -> Vec<String> {
    let mut frames = vec![];
    for block in &reply.blocks {
        match block {
            Block::Thinking(text) | Block::Text(text) => {
                frames.extend(deltas(text).map(|delta| event(&response(reply, &json!([part(block, Some(delta))]), false))));
            }
            Block::Call(_) => frames.push(event(&response(reply, &json!([part(block, None)]), false))),
        }
    }
    frames.push(event(&response(reply, &json!([{ "text": "" }]), true)));
    frames
}

pub fn error(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({ "error": { "code": status.as_u16(), "message": message, "status": kind } })
}

/// The whole of a block, or a delta of its text.
fn part(block: &Block, delta: Option<&str>) -> Value {
    match block {
        Block::Thinking(text) => json!({ "text": delta.unwrap_or(text), "thought": true }),
        Block::Text(text) => json!({ "text": delta.unwrap_or(text) }),
        Block::Call(call) => json!({ "functionCall": { "id": call.id, "name": call.tool, "args": call.input } }),
    }
}

/// The last of a stream says how it ended and what was used.
fn response(reply: &Reply, parts: &Value, last: bool) -> Value {
    let content = json!({ "role": "model", "parts": parts });
    let head = (format!("resp_fake_{}", reply.number), &reply.model);
    if !last {
        return json!({ "candidates": [{ "index": 0, "content": content }], "modelVersion": head.1, "responseId": head.0 });
    }
    let usage = reply.usage;
    json!({
        "candidates": [{ "index": 0, "content": content, "finishReason": "STOP" }], "modelVersion": head.1, "responseId": head.0,
        "usageMetadata": {
            "promptTokenCount": usage.input, "cachedContentTokenCount": usage.cached, "candidatesTokenCount": usage.output,
            "totalTokenCount": usage.input + usage.output,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_frames, reply};
    use super::*;

    #[test]
    fn a_reply_is_streamed_as_responses() {
        assert_frames(
            &frames(&reply()),
            r#"data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hm.", "thought": true}]}}], "modelVersion": "m", "responseId": "resp_fake_7"}

data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "I "}]}}], "modelVersion": "m", "responseId": "resp_fake_7"}

data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "look."}]}}], "modelVersion": "m", "responseId": "resp_fake_7"}

data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"functionCall": {"id": "call_7_2", "name": "Bash", "args": {"command": "ls -a"}}}]}}], "modelVersion": "m", "responseId": "resp_fake_7"}

data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}], "modelVersion": "m", "responseId": "resp_fake_7", "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20, "totalTokenCount": 120}}

"#,
        );
    }

    #[test]
    fn a_conversation_is_read() {
        let asked = asked(
            "/s/a/v1beta/models/gemini-9:streamGenerateContent",
            &json!({
                "systemInstruction": { "parts": [{ "text": "Be good." }] },
                "tools": [{ "functionDeclarations": [{ "name": "run_shell_command" }, { "name": "write_file" }] }],
                "contents": [
                    { "role": "user", "parts": [{ "text": "<session_context>\n- **Workspace Directories:**\n  - /w\n</session_context>" }] },
                    { "role": "user", "parts": [{ "text": "Go" }] },
                    { "role": "model", "parts": [{ "functionCall": { "name": "run_shell_command", "args": {} } }] },
                    { "role": "user", "parts": [{ "functionResponse": { "name": "run_shell_command", "response": {} } }] },
                ],
            }),
        );
        assert_eq!((asked.model.as_str(), asked.stream, asked.turns, asked.tools.len()), ("gemini-9", true, 1, 2));
        assert_eq!((asked.prompt(), asked.cwd()), ("Go", Some("/w")));
    }
}
