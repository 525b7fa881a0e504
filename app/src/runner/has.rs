//! What a runner has for tasks that need it, in words.

use domain::Runner;

/// Its agents as people call them, each with its version.
pub(super) fn agents(runner: &Runner) -> String {
    runner.backends.iter().map(|found| format!("{} {}", found.backend.title(), found.version)).collect::<Vec<_>>().join(", ")
}

/// What it has beside its agents.
pub(super) fn others(runner: &Runner) -> String {
    let is_agent = |word: &str| runner.backends.iter().any(|found| found.backend.name() == *word);
    runner.capabilities.iter().filter(|word| !is_agent(word)).cloned().collect::<Vec<_>>().join(", ")
}

/// Its agents as people call them, in place of the words by which tasks do, and what else it has.
pub(super) fn has(runner: &Runner) -> String {
    [agents(runner), others(runner)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{Backend, BackendFound, RunnerId, runner::RunnerState};

    use super::*;

    fn runner(capabilities: &[&str], backends: Vec<BackendFound>) -> Runner {
        Runner {
            id: "00000000-0000-0000-0000-000000000000".parse::<RunnerId>().unwrap(),
            name: "box".into(),
            slots: 1,
            slots_own: 1,
            slots_set: None,
            busy: 0,
            blocked: 0,
            capabilities: capabilities.iter().map(|word| (*word).to_owned()).collect(),
            online: true,
            state: RunnerState::Idle,
            draining: None,
            unresponsive_since: None,
            joined: true,
            last_seen_at: DateTime::UNIX_EPOCH,
            no_sandbox: None,
            backends,
            reading: None,
            rooms: None,
            left_behind: None,
        }
    }

    #[test]
    fn an_agent_is_named_once_and_as_people_call_it() {
        let claude = BackendFound { backend: Backend::ClaudeCode, version: "2.1".into(), is_simple: false, endpoint_format: None };
        assert_eq!(has(&runner(&["claude-code", "gpu", "linux"], vec![claude.clone()])), "Claude Code 2.1, gpu, linux");
        assert_eq!(has(&runner(&["claude-code"], vec![claude])), "Claude Code 2.1");
        assert_eq!(has(&runner(&["gpu"], vec![])), "gpu");
        assert_eq!(has(&runner(&[], vec![])), "");
    }
}
