//! Reading requests, so that what is wrong with one is said field by field.

use app::problem::Problem;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use domain::FieldError;
use http::{header, request::Parts};
use serde::de::DeserializeOwned;

/// A JSON body.
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(415, "unsupported-media-type", "Not a kind of body this takes", "Send application/json."));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status().as_u16() {
            413 => Problem::new(413, "too-large", "The request is too large", "Send less at once."),
            _ => Problem::bad_request(rejection.body_text()),
        })?;
        parse_json(&bytes).map(Self)
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        if error.inner().is_data() {
            wrong_field(&error.path().to_string(), &plain(&error.inner().to_string()))
        } else {
            Problem::bad_request(format!("The body is not valid JSON: {}.", error.inner()))
        }
    })?;
    deserializer.end().map_err(|error| Problem::bad_request(format!("The body goes on after its end: {error}.")))?;
    Ok(value)
}

/// Query parameters.
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        let value = serde_path_to_error::deserialize(deserializer)
            .map_err(|error| wrong_field(&error.path().to_string(), &error.inner().to_string()))?;
        Ok(Self(value))
    }
}

/// The place in the source text means nothing to somebody who sent it by program.
fn plain(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

fn wrong_field(path: &str, message: &str) -> Problem {
    let quoted = |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let (code, name) = if let Some(name) = quoted("unknown field `") {
        ("unknown", Some(name))
    } else if let Some(name) = quoted("missing field `") {
        ("required", Some(name))
    } else if let Some(name) = quoted("duplicate field `") {
        ("duplicate", Some(name))
    } else {
        ("malformed", None)
    };
    let mut pointer = pointer(path);
    if let Some(name) = name.filter(|name| !pointer.ends_with(&format!("/{name}"))) {
        pointer = format!("{pointer}/{name}");
    }
    let error = FieldError { pointer, code: code.into(), message: message.to_owned() };
    Problem::invalid(vec![error], "The request does not have the form this takes.")
}

/// `checks[0].kind` as a JSON pointer: `/checks/0/kind`.
fn pointer(path: &str) -> String {
    if path == "." || path.is_empty() {
        return String::new();
    }
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty() && *part != "?");
    parts.fold(String::new(), |pointer, part| format!("{pointer}/{part}"))
}

/// An id in the path. What is not an id names nothing, so it is answered like an id that does not exist.
pub struct Id<T>(pub T);

impl<T: std::str::FromStr + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(text) = axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::bad_request(error.body_text()))?;
        text.parse().map(Self).map_err(|_| Problem::not_found("There is nothing with this id."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::NewTask;

    fn errors(body: &str) -> Vec<String> {
        match parse_json::<NewTask>(body.as_bytes()) {
            Ok(_) => vec![],
            Err(problem) => match problem.errors.is_empty() {
                true => vec![format!("{} {}", problem.status, problem.detail)],
                false => problem.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect(),
            },
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_pointer() {
        assert_eq!(errors(r#"{"title":"t","repository":"/r","command":"x"}"#), Vec::<String>::new());
        assert_eq!(errors(r#"{"title":"t"}"#), ["/repository required"]);
        assert_eq!(errors(r#"{"title":"t","repository":"/r","state":"succeeded"}"#), ["/state unknown"]);
        assert_eq!(errors(r#"{"title":3,"repository":"/r"}"#), ["/title malformed"]);
        assert_eq!(errors(r#"{"title":"t","title":"u","repository":"/r"}"#), ["/title duplicate"]);
        assert_eq!(errors(r#"{"title":"t","repository":"/r","checks":[{"kind":"nope"}]}"#), ["/checks/0/kind malformed"]);
        assert_eq!(errors(r#"{"title":"t","repository":"/r","priority":"soon"}"#), ["/priority malformed"]);
        assert_eq!(errors("{"), ["400 The body is not valid JSON: EOF while parsing an object at line 1 column 1."]);
    }
}
