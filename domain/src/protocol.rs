//! What the server and a runner say to each other, whatever carries it. Every message of a runner about an attempt names its
//! [`AttemptKey`]; the server answers each with [`ToRunner::Stored`] once it is committed, or [`ToRunner::Stale`].

use serde::{Deserialize, Serialize};

use crate::{
    ArtifactKind, AttemptKey, CheckResult, CheckSpec, Failure, LogStream, RunnerId, VerificationReport, Work, task::Inputs, task::Tier,
};

/// Raised when a message changes in a way that an older side would misread.
pub const VERSION: u32 = 3;

/// A message of a runner, numbered so that its answer can name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    pub sequence: u64,
    pub message: ToServer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToServer {
    /// The first message on every connection. `runner_id` is kept in the runner's state folder. `capabilities` are what the runner has,
    /// for tasks that need it. `lost` are attempts that an earlier life of this runner left unfinished; nothing of them runs any more.
    Hello { version: u32, runner_id: RunnerId, name: String, slots: u32, capabilities: Vec<String>, lost: Vec<AttemptKey> },
    /// The worktree is there and the work begins.
    Started { attempt: AttemptKey, base_commit: String, branch: String },
    /// A piece of the log; `offset` counts the bytes of this attempt's log alone.
    Log {
        attempt: AttemptKey,
        offset: u64,
        stream: LogStream,
        #[serde(with = "bytes_as_text")]
        bytes: Vec<u8>,
    },
    /// The work's processes are gone; the checks run now.
    Verifying { attempt: AttemptKey },
    /// Renews the lease of every attempt that is still held.
    Heartbeat { attempts: Vec<AttemptKey> },
    /// The last word about an attempt.
    Report { attempt: AttemptKey, report: Box<AttemptReport> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRunner {
    /// The answer to [`ToServer::Hello`]. Renew every `heartbeat_seconds`; a lease lasts `lease_seconds`.
    Welcome {
        runner_id: RunnerId,
        heartbeat_seconds: u32,
        lease_seconds: u32,
    },
    Assign {
        assignment: Box<Assignment>,
    },
    /// End the work of this attempt and report it as cancelled.
    Cancel {
        attempt: AttemptKey,
    },
    /// Message `sequence` is committed.
    Stored {
        sequence: u64,
    },
    /// Message `sequence` speaks of an attempt that this runner no longer holds: end it, report nothing more.
    Stale {
        sequence: u64,
        attempt: AttemptKey,
    },
}

/// All that a runner needs to know to carry out an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub attempt: AttemptKey,
    pub title: String,
    /// What the task belongs to elsewhere.
    #[serde(default)]
    pub correlation_id: Option<String>,
    pub work: Work,
    /// A path or URL.
    pub repository: String,
    /// The repository's default branch when absent.
    pub base_ref: Option<String>,
    pub files: Vec<String>,
    pub success_criteria: Vec<String>,
    pub checks: Vec<CheckSpec>,
    /// What the task is given by others, by name.
    #[serde(default)]
    pub inputs: Inputs,
    pub timeout_seconds: u32,
    /// How hard it is.
    pub tier: Tier,
    /// The checks that failed in the attempt before this one.
    pub failed_checks: Vec<CheckResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub outcome: WorkOutcome,
    pub exit_code: Option<i32>,
    /// The branch and commit that hold what was changed; absent when nothing was.
    pub branch: Option<String>,
    pub commit: Option<String>,
    /// Present exactly when the work completed.
    pub verification: Option<VerificationReport>,
    pub artifacts: Vec<NewArtifact>,
    /// What the work left for others in the file `MUSTER_OUTPUT`.
    #[serde(default)]
    pub output: Option<serde_json::Value>,
}

/// How the work itself ended, before anything is said about its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum WorkOutcome {
    /// It ended by itself and without an error, and the checks were run.
    Completed,
    Failed {
        failure: Failure,
    },
    TimedOut {
        seconds: u32,
    },
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewArtifact {
    pub kind: ArtifactKind,
    pub name: String,
    #[serde(with = "bytes_as_text")]
    pub content: Vec<u8>,
}

/// Bytes travel as base64.
mod bytes_as_text {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
