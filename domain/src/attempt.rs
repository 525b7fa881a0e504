//! One execution of a task.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Artifact, AttemptId, AttemptUsage, EndpointId, Failure, Finding, TaskId, VerificationReport, failure, task::RepositoryResult};

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
    /// The runner stopped answering, or did not bring it to its end.
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
    /// What it came to in the repositories beside the first, once it has ended.
    pub repositories: Vec<RepositoryResult>,
    pub exit_code: Option<i32>,
    #[serde(serialize_with = "failure::explain_if_any")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<failure::ExplainedFailure>))]
    pub failure: Option<Failure>,
    /// Absent until the checks have run for the last time.
    pub verification: Option<VerificationReport>,
    /// SHA-256 of that report as canonical JSON (RFC 8785), made when it came; absent where it came before reports were hashed.
    pub report_hash: Option<String>,
    /// What the checks said before, each time that the agent then went on, the first time first. Their outputs are cut short.
    pub earlier_rounds: Vec<VerificationReport>,
    /// What speaks against its result, whatever the checks say.
    pub findings: Vec<Finding>,
    pub artifacts: Vec<Artifact>,
    /// Where this attempt's part of the task's log starts and ends, in bytes.
    pub log_start: i64,
    pub log_end: i64,
    /// By when it is to have ended, as its time is over or somebody wants its end: its runner was asked, and loses it after that. Absent when
    /// nobody has asked, and when it has ended.
    #[serde(default)]
    pub ends_by: Option<DateTime<Utc>>,
    /// Its runner has not ended it by then: its lease is renewed no more, and it is lost once that has run out, within two minutes.
    #[serde(default)]
    pub taken_away: bool,
    /// Since when its agent waits for an answer; absent when it does not.
    pub blocked_since: Option<DateTime<Utc>>,
    /// What there is of its session: the number of the latest event, 0 when there is none.
    pub session_events: i64,
    /// What it has used, as far as its session tells that.
    #[serde(default)]
    pub usage: AttemptUsage,
    /// Where its model is; absent when no endpoint was chosen for it.
    #[serde(default)]
    pub endpoint: Option<AttemptEndpoint>,
    /// Why no endpoint was chosen for its model though there are some; absent otherwise. Then it began as its runner's settings say.
    #[serde(default)]
    pub no_endpoint: Option<NoEndpoint>,
    /// The number of the earlier attempt, which was interrupted, that it goes on from; absent where it began anew.
    #[serde(default)]
    pub continues: Option<i32>,
}

/// The endpoint that was chosen for an attempt when it was given to its runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptEndpoint {
    pub id: EndpointId,
    pub name: String,
    pub url: String,
    /// Why this one, as it was then.
    pub reasons: Vec<String>,
}

/// What was asked of endpoints for an attempt, and why none was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoEndpoint {
    pub model: String,
    /// As it was then.
    pub reasons: Vec<String>,
}
