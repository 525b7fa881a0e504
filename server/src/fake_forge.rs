//! A forge that only plays: git over http and the parts of GitHub's and GitLab's APIs that pull requests need, on bare repositories in a
//! folder. The tests, and whoever tries Muster out, land results on it without an account.
//!
//! It keeps pull requests in memory and answers as a forge does, with what goes wrong there when that is asked for (`POST /faults`). It is not
//! for production.

mod api;
mod git;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::fake_provider::json_response;

/// Every answer has it, so that nobody takes one for a forge's.
const FAKE: HeaderName = HeaderName::from_static("x-muster-fake");
/// Bytes of a request.
const BODY: usize = 64 * 1024 * 1024;

/// Serves the bare repositories below `folder` to whoever has the token, until `stop`.
///
/// # Errors
/// When the operating system does not let it accept connections.
pub async fn serve(listener: TcpListener, folder: PathBuf, token: String, stop: CancellationToken) -> io::Result<()> {
    let origin = format!("http://{}", listener.local_addr()?);
    let forge = Forge { origin, folder, token, kept: Mutex::default() };
    let router = Router::new().fallback(answer).with_state(Arc::new(forge));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

struct Forge {
    origin: String,
    folder: PathBuf,
    token: String,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pulls: Vec<Pull>,
    faults: Vec<Fault>,
    requests: Vec<Record>,
}

/// A pull request, or merge request.
#[derive(Clone, Debug, Serialize)]
struct Pull {
    /// `acme/app`
    repository: String,
    number: u64,
    title: String,
    body: String,
    head: String,
    base: String,
    open: bool,
    /// From a branch of somebody else's copy of the repository.
    is_forks: bool,
}

/// What goes wrong with the next requests like that.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    /// A part of the path.
    path: String,
    #[serde(default)]
    method: Option<String>,
    status: u16,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
    #[serde(default = "once")]
    times: u32,
    /// It is done all the same, and only the answer gets lost.
    #[serde(default)]
    done: bool,
}

fn once() -> u32 {
    1
}

/// What was asked. Of the token it is known whether it was the right one.
#[derive(Clone, Debug, Serialize)]
struct Record {
    method: String,
    path: String,
    status: u16,
    authorized: bool,
}

impl Forge {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By the password of git, or as a bearer.
    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let Some(said) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
        if let Some(token) = said.strip_prefix("Bearer ") {
            return token == self.token;
        }
        let basic = said.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
        basic.and_then(|text| text.split_once(':').map(|(_, password)| password == self.token)).unwrap_or(false)
    }

    fn fault(&self, parts: &Parts) -> Option<Fault> {
        let mut kept = self.kept();
        let is_meant = |fault: &Fault| {
            parts.uri.path().contains(&fault.path) && fault.method.as_ref().is_none_or(|method| parts.method.as_str() == method)
        };
        let fault = kept.faults.iter_mut().find(|fault| fault.times > 0 && is_meant(fault))?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

async fn answer(State(forge): State<Arc<Forge>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else { return refused(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.") };
    let mut response = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/requests") => json_response(StatusCode::OK, &json!(forge.kept().requests)),
        (&Method::GET, "/pulls") => json_response(StatusCode::OK, &json!(forge.kept().pulls)),
        (&Method::POST, "/faults") => note_fault(&forge, &body),
        (&Method::POST, "/forks") => note_fork(&forge, &body),
        _ => as_a_forge(&forge, &parts, body).await,
    };
    response.headers_mut().insert(FAKE, HeaderValue::from_static("1"));
    response
}

fn note_fault(forge: &Forge, body: &Bytes) -> Response {
    match serde_json::from_slice::<Fault>(body) {
        Ok(fault) if StatusCode::from_u16(fault.status).is_ok() => {
            forge.kept().faults.push(fault);
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(_) => refused(StatusCode::BAD_REQUEST, "That is no status."),
        Err(error) => refused(StatusCode::BAD_REQUEST, &format!("That is no fault: {error}.")),
    }
}

/// Somebody opens a pull request from a fork: nobody needs a right in the repository for that.
fn note_fork(forge: &Forge, body: &Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fork {
        repository: String,
        head: String,
        base: String,
    }
    let Fork { repository, head, base } = match serde_json::from_slice(body) {
        Ok(fork) => fork,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &format!("That is no fork: {error}.")),
    };
    let mut kept = forge.kept();
    let number = kept.pulls.iter().filter(|pull| pull.repository == repository).count() as u64 + 1;
    let (title, body) = ("From a fork".to_owned(), "Please".to_owned());
    kept.pulls.push(Pull { repository, number, title, body, head, base, open: true, is_forks: true });
    StatusCode::NO_CONTENT.into_response()
}

async fn as_a_forge(forge: &Forge, parts: &Parts, body: Bytes) -> Response {
    let authorized = forge.is_authorized(&parts.headers);
    let fault = forge.fault(parts);
    let done = match &fault {
        Some(fault) if !fault.done => None,
        _ => Some(carry_out(forge, parts, body, authorized).await),
    };
    let response = match (fault, done) {
        (None, Some(response)) => response,
        (Some(fault), _) => faulty(&fault),
        (None, None) => refused(StatusCode::INTERNAL_SERVER_ERROR, "Nothing was done."),
    };
    let (method, path, status) = (parts.method.to_string(), parts.uri.path().to_owned(), response.status().as_u16());
    forge.kept().requests.push(Record { method, path, status, authorized });
    response
}

async fn carry_out(forge: &Forge, parts: &Parts, body: Bytes, authorized: bool) -> Response {
    match parts.uri.path() {
        path if !path.starts_with("/api/") => match authorized {
            true => git::answer(forge, parts, body).await,
            false => {
                let mut response = refused(StatusCode::UNAUTHORIZED, "This repository is private.");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Fake forge\""));
                response
            }
        },
        _ if !authorized => refused(StatusCode::UNAUTHORIZED, "Bad credentials"),
        _ => api::answer(forge, parts, &body).await,
    }
}

fn faulty(fault: &Fault) -> Response {
    let mut response = json_response(StatusCode::from_u16(fault.status).unwrap_or_default(), &fault.body);
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn refused(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "message": message }))
}

#[cfg(test)]
mod tests;
