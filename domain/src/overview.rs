//! What the start page shows: how much is where, and what deserves a look.

use serde::{Deserialize, Serialize};

use crate::{TaskSummary, runner::Runner, task::TaskStateName};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// Every state with the number of tasks in it, in the order of a task's life; states without tasks included.
    pub counts: Vec<StateCount>,
    /// What runs or is checked now, oldest first, at most 20.
    pub active: Vec<TaskSummary>,
    /// What ended last, newest first, at most 10.
    pub ended: Vec<TaskSummary>,
    pub runners: Vec<Runner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StateCount {
    pub state: TaskStateName,
    pub tasks: i64,
}
