use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Complexity, Concurrency, Inputs, On, Priority, RetryPolicy, RunnerWait, TaskRepository, TaskState, TaskStateName, Work};
use crate::{AgentTerms, Attempt, CheckSpec, Land, Landing, TaskId, WorkflowRunId, endpoint::AwaitedPull};

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskSummary {
    pub id: TaskId,
    pub title: String,
    #[serde(flatten)]
    pub state: TaskState,
    pub priority: Priority,
    pub tags: Vec<String>,
    /// Whether somebody holds it, so that no runner takes it.
    pub paused: bool,
    /// Whether its agent waits for somebody's leave: the task's questions say for what.
    pub asks: bool,
    /// Whether it waits for others that use what it shares with them.
    pub parked: bool,
    /// Whether it waits for a model that is being pulled.
    #[serde(default)]
    pub awaits_model: bool,
    /// Where its repository is.
    pub repository: String,
    pub attempts: i32,
    pub max_attempts: i32,
    /// How many checks the task defines. None means that its success is unverified.
    pub checks: usize,
    /// How many of them passed in the latest attempt; absent when they have not run.
    pub checks_passed: Option<usize>,
    pub created_at: DateTime<Utc>,
    /// When its latest attempt began to work.
    pub started_at: Option<DateTime<Utc>>,
}

/// A task with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskView {
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// Grows with everything that happens to it: the number of its latest event. What `If-Match` compares.
    pub version: i64,
    pub work: Work,
    pub base_ref: Option<String>,
    /// The repositories that it works on beside that one.
    pub repositories: Vec<TaskRepository>,
    /// Whether its repository's submodules are fetched as well.
    pub submodules: bool,
    /// Whether the files that Git LFS keeps for it are.
    pub lfs: bool,
    pub files: Vec<String>,
    pub success_criteria: Vec<String>,
    pub check_specs: Vec<CheckSpec>,
    pub timeout_seconds: i32,
    pub retry: RetryPolicy,
    /// The time that was asked for, before which it does not start.
    pub not_before: Option<DateTime<Utc>>,
    /// It fails when it is not complete by then.
    pub complete_by: Option<DateTime<Utc>>,
    pub queue_seconds: Option<i32>,
    pub concurrency: Option<Concurrency>,
    /// What its runner must have.
    pub capabilities: Vec<String>,
    /// Of those, while it is queued, what no connected runner has; all of them when each is there but never together.
    pub unmet_capabilities: Vec<String>,
    /// Why no runner takes it, while it is queued and nothing else keeps it; absent when one could.
    #[serde(default)]
    pub runner_wait: Option<RunnerWait>,
    /// The pull that it waits for; absent when it waits for none, or for one that another workspace has asked for.
    #[serde(default)]
    pub awaited_pull: Option<AwaitedPull>,
    /// How an agent goes about it.
    pub agent: AgentTerms,
    pub complexity: Complexity,
    /// What it was expected to take, in seconds; what it took is said by its attempts.
    pub estimate_seconds: Option<i32>,
    /// What becomes of its result once it has passed its checks.
    pub land: Land,
    /// How that goes; absent as long as there is no result to land, or nobody wants it to.
    pub landing: Option<Landing>,
    /// How that goes in the repositories beside the first, of those that have changed.
    pub more_landings: Vec<Landing>,
    pub correlation_id: Option<String>,
    /// Who holds it.
    pub paused_by: Option<String>,
    /// The person's or key's name.
    pub created_by: String,
    /// What it is given by others.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub inputs: Inputs,
    /// The CEL expression over its inputs that decides whether it is done at all.
    pub when: Option<String>,
    pub delay_seconds: Option<i32>,
    /// What it left for others: what its latest attempt wrote to the file `MUSTER_OUTPUT`.
    pub output: Option<serde_json::Value>,
    /// Whether its gate waits for an answer now.
    pub open_gate: bool,
    /// The run that it is a step of, and its key there.
    pub workflow_run: Option<WorkflowRunId>,
    pub step: Option<String>,
    /// What it waits for.
    pub depends_on: Vec<TaskDependency>,
    /// What waits for it.
    pub dependents: Vec<TaskLink>,
    /// Oldest first.
    pub attempt_list: Vec<Attempt>,
    /// Bytes of its log so far.
    pub log_bytes: i64,
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskDependency {
    #[serde(flatten)]
    pub link: TaskLink,
    pub on: On,
}

/// Another task, as far as a link needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskLink {
    pub id: TaskId,
    pub title: String,
    pub state: TaskStateName,
}

impl TaskSummary {
    /// Succeeded, but without a check that could have said otherwise. What no runner executed has nothing to be verified.
    pub fn is_unverified(&self) -> bool {
        self.checks == 0 && self.attempts > 0 && matches!(self.state, TaskState::Succeeded { .. })
    }
}
