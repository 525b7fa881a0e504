//! `Idempotency-Key`: a POST that is sent again under the same key is answered as the first time, and takes effect once.

use app::problem::Problem;
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{OriginalUri, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::{Actor, Idempotency, idempotency::check_key};
use engine::{EarlierAnswer, Engine};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use utoipa::openapi::{
    OpenApi, Required,
    path::{ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Type},
};

use crate::router::API_BODY;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What the routes of a group answer with when they have done what was asked.
#[derive(Clone)]
pub struct Answers {
    pub engine: Engine,
    pub with: StatusCode,
    /// Where the one thing is found that they make, if they make any.
    pub place: Option<Place>,
}

/// Below this path, by this field of the answer.
#[derive(Clone, Copy)]
pub struct Place {
    pub below: &'static str,
    pub by: &'static str,
}

/// Gives the answer of the first time, or lets the request through with its key.
pub async fn once(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    match prepare(&answers, request).await {
        Ok(Prepared::First(request)) => next.run(*request).await,
        Ok(Prepared::Again(response)) => response,
        Err(problem) => problem.into_response(),
    }
}

enum Prepared {
    First(Box<Request>),
    Again(Response),
}

async fn prepare(answers: &Answers, request: Request) -> Result<Prepared, Problem> {
    let (mut parts, body) = request.into_parts();
    let Some(actor) = parts.extensions.get::<Actor>().cloned() else { return Err(Problem::unauthorized()) };
    let mut keys = parts.headers.get_all(KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(Problem::bad_request("Idempotency-Key is there more than once."));
    };
    let key = key.to_str().unwrap_or("\u{fffd}").to_owned();
    check_key(&key).map_err(|invalid| Problem { errors: invalid.errors, ..Problem::bad_request("This Idempotency-Key is none.") })?;
    let body = read(body).await?;
    // the whole path: inside the API's own router its beginning is gone
    let path = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.path()).to_owned();
    let route = format!("{} {path}", parts.method);
    let idempotency = Idempotency { key, route, fingerprint: Sha256::digest(&body).to_vec(), status: answers.with.as_u16() };
    if let Some(earlier) = answers.engine.earlier_answer(&actor, &idempotency).await? {
        return Ok(Prepared::Again(again(earlier, answers.place)));
    }
    parts.extensions.insert(Actor { idempotency: Some(idempotency), ..actor });
    Ok(Prepared::First(Box::new(Request::from_parts(parts, Body::from(body)))))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, API_BODY).await.map_err(|_| Problem::new(413, "too-large", "The request is too large", "Send less at once."))
}

fn again(earlier: EarlierAnswer, place: Option<Place>) -> Response {
    let status = StatusCode::from_u16(earlier.status).unwrap_or(StatusCode::OK);
    let location = place.and_then(|place| location(&earlier.body, place));
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], earlier.body).into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn location(body: &[u8], place: Place) -> Option<HeaderValue> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    HeaderValue::from_str(&format!("{}/{}", place.below, answer.get(place.by)?.as_str()?)).ok()
}

/// Says in the description of these routes that every POST takes a key.
pub fn describe(document: &mut OpenApi) {
    for operation in document.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Makes the request take effect once: sent again within 24 hours with the same key and body, it is answered as the first \
                 time (with `Idempotency-Replayed: true`). 409 while the first is still at work, 422 for another body.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255))))
            .build();
        operation.parameters.get_or_insert_default().push(parameter.into());
    }
}
