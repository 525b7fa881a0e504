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
