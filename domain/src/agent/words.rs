//! What a prompt that names no agent needs of its runner, and what of that the agents of a runner can do: words among its capabilities. That
//! one runner has all that a prompt needs says that one of its agents can do all of it: whoever counts money counts turns as well, and every
//! agent that Muster knows asks people, but for one that is told once and hears nothing more, which counts no turns either.

use super::{AgentTerms, Backend, BackendFound};
use crate::task::RUNNER_CAPABILITIES_MAX;

/// What a runner has that takes prompts which name no agent: with an agent that Muster knows, or with the command that it was started with.
pub const PROMPTS: &str = "prompts";
/// What a runner has with an agent that Muster knows and that asks people before it does something.
pub const ASKS: &str = "asks";
/// The same of one that is stopped after so many turns.
pub const COUNTS_TURNS: &str = "counts-turns";
/// The same of one that is stopped when it has cost so much.
pub const COUNTS_MONEY: &str = "counts-money";

/// All of them.
pub const AGENT_WORDS: [&str; 4] = [PROMPTS, ASKS, COUNTS_TURNS, COUNTS_MONEY];

impl AgentTerms {
    /// What a runner has to have that is given a prompt with these terms. Whoever is named is a word of its own, and says the rest.
    pub fn needed_words(&self) -> Vec<&'static str> {
        if self.backend.is_some() {
            return vec![];
        }
        let wanted = [(self.asks(), ASKS), (self.max_turns.is_some(), COUNTS_TURNS), (self.max_cost_cents.is_some(), COUNTS_MONEY)];
        let words: Vec<_> = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, word)| word).collect();
        // who can do any of that takes prompts
        if words.is_empty() { vec![PROMPTS] } else { words }
    }
}

/// What these agents can do for a prompt that names none. One of a manifest is given what names it alone.
pub fn words_of(found: &[BackendFound]) -> Vec<&'static str> {
    let known: Vec<_> = found.iter().filter(|found| !found.backend.is_of_a_manifest()).collect();
    let has = [
        (!known.is_empty(), PROMPTS),
        (known.iter().any(|found| found.may_ask()), ASKS),
        (known.iter().any(|found| found.counts_turns()), COUNTS_TURNS),
        (known.iter().any(|found| found.backend.counts_money()), COUNTS_MONEY),
    ];
    has.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect()
}

/// What a runner has by what it says and by the agents that it has found. Of what agents can do those alone count: an older runner says
/// nothing of it, or means something else by the word. That it takes prompts it may say as well, as it does with a command for them.
pub fn capabilities_with_agents(said: &[String], found: &[BackendFound]) -> Vec<String> {
    let derived = words_of(found);
    let counts = |word: &&String| *word == PROMPTS || derived.contains(&word.as_str()) || !AGENT_WORDS.contains(&word.as_str());
    let mut all: Vec<String> = said.iter().filter(counts).cloned().collect();
    for word in derived {
        if all.len() < RUNNER_CAPABILITIES_MAX && !all.iter().any(|known| known == word) {
            all.push(word.to_owned());
        }
    }
    all
}

/// What of that a runner is given work for whose agents ask nobody and are told nothing while they work: commands, and prompts that say nothing of
/// their agent. Whoever is named may be told to ask people, or limited in a way that came later.
pub fn for_plain_prompts(mut capabilities: Vec<String>) -> Vec<String> {
    capabilities.retain(|word| word == PROMPTS || !AGENT_WORDS.contains(&word.as_str()) && Backend::parse(word).is_err());
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ask;

    fn found(backend: Backend) -> BackendFound {
        BackendFound { endpoint_format: backend.endpoint_format(), backend, version: "1".into(), is_simple: false }
    }

    fn all_terms() -> impl Iterator<Item = AgentTerms> {
        (0..8).map(|bits| AgentTerms {
            ask: (bits & 1 > 0).then_some(Ask::Commands),
            max_turns: (bits & 2 > 0).then_some(30),
            max_cost_cents: (bits & 4 > 0).then_some(100),
            ..AgentTerms::default()
        })
    }

    fn every_set_of_agents() -> impl Iterator<Item = Vec<BackendFound>> {
        let simple = BackendFound { is_simple: true, ..found(Backend::Codex) };
        let all: Vec<_> = Backend::KNOWN.into_iter().chain(Backend::parse("acp:goose")).map(found).chain([simple]).collect();
        (0..1 << all.len())
            .map(move |bits: u32| all.iter().enumerate().filter(|(at, _)| bits & (1 << at) > 0).map(|(_, one)| one.clone()).collect())
    }

    #[test]
    fn a_runner_has_the_words_exactly_when_one_of_its_agents_can_do_all_of_it() {
        for agents in every_set_of_agents() {
            let has = words_of(&agents);
            for terms in all_terms() {
                let fits = terms.needed_words().iter().all(|word| has.contains(word));
                assert_eq!(fits, agents.iter().any(|one| one.takes_unnamed(&terms)), "{agents:?}, {terms:?}");
            }
        }
    }

    #[test]
    fn a_prompt_needs_what_its_terms_say() {
        let needs: Vec<_> = all_terms().map(|terms| terms.needed_words()).collect();
        assert_eq!((needs[0].as_slice(), needs[1].as_slice()), (&[PROMPTS][..], &[ASKS][..]));
        assert_eq!(needs[7], [ASKS, COUNTS_TURNS, COUNTS_MONEY]);
        let named = AgentTerms { backend: Some(Backend::Codex), max_turns: Some(3), ask: Some(Ask::Commands), ..AgentTerms::default() };
        assert_eq!(named.needed_words(), Vec::<&str>::new(), "the agent's own word says it");
        assert_eq!(AgentTerms { ask: Some(Ask::Nothing), ..AgentTerms::default() }.needed_words(), [PROMPTS], "it asks nobody");
        assert!(AGENT_WORDS.iter().all(|word| crate::task::check_tag(word).is_ok() && Backend::parse(word).is_err()));
    }

    #[test]
    fn what_agents_can_do_is_not_taken_from_a_runner_s_words() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let has = |said: &str, agents: &[Backend]| {
            capabilities_with_agents(&words(said), &agents.iter().cloned().map(found).collect::<Vec<_>>()).join(" ")
        };
        assert_eq!(has("linux", &[]), "linux");
        assert_eq!(has("linux prompts", &[]), "linux prompts", "it has a command for them");
        assert_eq!(has("asks gpu counts-money", &[]), "gpu", "somebody meant something else");
        assert_eq!(has("linux opencode", &[Backend::OpenCode]), "linux opencode prompts asks", "one that knows no such words");
        let said = "asks claude-code counts-money counts-turns prompts";
        assert_eq!(has(said, &[Backend::ClaudeCode]), said, "as it says it itself");
        let simple = BackendFound { is_simple: true, ..found(Backend::Codex) };
        assert_eq!(capabilities_with_agents(&words("codex asks"), &[simple]), ["codex", PROMPTS], "it is told once");
        let many: Vec<_> = (0..RUNNER_CAPABILITIES_MAX).map(|number| format!("w{number}")).collect();
        assert_eq!(capabilities_with_agents(&many, &[found(Backend::Codex)]), many, "more are not kept");
    }

    #[test]
    fn whoever_hears_nobody_is_given_prompts_that_say_nothing_of_their_agent() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let all = capabilities_with_agents(&words("linux gpu claude-code acp:goose"), &[found(Backend::ClaudeCode)]);
        let kept = for_plain_prompts(all);
        assert_eq!(kept, words("linux gpu prompts"));
        for terms in all_terms() {
            let says_something = terms != AgentTerms::default();
            assert_eq!(terms.needed_words().iter().all(|word| kept.iter().any(|has| has == word)), !says_something, "{terms:?}");
        }
        assert!(for_plain_prompts(words("linux")) == words("linux"));
    }
}
