//! Answers that no scenario decides: which models there are, how many tokens a request has, and what Ollama says about itself.

use std::time::Duration;

use axum::{body::Bytes, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    endpoint::Listing,
    sending::{End, json_response, send},
    shelf::{MODELS, Shelf},
};

/// Between the lines of a pull of a model that is called slow.
const SLOWLY: Duration = Duration::from_millis(700);
const DIGEST: &str = "fa4e0000000000000000000000000000000000000000000000000000000000fa";
/// When everything here was made.
pub const MADE: &str = "2026-01-01T00:00:00Z";
/// The same in seconds.
pub const MADE_SECONDS: u64 = 1_767_225_600;

pub fn answer(listing: Listing, headers: &HeaderMap, body: &Bytes, shelf: &Shelf, stop: &CancellationToken) -> Response {
    let body_or_null: Value = serde_json::from_slice(body).unwrap_or_default();
    let tokens = body.len().div_ceil(4);
    let answer = match listing {
        Listing::CountTokens => json!({ "input_tokens": tokens }),
        Listing::GeminiCountTokens => json!({ "totalTokens": tokens }),
        Listing::Models if headers.contains_key("anthropic-version") => anthropic_models(),
        Listing::Models => openai_models(),
        Listing::OllamaTags => json!({ "models": shelf.there().iter().map(|name| ollama_model(name)).collect::<Vec<_>>() }),
        Listing::OllamaPs => json!({ "models": shelf.loaded().iter().map(|name| ollama_loaded(name)).collect::<Vec<_>>() }),
        Listing::OllamaShow => ollama_show(),
        Listing::OllamaPull => return ollama_pull(&body_or_null, shelf, stop),
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

fn ollama_loaded(name: &str) -> Value {
    let mut model = ollama_model(name);
    model["size_vram"] = json!(1_000_000);
    model["expires_at"] = json!(MADE);
    model
}

/// It has the model from the beginning of the pull on. One that is called missing is nowhere, and of one that stalls nothing comes.
fn ollama_pull(body: &Value, shelf: &Shelf, stop: &CancellationToken) -> Response {
    let model = body["model"].as_str().or(body["name"].as_str()).unwrap_or_default();
    let is_there = !model.is_empty() && !model.contains("missing");
    let failure = json!({ "error": "pull model manifest: file does not exist" });
    let is_streamed = body["stream"] != false;
    if is_there && !model.contains("stall") {
        shelf.add(model);
    }
    if !is_streamed {
        let status = if is_there { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        return json_response(status, &if is_there { json!({ "status": "success" }) } else { failure });
    }
    let pulling = |completed: u64| json!({ "status": "pulling fa4e", "digest": DIGEST, "total": 1_000_000, "completed": completed });
    let steps = match is_there {
        true => vec![
            json!({ "status": "pulling manifest" }),
            pulling(0),
            pulling(500_000),
            pulling(1_000_000),
            json!({ "status": "verifying sha256 digest" }),
            json!({ "status": "writing manifest" }),
            json!({ "status": "success" }),
        ],
        false => vec![json!({ "status": "pulling manifest" }), failure],
    };
    let pace = if model.contains("slow") { SLOWLY } else { Duration::ZERO };
    let end = if model.contains("stall") { End::Stall } else { End::Whole };
    send(steps.iter().map(|step| format!("{step}\n")).collect(), "application/x-ndjson", pace, end, stop.clone())
}
