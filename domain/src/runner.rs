//! A process on some machine that executes attempts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{BackendFound, RunnerId, crash};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Runner {
    pub id: RunnerId,
    pub name: String,
    /// How many attempts it carries out at once.
    pub slots: i32,
    /// How many it carries out now.
    pub busy: i64,
    /// Of those, the ones whose agents wait for somebody's leave.
    pub blocked: i64,
    /// What it has, for tasks that need it.
    pub capabilities: Vec<String>,
    /// Heard of within the last [`OFFLINE_AFTER_SECONDS`].
    pub online: bool,
    /// Whether it has joined this workspace. The others are inside servers, and serve every workspace.
    pub joined: bool,
    pub last_seen_at: DateTime<Utc>,
    /// Why its machine makes no sandbox; absent when it does. What is to run in one fails there.
    pub no_sandbox: Option<String>,
    /// The agent programs on its machine.
    pub backends: Vec<BackendFound>,
}

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

/// Seconds of silence after which a runner is shown as offline; its attempts are not touched yet.
pub const OFFLINE_AFTER_SECONDS: i64 = 45;
