//! What the API and the pages ask for and show about workflows and their runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Definition, Drawing, RunChange, RunCounts, RunState};
use crate::{FieldError, TaskId, TaskStateName, WorkflowId, WorkflowRunId, task::Gate, task::Inputs};

/// A definition as its author wrote it, YAML or JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaveWorkflow {
    pub source: String,
}

/// As [`SaveWorkflow`], to be looked at only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckWorkflow {
    pub source: String,
}

/// What can be said about a definition without running it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Validation {
    pub valid: bool,
    pub errors: Vec<FieldError>,
    /// Present when the text could be read.
    pub definition: Option<Definition>,
    pub drawing: Option<Drawing>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowSummary {
    pub id: WorkflowId,
    pub name: String,
    pub description: Option<String>,
    /// The newest version.
    pub version: i32,
    pub steps: usize,
    pub changed_at: DateTime<Utc>,
    /// Its newest run.
    pub last_run: Option<RunSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowView {
    pub id: WorkflowId,
    pub name: String,
    /// The version that is shown.
    pub version: i32,
    pub newest_version: i32,
    pub definition: Definition,
    /// As its author wrote it.
    pub source: String,
    pub drawing: Drawing,
    pub created_at: DateTime<Utc>,
    /// The person's or key's name.
    pub created_by: String,
}

/// A run that somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRun {
    /// The newest when absent.
    #[serde(default)]
    pub version: Option<i32>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: Inputs,
    /// Instead of the definition's.
    #[serde(default)]
    pub repository: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
}

/// A new run that takes over what succeeded in an earlier one before this step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestartRun {
    /// The step to begin with. When absent, everything that did not succeed is done again.
    #[serde(default)]
    pub from: Option<String>,
}

/// A person's answer to a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateAnswer {
    #[serde(default)]
    pub comment: Option<String>,
}

/// Something outside that a gate of a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateEvent {
    pub name: String,
    /// The gate's output: what the steps after it can take from it.
    #[serde(default)]
    pub payload: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunFilter {
    /// Of this workflow only.
    #[serde(default)]
    pub workflow: Option<String>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// 1 to 200, 50 when absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    pub id: WorkflowRunId,
    pub workflow: String,
    pub version: i32,
    pub title: String,
    pub state: RunState,
    pub counts: RunCounts,
    /// Who holds it.
    pub paused_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunView {
    #[serde(flatten)]
    pub summary: RunSummary,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: Inputs,
    pub repository: String,
    /// The person's or key's name.
    pub created_by: String,
    /// The run that this one goes on from.
    pub restart_of: Option<WorkflowRunId>,
    /// How its graph was changed while it ran, the first change first.
    pub changes: Vec<RunChange>,
    pub steps: Vec<RunStep>,
    pub drawing: Drawing,
}

/// One task of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunStep {
    /// Unique in the run: the step's id, with what made it one of several: `test[os=linux]`, `deploy/build`.
    pub key: String,
    pub task: TaskId,
    pub title: String,
    pub state: TaskStateName,
    /// What it is: `command`, `prompt`, `approval`, `event`, `wait`, `each`, `candidates` or `workflow`.
    pub kind: String,
    /// Present for a gate that waits for an answer.
    pub open_gate: Option<Gate>,
    /// Why it ended as it did, where there is something to say.
    pub reason: Option<String>,
    /// Taken over from an earlier run.
    pub reused: bool,
    /// Taken out of the run by a change; it counts for nothing.
    pub removed: bool,
    pub paused: bool,
    pub attempts: i32,
    /// When its latest attempt began to work, or its gate was opened.
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The group that it is a part of.
    pub group: Option<String>,
}
