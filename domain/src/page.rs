//! Lists: what to look for, and one page of it.

use serde::{Deserialize, Serialize};

use crate::{
    error::Errors,
    error::Invalid,
    task::{Priority, TaskStateName, check_tag},
};

/// One page of a list, and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque; absent on the last page.
    pub next_cursor: Option<String>,
}

/// Which tasks to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct TaskFilter {
    /// Only tasks in this state.
    pub state: Option<TaskStateName>,
    /// Only tasks with this text in their title, their prompt or command, or a tag, whatever the case.
    pub text: Option<String>,
    /// Only tasks with this tag.
    pub tag: Option<String>,
    /// Only tasks in this lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Where the page starts, from the previous page's `next_cursor`.
    pub cursor: Option<String>,
    /// How many; 50 unless given, at most 200.
    pub limit: Option<u32>,
}

pub const PAGE_LIMIT: u32 = 50;
pub const PAGE_LIMIT_MAX: u32 = 200;

impl TaskFilter {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        if let Some(text) = &self.text {
            errors.text("/text", text, 200);
        }
        if let Some(Err(reason)) = self.tag.as_deref().map(check_tag) {
            errors.add("/tag", "malformed", reason);
        }
        if matches!(self.limit, Some(limit) if limit == 0 || limit > PAGE_LIMIT_MAX) {
            errors.add("/limit", "out_of_range", format!("must be 1 to {PAGE_LIMIT_MAX}"));
        }
        errors.finish()
    }

    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(PAGE_LIMIT)
    }
}
