//! `ETag`, `If-None-Match` and `If-Match`: an answer says which version it is, a reader asks whether that has changed, and whoever changes
//! something says on what.

use app::problem::Problem;
use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::{Actor, IfMatch, TaskView, workflow::WorkflowView};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::openapi::{
    OpenApi, Required,
    path::{Operation, ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Type},
};

/// What has a number that grows with everything that happens to it.
pub trait Versioned: Serialize {
    fn version(&self) -> i64;
}

impl Versioned for TaskView {
    fn version(&self) -> i64 {
        self.version
    }
}

impl Versioned for WorkflowView {
    fn version(&self) -> i64 {
        self.version.into()
    }
}

/// An answer with its `ETag`: the version, and a digest of the answer itself, so that no two answers share one.
pub struct Tagged<T>(pub T);

impl<T: Versioned> Tagged<T> {
    fn parts(&self) -> Result<(HeaderValue, Vec<u8>), Problem> {
        let body = serde_json::to_vec(&self.0).map_err(|_| Problem::internal())?;
        let digest: String = Sha256::digest(&body).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{}-{digest}\"", self.0.version())).map_err(|_| Problem::internal())?;
        Ok((tag, body))
    }

    /// The answer, or that it is still the one that whoever asks knows.
    pub fn unless_known(self, headers: &HeaderMap) -> Response {
        match self.parts() {
            Ok((tag, _)) if is_known(headers, &tag) => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
            Ok((tag, body)) => answer(tag, body),
            Err(problem) => problem.into_response(),
        }
    }
}

impl<T: Versioned> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        match self.parts() {
            Ok((tag, body)) => answer(tag, body),
            Err(problem) => problem.into_response(),
        }
    }
}

fn answer(tag: HeaderValue, body: Vec<u8>) -> Response {
    ([(header::ETAG, tag), (header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Whether `If-None-Match` names this tag; a proxy on the way may have made it a weak one.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tag = tag.to_str().unwrap_or_default();
    known.flat_map(|value| value.split(',')).map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Hands `If-Match` on to the use case, which compares it under the lock of what it changes.
pub async fn read(mut request: Request, next: Next) -> Response {
    let values: Vec<_> = request.headers().get_all(header::IF_MATCH).iter().collect();
    if values.is_empty() {
        return next.run(request).await;
    }
    let text = values.iter().map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>().join(", ");
    let seen = match IfMatch::parse(&text) {
        Ok(seen) => seen,
        Err(invalid) => return Problem { errors: invalid.errors, ..Problem::bad_request("This If-Match is none.") }.into_response(),
    };
    if let Some(actor) = request.extensions().get::<Actor>().cloned() {
        request.extensions_mut().insert(Actor { if_match: Some(seen), ..actor });
    }
    next.run(request).await
}

/// Whoever edits has to say which version it was that they looked at.
pub fn required(actor: &Actor) -> Result<(), Problem> {
    if actor.if_match.is_some() {
        return Ok(());
    }
    let detail = "Send If-Match with the ETag of the answer that you looked at, so that nobody's change is undone unseen.";
    Err(Problem::new(428, "precondition-required", "Say which version you change", detail))
}

const ABOUT: &str = "Do it only when it is still as seen: the `ETag` of an answer, or its version alone, as in `\"3\"`. Otherwise 412, with \
                     who did what since. Output that grows and what its neighbours do make nothing stale.";

/// Says in the description of these routes that everything that changes something takes `If-Match`.
pub fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let names_one = path.contains('{') || path.ends_with("/workflows");
        for operation in item.post.iter_mut().filter(|_| names_one) {
            describe_one(operation, Required::False);
        }
        for operation in item.patch.iter_mut() {
            describe_one(operation, Required::True);
        }
    }
}

fn describe_one(operation: &mut Operation, required: Required) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let parameter = ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(ABOUT))
        .schema(Some(text));
    operation.parameters.get_or_insert_default().push(parameter.build().into());
}
