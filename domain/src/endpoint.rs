//! Servers of models that speak Ollama's API: where they are, whether they answer, and what they have.
//!
//! One is found by a runner on its own machine, or registered by hand and looked at by the server. Whichever looks says what it saw; what
//! follows from that is decided here.

pub mod address;
pub mod choice;
pub mod format;
pub mod ollama;
pub mod pull;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{EndpointId, Invalid, RunnerId, error::Errors, runner::reading::is_stale};
pub use choice::{Candidate, EndpointChoice, choose};
pub use format::ModelFormat;
pub use pull::{AwaitedPull, NewPull, Pull, PullState};

/// Seconds between two looks at an endpoint.
pub const CHECK_SECONDS: i64 = 10;
/// Endpoints that one workspace may register.
pub const ENDPOINTS_MAX: i64 = 100;
/// Pulls that one workspace may have open, wherever they are.
pub const PULLS_MAX: i64 = 10;
/// Pulls that one runner, and one server, carries out at the same time.
pub const PULLS_AT_ONCE: usize = 4;
/// Half of these may be of one workspace, where several share who carries them out: the others need not wait for what may take hours.
pub const PULLS_OF_ONE: i64 = 2;
/// Models that are told of one endpoint.
pub const MODELS_MAX: usize = 500;
/// Bytes that they come to, about: they are told in one message, along with what was read of the machine.
const MODELS_BYTES: usize = 256 * 1024;
/// Characters of a name.
pub const NAME_MAX: usize = 100;
/// Characters of the name of a model.
pub const MODEL_MAX: usize = 200;
/// Characters of why it does not answer.
const WHY_MAX: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Endpoint {
    pub id: EndpointId,
    pub name: String,
    /// Of one that a runner found: as its machine reaches it.
    pub url: String,
    /// The runner that found it on its machine; absent when it was registered by hand.
    pub runner_id: Option<RunnerId>,
    /// The runner on whose machine it is, as whoever registered it has said: how busy that is counts.
    #[serde(default)]
    pub machine_of: Option<RunnerId>,
    /// Who registered it, by name; absent when it was found.
    pub registered_by: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Somebody has said that it is one: whoever registered it, or the settings of its runner. What was merely found may be any program that
    /// listens there, and is given no prompts.
    #[serde(default)]
    pub is_confirmed: bool,
    /// It serves every workspace, as the one on the server's own machine does.
    #[serde(default)]
    pub is_shared: bool,
    pub health: EndpointHealth,
    /// Why it does not answer, when it does not.
    pub why: Option<String>,
    pub unhealthy_since: Option<DateTime<Utc>>,
    /// When it was looked at last.
    pub checked_at: Option<DateTime<Utc>>,
    /// Of Ollama, as it says itself.
    pub version: Option<String>,
    /// How many it had when it answered last.
    pub model_count: i64,
    /// How many of these were loaded.
    pub warm_count: i64,
    /// Attempts that work there now: with it, or with another one that is on the same machine, as it may be known twice.
    pub attempts: i64,
    /// How busy its machine is, where its runner has told that lately.
    pub busy_percent: Option<u32>,
}

/// An endpoint with what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointDetail {
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// As it had them when it answered last, by name.
    pub models: Vec<EndpointModel>,
    /// What is being pulled, and what was lately: the newest first.
    pub pulls: Vec<Pull>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EndpointHealth {
    /// Nobody has looked at it yet.
    Unknown,
    Healthy,
    Unhealthy,
    /// Nobody has looked at it lately, whatever it was then.
    Stale,
}

impl EndpointHealth {
    pub fn of(healthy: bool, checked_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        match checked_at {
            None => Self::Unknown,
            Some(at) if is_stale(at, now) => Self::Stale,
            Some(_) if healthy => Self::Healthy,
            Some(_) => Self::Unhealthy,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Stale => "stale",
        }
    }
}

/// A model that an endpoint has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointModel {
    pub name: String,
    pub state: ModelState,
    /// Bytes on its disk.
    pub size: u64,
    /// Such as `Q4_K_M`, where it is told.
    #[serde(default)]
    pub quantization: Option<String>,
    /// How many parameters it has, in words, where that is told: `8.0B`.
    #[serde(default)]
    pub parameters: Option<String>,
    /// Bytes of it in the memory of GPUs, while it is warm.
    #[serde(default)]
    pub vram: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ModelState {
    /// It is loaded, and answers at once.
    Warm,
    /// It is on the disk, and has to be loaded first.
    Cold,
}

impl ModelState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

impl EndpointModel {
    /// `4.7 GiB, Q4_K_M, 8.0B`
    pub fn in_words(&self) -> String {
        let size = crate::runner::reading::bytes(self.size);
        [Some(size), self.quantization.clone(), self.parameters.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Whether it is the one of this name, as Ollama understands names.
    pub fn is_called(&self, name: &str) -> bool {
        is_same_model(&self.name, name)
    }

    /// As it is written in a message, about: each letter may come to two.
    fn bytes(&self) -> usize {
        let words = [Some(&self.name), self.quantization.as_ref(), self.parameters.as_ref()];
        200 + 2 * words.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

impl Endpoint {
    /// Whether it is on the same machine, as far as that is known: that of the same runner, or registered twice at the same address. What works with the
    /// one counts for the other.
    pub fn is_beside(&self, other: &Self) -> bool {
        let machine = |one: &Self| one.runner_id.or(one.machine_of);
        let is_registered = self.runner_id.is_none() && other.runner_id.is_none();
        self.id == other.id || machine(self).is_some() && machine(self) == machine(other) || is_registered && self.url == other.url
    }

    /// In which formats it can be asked, as far as its version says.
    pub fn formats(&self) -> Vec<ModelFormat> {
        ModelFormat::ALL.into_iter().filter(|format| format.not_spoken_by(self.version.as_deref()).is_none()).collect()
    }

    /// For whoever sees that it was merely found.
    pub fn how_to_confirm(&self) -> String {
        format!("say that it is one by MUSTER_OLLAMA_URL={} where its runner runs, or have an admin register it", self.url)
    }
}

/// The one name of a model that may be written in several ways: Ollama calls the latest what it is given without a tag, and finds in its own library
/// what is given without a place. Its letters stay as they are: so it is asked for.
pub fn whole_name(name: &str) -> String {
    let name = ["https://", "registry.ollama.ai/", "library/"].into_iter().fold(name, without);
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn without<'a>(name: &'a str, beginning: &str) -> &'a str {
    match name.split_at_checked(beginning.len()) {
        Some((first, rest)) if first.eq_ignore_ascii_case(beginning) => rest,
        _ => name,
    }
}

/// By what names are compared. Ollama gives whoever asks for `x:q4_k_m` the `x:Q4_K_M` that it has.
pub fn folded_name(name: &str) -> String {
    whole_name(name).to_ascii_lowercase()
}

pub fn is_same_model(one: &str, other: &str) -> bool {
    folded_name(one) == folded_name(other)
}

/// All that the model of this name may be called where it is, in small letters: Ollama tells of the shortest.
pub fn names_of(name: &str) -> Vec<String> {
    let whole = folded_name(name);
    let bare = whole.strip_suffix(":latest").map(str::to_owned);
    bare.into_iter().chain([whole]).collect()
}

/// What was seen of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "looked", rename_all = "snake_case")]
pub enum Looked {
    Answers {
        version: Option<String>,
        models: Vec<EndpointModel>,
    },
    /// It does not answer, or not as Ollama does.
    Fails {
        why: String,
    },
}

/// What a runner sees of the endpoint on its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointLook {
    pub url: String,
    /// The runner's settings name it. A runner that does not say so has merely found it.
    #[serde(default)]
    pub is_said: bool,
    #[serde(flatten)]
    pub looked: Looked,
}

impl EndpointLook {
    /// As far as it is kept: whoever says it may say anything. Nothing of what is at no address: that is shown, and asked by agents.
    pub fn kept(self) -> Option<Self> {
        let url = address::checked(&self.url).ok()?;
        Some(Self { url, looked: self.looked.kept(), ..self })
    }
}

impl Looked {
    /// As far as it is kept: whoever says it may say anything.
    pub fn kept(self) -> Self {
        let model = |model: EndpointModel| EndpointModel {
            name: clean(&model.name, MODEL_MAX),
            quantization: model.quantization.map(|text| clean(&text, NAME_MAX)),
            parameters: model.parameters.map(|text| clean(&text, NAME_MAX)),
            ..model
        };
        match self {
            Self::Answers { version, models } => {
                let version = version.map(|version| clean(&version, NAME_MAX)).filter(|version| !version.is_empty());
                let mut models: Vec<_> = models.into_iter().take(MODELS_MAX).map(model).filter(|model| !model.name.is_empty()).collect();
                models.sort_by(|one, other| one.name.cmp(&other.name));
                models.dedup_by(|one, other| one.name == other.name);
                let mut bytes = 0;
                models.retain(|model| {
                    bytes += model.bytes();
                    bytes <= MODELS_BYTES
                });
                Self::Answers { version, models }
            }
            Self::Fails { why } => {
                let why = clean(&why, WHY_MAX);
                Self::Fails { why: if why.is_empty() { "it does not say why".to_owned() } else { why } }
            }
        }
    }
}

/// What people and a database can take.
pub(crate) fn clean(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect::<String>().trim().to_owned()
}

/// An endpoint that is registered by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewEndpoint {
    pub name: String,
    /// As the server reaches it: `http://gpu-box:11434`.
    pub url: String,
    /// The runner on whose machine it is, if there is one: then what that reads of its machine tells how busy the endpoint is.
    #[serde(default)]
    pub machine_of: Option<RunnerId>,
}

impl NewEndpoint {
    /// With its address as it is kept.
    pub fn validated(self) -> Result<Self, Invalid> {
        let mut errors = Errors::default();
        errors.required_text("/name", &self.name, NAME_MAX);
        let url = match address::checked(&self.url) {
            Ok(url) => url,
            Err((code, message)) => {
                errors.add("/url", code, message);
                String::new()
            }
        };
        errors.finish()?;
        Ok(Self { name: self.name.trim().to_owned(), url, ..self })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::runner::reading::STALE_AFTER_SECONDS;

    /// They are promised: to people in the pages, to runners in the docs.
    #[test]
    fn a_look_every_ten_seconds_and_stale_after_ninety() {
        assert_eq!((crate::runner::reading::READING_SECONDS, STALE_AFTER_SECONDS, CHECK_SECONDS), (10, 90, 10));
    }

    #[test]
    fn what_was_seen_long_ago_says_nothing_of_now() {
        let at = DateTime::UNIX_EPOCH;
        let after = |seconds| at + TimeDelta::seconds(seconds);
        assert_eq!(EndpointHealth::of(true, None, at), EndpointHealth::Unknown);
        assert_eq!(EndpointHealth::of(true, Some(at), after(STALE_AFTER_SECONDS)), EndpointHealth::Healthy);
        assert_eq!(EndpointHealth::of(false, Some(at), after(1)), EndpointHealth::Unhealthy);
        for healthy in [true, false] {
            assert_eq!(EndpointHealth::of(healthy, Some(at), after(STALE_AFTER_SECONDS + 1)), EndpointHealth::Stale);
        }
    }

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        assert_eq!(whole_name("llama3"), "llama3:latest");
        assert_eq!(whole_name("llama3:8b"), "llama3:8b");
        assert_eq!(whole_name("hub.example.org:5000/me/llama3"), "hub.example.org:5000/me/llama3:latest");
        for same in ["library/llama3", "registry.ollama.ai/library/llama3:latest", "https://registry.ollama.ai/library/llama3"] {
            assert_eq!(whole_name(same), "llama3:latest", "{same}");
        }
        assert_eq!(whole_name("registry.ollama.ai/me/llama3:8b"), "me/llama3:8b");
        assert_eq!(whole_name("me/library/llama3"), "me/library/llama3:latest");
        assert_eq!(names_of("llama3:latest"), ["llama3", "llama3:latest"]);
        assert_eq!(names_of("llama3"), names_of("llama3:latest"));
        assert_eq!(names_of("llama3:8b"), ["llama3:8b"]);
    }

    #[test]
    fn a_name_in_other_letters_is_the_same_and_is_asked_for_as_it_is_written() {
        assert!(is_same_model("hf.co/me/x:q4_k_m", "HF.co/me/X:Q4_K_M"));
        assert!(is_same_model("Registry.Ollama.AI/Library/LLaMA3", "llama3:LATEST"));
        assert!(!is_same_model("llama3:8b", "llama3:8c"));
        assert_eq!(whole_name("hf.co/me/x:Q4_K_M"), "hf.co/me/x:Q4_K_M");
        assert_eq!(names_of("LLaMA3"), ["llama3", "llama3:latest"]);
        let model =
            EndpointModel { name: "x:Q4_K_M".into(), state: ModelState::Cold, size: 1, quantization: None, parameters: None, vram: None };
        assert!(model.is_called("x:q4_k_m") && !model.is_called("x:q4_k_s"));
        assert_eq!(whole_name("a\u{fc}\u{fc}\u{fc}\u{fc}"), "a\u{fc}\u{fc}\u{fc}\u{fc}:latest", "whatever its letters are");
    }

    #[test]
    fn whatever_is_seen_is_cut_to_what_can_be() {
        let model = |name: &str| EndpointModel {
            name: name.into(),
            state: ModelState::Cold,
            size: 1,
            quantization: Some("\0Q4".into()),
            parameters: None,
            vram: None,
        };
        let models = vec![model("b"), model("\u{7}"), model("a"), model("b"), model(&"x".repeat(1000))];
        let Looked::Answers { version, models } = (Looked::Answers { version: Some("\n".into()), models }).kept() else { panic!() };
        assert_eq!(version, None);
        assert_eq!(models.iter().map(|model| model.name.len()).collect::<Vec<_>>(), [1, 1, MODEL_MAX]);
        assert_eq!(models[0].quantization.as_deref(), Some("Q4"));
        assert_eq!((Looked::Fails { why: "\0".into() }).kept(), Looked::Fails { why: "it does not say why".into() });
    }

    #[test]
    fn the_largest_look_fits_into_a_message() {
        let longest = |number: usize| EndpointModel {
            name: format!("{number:03}{}", "\u{10ffff}".repeat(1000)),
            state: ModelState::Warm,
            size: u64::MAX,
            quantization: Some("\"".repeat(1000)),
            parameters: Some("\\".repeat(1000)),
            vram: Some(u64::MAX),
        };
        let models = (0..2 * MODELS_MAX).map(longest).collect();
        let url = format!("http://box/{}", "x".repeat(480));
        let look = EndpointLook { url, is_said: true, looked: Looked::Answers { version: None, models } }.kept().unwrap();
        let bytes = serde_json::to_string(&look).unwrap().len();
        assert!(bytes <= MODELS_BYTES + 1000, "{bytes}");
        let Looked::Answers { models, .. } = look.looked else { panic!() };
        assert!(models.len() > 50, "{}", models.len());
        let usual =
            |number: usize| EndpointModel { name: format!("model-{number:03}:latest"), quantization: None, parameters: None, ..longest(0) };
        let usual = Looked::Answers { version: None, models: (0..MODELS_MAX).map(usual).collect() };
        assert_eq!(usual.clone().kept(), usual, "of usual names nothing is left out");
    }

    #[test]
    fn a_look_at_no_address_is_none() {
        let at = |url: &str| EndpointLook { url: url.into(), is_said: true, looked: Looked::Fails { why: "refused".into() } }.kept();
        for bad in ["", "http://ada:secret@box", "http://169.254.169.254", "javascript:alert(1)"] {
            assert_eq!(at(bad), None, "{bad}");
        }
        assert_eq!(at("http://127.0.0.1:11434/").map(|look| look.url).as_deref(), Some("http://127.0.0.1:11434"));
    }

    #[test]
    fn a_look_of_an_earlier_runner_was_merely_found() {
        let look: EndpointLook = serde_json::from_str(r#"{"url": "http://127.0.0.1:1", "looked": "fails", "why": "refused"}"#).unwrap();
        assert_eq!(
            look,
            EndpointLook { url: "http://127.0.0.1:1".into(), is_said: false, looked: Looked::Fails { why: "refused".into() } }
        );
    }

    #[test]
    fn an_endpoint_has_a_name_and_an_address() {
        let errors = |name: &str, url: &str| match (NewEndpoint { name: name.into(), url: url.into(), machine_of: None }).validated() {
            Ok(_) => vec![],
            Err(invalid) => invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect(),
        };
        assert_eq!(errors("box", "http://box:11434"), Vec::<String>::new());
        assert_eq!(errors(" ", "box"), ["/name required", "/url malformed"]);
        let kept = NewEndpoint { name: " box ".into(), url: "http://Box:11434/".into(), machine_of: None }.validated().unwrap();
        assert_eq!((kept.name.as_str(), kept.url.as_str()), ("box", "http://box:11434"));
    }
}
