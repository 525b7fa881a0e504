//! What agents have used, as far as they have told it.

use serde::{Deserialize, Serialize};

use crate::session::dollars;

/// What one attempt has used. It is told while the attempt goes on, and grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptUsage {
    /// By the agent that does the work; absent when it has told nothing.
    pub agent: Option<Usage>,
    /// By those that judged the work, all together; absent when none did or told anything.
    pub judges: Option<Usage>,
}

/// A sum of what models have used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// As the agents name them, at most [`MODELS_MAX`].
    pub models: Vec<String>,
    /// Tokens.
    pub input: u64,
    /// Of the input, read from a cache.
    pub cached: u64,
    pub output: u64,
    /// Millionths of a dollar, at list prices, as the agents count them; absent where none counts money.
    pub cost_micros: Option<u64>,
    /// It was more: an agent has not told all of it, or came to no end.
    pub is_incomplete: bool,
}

/// Models that are named of one sum.
pub const MODELS_MAX: usize = 10;
/// The most that is counted of anything: a program that says more than that has not counted.
pub const COUNTED_MAX: u64 = 1_000_000_000_000_000;

impl Usage {
    /// Whether anything but models was told.
    pub fn is_known(&self) -> bool {
        self.input > 0 || self.output > 0 || self.cost_micros.is_some()
    }

    pub fn add(&mut self, other: &Self) {
        for model in &other.models {
            if self.models.len() < MODELS_MAX && !self.models.contains(model) {
                self.models.push(model.clone());
            }
        }
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.cost_micros = match (self.cost_micros, other.cost_micros) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        self.is_incomplete |= other.is_incomplete;
    }

    /// "sonnet: at least 1200 tokens in (200 of them from a cache), 34 out, $0.0500 at list prices"
    pub fn in_words(&self) -> String {
        let at_least = if self.is_incomplete { "at least " } else { "" };
        let tokens = (self.input > 0 || self.output > 0).then(|| self.tokens_in_words());
        let cost = self.cost_micros.map(|micros| format!("{} at list prices", dollars(micros)));
        let used: Vec<_> = [tokens, cost].into_iter().flatten().collect();
        let used = if used.is_empty() { "not told".to_owned() } else { format!("{at_least}{}", used.join(", ")) };
        if self.models.is_empty() { used } else { format!("{}: {used}", self.models.join(", ")) }
    }

    /// "1200 tokens in (200 of them from a cache), 34 out"
    pub fn tokens_in_words(&self) -> String {
        let cached = if self.cached > 0 { format!(" ({} of them from a cache)", self.cached) } else { String::new() };
        format!("{} tokens in{cached}, {} out", self.input, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_added_up_and_said() {
        let mut all = Usage { models: vec!["sonnet".into()], input: 1000, cached: 200, output: 30, ..Usage::default() };
        assert_eq!(all.in_words(), "sonnet: 1000 tokens in (200 of them from a cache), 30 out");
        let other = Usage {
            models: vec!["sonnet".into(), "opus".into()],
            input: 200,
            output: 4,
            cost_micros: Some(50_000),
            is_incomplete: true,
            ..Usage::default()
        };
        all.add(&other);
        let expected = "sonnet, opus: at least 1200 tokens in (200 of them from a cache), 34 out, $0.0500 at list prices";
        assert_eq!(all.in_words(), expected);
        all.add(&Usage { input: u64::MAX, cost_micros: Some(1), ..Usage::default() });
        assert_eq!((all.input, all.cost_micros), (u64::MAX, Some(50_001)));
    }

    #[test]
    fn a_model_alone_is_nothing_used() {
        let named = Usage { models: vec!["m".into()], ..Usage::default() };
        assert_eq!((named.is_known(), named.in_words().as_str()), (false, "m: not told"));
        assert!(Usage { cost_micros: Some(0), ..Usage::default() }.is_known());
    }
}
