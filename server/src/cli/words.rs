//! How the command line says states, checks and times.

use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use domain::{ApprovalStateName, CheckStatus, TaskStateName, TaskSummary, Timestamp, task::On, workflow::RunState};

pub fn dim() -> Style {
    Style::new().dimmed()
}

pub fn bold() -> Style {
    Style::new().bold()
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

pub fn state_style(state: TaskStateName) -> Style {
    match state {
        TaskStateName::Succeeded => color(AnsiColor::Green),
        TaskStateName::Running | TaskStateName::Verifying => color(AnsiColor::Cyan),
        TaskStateName::Partial => color(AnsiColor::Yellow),
        TaskStateName::Failed | TaskStateName::Dead => color(AnsiColor::Red),
        TaskStateName::Blocked | TaskStateName::Scheduled | TaskStateName::Queued => Style::new(),
        TaskStateName::Cancelled | TaskStateName::Skipped => dim(),
    }
}

pub fn run_state_style(state: RunState) -> Style {
    match state {
        RunState::Succeeded => color(AnsiColor::Green),
        RunState::Running => color(AnsiColor::Cyan),
        RunState::Waiting => color(AnsiColor::Yellow),
        RunState::Failed => color(AnsiColor::Red),
        RunState::Cancelled => dim(),
    }
}

pub fn approval_style(state: ApprovalStateName) -> Style {
    match state {
        ApprovalStateName::Pending => color(AnsiColor::Yellow),
        ApprovalStateName::Allowed => color(AnsiColor::Green),
        ApprovalStateName::Denied | ApprovalStateName::Expired => color(AnsiColor::Red),
        ApprovalStateName::Withdrawn => dim(),
    }
}

/// What has to become of what is waited for: "to succeed", "to end".
pub fn on_phrase(on: &On) -> String {
    match on {
        On::Success => "to succeed".into(),
        On::End => "to end".into(),
        On::Condition(text) => format!("to end with {text}"),
    }
}

pub fn check_style(status: CheckStatus) -> Style {
    match status {
        CheckStatus::Passed => color(AnsiColor::Green),
        CheckStatus::Skipped => dim(),
        CheckStatus::Failed | CheckStatus::TimedOut | CheckStatus::Error => color(AnsiColor::Red),
    }
}

pub fn check_word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Passed => "passed",
        CheckStatus::Failed => "failed",
        CheckStatus::TimedOut => "timed out",
        CheckStatus::Error => "error",
        CheckStatus::Skipped => "skipped",
    }
}

/// `2/3`; `-/3` before they have run; `none` where the task defines no check.
pub fn checks_field(task: &TaskSummary) -> String {
    match (task.checks, task.checks_passed) {
        (0, _) => "none".into(),
        (checks, Some(passed)) => format!("{passed}/{checks}"),
        (checks, None) => format!("-/{checks}"),
    }
}

/// As [`checks_field`], in a sentence.
pub fn checks_sentence(task: &TaskSummary) -> String {
    match (task.checks, task.checks_passed) {
        (0, _) => "no checks, so unverified".into(),
        (checks, Some(passed)) => format!("{passed} of {checks} checks passed"),
        (checks, None) => format!("{checks} checks, not run"),
    }
}

pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// `0.4 s`, `12.3 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", (duration.as_millis() / 100) as f64 / 10.0),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// From one moment to another; nothing when the clocks disagree.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

/// `5 s`, `3 min`, `2 h`, `4 d`: enough to see what is new.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = between(since, now).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// RFC 3339 in UTC, to the second.
pub fn moment(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (milliseconds, expected) in
            [(0, "0.0 s"), (449, "0.4 s"), (59_999, "59.9 s"), (185_000, "3 min 5 s"), (7_440_000, "2 h 4 min"), (266_400_000, "3 d 2 h")]
        {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(age(start + Duration::from_secs(7300), start), "0 s");
        assert_eq!(age(start, start + Duration::from_secs(7300)), "2 h");
    }
}
