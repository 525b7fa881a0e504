//! The one error that leaves the server (RFC 9457), the same for pages and REST, and the only place that makes it.

use domain::FieldError;
use serde::{Deserialize, Serialize};
use server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable; `/problems/<name>`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The same for every problem of its type.
    pub title: String,
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// The id of the request, to find it in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The fields that are not right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    pub fn new(status: u16, name: &str, title: &str, detail: impl Into<String>) -> Self {
        Self { type_: format!("/problems/{name}"), title: title.into(), status, detail: detail.into(), instance: None, errors: vec![] }
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "Not signed in", "Sign in, or send an API key as a bearer token.")
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "Not found", detail)
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "bad-request", "The request cannot be read", detail)
    }

    pub fn invalid(errors: Vec<FieldError>, detail: impl Into<String>) -> Self {
        Self { errors, ..Self::new(422, "invalid", "Some fields need another look", detail) }
    }

    pub fn internal() -> Self {
        Self::new(500, "internal", "Something went wrong here", "The server's log says more; the request's id leads to it.")
    }

    /// What is wrong with the field at this pointer, if anything.
    pub fn field(&self, pointer: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.pointer == pointer).map(|error| error.message.as_str())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl FromServerFnError for Problem {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(reason) => Self::new(503, "unreachable", "The server cannot be reached", reason),
            ServerFnErrorErr::Args(reason) | ServerFnErrorErr::MissingArg(reason) | ServerFnErrorErr::Deserialization(reason) => {
                Self::bad_request(reason)
            }
            _ => Self::internal(),
        }
    }
}

#[cfg(feature = "ssr")]
mod from_engine {
    use std::error::Error as _;

    use axum::response::{IntoResponse, Response};
    use engine::Error;
    use http::{HeaderValue, StatusCode, header};
    use tracing::error;

    use super::Problem;

    impl From<Error> for Problem {
        fn from(error: Error) -> Self {
            let detail = error.to_string();
            match error {
                Error::NotFound { .. } => Self::not_found(format!("{}.", capitalised(&detail))),
                Error::Invalid(invalid) => Self::invalid(invalid.errors, detail),
                Error::InvalidTransition(_) => Self::new(409, "invalid-transition", "Not possible in this state", detail),
                Error::Conflict(_) => Self::new(409, "conflict", "Not possible as things stand", detail),
                Error::Changed(_) => Self::new(412, "changed", "It has changed meanwhile", detail),
                Error::StaleLease => Self::new(409, "stale-lease", "This attempt no longer holds its task", detail),
                Error::Missing => Self::new(409, "missing", "Something that came before is missing", detail),
                Error::Forbidden(_) => Self::new(403, "forbidden", "Not allowed", detail),
                Error::Unauthorized(_) => Self { detail, ..Self::unauthorized() },
                Error::Busy => Self::new(429, "busy", "Too many requests at once", "Try again in a few seconds."),
                Error::Unavailable(_) => {
                    log(&error);
                    Self::new(
                        503,
                        "unavailable",
                        "Not reachable at the moment",
                        "The database does not answer. Try again in a few seconds.",
                    )
                }
                Error::Database(_) | Error::Inconsistent { .. } | Error::Hash => {
                    log(&error);
                    Self::internal()
                }
            }
        }
    }

    fn capitalised(text: &str) -> String {
        let mut letters = text.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }

    /// The whole chain of causes, once, here.
    fn log(error: &Error) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
        error!("A request failed: {text}");
    }

    impl IntoResponse for Problem {
        fn into_response(self) -> Response {
            let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = serde_json::to_vec(&self).unwrap_or_default();
            let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
            let headers = response.headers_mut();
            match status {
                StatusCode::UNAUTHORIZED => {
                    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
                }
                _ => {}
            }
            response
        }
    }
}
