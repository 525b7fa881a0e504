use serde::{Deserialize, Serialize};

use super::{Complexity, RunnerWait, TaskDependency, TaskStateName};

/// What would become of a task if it were handed in now, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskPreview {
    /// The state that it would begin in.
    pub state: TaskStateName,
    /// Sentences for people, the most important first.
    pub reasons: Vec<String>,
    /// What it would wait for, as it stands now.
    pub waits_for: Vec<TaskDependency>,
    /// How many tasks of the workspace would be before it in the queue.
    pub ahead: i64,
    /// Slots of the runners that were heard of in the last half minute, and how many of them are taken.
    pub slots: i64,
    pub slots_taken: i64,
    /// Of what it needs, what no connected runner has; all of it when each is there but never together.
    pub unmet_capabilities: Vec<String>,
    /// Why no runner would take it now; absent when one could. It is among the reasons as well.
    #[serde(default)]
    pub runner_wait: Option<RunnerWait>,
    pub complexity: Complexity,
}
