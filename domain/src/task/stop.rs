use serde::{Deserialize, Serialize};

use crate::TaskId;

/// Why what runs is to end before it is done. It ends when its runner has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Stop {
    /// A more urgent task needs the slot; this one goes back into the queue.
    PreEmpt { for_task: TaskId },
    /// Somebody holds it; it goes back into the queue and waits there to be resumed.
    Pause { by: String },
    /// It was to be complete by now.
    Deadline,
    /// Somebody wants the end of the task.
    Cancel { by: String },
}

impl Stop {
    /// The later ones of the list say more: whoever cancels what is being paused wants it cancelled.
    fn weight(&self) -> u8 {
        match self {
            Self::PreEmpt { .. } => 0,
            Self::Pause { .. } => 1,
            Self::Deadline => 2,
            Self::Cancel { .. } => 3,
        }
    }

    /// This one, unless what was asked for before says as much or more.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if before.weight() >= self.weight() => before,
            _ => self,
        }
    }

    /// Whether the task goes on after the stop.
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::PreEmpt { .. } | Self::Pause { .. })
    }
}
