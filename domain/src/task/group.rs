use serde::{Deserialize, Serialize};

use crate::workflow::{JudgeTask, Step};

/// A task that executes nothing itself: when its turn comes it becomes several tasks, and its result is made of theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "group", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Group {
    /// One task for every item of a list.
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    Each { step: Box<Step> },
    /// Several tries at the same; one is chosen.
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    Candidates { step: Box<Step> },
    /// The steps of another workflow.
    Workflow { name: String, version: Option<i32> },
}

/// Who chooses among the candidates whose checks passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Judge {
    /// The first that succeeds; the others are cancelled.
    #[default]
    First,
    /// The highest value of this CEL expression over each candidate's `result`, once all have ended; the earlier of two that are equal.
    Score(String),
    /// A task of its own, once all have ended, when more than one of them passed.
    Task(Box<JudgeTask>),
}

impl Judge {
    /// How one is chosen.
    pub fn phrase(&self) -> &'static str {
        match self {
            Self::First => "as it is the first that passes",
            Self::Score(_) => "by its score",
            Self::Task(_) => "by a judge",
        }
    }
}
