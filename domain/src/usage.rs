//! What agents have used, as far as they have told it.

use serde::{Deserialize, Serialize};

use crate::{Attempt, CostSource, SessionEventKind, price, session::dollars};

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
    /// Answers of models, as far as they were told one by one.
    #[serde(default)]
    pub steps: u64,
    /// Of these, whose cost an agent has told, along with them or for a turn as a whole.
    #[serde(default)]
    pub told_steps: u64,
    /// Of these, with a cost by the price that the workspace had for its model then.
    #[serde(default)]
    pub priced_steps: u64,
    /// What those cost, in millionths of a dollar; absent where there are none. It is no part of `cost_micros` and not to be added to it: an agent
    /// that counts money counts the same steps.
    #[serde(default)]
    pub priced_micros: Option<u64>,
    /// Models of steps of which nothing has said the cost, as far as they are named, at most [`MODELS_MAX`].
    #[serde(default)]
    pub unpriced: Vec<String>,
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

    /// One answer of a model, the agent's or a judge's; nothing of whatever else happens.
    pub fn of_step(kind: &SessionEventKind) -> Option<Self> {
        let (model, input, cached, output, cost, is_part) = match kind {
            SessionEventKind::Judge { event, .. } => return Self::of_step(event),
            SessionEventKind::Usage { model, input, cached, output, cost, is_part, .. } => (model, input, cached, output, cost, is_part),
            _ => return None,
        };
        let models: Vec<String> = model.iter().cloned().collect();
        let by = |source| cost.filter(|cost| cost.source == source).map(|cost| cost.micros);
        let (told, priced) = (by(CostSource::Agent), by(CostSource::Workspace));
        Some(Self {
            unpriced: if cost.is_none() { models.clone() } else { vec![] },
            models,
            input: *input,
            cached: *cached,
            output: *output,
            cost_micros: told,
            steps: 1,
            told_steps: told.is_some().into(),
            priced_steps: priced.is_some().into(),
            priced_micros: priced,
            is_incomplete: *is_part,
        })
    }

    /// By agents and judges in all these attempts together; nothing when none has told anything.
    pub fn of_attempts(attempts: &[Attempt]) -> Option<Self> {
        let mut all = Self::default();
        for usage in attempts.iter().flat_map(|attempt| [&attempt.usage.agent, &attempt.usage.judges]).flatten() {
            all.add(usage);
        }
        Some(all).filter(Self::is_known)
    }

    pub fn add(&mut self, other: &Self) {
        add_names(&mut self.models, &other.models);
        add_names(&mut self.unpriced, &other.unpriced);
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.cost_micros = sum(self.cost_micros, other.cost_micros);
        self.steps = self.steps.saturating_add(other.steps);
        self.told_steps = self.told_steps.saturating_add(other.told_steps);
        self.priced_steps = self.priced_steps.saturating_add(other.priced_steps);
        self.priced_micros = sum(self.priced_micros, other.priced_micros);
        self.is_incomplete |= other.is_incomplete;
    }

    /// `sonnet: at least 1200 tokens in (200 of them from a cache), 34 out, $0.0500 at list price, as the agent counts it`
    pub fn in_words(&self) -> String {
        let at_least = if self.is_incomplete { "at least " } else { "" };
        let tokens = (self.input > 0 || self.output > 0).then(|| self.tokens_in_words());
        let used: Vec<_> = tokens.into_iter().chain(self.costs_in_words()).collect();
        let used = if used.is_empty() { "not told".to_owned() } else { format!("{at_least}{}", used.join(", ")) };
        if self.models.is_empty() { used } else { format!("{}: {used}", self.models.join(", ")) }
    }

    /// "1200 tokens in (200 of them from a cache), 34 out"
    pub fn tokens_in_words(&self) -> String {
        let cached = if self.cached > 0 { format!(" ({} of them from a cache)", self.cached) } else { String::new() };
        format!("{} tokens in{cached}, {} out", self.input, self.output)
    }

    /// What it has cost, by each who says so. Where that is known of a part, that is said; where nothing is, that too.
    pub fn costs_in_words(&self) -> Vec<String> {
        let part = |known: u64, how: &str| match self.steps {
            steps if known > 0 && known < steps => format!(" ({known} of {steps} steps {how})"),
            _ => String::new(),
        };
        let by = |micros: Option<u64>, source: CostSource, part: String| {
            micros.map(|micros| format!("{} {}{part}", dollars(micros), source.in_words()))
        };
        let told = by(self.cost_micros, CostSource::Agent, part(self.told_steps, "told"));
        let priced = by(self.priced_micros, CostSource::Workspace, part(self.priced_steps, "priced"));
        let unknown = (told.is_none() && priced.is_none() && self.steps > 0).then(|| price::UNKNOWN.to_owned());
        [told, priced, unknown].into_iter().flatten().collect()
    }
}

fn add_names(names: &mut Vec<String>, more: &[String]) {
    for name in more {
        if names.len() < MODELS_MAX && !names.contains(name) {
            names.push(name.clone());
        }
    }
}

/// Nothing only where neither is known.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.map_or(other, |one| Some(one.saturating_add(other.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StepCost;

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
        let expected =
            "sonnet, opus: at least 1200 tokens in (200 of them from a cache), 34 out, $0.0500 at list price, as the agent counts it";
        assert_eq!(all.in_words(), expected);
        all.add(&Usage { input: u64::MAX, cost_micros: Some(1), ..Usage::default() });
        assert_eq!((all.input, all.cost_micros), (u64::MAX, Some(50_001)));
    }

    fn step(model: &str, cost: Option<StepCost>) -> Usage {
        let model = Some(model.to_owned());
        let kind = SessionEventKind::Usage { model, input: 10, cached: 0, cache_written: 0, output: 1, cost, is_part: false };
        Usage::of_step(&kind).unwrap()
    }

    #[test]
    fn what_it_has_cost_is_said_by_each_who_knows() {
        let cost = |micros, source| Some(StepCost { micros, source });
        let mut all = Usage::default();
        assert_eq!(all.costs_in_words(), Vec::<String>::new());
        all.add(&step("new", None));
        assert_eq!(all.costs_in_words(), ["price unknown"], "which is not the same as nothing");
        all.add(&step("small", cost(200, CostSource::Workspace)));
        all.add(&step("small", cost(300, CostSource::Workspace)));
        assert_eq!(all.costs_in_words(), ["$0.0005 at the workspace's price (2 of 3 steps priced)"]);
        all.add(&step("own", cost(1000, CostSource::Agent)));
        let both =
            ["$0.0010 at list price, as the agent counts it (1 of 4 steps told)", "$0.0005 at the workspace's price (2 of 4 steps priced)"];
        assert_eq!(all.costs_in_words(), both);
        assert_eq!((all.unpriced.as_slice(), all.steps), (["new".to_owned()].as_slice(), 4));
        let whole = step("small", cost(200, CostSource::Workspace));
        assert_eq!(whole.costs_in_words(), ["$0.0002 at the workspace's price"]);
        // told for a turn, which is all of its steps
        let turn = Usage { cost_micros: Some(1300), ..step("opus", None) };
        assert_eq!(turn.costs_in_words(), ["$0.0013 at list price, as the agent counts it"]);
    }

    #[test]
    fn what_costs_nothing_is_not_what_nobody_knows() {
        let free = step("local", Some(StepCost { micros: 0, source: CostSource::Workspace }));
        assert_eq!(free.costs_in_words(), ["$0.0000 at the workspace's price"]);
    }

    #[test]
    fn a_model_alone_is_nothing_used() {
        let named = Usage { models: vec!["m".into()], ..Usage::default() };
        assert_eq!((named.is_known(), named.in_words().as_str()), (false, "m: not told"));
        assert!(Usage { cost_micros: Some(0), ..Usage::default() }.is_known());
    }
}
