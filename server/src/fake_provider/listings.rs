//! Answers that no scenario decides: which models there are, how many tokens a request has, and what Ollama says about itself.

use axum::{
    body::Bytes,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{endpoint::Listing, sending::json_response};

/// Any other name is played as well.
const MODELS: [&str; 2] = ["fake-large", "fake-small"];
const DIGEST: &str = "fa4e0000000000000000000000000000000000000000000000000000000000fa";
/// When everything here was made.
pub const MADE: &str = "2026-01-01T00:00:00Z";
/// The same in seconds.
pub const MADE_SECONDS: u64 = 1_767_225_600;

pub fn answer(listing: Listing, headers: &HeaderMap, body: &Bytes) -> Response {
    let body_or_null: Value = serde_json::from_slice(body).unwrap_or_default();
    let tokens = body.len().div_ceil(4);
    let answer = match listing {
        Listing::CountTokens => json!({ "input_tokens": tokens }),
        Listing::GeminiCountTokens => json!({ "totalTokens": tokens }),
        Listing::Models if headers.contains_key("anthropic-version") => anthropic_models(),
        Listing::Models => openai_models(),
        Listing::OllamaTags => json!({ "models": MODELS.map(ollama_model) }),
        Listing::OllamaPs => json!({ "models": [] }),
        Listing::OllamaShow => ollama_show(),
        Listing::OllamaPull if body_or_null["stream"] == false => json!({ "status": "success" }),
        Listing::OllamaPull => return ollama_pull(),
        Listing::OllamaVersion => json!({ "version": "0.0.0-fake" }),
    };
    json_response(StatusCode::OK, &answer)
}

fn anthropic_models() -> Value {
    let model = |id: &str| json!({ "type": "model", "id": id, "display_name": id, "created_at": MADE });
    json!({ "data": MODELS.map(model), "has_more": false, "first_id": MODELS.first(), "last_id": MODELS.last() })
}

fn openai_models() -> Value {
    let model = |id: &str| json!({ "id": id, "object": "model", "created": MADE_SECONDS, "owned_by": "muster-fake" });
    json!({ "object": "list", "data": MODELS.map(model) })
}

fn ollama_model(name: &str) -> Value {
    json!({
        "name": name, "model": name, "modified_at": MADE, "size": 1_000_000, "digest": DIGEST,
        "details": { "format": "gguf", "family": "fake", "families": ["fake"], "parameter_size": "1M", "quantization_level": "Q4_0" },
    })
}

fn ollama_show() -> Value {
    json!({
        "modelfile": "FROM fake", "parameters": "", "template": "{{ .Prompt }}", "modified_at": MADE,
        "details": { "format": "gguf", "family": "fake", "families": ["fake"], "parameter_size": "1M", "quantization_level": "Q4_0" },
        "model_info": { "general.architecture": "fake", "general.parameter_count": 1_000_000, "fake.context_length": 32_768 },
        "capabilities": ["completion", "tools", "thinking"],
    })
}

fn ollama_pull() -> Response {
    let pulling = |completed: u64| json!({ "status": "pulling fa4e", "digest": DIGEST, "total": 1_000_000, "completed": completed });
    let steps = [
        json!({ "status": "pulling manifest" }),
        pulling(0),
        pulling(500_000),
        pulling(1_000_000),
        json!({ "status": "verifying sha256 digest" }),
        json!({ "status": "writing manifest" }),
        json!({ "status": "success" }),
    ];
    let lines: String = steps.iter().map(|step| format!("{step}\n")).collect();
    ([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}
