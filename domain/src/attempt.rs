//! One execution of a task, and why one ends badly.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Artifact, AttemptId, TaskId, VerificationReport};

/// Names an attempt in everything a runner says about it. The number is the fence: a write that carries an old one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    pub task_id: TaskId,
    pub attempt_id: AttemptId,
    pub number: i32,
}

/// `claimed → running → verifying → succeeded | failed | timed_out | lost | cancelled`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AttemptState {
    /// Given to a runner that has not begun.
    Claimed,
    Running,
    Verifying,
    Succeeded,
    Failed,
    TimedOut,
    /// The runner stopped answering.
    Lost,
    Cancelled,
}

impl AttemptState {
    pub const ALL: [Self; 8] =
        [Self::Claimed, Self::Running, Self::Verifying, Self::Succeeded, Self::Failed, Self::TimedOut, Self::Lost, Self::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn is_final(self) -> bool {
        !matches!(self, Self::Claimed | Self::Running | Self::Verifying)
    }
}

/// An attempt as the API and the pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    pub id: AttemptId,
    pub number: i32,
    pub state: AttemptState,
    /// The runner's name.
    pub runner: String,
    pub claimed_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The commit the work started from.
    pub base_commit: Option<String>,
    /// The branch that holds what the attempt changed.
    pub branch: Option<String>,
    /// The commit on that branch, absent when nothing changed.
    pub commit: Option<String>,
    pub exit_code: Option<i32>,
    pub failure: Option<Failure>,
    /// Absent until the checks have run.
    pub verification: Option<VerificationReport>,
    pub artifacts: Vec<Artifact>,
    /// Where this attempt's part of the task's log starts and ends, in bytes.
    pub log_start: i64,
    pub log_end: i64,
}

/// Why an attempt or a task ended badly: a stable code, what happened, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    pub code: FailureCode,
    /// What happened this time.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FailureCode {
    CommandFailed,
    ChecksFailed,
    TimedOut,
    RepositoryUnavailable,
    RefNotFound,
    BackendMissing,
    WorkNotSaved,
    RunnerLost,
    RunnerFault,
    DeadlinePassed,
    QueueExpired,
    Rejected,
    StepsFailed,
    NotExpanded,
}

impl Failure {
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl FailureCode {
    pub const ALL: [Self; 14] = [
        Self::CommandFailed,
        Self::ChecksFailed,
        Self::TimedOut,
        Self::RepositoryUnavailable,
        Self::RefNotFound,
        Self::BackendMissing,
        Self::WorkNotSaved,
        Self::RunnerLost,
        Self::RunnerFault,
        Self::DeadlinePassed,
        Self::QueueExpired,
        Self::Rejected,
        Self::StepsFailed,
        Self::NotExpanded,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CommandFailed => "command_failed",
            Self::ChecksFailed => "checks_failed",
            Self::TimedOut => "timed_out",
            Self::RepositoryUnavailable => "repository_unavailable",
            Self::RefNotFound => "ref_not_found",
            Self::BackendMissing => "backend_missing",
            Self::WorkNotSaved => "work_not_saved",
            Self::RunnerLost => "runner_lost",
            Self::RunnerFault => "runner_fault",
            Self::DeadlinePassed => "deadline_passed",
            Self::QueueExpired => "queue_expired",
            Self::Rejected => "rejected",
            Self::StepsFailed => "steps_failed",
            Self::NotExpanded => "not_expanded",
        }
    }

    /// Whether the same work may go better next time.
    pub fn is_worth_retrying(self) -> bool {
        match self {
            Self::CommandFailed | Self::ChecksFailed | Self::TimedOut | Self::WorkNotSaved | Self::RunnerLost | Self::RunnerFault => true,
            Self::RepositoryUnavailable | Self::RefNotFound | Self::BackendMissing | Self::DeadlinePassed | Self::QueueExpired => false,
            Self::Rejected | Self::StepsFailed | Self::NotExpanded => false,
        }
    }

    /// What a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::CommandFailed => "Read the end of the log; the last lines usually say why. Then retry, or change the task.",
            Self::ChecksFailed => "Open the failed checks: each shows what it printed.",
            Self::TimedOut => "Give the task more time, or make it smaller. What was done so far is on its branch.",
            Self::RepositoryUnavailable => "See that the path or URL is right and that the runner may read it, then retry.",
            Self::RefNotFound => "Name a branch, tag or commit that the repository has, then create the task again.",
            Self::BackendMissing => "Give the runner an agent: start it with MUSTER_AGENT_COMMAND, or write the task as a command.",
            Self::WorkNotSaved => "The work is kept in the attempt's folder on the runner, which the message names.",
            Self::RunnerLost => "See whether the runner's machine is up. A task that loses its runner three times is set aside.",
            Self::DeadlinePassed => "Retry it without the deadline, or create it again with a later one.",
            Self::QueueExpired => "See that a runner is up and has free slots, then retry it or discard it.",
            Self::Rejected => "Read the comment. When what it asks for is done, retry the gate or restart the run from an earlier step.",
            Self::StepsFailed => "Open the tasks that it became: each says why it ended as it did. Then restart the run from this step.",
            Self::NotExpanded => "Correct the list or the workflow that the message names, then restart the run from this step.",
            Self::RunnerFault => "See the runner's log and the free space on its disk, then retry.",
        }
    }
}
