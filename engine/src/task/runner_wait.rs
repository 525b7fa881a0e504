//! Why nobody takes what waits for a runner.

use domain::task::{RunnerAtHand, RunnerWait, runner_wait, unmet};

use crate::runner;

/// What a queued task waits for with these runners.
#[derive(Default)]
pub(super) struct WaitsFor {
    /// Of what it needs, what nobody has that takes work.
    pub unmet: Vec<String>,
    pub runner: Option<RunnerWait>,
}

impl WaitsFor {
    pub fn of(repository: &str, needed: &[String], runners: &[RunnerAtHand]) -> Self {
        // as the database tells a path from a URL
        let is_path = repository.starts_with('/');
        let unmet = unmet(needed, &runner::capabilities_of(runners));
        Self { unmet, runner: runner_wait(needed, is_path, runners) }
    }
}
