//! What waits for a runner, by lane and by repository.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Priority, RepositoryId};

/// The queue of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queue {
    /// Who paused all of it. Nothing is given to a runner then.
    pub paused_by: Option<String>,
    pub paused_at: Option<DateTime<Utc>>,
    /// Most urgent first; lanes without tasks included.
    pub lanes: Vec<Lane>,
    /// Those with tasks that wait, and those that are paused; at most 100, the longest first.
    pub repositories: Vec<QueuedRepository>,
    /// Tasks that no connected runner can take, as it has not what they need; at most 20 kinds, the most numerous first.
    pub unmet: Vec<UnmetCapabilities>,
    /// Attempts that work now.
    pub running: i64,
    /// Tasks that ended in the last hour, whatever way.
    pub ended_last_hour: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lane {
    pub priority: Priority,
    pub waiting: i64,
    /// Of those, how many nobody takes: held by a person, or parked behind others that share a key with them.
    pub held: i64,
    /// Since when the first of them waits.
    pub oldest: Option<DateTime<Utc>>,
}

/// Queued tasks that need the same, which no connected runner has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnmetCapabilities {
    /// All that they need.
    pub capabilities: Vec<String>,
    /// Of those, what no runner has; all of them when each is there but never together.
    pub unmet: Vec<String>,
    pub waiting: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueuedRepository {
    pub id: RepositoryId,
    pub location: String,
    pub waiting: i64,
    pub running: i64,
    pub oldest: Option<DateTime<Utc>>,
    /// Who paused the tasks of this repository.
    pub paused_by: Option<String>,
}

/// Which queue is meant: one repository's, or the whole workspace's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueName {
    pub repository: Option<RepositoryId>,
}
