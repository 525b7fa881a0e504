//! Agent programs by name: those that Muster knows, and those that a runner knows from a manifest in its own folder.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::AgentTerms;
use crate::endpoint::{ModelFormat, format};

/// An agent program that a runner drives. It is a word wherever it is written: `codex`, `acp:goose`, `own:aider`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Backend {
    ClaudeCode,
    Codex,
    GeminiCli,
    OpenCode,
    /// Of a manifest, and it speaks the Agent Client Protocol.
    Acp(AgentName),
    /// Of a manifest, and it is told its prompt and prints what it does.
    Own(AgentName),
}

/// What a manifest is called, and with it its agent: 1 to [`AgentName::LONGEST`] lower case letters, digits and dashes, no dash in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentName(String);

impl AgentName {
    pub const LONGEST: usize = 40;

    pub fn parse(name: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_one = (1..=Self::LONGEST).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-');
        is_one.then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word that names no agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "must be claude-code, codex, gemini-cli or opencode, or an agent of a runner's manifest: acp: or own: with its name, which is lower case \
     letters, digits and dashes"
)]
pub struct NoBackend;

const ACP: &str = "acp:";
const OWN: &str = "own:";

/// Manifests of one runner.
pub const MANIFESTS_MAX: usize = 32;

impl Backend {
    /// Those that every runner may find without a manifest.
    pub const KNOWN: [Self; 4] = [Self::ClaudeCode, Self::Codex, Self::GeminiCli, Self::OpenCode];

    /// As a task, a flag and the API name it. It is also what a runner has that found it, and what a task needs that names it.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::ClaudeCode => "claude-code".into(),
            Self::Codex => "codex".into(),
            Self::GeminiCli => "gemini-cli".into(),
            Self::OpenCode => "opencode".into(),
            Self::Acp(name) => format!("{ACP}{name}").into(),
            Self::Own(name) => format!("{OWN}{name}").into(),
        }
    }

    /// As people call it.
    pub fn title(&self) -> Cow<'static, str> {
        match self {
            Self::ClaudeCode => "Claude Code".into(),
            Self::Codex => "Codex".into(),
            Self::GeminiCli => "Gemini CLI".into(),
            Self::OpenCode => "OpenCode".into(),
            Self::Acp(name) => format!("{name} (acp)").into(),
            Self::Own(name) => format!("{name} (own)").into(),
        }
    }

    /// Whether it is given work in a sandbox alone. Codex's own is off in its turns, and once it trusts a repository it starts programs that
    /// the repository's settings name. That it does not hangs on how its thread is begun, as measured with one version: not enough where
    /// nothing else would hold them. It is the same with Gemini CLI, and OpenCode runs the repository's plugins in any case. Of an agent of a
    /// manifest nobody has measured anything.
    pub fn needs_sandbox(&self) -> bool {
        match self {
            Self::ClaudeCode => false,
            Self::Codex | Self::GeminiCli | Self::OpenCode | Self::Acp(_) | Self::Own(_) => true,
        }
    }

    /// Whether it knows what its answers cost, so that it can be stopped when that is too much.
    pub fn counts_money(&self) -> bool {
        match self {
            Self::ClaudeCode => true,
            Self::Codex | Self::GeminiCli | Self::OpenCode | Self::Acp(_) | Self::Own(_) => false,
        }
    }

    /// Whether the answers of its model are counted, by itself or by Muster, so that it can be stopped when they are too many. OpenCode tells
    /// neither that there was one nor how many there were, and a manifest does not say whether its agent does.
    pub fn counts_turns(&self) -> bool {
        match self {
            Self::ClaudeCode | Self::Codex | Self::GeminiCli => true,
            Self::OpenCode | Self::Acp(_) | Self::Own(_) => false,
        }
    }

    /// Whether it may ask people before it does something. Of one that speaks the protocol its manifest says so, which its runner alone knows.
    pub fn may_ask(&self) -> bool {
        !matches!(self, Self::Own(_))
    }

    /// Of a manifest: it is given what names it, and nothing else.
    pub fn is_of_a_manifest(&self) -> bool {
        matches!(self, Self::Acp(_) | Self::Own(_))
    }

    /// In which format it asks an endpoint that it is told of. What Gemini CLI speaks no endpoint understands, and how an agent of a manifest
    /// speaks its manifest says.
    pub fn endpoint_format(&self) -> Option<ModelFormat> {
        match self {
            Self::ClaudeCode => Some(ModelFormat::AnthropicMessages),
            Self::Codex => Some(ModelFormat::OpenaiResponses),
            Self::OpenCode => Some(ModelFormat::OpenaiChat),
            Self::GeminiCli | Self::Acp(_) | Self::Own(_) => None,
        }
    }

    /// Whether it may say whether a change passes. A judge takes no orders from what it judges, runs nothing beside its key, and only what it
    /// says itself is its verdict. That was measured of one: Codex runs commands that it trusts unasked, of Gemini CLI and OpenCode nobody has
    /// looked at what they do without leave, and of an agent of a manifest nobody knows what leads it, nor whether what it prints is its own.
    pub fn may_judge(&self) -> bool {
        match self {
            Self::ClaudeCode => true,
            Self::Codex | Self::GeminiCli | Self::OpenCode | Self::Acp(_) | Self::Own(_) => false,
        }
    }

    pub fn parse(name: &str) -> Result<Self, NoBackend> {
        let known = Self::KNOWN.into_iter().find(|backend| backend.name() == name);
        let acp = || name.strip_prefix(ACP).and_then(AgentName::parse).map(Self::Acp);
        let own = || name.strip_prefix(OWN).and_then(AgentName::parse).map(Self::Own);
        known.or_else(acp).or_else(own).ok_or(NoBackend)
    }
}

impl From<Backend> for String {
    fn from(backend: Backend) -> Self {
        backend.name().into_owned()
    }
}

impl TryFrom<String> for Backend {
    type Error = NoBackend;

    fn try_from(name: String) -> Result<Self, NoBackend> {
        Self::parse(&name)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Backend {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let word = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String).pattern(Some(PATTERN));
        let about = "An agent program that a runner drives: one that Muster knows, or `acp:NAME` or `own:NAME`, as the runner's manifests call theirs.";
        word.description(Some(about)).examples(["claude-code", "acp:goose", "own:aider"]).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Backend {}

/// What [`Backend::parse`] takes.
#[cfg(any(test, feature = "openapi"))]
const PATTERN: &str = "^(claude-code|codex|gemini-cli|opencode|(acp|own):[a-z0-9][a-z0-9-]{0,39})$";

/// An agent program as a runner found it on its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackendFound {
    pub backend: Backend,
    /// As it says itself.
    pub version: String,
    /// It is told what to do once, and asks and hears nothing while it works: Codex, where its machine says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_simple: bool,
    /// In which format it asks an endpoint that was chosen for its task. Absent where its runner tells it of none, and where an older one does
    /// not say so, which tells OpenCode alone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "format::known")]
    pub endpoint_format: Option<ModelFormat>,
}

impl BackendFound {
    /// Whether it may be given a prompt with these terms that names no agent.
    pub fn takes_unnamed(&self, terms: &AgentTerms) -> bool {
        !self.backend.is_of_a_manifest()
            && (self.may_ask() || !terms.asks())
            && (self.counts_turns() || terms.max_turns.is_none())
            && (self.backend.counts_money() || terms.max_cost_cents.is_none())
    }

    /// Whether people can be asked before it does something.
    pub fn may_ask(&self) -> bool {
        self.backend.may_ask() && !self.is_simple
    }

    /// Whether it can be stopped once its model has answered too often.
    pub fn counts_turns(&self) -> bool {
        self.backend.counts_turns() && !self.is_simple
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    #[test]
    fn backends_are_known_by_their_names() {
        let longest = "x".repeat(AgentName::LONGEST);
        let own = [Backend::Acp(named("goose")), Backend::Own(named("my-agent-2")), Backend::Own(named(&longest))];
        for backend in Backend::KNOWN.into_iter().chain(own) {
            let name = backend.name();
            assert_eq!(Backend::parse(&name), Ok(backend.clone()));
            assert_eq!(serde_json::to_value(&backend).unwrap(), *name);
            assert_eq!(serde_json::from_value::<Backend>((&*name).into()).unwrap(), backend);
            assert!(crate::task::check_tag(&name).is_ok(), "a runner that has it says so");
        }
        assert_eq!(Backend::Acp(named("goose")).title(), "goose (acp)");
        assert_eq!(Backend::Own(named("aider")).title(), "aider (own)");
        for name in Backend::KNOWN.map(|known| known.name()) {
            assert!(PATTERN.contains(&*name), "{name}");
        }
    }

    #[test]
    fn what_names_no_agent_is_said_to() {
        let long = format!("acp:{}", "x".repeat(AgentName::LONGEST + 1));
        for bad in ["", "goose", "acp:", "own:", "acp:-x", "acp:Goose", "own:a b", "own:../x", "acp:a:b", "ACP:goose", &long] {
            assert_eq!(Backend::parse(bad), Err(NoBackend), "{bad}");
        }
        let error = serde_json::from_str::<Backend>("\"goose\"").unwrap_err().to_string();
        assert!(error.starts_with("must be claude-code, codex, gemini-cli or opencode, or an agent of a runner's manifest"), "{error}");
    }

    #[test]
    fn of_an_agent_of_a_manifest_nothing_is_taken_for_granted() {
        for backend in [Backend::Acp(named("goose")), Backend::Own(named("aider"))] {
            assert!(backend.needs_sandbox() && backend.is_of_a_manifest());
            assert!(!backend.counts_money() && !backend.counts_turns() && !backend.may_judge());
        }
        assert!(Backend::Acp(named("goose")).may_ask() && !Backend::Own(named("aider")).may_ask());
        assert!(Backend::KNOWN.iter().all(|known| !known.is_of_a_manifest() && known.may_ask()));
    }

    #[test]
    fn a_format_that_is_not_known_here_hides_no_agent() {
        let read = |text: &str| serde_json::from_str::<BackendFound>(text).unwrap();
        let older = read(r#"{"backend": "codex", "version": "1"}"#);
        assert_eq!(older.endpoint_format, None);
        assert_eq!(serde_json::to_string(&older).unwrap(), r#"{"backend":"codex","version":"1"}"#, "nor is it said then");
        let told = read(r#"{"backend": "acp:goose", "version": "1", "endpoint_format": "openai-chat"}"#);
        assert_eq!(told.endpoint_format, Some(ModelFormat::OpenaiChat));
        let newer = read(r#"{"backend": "codex", "version": "1", "endpoint_format": {"later": 1}}"#);
        assert_eq!(newer, older);
    }

    #[test]
    fn who_judges_was_measured_and_can_be_stopped() {
        let judges: Vec<_> = Backend::KNOWN.into_iter().filter(Backend::may_judge).collect();
        assert_eq!(judges, [Backend::ClaudeCode]);
        assert!(judges.iter().all(|judge| judge.counts_turns() && judge.counts_money()), "or no limit of a check would hold");
    }
}
