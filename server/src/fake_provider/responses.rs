//! OpenAI Responses, the only wire that Codex speaks. Errors look as in Chat Completions.

use serde_json::{Value, json};

use super::{
    asked::{Asked, Speaker, items, says},
    listings::MADE_SECONDS,
    reply::{Block, Reply, deltas, named_event},
};

pub fn asked(body: &Value) -> Asked {
    let mut spoken = says(Speaker::System, &body["instructions"]);
    match &body["input"] {
        Value::Array(input) => spoken.extend(input.iter().flat_map(spoken_item)),
        text => spoken.extend(says(Speaker::User, text)),
    }
    let tools = items(&body["tools"]).iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
    Asked::new(body, spoken, tools)
}

fn spoken_item(item: &Value) -> Vec<(Speaker, String)> {
    match (item["type"].as_str().unwrap_or("message"), item["role"].as_str()) {
        ("message", Some("assistant")) => says(Speaker::Assistant, &Value::Null),
        ("message", Some("user")) => says(Speaker::User, &item["content"]),
        ("message", _) => says(Speaker::System, &item["content"]),
        (kind, _) if kind.ends_with("_output") => says(Speaker::Tool, &Value::Null),
        (kind, _) if kind == "reasoning" || kind.ends_with("_call") => says(Speaker::Assistant, &Value::Null),
        _ => vec![],
    }
}

pub fn whole(reply: &Reply) -> Value {
    let output: Vec<_> = reply.blocks.iter().enumerate().map(|(index, block)| item(reply, index, block)).collect();
    response(reply, "completed", &json!(output), &usage(reply))
}

pub fn frames(reply: &Reply) -> Vec<String> {
    let begun = response(reply, "in_progress", &json!([]), &Value::Null);
    let mut events = vec![json!({ "type": "response.created", "response": begun })];
    for (index, block) in reply.blocks.iter().enumerate() {
        let item = item(reply, index, block);
        events.push(json!({ "type": "response.output_item.added", "output_index": index, "item": begun_item(&item) }));
        events.extend(filling(index, &item["id"], block));
        events.push(json!({ "type": "response.output_item.done", "output_index": index, "item": item }));
    }
    events.push(json!({ "type": "response.completed", "response": whole(reply) }));
    let numbered = events.into_iter().enumerate().map(|(number, event)| with(event, "sequence_number", json!(number)));
    numbered.map(|event| named_event(&event)).collect()
}

fn response(reply: &Reply, status: &str, output: &Value, usage: &Value) -> Value {
    json!({
        "id": format!("resp_fake_{}", reply.number), "object": "response", "created_at": MADE_SECONDS, "model": reply.model,
        "status": status, "output": output, "usage": usage,
    })
}

fn usage(reply: &Reply) -> Value {
    let usage = reply.usage;
    json!({
        "input_tokens": usage.input, "input_tokens_details": { "cached_tokens": usage.cached },
        "output_tokens": usage.output, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": usage.input + usage.output,
    })
}

fn item(reply: &Reply, index: usize, block: &Block) -> Value {
    let id = format!("item_{}_{index}", reply.number);
    match block {
        Block::Thinking(text) => {
            json!({ "id": id, "type": "reasoning", "summary": [{ "type": "summary_text", "text": text }], "encrypted_content": null })
        }
        Block::Text(text) => {
            let part = text_part(text);
            json!({ "id": id, "type": "message", "role": "assistant", "status": "completed", "content": [part] })
        }
        Block::Call(call) => json!({
            "id": id, "type": "function_call", "status": "completed", "call_id": call.id, "name": call.tool,
            "arguments": call.input.to_string(),
        }),
    }
}

fn text_part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

/// An item as it is announced: without what is streamed.
fn begun_item(item: &Value) -> Value {
    let (field, empty) = match item["type"].as_str() {
        Some("reasoning") => return with(item.clone(), "summary", json!([])),
        Some("function_call") => ("arguments", json!("")),
        _ => ("content", json!([])),
    };
    with(with(item.clone(), field, empty), "status", json!("in_progress"))
}

/// What fills an item.
fn filling(index: usize, id: &Value, block: &Block) -> Vec<Value> {
    let event = |kind: &str| json!({ "type": format!("response.{kind}"), "item_id": id, "output_index": index });
    match block {
        Block::Thinking(text) => {
            let event = |kind: &str| with(event(kind), "summary_index", json!(0));
            let part = |text: &str| json!({ "type": "summary_text", "text": text });
            let mut events = vec![with(event("reasoning_summary_part.added"), "part", part(""))];
            events.extend(deltas(text).map(|delta| with(event("reasoning_summary_text.delta"), "delta", json!(delta))));
            events.push(with(event("reasoning_summary_text.done"), "text", json!(text)));
            events.push(with(event("reasoning_summary_part.done"), "part", part(text)));
            events
        }
        Block::Text(text) => {
            let event = |kind: &str| with(event(kind), "content_index", json!(0));
            let mut events = vec![with(event("content_part.added"), "part", text_part(""))];
            events.extend(deltas(text).map(|delta| with(event("output_text.delta"), "delta", json!(delta))));
            events.push(with(event("output_text.done"), "text", json!(text)));
            events.push(with(event("content_part.done"), "part", text_part(text)));
            events
        }
        Block::Call(call) => {
            let arguments = call.input.to_string();
            let mut events: Vec<_> =
                deltas(&arguments).map(|delta| with(event("function_call_arguments.delta"), "delta", json!(delta))).collect();
            events.push(with(event("function_call_arguments.done"), "arguments", json!(arguments)));
            events
        }
    }
}

/// An object with one field more, or another value in it.
fn with(mut object: Value, field: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert(field.to_owned(), value);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_frames, reply};
    use super::*;

    #[test]
    fn a_reply_is_streamed_as_response_events() {
        assert_frames(
            &frames(&reply()),
            r#"event: response.created
data: {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_fake_7", "object": "response", "created_at": 1767225600, "model": "m", "status": "in_progress", "output": [], "usage": null}}

event: response.output_item.added
data: {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {"id": "item_7_0", "type": "reasoning", "summary": [], "encrypted_content": null}}

event: response.reasoning_summary_part.added
data: {"type": "response.reasoning_summary_part.added", "sequence_number": 2, "item_id": "item_7_0", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}

event: response.reasoning_summary_text.delta
data: {"type": "response.reasoning_summary_text.delta", "sequence_number": 3, "item_id": "item_7_0", "output_index": 0, "summary_index": 0, "delta": "Hm."}

event: response.reasoning_summary_text.done
data: {"type": "response.reasoning_summary_text.done", "sequence_number": 4, "item_id": "item_7_0", "output_index": 0, "summary_index": 0, "text": "Hm."}

event: response.reasoning_summary_part.done
data: {"type": "response.reasoning_summary_part.done", "sequence_number": 5, "item_id": "item_7_0", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": "Hm."}}

event: response.output_item.done
data: {"type": "response.output_item.done", "sequence_number": 6, "output_index": 0, "item": {"id": "item_7_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": null}}

event: response.output_item.added
data: {"type": "response.output_item.added", "sequence_number": 7, "output_index": 1, "item": {"id": "item_7_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}}

event: response.content_part.added
data: {"type": "response.content_part.added", "sequence_number": 8, "item_id": "item_7_1", "output_index": 1, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}

event: response.output_text.delta
data: {"type": "response.output_text.delta", "sequence_number": 9, "item_id": "item_7_1", "output_index": 1, "content_index": 0, "delta": "I "}

event: response.output_text.delta
data: {"type": "response.output_text.delta", "sequence_number": 10, "item_id": "item_7_1", "output_index": 1, "content_index": 0, "delta": "look."}

event: response.output_text.done
data: {"type": "response.output_text.done", "sequence_number": 11, "item_id": "item_7_1", "output_index": 1, "content_index": 0, "text": "I look."}

event: response.content_part.done
data: {"type": "response.content_part.done", "sequence_number": 12, "item_id": "item_7_1", "output_index": 1, "content_index": 0, "part": {"type": "output_text", "text": "I look.", "annotations": []}}

event: response.output_item.done
data: {"type": "response.output_item.done", "sequence_number": 13, "output_index": 1, "item": {"id": "item_7_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]}}

event: response.output_item.added
data: {"type": "response.output_item.added", "sequence_number": 14, "output_index": 2, "item": {"id": "item_7_2", "type": "function_call", "status": "in_progress", "call_id": "call_7_2", "name": "Bash", "arguments": ""}}

event: response.function_call_arguments.delta
data: {"type": "response.function_call_arguments.delta", "sequence_number": 15, "item_id": "item_7_2", "output_index": 2, "delta": "{\"command\":\"ls "}

event: response.function_call_arguments.delta
data: {"type": "response.function_call_arguments.delta", "sequence_number": 16, "item_id": "item_7_2", "output_index": 2, "delta": "-a\"}"}

event: response.function_call_arguments.done
data: {"type": "response.function_call_arguments.done", "sequence_number": 17, "item_id": "item_7_2", "output_index": 2, "arguments": "{\"command\":\"ls -a\"}"}

event: response.output_item.done
data: {"type": "response.output_item.done", "sequence_number": 18, "output_index": 2, "item": {"id": "item_7_2", "type": "function_call", "status": "completed", "call_id": "call_7_2", "name": "Bash", "arguments": "{\"command\":\"ls -a\"}"}}

event: response.completed
data: {"type": "response.completed", "sequence_number": 19, "response": {"id": "resp_fake_7", "object": "response", "created_at": 1767225600, "model": "m", "status": "completed", "output": [{"id": "item_7_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": null}, {"id": "item_7_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]}, {"id": "item_7_2", "type": "function_call", "status": "completed", "call_id": "call_7_2", "name": "Bash", "arguments": "{\"command\":\"ls -a\"}"}], "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 120}}}

"#,
        );
    }

    #[test]
    fn contiguous_items_of_the_model_are_one_turn() {
        let asked = asked(&json!({
            "model": "m", "stream": true, "tools": [{ "type": "function", "name": "exec_command" }, { "type": "web_search" }],
            "input": [
                { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "Be good." }] },
                { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "<environment_context>\n  <cwd>/w</cwd>" }] },
                { "role": "user", "content": "Go" },
                { "type": "reasoning", "summary": [] },
                { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I look." }] },
                { "type": "function_call", "call_id": "a" }, { "type": "function_call", "call_id": "b" },
                { "type": "function_call_output", "call_id": "a" }, { "type": "function_call_output", "call_id": "b" },
                { "type": "message", "role": "assistant", "content": [] },
            ],
        }));
        assert_eq!((asked.turns, asked.prompt(), asked.cwd()), (2, "Go", Some("/w")));
        assert_eq!(asked.tools, ["exec_command"]);
    }
}
