//! The rounds of an attempt: an agent whose checks do not pass is told which, in its own session, and goes on.

use domain::{
    CheckResult, VerificationReport, Work,
    protocol::{Assignment, ROUND_OUTPUT_LIMIT},
    verification::Conclusion,
};
use uuid::Uuid;

use crate::backend::environment::{end_of, summary};

pub(super) struct Round {
    /// From 1.
    pub number: i32,
    /// What the agent is to call its session.
    pub session: Uuid,
    /// What did not pass in the round before.
    failed: Vec<CheckResult>,
}

impl Round {
    pub fn first() -> Self {
        Self { number: 1, session: Uuid::now_v7(), failed: vec![] }
    }

    /// Nothing when this was the last: all is well, or the agent has no more tries, or there is no agent that could be told.
    pub fn next(&self, report: &VerificationReport, assignment: &Assignment, is_told: bool) -> Option<Self> {
        let has_tries = u32::try_from(self.number).is_ok_and(|number| number <= assignment.agent.verification_retries());
        if !is_told || !has_tries || report.conclusion() == Conclusion::Passed || !matches!(assignment.work, Work::Prompt(_)) {
            return None;
        }
        Some(Self { number: self.number + 1, session: self.session, failed: report.failed().cloned().collect() })
    }

    /// What the agent is told; nothing in the first round, which has the task's own words.
    pub fn words(&self) -> Option<String> {
        (self.number > 1).then(|| {
            let checks = summary(&self.failed);
            format!(
                "Your work was checked, and did not pass:\n\n{}\n\nRepair what these checks say. They will be run again.",
                checks.trim_end()
            )
        })
    }

    /// For the log.
    pub fn announced(&self) -> String {
        let count = self.failed.len();
        let checks = if count == 1 { "1 check has".to_owned() } else { format!("{count} checks have") };
        format!("{checks} not passed; the agent is told so and goes on, round {}", self.number)
    }
}

/// With the ends of what its checks printed, so that it fits.
pub(super) fn for_a_message(mut report: VerificationReport) -> VerificationReport {
    for check in &mut report.checks {
        check.output = end_of(&check.output, ROUND_OUTPUT_LIMIT).to_owned();
    }
    report
}
