//! A process on some machine that executes attempts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{RunnerId, crash};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Runner {
    pub id: RunnerId,
    pub name: String,
    /// How many attempts it carries out at once.
    pub slots: i32,
    /// How many it carries out now.
    pub busy: i64,
    /// What it has, for tasks that need it.
    pub capabilities: Vec<String>,
    /// Heard of within the last [`OFFLINE_AFTER_SECONDS`].
    pub online: bool,
    pub last_seen_at: DateTime<Utc>,
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
