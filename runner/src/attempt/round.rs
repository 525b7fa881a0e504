//! The rounds of an attempt: an agent whose checks do not pass is told which, in its own session, and goes on.

use domain::{
    AgentTerms, CheckResult, CheckStatus, VerificationReport,
    protocol::{Assignment, ROUND_OUTPUT_LIMIT},
};

use crate::{
    backend::{
        Spent,
        environment::{said_most, summary},
    },
    verify::Verified,
};

pub(super) struct Round {
    /// From 1.
    pub number: i32,
    /// What the agent calls its session, once it has begun.
    pub session: Option<String>,
    /// What its session has come to so far.
    pub spent: Spent,
    /// What its judges have cost so far.
    judged_micros: u64,
    /// What did not pass in the round before.
    failed: Vec<CheckResult>,
}

impl Round {
    pub fn first() -> Self {
        Self { number: 1, session: None, spent: Spent::default(), judged_micros: 0, failed: vec![] }
    }

    /// Nothing when this was the last: all is well, nothing failed that could be repaired, the agent has no more tries or money, or there is
    /// none that could be told.
    pub fn next(&self, verified: &Verified, assignment: &Assignment) -> Option<Self> {
        let report = &verified.report;
        let has_tries = u32::try_from(self.number).is_ok_and(|number| number <= assignment.agent.verification_retries());
        let judged_micros = self.judged_micros.saturating_add(verified.judged_micros);
        let has_money = self.money(assignment).is_none_or(|left| left > verified.judged_micros);
        // what could not be carried out no agent repairs, nor that a judge has taken too long
        let failed = |check: &CheckResult| {
            let is_its = check.status == CheckStatus::Failed || check.status == CheckStatus::TimedOut && !check.spec.kind.is_judge();
            check.spec.required && is_its
        };
        if !has_tries || !has_money || self.session.is_none() || !report.checks.iter().any(failed) {
            return None;
        }
        let (session, failed) = (self.session.clone(), report.failed().cloned().collect());
        Some(Self { number: self.number + 1, session, spent: self.spent, judged_micros, failed })
    }

    /// What is left of what the task may cost, in millionths of a dollar; nothing where that has no end.
    pub fn money(&self, assignment: &Assignment) -> Option<u64> {
        let spent = self.spent.micros.saturating_add(self.judged_micros);
        assignment.agent.max_cost_cents.map(|cents| (u64::from(cents) * 10_000).saturating_sub(spent))
    }

    /// The agent's, with the money that its judges have left.
    pub fn terms(&self, assignment: &Assignment) -> AgentTerms {
        let judged = u32::try_from(self.judged_micros.div_ceil(10_000)).unwrap_or(u32::MAX);
        let left = |cents: u32| cents.saturating_sub(judged).max(1);
        AgentTerms { max_cost_cents: assignment.agent.max_cost_cents.map(left), ..assignment.agent.clone() }
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

/// With what says most of what its checks printed, so that it fits.
pub(super) fn for_a_message(mut report: VerificationReport) -> VerificationReport {
    for check in &mut report.checks {
        check.output = said_most(check, ROUND_OUTPUT_LIMIT).to_owned();
        for text in [&mut check.spec.target, &mut check.command].into_iter().flatten() {
            text.truncate(text.floor_char_boundary(ROUND_OUTPUT_LIMIT));
        }
    }
    report
}
