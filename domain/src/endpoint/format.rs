//! The formats in which agents speak with a model, and from which version on an Ollama understands each.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// In which an agent speaks with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ModelFormat {
    /// Anthropic's Messages, below `/v1/messages`.
    AnthropicMessages,
    /// OpenAI's Responses, below `/v1/responses`.
    OpenaiResponses,
    /// OpenAI's Chat Completions, below `/v1/chat/completions`.
    OpenaiChat,
    /// Ollama's own, below `/api`.
    Ollama,
}

impl ModelFormat {
    pub const ALL: [Self; 4] = [Self::AnthropicMessages, Self::OpenaiResponses, Self::OpenaiChat, Self::Ollama];

    /// As people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "Anthropic's Messages",
            Self::OpenaiResponses => "OpenAI's Responses",
            Self::OpenaiChat => "OpenAI's Chat Completions",
            Self::Ollama => "Ollama's own format",
        }
    }

    /// What whoever speaks it takes for the address of a model: what is below it each client adds itself.
    pub fn base_url(self, endpoint: &str) -> String {
        let endpoint = endpoint.trim_end_matches('/');
        match self {
            Self::AnthropicMessages | Self::Ollama => endpoint.to_owned(),
            Self::OpenaiResponses | Self::OpenaiChat => format!("{endpoint}/v1"),
        }
    }

    /// The first Ollama that understands it, where not every one does. With 0.13.3 there were Responses; Codex wants the version after that.
    fn since(self) -> Option<Version> {
        match self {
            Self::AnthropicMessages => Some(Version(0, 14, 0)),
            Self::OpenaiResponses => Some(Version(0, 13, 4)),
            Self::OpenaiChat | Self::Ollama => None,
        }
    }

    /// Why an Ollama that says this of its version is not asked in it; nothing when it may be.
    pub fn not_spoken_by(self, said: Option<&str>) -> Option<String> {
        let since = self.since()?;
        let (title, Version(major, minor, patch)) = (self.title(), since);
        let wants = format!("{title} it speaks from Ollama {major}.{minor}.{patch} on");
        match (said, said.and_then(Version::read)) {
            (_, Some(version)) if version >= since || version == FROM_SOURCE => None,
            (Some(said), Some(_)) => Some(format!("{wants}, and it is {said}")),
            _ => Some(format!("{wants}, and it does not say which it is")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

/// One that somebody has built has no other number, and is as new as what was built.
const FROM_SOURCE: Version = Version(0, 0, 0);

impl Version {
    /// What comes before it (`0.14.0-rc1`) counts as it.
    fn read(text: &str) -> Option<Self> {
        let numbers = text.trim().trim_start_matches('v').split(['-', '+']).next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }
}

/// For who has heard of a format from somebody newer: what is not known here is none.
pub(crate) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ModelFormat>, D::Error> {
    let said = Option::<Value>::deserialize(deserializer)?;
    Ok(said.and_then(|said| serde_json::from_value(said).ok()))
}

/// The same of several.
pub(crate) fn all_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ModelFormat>, D::Error> {
    let said = Vec::<Value>::deserialize(deserializer)?;
    Ok(said.into_iter().filter_map(|said| serde_json::from_value(said).ok()).collect())
}

/// What an endpoint that was chosen by a server that did not know of formats may be asked in.
pub(crate) fn chat_alone() -> Vec<ModelFormat> {
    vec![ModelFormat::OpenaiChat]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::AssignedEndpoint;

    #[test]
    fn what_an_ollama_is_too_old_for_it_is_not_asked_in() {
        use ModelFormat::{AnthropicMessages, Ollama, OpenaiChat, OpenaiResponses};
        let spoken =
            |said: &str| ModelFormat::ALL.into_iter().filter(|format| format.not_spoken_by(Some(said)).is_none()).collect::<Vec<_>>();
        let old = [OpenaiChat, Ollama];
        for version in ["0.1.14", "0.9.1", "0.13.2", "0.13.3"] {
            assert_eq!(spoken(version), old, "{version}");
        }
        assert_eq!([spoken("0.13.4"), spoken("0.13.12-rc1")], [[OpenaiResponses, OpenaiChat, Ollama]; 2]);
        for version in ["0.14.0", "v0.14.0", "0.14.0-rc1", "0.14.3+cuda", "0.15.0", "0.100.0", "1.0.0", "0.0.0", "0.0.0-dirty"] {
            assert_eq!(spoken(version), [AnthropicMessages, OpenaiResponses, OpenaiChat, Ollama], "{version}");
        }
        for version in ["", "0.14", "latest", "0.14.0.1", "0.x.0", "-1.0.0"] {
            assert_eq!(spoken(version), old, "{version}");
        }
    }

    #[test]
    fn why_it_is_not_asked_is_said() {
        let why = |said| ModelFormat::AnthropicMessages.not_spoken_by(said);
        assert_eq!(why(Some("0.9.1")).as_deref(), Some("Anthropic's Messages it speaks from Ollama 0.14.0 on, and it is 0.9.1"));
        let silent = "Anthropic's Messages it speaks from Ollama 0.14.0 on, and it does not say which it is";
        assert_eq!([why(None), why(Some("latest"))].map(|why| why.unwrap()), [silent; 2]);
    }

    #[test]
    fn each_finds_its_own_below_what_it_is_told() {
        let told = ModelFormat::ALL.map(|format| format.base_url("http://box:11434/"));
        assert_eq!(told, ["http://box:11434", "http://box:11434/v1", "http://box:11434/v1", "http://box:11434"]);
    }

    #[test]
    fn a_format_is_a_word() {
        let words = ModelFormat::ALL.map(|format| serde_json::to_value(format).unwrap());
        assert_eq!(words, ["anthropic-messages", "openai-responses", "openai-chat", "ollama"]);
    }

    #[test]
    fn an_endpoint_of_an_older_server_is_asked_by_chat_and_a_format_of_a_newer_one_is_left_out() {
        let id = uuid::Uuid::nil();
        let read = |formats: serde_json::Value| {
            let mut text = serde_json::json!({"id": id, "name": "box", "url": "http://box:11434"});
            if !formats.is_null() {
                text["formats"] = formats;
            }
            serde_json::from_value::<AssignedEndpoint>(text).unwrap().formats
        };
        assert_eq!(read(serde_json::Value::Null), [ModelFormat::OpenaiChat]);
        assert_eq!(read(serde_json::json!(["later", "anthropic-messages"])), [ModelFormat::AnthropicMessages]);
    }
}
