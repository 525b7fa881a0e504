//! A task: one unit of durable work, and what counts as done.
//!
//! `new` is what a person asks for, `state` where it stands, `transition` the only ways from one state to another, `view` what the
//! API and the pages show.

mod batch;
mod bulk;
mod concurrency;
mod new;
mod priority;
mod retry;
mod state;
mod stop;
mod transition;
mod view;

pub use batch::{BATCH_MAX, NewTasks};
pub use bulk::{BULK_MAX, BulkAct, BulkOutcome, BulkTasks};
pub use concurrency::{CONCURRENCY_LIMIT_MAX, Concurrency};
pub use new::{ATTEMPTS_MAX, NewTask, QUEUE_SECONDS_MAX, TAGS_MAX, TIMEOUT_SECONDS_MAX, check_tag};
pub use priority::Priority;
pub use retry::{RETRY_BASE_SECONDS_MAX, RETRY_CAP_SECONDS_MAX, RetryPolicy, RetryStrategy};
pub use state::{TaskState, TaskStateName};
pub use stop::Stop;
pub use transition::{AttemptEnd, LOSSES_MAX, Parents};
pub use view::{TaskLink, TaskSummary, TaskView};

use serde::{Deserialize, Serialize};

use crate::{CheckSpec, RepositoryId, TaskId, Timestamp, WorkspaceId};

/// A task as the engine holds it between locking its row and saving it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub workspace_id: WorkspaceId,
    pub repository_id: RepositoryId,
    pub title: String,
    pub work: Work,
    pub base_ref: Option<String>,
    pub files: Vec<String>,
    pub success_criteria: Vec<String>,
    pub checks: Vec<CheckSpec>,
    pub priority: Priority,
    pub timeout_seconds: i32,
    pub max_attempts: i32,
    pub retry: RetryPolicy,
    /// It does not start before, whatever it waits for.
    pub not_before: Option<Timestamp>,
    /// It fails when it is not complete by then.
    pub complete_by: Option<Timestamp>,
    /// Seconds after which it is set aside when no runner has taken it.
    pub queue_seconds: Option<i32>,
    pub concurrency: Option<Concurrency>,
    pub tags: Vec<String>,
    /// What it belongs to, in the words of whoever created it.
    pub correlation_id: Option<String>,
    /// Who holds it: no runner takes it until it is resumed.
    pub paused_by: Option<String>,
    pub state: TaskState,
    /// Attempts so far, and the number of the latest: the fence. Never falls.
    pub attempts: i32,
    /// Attempts that were charged as failures since the task was created or last brought back.
    pub failures: i32,
    /// Attempts whose runner was lost, counted apart.
    pub losses: i32,
    pub created_at: Timestamp,
    /// Who created it, as [`crate::Actor::label`] names it.
    pub created_by: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Work {
    /// A shell command.
    Command(String),
    /// Words for an agent.
    Prompt(String),
}

impl Work {
    pub fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Prompt(text) => text,
        }
    }
}
