//! What surrounds every request.

use std::{sync::Arc, time::Duration};

use app::problem::Problem;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use engine::Engine;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::{Instrument, Span, info_span};

/// A request's id: made here, never taken from outside.
#[derive(Clone, Copy)]
pub struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &http::Request<B>) -> Option<RequestId> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        HeaderValue::from_str(&id).ok().map(RequestId::new)
    }
}

/// Everything that is logged while a request is handled names it.
pub async fn trace(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let span = info_span!("request", id, method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}

fn request_id(request: &Request) -> String {
    request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok()).unwrap_or_default().to_owned()
}

/// The longest problem document that is read back to be completed.
const PROBLEM_LIMIT: usize = 64 * 1024;
/// Server functions mark their errors with this header.
const SERVER_FN_ERROR: &str = "serverfnerror";

/// Completes problems: the request's id, and for a server function its real status, which the framework always answers with 500.
/// Redirects, which a form without JavaScript gets, stay as they are.
pub async fn complete_problem(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let response = next.run(request).await;
    let from_server_fn = response.headers().contains_key(SERVER_FN_ERROR) && !response.status().is_redirection();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if !from_server_fn && !is_problem {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, PROBLEM_LIMIT).await else { return Problem::internal().into_response() };
    let Ok(mut problem) = serde_json::from_slice::<Problem>(&bytes) else { return Response::from_parts(parts, Body::from(bytes)) };
    problem.instance = Some(id);
    let completed = problem.into_response();
    parts.status = completed.status();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(completed.headers().clone());
    Response::from_parts(parts, completed.into_body())
}

/// What every answer carries unless its handler has said otherwise.
pub async fn security_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// How pages and the functions behind their forms are answered.
#[derive(Clone)]
pub struct Answering {
    engine: Engine,
    /// One for each page that is rendered at the same time.
    places: Arc<Semaphore>,
    limit: Duration,
}

impl Answering {
    pub fn new(engine: Engine, pages_at_once: usize, limit: Duration) -> Self {
        Self { engine, places: Arc::new(Semaphore::new(pages_at_once)), limit }
    }
}

/// Goes on also when whoever asked has gone: parts of a page are rendered on other threads, and they would panic when what they read was
/// dropped with the rest. So pages that nobody waits for take up their places to the end, and whoever goes before there is one costs
/// nothing. What has a body has none to wait for: it could be sent slowly.
pub async fn carried_through(State(answering): State<Answering>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD);
    let place = if is_page { answering.places.clone().acquire_owned().await.ok() } else { None };
    let answer = async move {
        let answer = tokio::time::timeout(answering.limit, next.run(request)).await;
        drop(place);
        answer
    };
    match answering.engine.carry_through(answer.instrument(Span::current())).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => StatusCode::REQUEST_TIMEOUT.into_response(),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Problem::internal().into_response(),
        },
    }
}

/// A handler that panicked: a problem like any other, and a figure that must stay 0.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    metrics::counter!("muster_panics_total").increment(1);
    tracing::error!("A request handler panicked");
    Problem::internal().into_response()
}

/// A request that another site sent.
pub fn cross_site() -> Response {
    Problem::new(403, "cross-site", "Refused", "This request was sent by another site.").into_response()
}

/// Plain answers of the layers underneath, as problems.
pub async fn plain_errors_as_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let typed = response.headers().contains_key(header::CONTENT_TYPE);
    let html_or_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
    let problem = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(413, "too-large", "The request is too large", "Send less at once."),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(405, "method-not-allowed", "Not a method of this address", "See the API's description.")
        }
        StatusCode::REQUEST_TIMEOUT => Problem::new(408, "timeout", "This took too long", "Try again."),
        StatusCode::FORBIDDEN if !typed => return cross_site(),
        _ => return response,
    };
    if typed && html_or_json {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut answer = problem.into_response();
    if let Some(allow) = allow {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}
