use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Stop;
use crate::{Failure, TaskId, failure};

/// Where a task stands, with what exists only there. The last six are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TaskState {
    /// Waits for other tasks.
    Blocked,
    /// Waits for a time.
    Scheduled {
        run_at: DateTime<Utc>,
    },
    Queued,
    /// An attempt works on it. `stop` says why it is to end, until the runner has confirmed it.
    Running {
        stop: Option<Stop>,
    },
    /// The work is done; the checks run.
    Verifying {
        stop: Option<Stop>,
    },
    Succeeded {
        at: DateTime<Utc>,
    },
    /// The work was done, but only some of the required checks passed.
    Partial {
        at: DateTime<Utc>,
        #[serde(serialize_with = "failure::explain")]
        #[cfg_attr(feature = "openapi", schema(value_type = failure::ExplainedFailure))]
        failure: Failure,
    },
    Failed {
        at: DateTime<Utc>,
        #[serde(serialize_with = "failure::explain")]
        #[cfg_attr(feature = "openapi", schema(value_type = failure::ExplainedFailure))]
        failure: Failure,
    },
    Cancelled {
        at: DateTime<Utc>,
        by: String,
    },
    /// It never ran, because a task it waited for did not succeed.
    Skipped {
        at: DateTime<Utc>,
        because_of: TaskId,
        reason: String,
        /// From the task with which it began to the one it waited for, at most a hundred.
        path: Vec<TaskId>,
    },
    /// Set aside for a person to look at: it lost its runner too often, or no runner took it in time.
    Dead {
        at: DateTime<Utc>,
        #[serde(serialize_with = "failure::explain")]
        #[cfg_attr(feature = "openapi", schema(value_type = failure::ExplainedFailure))]
        failure: Failure,
    },
}

/// A state without what it carries: for filters, columns and badges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TaskStateName {
    Blocked,
    Scheduled,
    Queued,
    Running,
    Verifying,
    Succeeded,
    Partial,
    Failed,
    Cancelled,
    Skipped,
    Dead,
}

impl TaskStateName {
    pub const ALL: [Self; 11] = [
        Self::Blocked,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Verifying,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
        Self::Dead,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// As it reads in a sentence: "waits for other tasks".
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Blocked => "waits for other tasks",
            Self::Scheduled => "waits for its time",
            other => other.name(),
        }
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled | Self::Skipped | Self::Dead)
    }
}

impl TaskState {
    pub fn name(&self) -> TaskStateName {
        match self {
            Self::Blocked => TaskStateName::Blocked,
            Self::Scheduled { .. } => TaskStateName::Scheduled,
            Self::Queued => TaskStateName::Queued,
            Self::Running { .. } => TaskStateName::Running,
            Self::Verifying { .. } => TaskStateName::Verifying,
            Self::Succeeded { .. } => TaskStateName::Succeeded,
            Self::Partial { .. } => TaskStateName::Partial,
            Self::Failed { .. } => TaskStateName::Failed,
            Self::Cancelled { .. } => TaskStateName::Cancelled,
            Self::Skipped { .. } => TaskStateName::Skipped,
            Self::Dead { .. } => TaskStateName::Dead,
        }
    }

    pub fn is_final(&self) -> bool {
        self.name().is_final()
    }

    /// When it ended, for a final state.
    pub fn ended_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Succeeded { at }
            | Self::Partial { at, .. }
            | Self::Failed { at, .. }
            | Self::Cancelled { at, .. }
            | Self::Skipped { at, .. }
            | Self::Dead { at, .. } => Some(*at),
            _ => None,
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Partial { failure, .. } | Self::Failed { failure, .. } | Self::Dead { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// Why what still runs is to end.
    pub fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Running { stop } | Self::Verifying { stop } => stop.as_ref(),
            _ => None,
        }
    }

    /// Who asked for the end of what still runs.
    pub fn cancel_requested(&self) -> Option<&str> {
        match self.stop() {
            Some(Stop::Cancel { by }) => Some(by),
            _ => None,
        }
    }

    /// Why it ended as it did, where there is something to say.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Skipped { reason, .. } => Some(reason.clone()),
            other => other.failure().map(|failure| failure.message.clone()),
        }
    }
}
