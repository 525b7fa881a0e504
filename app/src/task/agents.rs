//! The agents that a prompt can be for: those that Muster knows, and those of the runners' manifests. Pure.

use domain::{Backend, Runner};
use serde::{Deserialize, Serialize};

/// Those of manifests, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents(Vec<Backend>);

impl Agents {
    pub fn of(runners: &[Runner]) -> Self {
        let found = runners.iter().flat_map(|runner| &runner.backends).map(|found| &found.backend);
        let mut own: Vec<_> = found.filter(|backend| backend.is_of_a_manifest()).cloned().collect();
        own.sort_unstable();
        own.dedup();
        Self(own)
    }

    /// By their names, with how people call them. One that is chosen stays so when no runner has it now.
    pub fn choices(&self, chosen: &str) -> Vec<(String, String)> {
        let chosen = Backend::parse(chosen).ok().filter(|chosen| chosen.is_of_a_manifest() && !self.0.contains(chosen));
        let all = Backend::KNOWN.into_iter().chain(self.0.iter().cloned()).chain(chosen);
        all.map(|agent| (agent.name().into_owned(), agent.title().into_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{BackendFound, RunnerId, runner::RunnerState};

    use super::*;

    fn runner(agents: &[&str]) -> Runner {
        let found = |word: &&str| BackendFound {
            backend: Backend::parse(word).unwrap(),
            version: "1".into(),
            is_simple: false,
            endpoint_format: None,
        };
        Runner {
            id: "00000000-0000-0000-0000-000000000000".parse::<RunnerId>().unwrap(),
            name: "box".into(),
            slots: 1,
            slots_own: 1,
            slots_set: None,
            busy: 0,
            blocked: 0,
            capabilities: vec![],
            online: true,
            state: RunnerState::Idle,
            draining: None,
            unresponsive_since: None,
            joined: true,
            last_seen_at: DateTime::UNIX_EPOCH,
            no_sandbox: None,
            reading: None,
            rooms: None,
            left_behind: None,
            backends: agents.iter().map(found).collect(),
        }
    }

    #[test]
    fn what_runners_have_of_their_own_can_be_chosen_beside_what_muster_knows() {
        let agents = Agents::of(&[runner(&["codex", "own:aider"]), runner(&["acp:goose", "own:aider"])]);
        let names = |chosen: &str| agents.choices(chosen).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let known = ["claude-code", "codex", "gemini-cli", "opencode", "acp:goose", "own:aider"];
        assert_eq!([names(""), names("own:aider"), names("codex")], [known; 3]);
        assert_eq!(names("acp:gone").last().map(String::as_str), Some("acp:gone"), "a form does not forget it");
        assert_eq!(agents.choices("")[4], ("acp:goose".to_owned(), "goose (acp)".to_owned()));
    }
}
