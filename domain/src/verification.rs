//! The report that gates a task. It is made by the runner after the work's processes are gone, and by nobody else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CheckSpec, Judgement};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerificationReport {
    pub checks: Vec<CheckResult>,
    pub started_at: DateTime<Utc>,
    pub duration_ms: u64,
}

/// How one check went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckResult {
    pub spec: CheckSpec,
    pub status: CheckStatus,
    /// What it printed, or why it failed; at most [`OUTPUT_LIMIT`] bytes, the middle left out with a marker.
    pub output: String,
    /// The command that was run, where `auto` chose it.
    pub command: Option<String>,
    pub duration_ms: u64,
    /// What came of the judge that was asked; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckStatus {
    Passed,
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// It could not be carried out, for example because no test command was found, or a judge gave no verdict. Never counts as passed.
    Error,
    /// Nobody was asked to judge, as something else did not pass that has to. Never counts as passed.
    Skipped,
}

impl CheckResult {
    /// Whether it can be so: that a judge lets something pass stands in a verdict, and nothing else has one.
    pub fn is_sound(&self) -> bool {
        match (&self.judgement, self.spec.kind.is_judge()) {
            (judgement, false) => judgement.is_none() && self.status != CheckStatus::Skipped,
            (Some(judgement), true) => self.status != CheckStatus::Passed || judgement.passes(&self.spec.judge),
            (None, true) => self.status != CheckStatus::Passed,
        }
    }
}

impl CheckStatus {
    pub const ALL: [Self; 5] = [Self::Passed, Self::Failed, Self::TimedOut, Self::Error, Self::Skipped];

    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Bytes of a check's output that are kept.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// What a verification says about the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Every required check passed; or the task defines none, and is then shown as unverified.
    Passed,
    /// Some required checks passed, some did not.
    Partial,
    Failed,
}

impl VerificationReport {
    pub fn conclusion(&self) -> Conclusion {
        let required = self.checks.iter().filter(|check| check.spec.required);
        let (mut passed, mut failed) = (0, 0);
        for check in required {
            if check.status == CheckStatus::Passed { passed += 1 } else { failed += 1 }
        }
        match (passed, failed) {
            (_, 0) => Conclusion::Passed,
            (0, _) => Conclusion::Failed,
            _ => Conclusion::Partial,
        }
    }

    /// Whether it can be so; see [`CheckResult::is_sound`].
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(CheckResult::is_sound)
    }

    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.status == CheckStatus::Passed).count()
    }

    /// What did not pass, without what nobody was asked about.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| !matches!(check.status, CheckStatus::Passed | CheckStatus::Skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Backend, CheckKind, JudgeTerms,
        judgement::{Ruling, Verdict},
    };

    fn report(checks: &[(CheckStatus, bool)]) -> VerificationReport {
        let checks = checks
            .iter()
            .map(|(status, required)| CheckResult {
                spec: CheckSpec { required: *required, ..CheckSpec::new(CheckKind::GitClean, None) },
                status: *status,
                output: String::new(),
                command: None,
                duration_ms: 0,
                judgement: None,
            })
            .collect();
        VerificationReport { checks, started_at: DateTime::UNIX_EPOCH, duration_ms: 0 }
    }

    #[test]
    fn a_judge_has_passed_nothing_without_a_verdict() {
        let verdict = |verdict, confidence| Verdict { verdict, confidence, reasons: vec!["because".into()], findings: vec![] };
        let judged = |kind, status, verdict| {
            let judge = JudgeTerms { at_least: Some(80), ..JudgeTerms::default() };
            let judgement = Judgement {
                backend: Backend::ClaudeCode,
                version: None,
                model: None,
                verdict,
                turns: None,
                input: 0,
                cached: 0,
                output: 0,
                cost_micros: None,
                events: None,
            };
            let spec = CheckSpec { judge, ..CheckSpec::new(kind, None) };
            CheckResult { spec, status, output: String::new(), command: None, duration_ms: 0, judgement: Some(judgement) }
        };
        use CheckStatus::{Error, Failed, Passed};
        let review = |status, verdict| judged(CheckKind::Review, status, verdict).is_sound();
        assert!(review(Passed, Some(verdict(Ruling::Pass, 80))));
        assert!(!review(Passed, Some(verdict(Ruling::Pass, 79))), "not sure enough");
        assert!(!review(Passed, Some(verdict(Ruling::Fail, 100))));
        assert!(!review(Passed, None));
        assert!(review(Failed, Some(verdict(Ruling::Fail, 100))) && review(Error, None));
        assert!(!judged(CheckKind::GitClean, Passed, Some(verdict(Ruling::Pass, 100))).is_sound(), "nobody judges that");
        let without = |kind, status| CheckResult { judgement: None, ..judged(kind, status, None) }.is_sound();
        assert!(!without(CheckKind::Model, Passed) && without(CheckKind::Model, CheckStatus::Skipped));
        assert!(without(CheckKind::GitClean, Passed) && !without(CheckKind::GitClean, CheckStatus::Skipped));
    }

    #[test]
    fn only_required_checks_decide_and_nothing_but_passed_counts() {
        use CheckStatus::{Error, Failed, Passed, Skipped, TimedOut};
        assert_eq!(report(&[]).conclusion(), Conclusion::Passed);
        assert_eq!(report(&[(Passed, true), (Failed, false)]).conclusion(), Conclusion::Passed);
        assert_eq!(report(&[(Passed, true), (Error, true)]).conclusion(), Conclusion::Partial);
        for status in [Failed, TimedOut, Error, Skipped] {
            assert_eq!(report(&[(status, true)]).conclusion(), Conclusion::Failed);
            assert_eq!(report(&[(Passed, false), (status, true)]).conclusion(), Conclusion::Failed);
        }
    }
}
