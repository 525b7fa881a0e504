//! What a request is for, by its path. Any prefix may come before: runs have base URLs of their own.

use http::Method;

use super::wire::Wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A reply of a model is wanted.
    Model(Wire),
    /// Responses over a websocket, which are not spoken here.
    Websocket,
    Listing(Listing),
    Requests,
    Health,
}

/// Answers that no scenario decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    CountTokens,
    GeminiCountTokens,
    Models,
    OllamaTags,
    OllamaPs,
    OllamaShow,
    OllamaPull,
    OllamaVersion,
}

/// By method and the end of the path.
const ENDPOINTS: [(Method, &str, Endpoint); 14] = [
    (Method::POST, "/v1/messages", Endpoint::Model(Wire::Anthropic)),
    (Method::POST, "/v1/messages/count_tokens", Endpoint::Listing(Listing::CountTokens)),
    (Method::POST, "/responses", Endpoint::Model(Wire::Responses)),
    (Method::GET, "/responses", Endpoint::Websocket),
    (Method::POST, "/chat/completions", Endpoint::Model(Wire::Chat)),
    (Method::POST, "/api/chat", Endpoint::Model(Wire::Ollama)),
    (Method::GET, "/api/tags", Endpoint::Listing(Listing::OllamaTags)),
    (Method::GET, "/api/ps", Endpoint::Listing(Listing::OllamaPs)),
    (Method::GET, "/api/version", Endpoint::Listing(Listing::OllamaVersion)),
    (Method::POST, "/api/show", Endpoint::Listing(Listing::OllamaShow)),
    (Method::POST, "/api/pull", Endpoint::Listing(Listing::OllamaPull)),
    (Method::GET, "/v1/models", Endpoint::Listing(Listing::Models)),
    (Method::GET, "/requests", Endpoint::Requests),
    (Method::GET, "/healthz", Endpoint::Health),
];

pub fn endpoint(method: &Method, path: &str) -> Option<Endpoint> {
    let path = path.trim_end_matches('/');
    let known = ENDPOINTS.into_iter().find(|(of, end, _)| of == method && path.ends_with(*end));
    known.map(|(.., endpoint)| endpoint).or_else(|| gemini_endpoint(method, path))
}

fn gemini_endpoint(method: &Method, path: &str) -> Option<Endpoint> {
    match gemini_call(path)? {
        _ if method != Method::POST => None,
        (_, "generateContent" | "streamGenerateContent") => Some(Endpoint::Model(Wire::Gemini)),
        (_, "countTokens") => Some(Endpoint::Listing(Listing::GeminiCountTokens)),
        _ => None,
    }
}

/// The model and the verb of `…/models/MODEL:VERB`.
pub fn gemini_call(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once("/models/")?.1.split_once(':')
}

/// The scenario that a path names: `/s/NAME/…`, after any prefix.
pub fn scenario_name(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/s/")?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_after_any_prefix() {
        let post = |path: &str| endpoint(&Method::POST, path);
        assert_eq!(post("/v1/messages"), Some(Endpoint::Model(Wire::Anthropic)));
        assert_eq!(post("/run/7/s/repair/v1/messages"), Some(Endpoint::Model(Wire::Anthropic)));
        assert_eq!(post("/v1/messages/count_tokens"), Some(Endpoint::Listing(Listing::CountTokens)));
        assert_eq!(post("/s/a/v1/responses"), Some(Endpoint::Model(Wire::Responses)));
        assert_eq!(post("/s/a/v1/chat/completions"), Some(Endpoint::Model(Wire::Chat)));
        assert_eq!(post("/s/a/api/chat"), Some(Endpoint::Model(Wire::Ollama)));
        assert_eq!(post("/s/a/v1beta/models/gemini-9:streamGenerateContent"), Some(Endpoint::Model(Wire::Gemini)));
        assert_eq!(post("/v1beta/models/gemini-9:countTokens"), Some(Endpoint::Listing(Listing::GeminiCountTokens)));
        assert_eq!(post("/v1beta/models/gemini-9:embedContent"), None);
        assert_eq!(post("/requests"), None);
        assert_eq!(post("/v1/embeddings"), None);
        assert_eq!(endpoint(&Method::GET, "/v1/responses"), Some(Endpoint::Websocket));
        assert_eq!(endpoint(&Method::GET, "/requests"), Some(Endpoint::Requests));
        assert_eq!(endpoint(&Method::GET, "/x/v1/models"), Some(Endpoint::Listing(Listing::Models)));
    }

    #[test]
    fn a_path_may_name_the_scenario() {
        assert_eq!(scenario_name("/s/repair/v1/messages"), Some("repair"));
        assert_eq!(scenario_name("/run/7/s/repair/v1/messages"), Some("repair"));
        assert_eq!(scenario_name("/runs/repair/v1/messages"), None);
    }
}
