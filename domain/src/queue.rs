//! What waits for a runner, by lane and by repository.

use chrono::{DateTime, TimeDelta, Utc};
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
    /// The last hour minute by minute, the oldest first, the one that is not over yet last.
    pub minutes: Vec<Minute>,
    /// How long it takes until nothing is left that a runner may take, when attempts start as in the last ten minutes and nothing is
    /// added. Absent when none started, or when all that waits is held or paused.
    pub empty_in_seconds: Option<i64>,
}

/// What moved in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Minute {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Attempts that a runner took.
    pub started: i64,
    /// Tasks that ended, whatever way.
    pub ended: i64,
}

const MINUTES: i64 = 60;
/// Minutes by which the pace is judged.
const PACE: usize = 10;

/// When the first minute of the last hour began.
pub fn first_minute(now: DateTime<Utc>) -> DateTime<Utc> {
    let this_minute = DateTime::from_timestamp(now.timestamp().div_euclid(60) * 60, 0).unwrap_or(now);
    this_minute - TimeDelta::minutes(MINUTES - 1)
}

/// The minutes of the last hour.
pub fn minutes_from(first: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    (0..MINUTES).map(move |minute| first + TimeDelta::minutes(minute))
}

/// How long so many tasks take to be started, at the pace of the last minutes; unknown when nothing was started.
pub fn empty_in_seconds(ready: i64, minutes: &[Minute], now: DateTime<Utc>) -> Option<i64> {
    if ready == 0 {
        return Some(0);
    }
    let lately = &minutes[minutes.len().saturating_sub(PACE)..];
    let started: i64 = lately.iter().map(|minute| minute.started).sum();
    let seconds = (now - lately.first()?.at).num_seconds().max(1);
    (started > 0).then(|| ready.saturating_mul(seconds) / started)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lane {
    pub priority: Priority,
    pub waiting: i64,
    /// Of those, how many nobody takes: held by a person, or parked behind others that share a key with them or until a model is pulled.
    pub held: i64,
    /// Since when the first of them waits.
    pub oldest: Option<DateTime<Utc>>,
    /// Since when the middle one of them waits: half of them wait longer. Of more than 20,000 some are looked at.
    pub middle: Option<DateTime<Utc>>,
    pub ended_last_hour: i64,
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
    /// Since when the middle one of those that wait does so.
    pub middle: Option<DateTime<Utc>>,
    pub ended_last_hour: i64,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn an_hour_has_sixty_minutes_and_ends_now() {
        let minutes: Vec<_> = minutes_from(first_minute(at("2026-11-20T09:30:20Z"))).collect();
        assert_eq!(minutes.len(), 60);
        assert_eq!((minutes[0], minutes[59]), (at("2026-11-20T08:31:00Z"), at("2026-11-20T09:30:00Z")));
    }

    #[test]
    fn how_long_it_takes_is_known_only_while_something_moves() {
        let now = at("2026-11-20T09:30:00Z");
        let minutes = |started: &dyn Fn(usize) -> i64| {
            let all = minutes_from(first_minute(now)).enumerate();
            all.map(|(index, at)| Minute { at, started: started(index), ended: 0 }).collect::<Vec<_>>()
        };
        assert_eq!(empty_in_seconds(0, &minutes(&|_| 0), now), Some(0), "nothing is left");
        assert_eq!(empty_in_seconds(40, &minutes(&|_| 0), now), None);
        assert_eq!(empty_in_seconds(40, &minutes(&|index| if index < 50 { 100 } else { 0 }), now), None, "it has come to rest");
        // nine minutes are over, with two started in each
        assert_eq!(empty_in_seconds(40, &minutes(&|index| if index == 59 { 0 } else { 2 }), now), Some(20 * 60));
    }
}
