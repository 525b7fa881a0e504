//! The report that gates a task. It is made by the runner after the work's processes are gone, and by nobody else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::CheckSpec;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckStatus {
    Passed,
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// It could not be carried out, for example because no test command was found. Never counts as passed.
    Error,
}

impl CheckStatus {
    pub const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::TimedOut, Self::Error];

    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Error => "error",
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

    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.status == CheckStatus::Passed).count()
    }

    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| check.status != CheckStatus::Passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CheckKind;

    fn report(checks: &[(CheckStatus, bool)]) -> VerificationReport {
        let checks = checks
            .iter()
            .map(|(status, required)| CheckResult {
                spec: CheckSpec { required: *required, ..CheckSpec::new(CheckKind::GitClean, None) },
                status: *status,
                output: String::new(),
                command: None,
                duration_ms: 0,
            })
            .collect();
        VerificationReport { checks, started_at: DateTime::UNIX_EPOCH, duration_ms: 0 }
    }

    #[test]
    fn only_required_checks_decide_and_nothing_but_passed_counts() {
        use CheckStatus::{Error, Failed, Passed, TimedOut};
        assert_eq!(report(&[]).conclusion(), Conclusion::Passed);
        assert_eq!(report(&[(Passed, true), (Failed, false)]).conclusion(), Conclusion::Passed);
        assert_eq!(report(&[(Passed, true), (Error, true)]).conclusion(), Conclusion::Partial);
        for status in [Failed, TimedOut, Error] {
            assert_eq!(report(&[(status, true)]).conclusion(), Conclusion::Failed);
            assert_eq!(report(&[(Passed, false), (status, true)]).conclusion(), Conclusion::Failed);
        }
    }
}
