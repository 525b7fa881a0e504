//! Tasks side by side by where they stand: what waits, what is in the queue, what runs, and what needs a person.

use serde::{Deserialize, Serialize};

use crate::{Priority, TaskStateName, TaskSummary};

/// Cards of one pile at most.
pub const CARDS: i64 = 8;
/// So far are the tasks of a pile counted.
pub const COUNTED: i64 = 1000;
/// For so long what has ended stays on the board.
pub const ENDED_HOURS: i64 = 24;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Board {
    /// All of them, in the order of a task's life, empty ones included.
    pub columns: Vec<BoardColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BoardColumn {
    pub kind: ColumnKind,
    /// What is in it, by state; the queue by lane. Empty piles are left out.
    pub piles: Vec<Pile>,
}

/// Where a task stands on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ColumnKind {
    /// For others, for a gate, or for a time.
    Waiting,
    /// For a runner.
    Queued,
    Running,
    Verifying,
    /// Failed, succeeded in part, or set aside.
    NeedsAPerson,
    /// In the last day, and nothing is left to do about it.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pile {
    pub state: TaskStateName,
    /// The lane, of what is in the queue.
    pub priority: Option<Priority>,
    /// How many there are, as far as they were counted.
    pub tasks: i64,
    /// Whether there are more than were counted.
    pub more: bool,
    /// The first of them: in the queue those that have waited longest, elsewhere the newest.
    pub cards: Vec<Card>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Card {
    pub task: TaskSummary,
    /// Tasks that wait for it, at most 100.
    pub dependents: i64,
    /// The title of the first of them.
    pub first_dependent: Option<String>,
}

impl ColumnKind {
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Queued, Self::Running, Self::Verifying, Self::NeedsAPerson, Self::Ended];

    pub fn states(self) -> &'static [TaskStateName] {
        match self {
            Self::Waiting => &[TaskStateName::Blocked, TaskStateName::Scheduled],
            Self::Queued => &[TaskStateName::Queued],
            Self::Running => &[TaskStateName::Running],
            Self::Verifying => &[TaskStateName::Verifying],
            Self::NeedsAPerson => &[TaskStateName::Dead, TaskStateName::Failed, TaskStateName::Partial],
            Self::Ended => &[TaskStateName::Succeeded, TaskStateName::Cancelled, TaskStateName::Skipped],
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Verifying => "Verifying",
            Self::NeedsAPerson => "Needs a person",
            Self::Ended => "Ended lately",
        }
    }
}

impl BoardColumn {
    /// How many tasks are in it, as far as they were counted, and whether there are more.
    pub fn tasks(&self) -> (i64, bool) {
        (self.piles.iter().map(|pile| pile.tasks).sum(), self.piles.iter().any(|pile| pile.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_place_on_the_board() {
        let mut on_board: Vec<_> = ColumnKind::ALL.iter().flat_map(|kind| kind.states()).map(|state| state.name()).collect();
        let mut all = TaskStateName::ALL.map(TaskStateName::name).to_vec();
        on_board.sort_unstable();
        all.sort_unstable();
        assert_eq!(on_board, all);
    }
}
