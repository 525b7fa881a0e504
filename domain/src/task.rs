//! A task: one unit of durable work, and what counts as done.
//!
//! `new` is what a person asks for, `state` where it stands, `transition` the only ways from one state to another, `view` what the
//! API and the pages show.

mod again;
mod batch;
mod bulk;
mod capability;
mod change;
mod complexity;
mod concurrency;
mod dependency;
mod gate;
mod group;
mod input;
mod new;
mod parents;
mod preview;
mod priority;
mod repositories;
mod retry;
mod runner_wait;
mod state;
mod stop;
mod transition;
mod view;

pub use again::{LIMITS_MAX, LOSSES_MAX};
pub use batch::{BATCH_MAX, NewTasks};
pub use bulk::{BULK_MAX, BulkAct, BulkOutcome, BulkTasks};
pub use capability::{CAPABILITIES_MAX, RUNNER_CAPABILITIES_MAX, check_capabilities, no_runner_has, unmet};
pub use change::{ChangeRefused, FieldChange, TaskChange};
pub use complexity::{Complexity, Inferred, Signal, SignalKind, Tier, TierSource, infer};
pub use concurrency::{CONCURRENCY_LIMIT_MAX, Concurrency};
pub use dependency::{CONDITION_MAX, Dependency, On, Standing};
pub use gate::Gate;
pub use group::{Group, Judge};
pub use input::{INPUTS_MAX, Inputs, OUTPUT_MAX, check_names, fill, is_input_name, names, plain, variable};
pub use new::{ATTEMPTS_MAX, ESTIMATE_SECONDS_MAX, NewTask, QUEUE_SECONDS_MAX, TAGS_MAX, TIMEOUT_SECONDS_MAX, check_tag};
pub use parents::{Broken, Parents};
pub use preview::TaskPreview;
pub use priority::Priority;
pub(crate) use repositories::last_part;
pub use repositories::{NewRepository, REPOSITORIES_MAX, RepositoryResult, TaskRepository, check_folder};
pub use retry::{
    ClassRetry, RETRY_AFTER_SECONDS_MAX, RETRY_BASE_SECONDS_MAX, RETRY_CAP_SECONDS_MAX, RetryByClass, RetryPolicy, RetryStrategy, Waits,
};
pub use runner_wait::{RunnerAtHand, RunnerStanding, RunnerWait, RunnerWaitCode, runner_wait};
pub use state::{TaskState, TaskStateName};
pub use stop::Stop;
pub use transition::AttemptEnd;
pub use view::{TaskDependency, TaskLink, TaskSummary, TaskView};

use serde::{Deserialize, Serialize};

use crate::{AgentTerms, CheckSpec, Land, RepositoryId, TaskId, Timestamp, WorkflowRunId, WorkspaceId};

/// A task as the engine holds it between locking its row and saving it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub id: TaskId,
    pub workspace_id: WorkspaceId,
    pub repository_id: RepositoryId,
    pub title: String,
    pub work: Work,
    pub base_ref: Option<String>,
    /// What of the repository is fetched beside its files and their history.
    pub submodules: bool,
    pub lfs: bool,
    pub files: Vec<String>,
    pub success_criteria: Vec<String>,
    pub checks: Vec<CheckSpec>,
    pub priority: Priority,
    pub timeout_seconds: i32,
    pub max_attempts: i32,
    pub retry: RetryPolicy,
    /// What it is given by others, as far as that is known.
    pub inputs: Inputs,
    /// A CEL expression over its inputs: it is skipped when that is false.
    pub condition: Option<String>,
    /// The run that it is a step of.
    pub workflow_run_id: Option<WorkflowRunId>,
    /// Seconds between the end of what it waits for and its own start.
    pub delay_seconds: Option<i32>,
    /// A gate that waits to be passed, or a group that has become several tasks.
    pub opened: bool,
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
    /// What its runner must have.
    pub capabilities: Vec<String>,
    /// How an agent goes about it; only a prompt has this.
    pub agent: AgentTerms,
    pub complexity: Complexity,
    /// Seconds that whoever handed it in expects it to take.
    pub estimate_seconds: Option<i32>,
    /// What becomes of its result.
    pub land: Land,
    pub state: TaskState,
    /// Attempts so far, and the number of the latest: the fence. Never falls.
    pub attempts: i32,
    /// Attempts that were charged as failures since the task was created or last brought back.
    pub failures: i32,
    /// Attempts whose runner was lost, counted apart.
    pub losses: i32,
    /// Attempts that were told to come back later and were not charged, counted apart as well.
    pub limits: i32,
    pub created_at: Timestamp,
    /// Who created it, as [`crate::Actor::label`] names it.
    pub created_by: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Work {
    /// A shell command.
    Command(String),
    /// Words for an agent.
    Prompt(String),
    /// Nothing: it is passed by a person, by something outside, or by time.
    Gate(Gate),
    /// Nothing itself: it becomes several tasks.
    Group(Group),
}

impl Work {
    pub fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Prompt(text) => text,
            Self::Gate(_) | Self::Group(_) => "",
        }
    }

    /// Whether a runner does it. What no runner does succeeds without an attempt, and is never called verified.
    pub fn is_executed(&self) -> bool {
        matches!(self, Self::Command(_) | Self::Prompt(_))
    }

    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Prompt(_) => "prompt",
            Self::Gate(Gate::Approval { .. }) => "approval",
            Self::Gate(Gate::Event { .. }) => "event",
            Self::Gate(Gate::Wait) => "wait",
            Self::Group(Group::Each { .. }) => "each",
            Self::Group(Group::Candidates { .. }) => "candidates",
            Self::Group(Group::Workflow { .. }) => "workflow",
        }
    }
}
