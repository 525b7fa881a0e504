//! What carries out prompts: the programs that Muster knows how to drive, and what a task says about which of them and how.

mod backend;
pub mod words;

use serde::{Deserialize, Deserializer, Serialize, de};

pub use backend::{AgentName, Backend, BackendFound, MANIFESTS_MAX, NoBackend};

use crate::{Ask, error::Errors};

/// Which agent is given a prompt, and how far it may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentTerms {
    /// No runner without it is given the task. When absent, whatever its runner has of those that Muster knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// As the agent knows it; its own choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Answers of the model after which it is stopped, counted anew each time that it is told something (by Gemini CLI, in each round).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// What an attempt may cost at most, in cents (US), as the agent itself counts it. It is stopped once that is passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_cents: Option<u32>,
    /// What it asks people for, who then answer on the page of approvals; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// After how many minutes without an answer what it asks is denied, at most a day. [`ANSWER_MINUTES`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_minutes: Option<u32>,
    /// How often it is told in its session which checks did not pass, and goes on; at most 5. [`VERIFICATION_RETRIES`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_verification_retries: Option<u32>,
}

/// What a task says, as it is kept. Another version may have kept a word for an agent that this one does not know: everything else is read all
/// the same, and who has to know which agent it is is told that nobody does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptTerms {
    pub terms: AgentTerms,
    /// Its agent, where this version does not know it.
    pub unknown: Option<String>,
}

impl<'de> Deserialize<'de> for KeptTerms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kept = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
        let word = kept.get("backend").and_then(serde_json::Value::as_str);
        let unknown = word.filter(|word| Backend::parse(word).is_err()).map(str::to_owned);
        if unknown.is_some() {
            kept.remove("backend");
        }
        let terms = serde_json::from_value(kept.into()).map_err(<D::Error as de::Error>::custom)?;
        Ok(Self { terms, unknown })
    }
}

pub const VERIFICATION_RETRIES: u32 = 2;
pub const VERIFICATION_RETRIES_MAX: u32 = 5;

pub const ANSWER_MINUTES: u32 = 30;
pub const ANSWER_MINUTES_MAX: u32 = 24 * 60;

pub const TURNS_MAX: u32 = 10_000;
/// Ten thousand dollars.
pub const COST_CENTS_MAX: u32 = 1_000_000;
const MODEL_MAX: usize = 200;

impl AgentTerms {
    pub fn validate(&self, errors: &mut Errors) {
        if let Some(model) = &self.model {
            check_model("/agent/model", model, errors);
        }
        for (pointer, value, most) in [
            ("/agent/max_turns", self.max_turns, TURNS_MAX),
            ("/agent/max_cost_cents", self.max_cost_cents, COST_CENTS_MAX),
            ("/agent/answer_minutes", self.answer_minutes, ANSWER_MINUTES_MAX),
        ] {
            if value.is_some_and(|value| value == 0 || value > most) {
                errors.add(pointer, "out_of_range", format!("must be 1 to {most}"));
            }
        }
        if let Some(backend) = self.backend.as_ref().filter(|backend| !backend.counts_money() && self.max_cost_cents.is_some()) {
            let instead = if backend.counts_turns() { "give it turns instead" } else { "give it time instead" };
            let message = format!("{} does not count what it costs; {instead}", backend.title());
            errors.add("/agent/max_cost_cents", "unexpected", message);
        }
        if let Some(backend) = self.backend.as_ref().filter(|backend| !backend.counts_turns() && self.max_turns.is_some()) {
            let message = format!("{} does not count its turns; give it time instead", backend.title());
            errors.add("/agent/max_turns", "unexpected", message);
        }
        if let Some(backend) = self.backend.as_ref().filter(|backend| !backend.may_ask() && self.asks()) {
            let message = format!("{} asks nobody; what it may do is what its sandbox lets it", backend.title());
            errors.add("/agent/ask", "unexpected", message);
        }
        if self.answer_minutes.is_some() && !self.asks() {
            errors.add("/agent/answer_minutes", "unexpected", "only an agent that asks for something waits for an answer");
        }
        if self.max_verification_retries.is_some_and(|retries| retries > VERIFICATION_RETRIES_MAX) {
            errors.add("/agent/max_verification_retries", "out_of_range", format!("must be 0 to {VERIFICATION_RETRIES_MAX}"));
        }
    }

    /// As it says, or as usual.
    pub fn verification_retries(&self) -> u32 {
        self.max_verification_retries.unwrap_or(VERIFICATION_RETRIES).min(VERIFICATION_RETRIES_MAX)
    }

    /// As it says, or as usual.
    pub fn answer_minutes(&self) -> u32 {
        self.answer_minutes.unwrap_or(ANSWER_MINUTES).clamp(1, ANSWER_MINUTES_MAX)
    }

    /// Whether it asks people for anything.
    pub fn asks(&self) -> bool {
        self.ask.is_some_and(|ask| ask != Ask::Nothing)
    }

    /// "Claude Code, opus, at most 30 turns, at most $2.50"; nothing when it says nothing.
    pub fn in_words(&self) -> Option<String> {
        let turns = |turns: u32| if turns == 1 { "at most 1 turn".to_owned() } else { format!("at most {turns} turns") };
        let said = [
            self.backend.as_ref().map(|backend| backend.title().into_owned()),
            self.model.clone(),
            self.max_turns.map(turns),
            self.max_cost_cents.map(|cents| format!("at most {}", dollars(cents))),
            match self.ask {
                None => None,
                Some(Ask::Nothing) => Some("asks nobody".to_owned()),
                Some(Ask::Commands) => Some("asks before it runs commands".to_owned()),
                Some(Ask::Everything) => Some("asks before it changes anything".to_owned()),
            },
            self.answer_minutes.map(|minutes| format!("waits {minutes} min for an answer")),
            self.max_verification_retries.map(|retries| match retries {
                0 => "one round of checks".to_owned(),
                more => format!("at most {} rounds of checks", more + 1),
            }),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// Whether it says nothing.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether this may be what an agent calls a model.
pub(crate) fn check_model(pointer: &str, model: &str, errors: &mut Errors) {
    errors.required_text(pointer, model, MODEL_MAX);
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:/@[]+".contains(c);
    if !model.chars().all(fits) && !model.trim().is_empty() {
        errors.add(pointer, "malformed", "must be letters, digits and . _ - : / @ [ ] +");
    } else if model.starts_with('-') {
        errors.add(pointer, "malformed", "must not start with a hyphen");
    }
}

/// Cents as people write them: `$2.50`.
pub fn dollars(cents: u32) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}

/// Dollars as people write them, such as 2.50, in cents.
pub fn cents(dollars: &str) -> Option<u32> {
    let dollars = dollars.trim().trim_start_matches('$');
    let (whole, part) = dollars.split_once('.').unwrap_or((dollars, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !is_number(whole) || !is_number(part) {
        return None;
    }
    format!("{whole}{part:0<2}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_to_the_cent() {
        for (text, expected) in [("2", Some(200)), ("2.5", Some(250)), ("$2.05", Some(205)), ("0.01", Some(1)), (" 3. ", Some(300))] {
            assert_eq!(cents(text), expected, "{text}");
        }
        assert!(["", ".5", "2.345", "-1", "1e3", "2,50", "99999999999", "1 000"].into_iter().all(|bad| cents(bad).is_none()));
        let terms =
            AgentTerms { backend: Some(Backend::ClaudeCode), max_turns: Some(1), max_cost_cents: Some(205), ..AgentTerms::default() };
        assert_eq!(terms.in_words().as_deref(), Some("Claude Code, at most 1 turn, at most $2.05"));
        assert_eq!(AgentTerms::default().in_words(), None);
        assert_eq!([1, 99, 205].map(dollars), ["$0.01", "$0.99", "$2.05"]);
        assert!([1, 100, 1_000_000].into_iter().all(|written| cents(&dollars(written)) == Some(written)));
        let rounds = |retries| AgentTerms { max_verification_retries: Some(retries), ..AgentTerms::default() }.in_words();
        assert_eq!(rounds(0).as_deref(), Some("one round of checks"));
        assert_eq!(rounds(2).as_deref(), Some("at most 3 rounds of checks"));
    }

    #[test]
    fn of_what_another_version_has_kept_the_rest_is_read() {
        let read = |text: &str| serde_json::from_str::<KeptTerms>(text).unwrap();
        let known = AgentTerms { backend: Some(Backend::Codex), max_turns: Some(3), ..AgentTerms::default() };
        assert_eq!(read(r#"{"backend": "codex", "max_turns": 3}"#), KeptTerms { terms: known.clone(), unknown: None });
        let terms = AgentTerms { backend: None, ..known };
        assert_eq!(read(r#"{"backend": "later:one", "max_turns": 3}"#), KeptTerms { terms, unknown: Some("later:one".into()) });
        assert_eq!(read("{}"), KeptTerms::default());
        assert!(serde_json::from_str::<AgentTerms>(r#"{"backend": "later:one"}"#).is_err(), "nobody can ask for it");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = |terms: AgentTerms| {
            let mut errors = Errors::default();
            terms.validate(&mut errors);
            errors
                .finish()
                .err()
                .map(|invalid| invalid.errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let model = |model: &str| AgentTerms { model: Some(model.into()), ..AgentTerms::default() };
        assert!(wrong(model("claude-sonnet-4-5")).is_empty());
        assert!(wrong(model("us.anthropic/claude:1[1m]")).is_empty());
        for bad in ["", "-p", "a b", "a\nb", "é"] {
            assert_eq!(wrong(model(bad)), ["/agent/model"], "{bad:?}");
        }
        let terms = AgentTerms { max_turns: Some(0), max_cost_cents: Some(COST_CENTS_MAX + 1), ..AgentTerms::default() };
        assert_eq!(wrong(terms), ["/agent/max_turns", "/agent/max_cost_cents"]);
        let codex = AgentTerms { backend: Some(Backend::Codex), max_cost_cents: Some(100), ..AgentTerms::default() };
        assert_eq!(wrong(codex), ["/agent/max_cost_cents"], "nobody would stop it");
        let turns = |backend| AgentTerms { backend: Some(backend), max_turns: Some(10), ..AgentTerms::default() };
        assert!(wrong(turns(Backend::GeminiCli)).is_empty());
        assert_eq!(wrong(turns(Backend::OpenCode)), ["/agent/max_turns"], "nor by these");
        let own = |word: &str| AgentTerms { backend: Backend::parse(word).ok(), ..AgentTerms::default() };
        let far = |word: &str| AgentTerms { max_turns: Some(3), max_cost_cents: Some(100), ..own(word) };
        for word in ["acp:goose", "own:aider"] {
            assert!(wrong(own(word)).is_empty());
            assert_eq!(wrong(far(word)), ["/agent/max_cost_cents", "/agent/max_turns"], "{word}");
        }
        let asking = |word: &str| AgentTerms { ask: Some(Ask::Commands), ..own(word) };
        assert_eq!(wrong(asking("own:aider")), ["/agent/ask"], "it asks nobody");
        assert!(wrong(asking("acp:goose")).is_empty(), "its runner knows whether it does");
        let retries = |retries| AgentTerms { max_verification_retries: Some(retries), ..AgentTerms::default() };
        assert!(wrong(retries(0)).is_empty() && wrong(retries(5)).is_empty());
        assert_eq!(wrong(retries(6)), ["/agent/max_verification_retries"]);
        let asks = |ask, answer_minutes| AgentTerms { ask, answer_minutes, ..AgentTerms::default() };
        assert!(wrong(asks(Some(Ask::Commands), Some(ANSWER_MINUTES_MAX))).is_empty());
        assert_eq!(wrong(asks(Some(Ask::Commands), Some(0))), ["/agent/answer_minutes"]);
        assert_eq!(wrong(asks(None, Some(5))), ["/agent/answer_minutes"], "it asks nobody");
    }
}
