//! The languages of model providers. Each has a module that reads requests into [`Asked`] and writes a [`Reply`].

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{anthropic, asked::Asked, chat, gemini, ollama, reply::Reply, responses};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    Gemini,
    Ollama,
}

impl Wire {
    pub fn asked(self, path: &str, body: &Value) -> Asked {
        match self {
            Self::Anthropic => anthropic::asked(body),
            Self::Responses => responses::asked(body),
            Self::Chat => chat::asked(body),
            Self::Gemini => gemini::asked(path, body),
            Self::Ollama => ollama::asked(body),
        }
    }

    /// A streamed reply, in the pieces in which it is sent.
    pub fn frames(self, reply: &Reply, with_usage: bool) -> Vec<String> {
        match self {
            Self::Anthropic => anthropic::frames(reply),
            Self::Responses => responses::frames(reply),
            Self::Chat => chat::frames(reply, with_usage),
            Self::Gemini => gemini::frames(reply),
            Self::Ollama => ollama::frames(reply),
        }
    }

    pub fn stream_type(self) -> &'static str {
        match self {
            Self::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        }
    }

    /// A reply that is not streamed.
    pub fn whole(self, reply: &Reply) -> Value {
        match self {
            Self::Anthropic => anthropic::whole(reply),
            Self::Responses => responses::whole(reply),
            Self::Chat => chat::whole(reply),
            Self::Gemini => gemini::whole(reply),
            Self::Ollama => ollama::whole(reply),
        }
    }

    pub fn error(self, status: StatusCode, message: &str) -> Value {
        match self {
            Self::Anthropic => anthropic::error(status, message),
            Self::Responses | Self::Chat => chat::error(status, message),
            Self::Gemini => gemini::error(status, message),
            Self::Ollama => ollama::error(message),
        }
    }
}

/// How each says that something is wrong, as the clients of the real ones read it.
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// With each status that a fault may have, what stands at these places.
    fn says(wire: Wire, places: &[&str], expected: &[(u16, &[&str])]) {
        for (status, said) in expected {
            let body = wire.error(StatusCode::from_u16(*status).unwrap(), "slow down");
            let found: Vec<_> = places.iter().map(|place| body.pointer(place).and_then(Value::as_str).unwrap_or_default()).collect();
            assert_eq!(found, *said, "{status}: {body}");
        }
    }

    #[test]
    fn anthropics_errors_have_a_type() {
        let kinds: [(u16, &[&str]); 10] = [
            (400, &["invalid_request_error"]),
            (401, &["authentication_error"]),
            (402, &["billing_error"]),
            (403, &["permission_error"]),
            (404, &["not_found_error"]),
            (413, &["request_too_large"]),
            (429, &["rate_limit_error"]),
            (500, &["api_error"]),
            (503, &["api_error"]),
            (529, &["overloaded_error"]),
        ];
        says(Wire::Anthropic, &["/error/type"], &kinds);
        let body = Wire::Anthropic.error(StatusCode::TOO_MANY_REQUESTS, "slow down");
        assert_eq!(body, json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "slow down" } }));
    }

    const OPENAI: [(u16, &[&str]); 6] = [
        (400, &["invalid_request_error", "invalid_request_error"]),
        (401, &["invalid_request_error", "invalid_api_key"]),
        (402, &["insufficient_quota", "insufficient_quota"]),
        (429, &["rate_limit_error", "rate_limit_exceeded"]),
        (500, &["server_error", "server_error"]),
        (503, &["server_error", "server_error"]),
    ];

    #[test]
    fn chats_errors_have_a_type_and_a_code() {
        says(Wire::Chat, &["/error/type", "/error/code"], &OPENAI);
        let body = Wire::Chat.error(StatusCode::UNAUTHORIZED, "no such key");
        let error = json!({ "message": "no such key", "type": "invalid_request_error", "param": null, "code": "invalid_api_key" });
        assert_eq!(body, json!({ "error": error }));
    }

    #[test]
    fn the_errors_of_responses_are_those_of_chat() {
        says(Wire::Responses, &["/error/type", "/error/code"], &OPENAI);
        let body = Wire::Responses.error(StatusCode::INTERNAL_SERVER_ERROR, "oh");
        assert_eq!(body, json!({ "error": { "message": "oh", "type": "server_error", "param": null, "code": "server_error" } }));
    }

    #[test]
    fn geminis_errors_have_the_status_as_a_number_and_in_words() {
        let kinds: [(u16, &[&str]); 9] = [
            (400, &["INVALID_ARGUMENT"]),
            (401, &["UNAUTHENTICATED"]),
            (402, &["FAILED_PRECONDITION"]),
            (403, &["PERMISSION_DENIED"]),
            (404, &["NOT_FOUND"]),
            (429, &["RESOURCE_EXHAUSTED"]),
            (500, &["INTERNAL"]),
            (503, &["UNAVAILABLE"]),
            (529, &["UNAVAILABLE"]),
        ];
        says(Wire::Gemini, &["/error/status"], &kinds);
        let body = Wire::Gemini.error(StatusCode::TOO_MANY_REQUESTS, "slow down");
        assert_eq!(body, json!({ "error": { "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED" } }));
    }

    #[test]
    fn ollamas_errors_are_a_text() {
        for status in [400, 404, 429, 500, 503] {
            let body = Wire::Ollama.error(StatusCode::from_u16(status).unwrap(), "slow down");
            assert_eq!(body, json!({ "error": "slow down" }), "{status}");
        }
    }
}
