//! A process on some machine that executes attempts.

pub mod day;
pub mod kept;
pub mod log;
pub mod reading;
pub mod rooms;
pub mod slots;

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{AttemptState, BackendFound, Failure, RunnerId, TaskId, crash, failure};
pub use day::{RunnerDay, RunnerPeriod, RunnerSlot};
pub use kept::RunnerTransition;
pub use log::{RunnerLogEntry, RunnerLogFilter, RunnerNews};
pub use reading::{HostReading, RunnerReading};
pub use rooms::Rooms;
pub use slots::{RunnerChange, SLOTS_MAX};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Runner {
    pub id: RunnerId,
    pub name: String,
    /// How many attempts it carries out at once.
    pub slots: i32,
    /// How many its machine says.
    #[serde(default)]
    pub slots_own: i32,
    /// How many somebody has set; absent when it is as its machine says.
    #[serde(default)]
    pub slots_set: Option<i32>,
    /// How many it carries out now.
    pub busy: i64,
    /// Of those, the ones whose agents wait for somebody's leave.
    pub blocked: i64,
    /// What it has, for tasks that need it.
    pub capabilities: Vec<String>,
    /// Heard of within the last [`OFFLINE_AFTER_SECONDS`], and not stopped since.
    pub online: bool,
    /// All of this in one word.
    pub state: RunnerState,
    /// Somebody wants it to take nothing new; absent when it takes work.
    pub draining: Option<Draining>,
    /// Since when it was found not to take what it was given, though it gives signs of life. After [`TRIAL_SECONDS`] it is given one attempt
    /// at a time, until it takes one; absent when it does.
    #[serde(default)]
    pub unresponsive_since: Option<DateTime<Utc>>,
    /// Whether it has joined this workspace. The others are inside servers, and serve every workspace.
    pub joined: bool,
    pub last_seen_at: DateTime<Utc>,
    /// Why its machine makes no sandbox; absent when it does. It is given only what is to run without.
    pub no_sandbox: Option<String>,
    /// The agent programs on its machine.
    pub backends: Vec<BackendFound>,
    /// What it has read of its machine last; absent when it has never told.
    #[serde(default)]
    pub reading: Option<RunnerReading>,
    /// What attempts may use and reach there; absent when it does not say.
    #[serde(default)]
    pub rooms: Option<Rooms>,
    /// What attempts have left on its machine that should be gone: processes, mounts, folders, control groups. Absent when there is nothing.
    #[serde(default)]
    pub left_behind: Option<String>,
}

impl Runner {
    /// Why its disk has no room for anything new, as it has read lately.
    pub fn lacks_disk(&self) -> Option<String> {
        self.reading.as_ref().filter(|reading| !reading.is_stale)?.host.lacks_disk()
    }

    /// Since when it is found not to take what it is given, while it is there.
    pub fn takes_nothing_since(&self) -> Option<DateTime<Utc>> {
        self.unresponsive_since.filter(|_| self.online)
    }
}

/// Which runners to list, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunnerFilter {
    /// Those behind this one, which was the last of the list before. Where fewer than 200 come there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<RunnerId>,
}

/// Runners that one list holds.
pub const RUNNERS_LISTED: usize = 200;

/// How a runner stands. What stands further up is said first of one that is several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunnerState {
    /// Nothing was heard of it lately.
    Offline,
    /// It takes nothing new, and brings what it has to its end.
    Draining,
    /// All that it carries out waits for people.
    Blocked,
    Working,
    Idle,
}

impl RunnerState {
    /// `busy` counts what it carries out, `blocked` what of that waits for people.
    pub fn of(online: bool, draining: bool, busy: i64, blocked: i64) -> Self {
        match (online, draining) {
            (false, _) => Self::Offline,
            (true, true) => Self::Draining,
            (true, false) if busy == 0 => Self::Idle,
            (true, false) if blocked >= busy => Self::Blocked,
            (true, false) => Self::Working,
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Offline, Self::Draining, Self::Blocked, Self::Working, Self::Idle].into_iter().find(|state| state.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Draining => "draining",
            Self::Blocked => "blocked",
            Self::Working => "working",
            Self::Idle => "idle",
        }
    }
}

/// Since when a runner is to take nothing new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Draining {
    pub since: DateTime<Utc>,
    /// Who wants it, by name.
    pub by: String,
}

/// A runner with what it has done. Of a runner that serves every workspace, what it has done for this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerDetail {
    #[serde(flatten)]
    pub runner: Runner,
    /// When it joined, or its server knew it first.
    pub created_at: DateTime<Utc>,
    /// Who made the token that it joined with, by name; absent inside a server.
    pub joined_by: Option<String>,
    /// What it carries out now, the oldest first.
    pub current: Vec<RunnerAttempt>,
    /// What it has carried out, the latest first, at most [`HISTORY_SHOWN`].
    pub history: Vec<RunnerAttempt>,
    /// How the latest [`HISTORY_COUNTED`] of these ended.
    pub tally: RunnerTally,
    /// How it stood in the last day.
    #[serde(default)]
    pub day: RunnerDay,
}

/// One attempt of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerAttempt {
    pub task_id: TaskId,
    /// Title of the task.
    pub task: String,
    pub number: i32,
    pub state: AttemptState,
    pub claimed_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Its agent waits for somebody's leave.
    pub is_blocked: bool,
    #[serde(serialize_with = "failure::explain_if_any")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<failure::ExplainedFailure>))]
    pub failure: Option<Failure>,
}

/// How attempts of a runner have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerTally {
    pub succeeded: i64,
    /// Also those that took too long.
    pub failed: i64,
    /// Of these nothing was heard any more, or the runner gave them back.
    pub lost: i64,
    pub cancelled: i64,
    /// From their start to their end, of those that succeeded or failed; absent when none did.
    #[serde(default)]
    pub mean_ms: Option<i64>,
    /// Tokens that all of these have used, judges included, as far as it was told.
    #[serde(default)]
    pub input: u64,
    /// Of the input, read from a cache.
    #[serde(default)]
    pub cached: u64,
    #[serde(default)]
    pub output: u64,
    /// It was more: an agent has not told all of it, or came to no end.
    #[serde(default)]
    pub is_incomplete: bool,
}

impl RunnerTally {
    /// Of those that came to an end of their own, how many succeeded, in percent, rounded down; nothing when none did.
    pub fn success_percent(&self) -> Option<i64> {
        let ended = self.succeeded + self.failed;
        (ended > 0).then(|| self.succeeded * 100 / ended)
    }

    /// Whether any of them has told tokens.
    pub fn tells_tokens(&self) -> bool {
        self.input > 0 || self.output > 0
    }
}

/// Attempts of a runner that are shown.
pub const HISTORY_SHOWN: i64 = 50;
/// Attempts of a runner that are counted.
pub const HISTORY_COUNTED: i64 = 1000;

/// With what one machine may join a workspace; shown this once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRunnerToken {
    pub token: String,
    pub expires_at: DateTime<Utc>,
}

/// What a machine says that wants to join.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinRunner {
    pub token: String,
    /// Ed25519, 32 bytes as base64. The private half stays on the machine.
    pub public_key: String,
    /// One is picked when there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it may be given repositories that are paths: it shares the disk with whoever names them.
    #[serde(default)]
    pub paths: bool,
}

/// Who it is from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedRunner {
    pub id: RunnerId,
    pub name: String,
    /// Slug of its workspace.
    pub workspace: String,
}

/// Asks for a task that shows whether a runner works, from the claim to the checks.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTrial {
    /// A path on the runner, to a git repository that it has made for this.
    pub repository: String,
}

/// The word that a task needs which is for one runner alone. Every runner has its own; none may say that it has another's.
pub fn own_word(runner: RunnerId) -> String {
    format!("{OWN_WORD}{runner}")
}

/// The runner that alone has this word.
pub fn owner_of(word: &str) -> Option<RunnerId> {
    word.strip_prefix(OWN_WORD)?.parse().ok()
}

const OWN_WORD: &str = "runner:";

/// What a runner signs with its key each time that it opens a link.
pub fn link_proof(nonce: &str, runner: RunnerId) -> String {
    format!("muster runner link 1\n{nonce}\n{runner}")
}

/// Seconds between two signs of life.
pub const HEARTBEAT_SECONDS: u32 = 10;
/// Seconds that a runner may stay silent before it loses its attempts.
pub const LEASE_SECONDS: u32 = 120;

/// [`HEARTBEAT_SECONDS`], unless a test has little time.
pub fn heartbeat_seconds() -> u32 {
    crash::setting("MUSTER_HEARTBEAT_SECONDS").unwrap_or(HEARTBEAT_SECONDS)
}

/// [`LEASE_SECONDS`], unless a test has little time.
pub fn lease_seconds() -> u32 {
    crash::setting("MUSTER_LEASE_SECONDS").unwrap_or(LEASE_SECONDS)
}

/// Seconds within which a runner has to take what it is given.
pub const ACCEPT_SECONDS: i64 = 60;
/// Seconds after which one that did not is given something again.
pub const TRIAL_SECONDS: i64 = 300;

/// Seconds within which a runner has to begin what it has taken, however much there is to be fetched for it: submodules and Git LFS included.
pub const BEGIN_SECONDS: u32 = 7200;
/// Seconds more that it has for each repository of the task beside the first: as long as one fetch may take.
pub const BEGIN_BESIDE_SECONDS: u32 = 3600;
/// Seconds after which the runner itself gives up what it has not fetched, and the same more for each further repository: the rest is for putting
/// that away, and for saying so.
pub const FETCH_SECONDS: u32 = BEGIN_SECONDS - 600;
/// Seconds that an attempt may go on after its time is over, unless the server's settings say something else: what it has started is ended, and
/// what it has done is saved.
pub const LINGER_SECONDS: u32 = 900;
/// Seconds within which a runner has to end what it was asked to end, before its lease is renewed no more. The same setting is of both.
pub const END_SECONDS: u32 = 900;
/// What that setting may be, in minutes. A runner needs some to end all that was started and to save what was done, or it loses what it would
/// have brought to its end.
pub const STUCK_MINUTES: RangeInclusive<u32> = 5..=24 * 60;

/// Seconds of silence after which a runner is shown as offline; its attempts are not touched yet.
pub const OFFLINE_AFTER_SECONDS: i64 = 45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_says_how_a_runner_stands() {
        let cases = [
            ((false, true, 2, 2), "offline"),
            ((true, true, 2, 2), "draining"),
            ((true, true, 0, 0), "draining"),
            ((true, false, 2, 2), "blocked"),
            ((true, false, 2, 1), "working"),
            ((true, false, 0, 0), "idle"),
        ];
        for ((online, draining, busy, blocked), name) in cases {
            assert_eq!(RunnerState::of(online, draining, busy, blocked).name(), name);
        }
    }

    #[test]
    fn what_did_not_end_by_itself_says_nothing_of_success() {
        assert_eq!(RunnerTally { lost: 3, cancelled: 2, ..RunnerTally::default() }.success_percent(), None);
        assert_eq!(RunnerTally { succeeded: 2, failed: 1, lost: 9, cancelled: 9, ..RunnerTally::default() }.success_percent(), Some(66));
    }
}
