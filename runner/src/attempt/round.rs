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
    interrupted::Kept,
    journal::Checkout,
    verify::Verified,
};

pub(super) struct Round {
    /// From 1.
    pub number: i32,
    /// What the agent calls its session, once it has begun.
    pub session: Option<String>,
    /// What its session has come to so far, in earlier attempts as well.
    pub spent: Spent,
    /// What that was before this attempt went on in it, in millionths of a dollar.
    pub earlier_micros: u64,
    /// With what the first round begins.
    begins: Begins,
    /// What people have said before it began.
    pub said: String,
    /// What its judges have cost so far.
    judged_micros: u64,
    /// What did not pass in the round before.
    failed: Vec<CheckResult>,
}

#[derive(Clone)]
enum Begins {
    /// The task's own words.
    Anew,
    /// In the session of an earlier attempt, with these words.
    InItsSession(String),
    /// The task's own words, with the work of an earlier attempt.
    WithItsWork,
}

/// Below the task's own words.
const WITH_ITS_WORK: &str = "\n\nAn earlier attempt at this was interrupted. What it had changed is in the files already, and nobody has \
                             committed it: look at that first, and go on from there.";

impl Round {
    pub fn first() -> Self {
        let (spent, begins, said) = (Spent::default(), Begins::Anew, String::new());
        Self { number: 1, session: None, spent, earlier_micros: 0, begins, said, judged_micros: 0, failed: vec![] }
    }

    /// In the session of an earlier attempt that was interrupted. It has a limit of its own, of turns as of money.
    pub fn going_on(kept: &Kept, checkout: &Checkout) -> Self {
        let (before, now) = (kept.worktree.display(), checkout.path.display());
        let work = match kept.commit {
            Some(_) => {
                "Every file that you had changed is as you left it, but as a change that nobody has committed, also where you had committed it; \
                 what git ignores is gone."
            }
            None => "You had changed no file.",
        };
        let words = format!(
            "Your earlier attempt at this task was interrupted, which was no fault of yours. Go on where it broke off.\n\nYou stand in a new \
             worktree, {now}, as {before} is gone. {work} Nothing that you had started runs any more."
        );
        let (session, spent) = (Some(kept.spoken.session.clone()), kept.spoken.spent);
        Self { session, spent, earlier_micros: spent.micros, begins: Begins::InItsSession(words), ..Self::first() }
    }

    /// In a session of its own after all.
    pub fn with_what_was_kept(round: Self) -> Self {
        Self { begins: Begins::WithItsWork, said: round.said, ..Self::first() }
    }

    /// It is the one that goes on from an earlier attempt.
    pub fn goes_on(&self) -> bool {
        self.number == 1 && matches!(self.begins, Begins::InItsSession(_))
    }

    /// Nothing has been done in this attempt.
    pub fn is_the_first(&self) -> bool {
        self.number == 1 && !matches!(self.begins, Begins::WithItsWork)
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
        let Self { spent, earlier_micros, .. } = *self;
        let (begins, said) = (self.begins.clone(), String::new());
        Some(Self { number: self.number + 1, session, spent, earlier_micros, begins, said, judged_micros, failed })
    }

    /// What is left of what the task may cost, in millionths of a dollar; nothing where that has no end.
    pub fn money(&self, assignment: &Assignment) -> Option<u64> {
        let spent = self.spent.micros.saturating_sub(self.earlier_micros).saturating_add(self.judged_micros);
        assignment.agent.max_cost_cents.map(|cents| (u64::from(cents) * 10_000).saturating_sub(spent))
    }

    /// The agent's, with the money that its judges have left.
    pub fn terms(&self, assignment: &Assignment) -> AgentTerms {
        let judged = u32::try_from(self.judged_micros.div_ceil(10_000)).unwrap_or(u32::MAX);
        let left = |cents: u32| cents.saturating_sub(judged).max(1);
        AgentTerms { max_cost_cents: assignment.agent.max_cost_cents.map(left), ..assignment.agent.clone() }
    }

    /// What the agent is told. The first round has the task's own words.
    pub fn words(&self, of_the_task: impl FnOnce() -> String) -> String {
        match &self.begins {
            _ if self.number > 1 => {
                let checks = summary(&self.failed);
                format!(
                    "Your work was checked, and did not pass:\n\n{}\n\nRepair what these checks say. They will be run again.",
                    checks.trim_end()
                )
            }
            Begins::Anew => of_the_task(),
            Begins::InItsSession(words) => words.clone(),
            Begins::WithItsWork => of_the_task() + WITH_ITS_WORK + &self.said,
        }
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
