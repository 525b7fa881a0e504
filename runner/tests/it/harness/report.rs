//! What a report says, as a test reads it.

use domain::{
    CheckStatus, FailureCode,
    protocol::{AttemptReport, WorkOutcome},
};

/// "failed command_failed: the command ended with exit status 1"
pub fn outcome(report: &AttemptReport) -> String {
    match &report.outcome {
        WorkOutcome::Completed => "completed".into(),
        WorkOutcome::Failed { failure } => format!("failed {}: {}", failure.code.name(), failure.message),
        WorkOutcome::TimedOut { seconds } => format!("timed out after {seconds} s"),
        WorkOutcome::Cancelled => "cancelled".into(),
    }
}

pub fn failure_code(report: &AttemptReport) -> Option<FailureCode> {
    match &report.outcome {
        WorkOutcome::Failed { failure } => Some(failure.code),
        _ => None,
    }
}

pub fn statuses(report: &AttemptReport) -> Vec<CheckStatus> {
    report.verification.iter().flat_map(|report| &report.checks).map(|check| check.status).collect()
}

pub fn check_output(report: &AttemptReport, index: usize) -> &str {
    &report.verification.as_ref().unwrap().checks[index].output
}

pub fn diff(report: &AttemptReport) -> String {
    report.artifacts.iter().map(|artifact| String::from_utf8_lossy(&artifact.content).into_owned()).collect()
}
