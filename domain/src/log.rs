//! What an attempt writes while it works. A task's log is one sequence of bytes over all its attempts, so a reader that knows a
//! byte offset can go on exactly there.

use serde::{Deserialize, Serialize};

/// A piece of a task's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogChunk {
    /// Byte offset in the task's log at which this piece starts.
    pub offset: i64,
    /// Byte offset right after it; what a reader resumes from.
    pub end: i64,
    pub attempt: i32,
    pub stream: LogStream,
    /// The bytes as text. Pieces are cut between characters; bytes that are not UTF-8 are replaced.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LogStream {
    Stdout,
    Stderr,
    /// What Muster itself did: fetched, started, stopped.
    Muster,
}

/// Bytes of one piece as a runner sends it.
pub const LOG_CHUNK_LIMIT: usize = 64 * 1024;
/// Bytes of one attempt's log; what comes after is dropped behind a marker. The outcome never depends on it.
pub const LOG_LIMIT: u64 = 50 * 1024 * 1024;
/// Bytes that a server keeps of one, whatever its runner sends: also what that says itself once the log is full.
pub const LOG_QUOTA: u64 = LOG_LIMIT + 1024 * 1024;
