//! What surrounds every request.

use app::problem::Problem;
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::{Instrument, info_span};

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
