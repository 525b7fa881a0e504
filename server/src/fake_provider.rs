//! A model provider that only plays what scenarios say: the tests, and whoever tries Muster out, drive the real agent CLIs against it.
//!
//! It holds no conversation: which step of a scenario is played follows from the assistant turns that a request brings along, so a resumed
//! session goes on where it was. As an Ollama alone it remembers something: which models it has, and which were asked. There is no randomness
//! in its answers, and time only paces them. It is not for production and looks at no key.

mod anthropic;
mod asked;
mod chat;
mod endpoint;
mod gemini;
mod listings;
mod ollama;
mod play;
mod record;
mod reply;
mod responses;
mod scenario;
mod sending;
mod shelf;
#[cfg(test)]
mod testing;
mod tools;
mod wire;

use std::{io, sync::Arc};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use asked::Asked;
use endpoint::{Endpoint, endpoint, scenario_name};
use play::{Faults, Played, Refusal, play};
use record::{Record, Requests, excerpt};
pub use scenario::{ScenarioError, Scenarios};
pub(crate) use sending::json_response;
use sending::{halves, send};
use shelf::Shelf;
use wire::Wire;

/// Every answer has it, so that nobody takes one for a model's.
const FAKE: HeaderName = HeaderName::from_static("x-muster-fake");
/// What clients send that want a key where there is none.
const NO_KEY: &str = "none";
/// Bytes of a request; agents send long conversations, with pictures.
const BODY: usize = 64 * 1024 * 1024;

/// Serves until `stop`, then lets what is open finish; a stream that stalls is cut off.
///
/// # Errors
/// When the operating system does not let it accept connections.
pub async fn serve(listener: TcpListener, scenarios: Scenarios, stop: CancellationToken) -> io::Result<()> {
    let fake = Fake { scenarios, faults: Faults::default(), requests: Requests::default(), shelf: Shelf::default(), stop: stop.clone() };
    let router = Router::new().fallback(answer).with_state(Arc::new(fake));
    let listener = listener.tap_io(|stream| {
        // Deltas go out one by one; they only come in bundles when it cannot be set.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

struct Fake {
    scenarios: Scenarios,
    faults: Faults,
    requests: Requests,
    shelf: Shelf,
    stop: CancellationToken,
}

async fn answer(State(fake): State<Arc<Fake>>, request: Request) -> Response {
    let mut response = respond(&fake, request).await;
    response.headers_mut().insert(FAKE, HeaderValue::from_static("1"));
    response
}

async fn respond(fake: &Fake, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Ok(body) = to_bytes(body, BODY).await else {
        return plain_error(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large or did not come whole.");
    };
    match endpoint(&parts.method, path) {
        Some(Endpoint::Model(wire)) => {
            let keys = keys(&parts.headers, &parts.uri);
            model(fake, wire, path, &keys, &body)
        }
        // This status makes Codex fall back to HTTP at once.
        Some(Endpoint::Websocket) => {
            let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, "The fake provider speaks HTTP, no websocket.");
            refused(Wire::Responses, &refusal)
        }
        Some(Endpoint::Listing(listing)) => listings::answer(listing, &parts.headers, &body, &fake.shelf, &fake.stop),
        Some(Endpoint::Requests) => json_response(StatusCode::OK, &json!(fake.requests.all())),
        Some(Endpoint::Health) => (StatusCode::OK, "ok").into_response(),
        None => plain_error(StatusCode::NOT_FOUND, &format!("The fake provider has no {} {path}.", parts.method)),
    }
}

fn model(fake: &Fake, wire: Wire, path: &str, keys: &[String], body: &Bytes) -> Response {
    let number = fake.requests.next_number();
    let (asked, played) = match serde_json::from_slice::<Value>(body) {
        Ok(body) => {
            let asked = wire.asked(path, &body);
            let played = play(&fake.scenarios, &fake.faults, scenario_name(path), path, &asked, number);
            (asked, played)
        }
        Err(error) => {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}."));
            (Asked::default(), Played::refused(refusal))
        }
    };
    // an Ollama speaks all the others as well
    if wire != Wire::Gemini {
        fake.shelf.load(&asked.model);
    }
    let Played { scenario, step, outcome } = played;
    let status = outcome.as_ref().map_or_else(|refusal| refusal.status, |_| StatusCode::OK);
    fake.requests.push(Record {
        number,
        wire,
        path: path.to_owned(),
        scenario,
        step,
        model: asked.model.clone(),
        prompt: excerpt(asked.prompt()),
        status: status.as_u16(),
        tools: asked.tools.len(),
        authorization: !keys.is_empty(),
        keyless: keys.iter().all(|key| key == NO_KEY),
    });
    match outcome {
        Ok(playing) if asked.stream => {
            let frames = wire.frames(&playing.reply, asked.usage_in_stream);
            send(frames, wire.stream_type(), playing.pace, playing.end, fake.stop.clone())
        }
        Ok(playing) => send(halves(&wire.whole(&playing.reply)), "application/json", playing.pace, playing.end, fake.stop.clone()),
        Err(refusal) => refused(wire, &refusal),
    }
}

fn refused(wire: Wire, refusal: &Refusal) -> Response {
    let mut response = json_response(refusal.status, &wire.error(refusal.status, &refusal.message));
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn plain_error(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "error": { "message": message } }))
}

/// What came along as a key. Which one it is nobody is told.
fn keys(headers: &HeaderMap, uri: &Uri) -> Vec<String> {
    let in_headers = ["authorization", "x-api-key", "x-goog-api-key", "api-key"].into_iter().flat_map(|name| headers.get_all(name));
    let in_headers = in_headers.map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        value.strip_prefix("Bearer ").unwrap_or(&value).to_owned()
    });
    let query = uri.query().unwrap_or_default().as_bytes();
    let in_query = form_urlencoded::parse(query).filter(|(name, _)| name == "key").map(|(_, value)| value.into_owned());
    in_headers.chain(in_query).collect()
}

#[cfg(test)]
mod tests;
