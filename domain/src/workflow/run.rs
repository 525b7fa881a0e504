//! What a run's tasks come to. A run has no state of its own that could disagree with them.

use serde::{Deserialize, Serialize};

use crate::TaskStateName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunState {
    /// Something is at work or in the queue.
    Running,
    /// Nothing goes on by itself: it waits for a person or for something outside.
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
}

/// How many of a run's tasks stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunCounts {
    pub total: i64,
    /// Wait for others.
    pub blocked: i64,
    /// Gates that wait for a person or an event.
    pub open_gates: i64,
    /// Wait for their time or a runner.
    pub queued: i64,
    /// At work, or groups whose tasks are.
    pub running: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub skipped: i64,
    /// Candidates that did not succeed, which is no failure of the run.
    pub not_chosen: i64,
}

impl RunState {
    pub const ALL: [Self; 5] = [Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl RunCounts {
    pub fn add(&mut self, state: TaskStateName, opened: bool, is_gate: bool, count: i64) {
        self.total += count;
        let place = match state {
            TaskStateName::Blocked if opened && is_gate => &mut self.open_gates,
            TaskStateName::Blocked if opened => &mut self.running,
            TaskStateName::Blocked => &mut self.blocked,
            TaskStateName::Scheduled | TaskStateName::Queued => &mut self.queued,
            TaskStateName::Running | TaskStateName::Verifying => &mut self.running,
            TaskStateName::Succeeded => &mut self.succeeded,
            TaskStateName::Partial | TaskStateName::Failed | TaskStateName::Dead => &mut self.failed,
            TaskStateName::Cancelled => &mut self.cancelled,
            TaskStateName::Skipped => &mut self.skipped,
        };
        *place += count;
    }

    /// As [`add`](Self::add), of candidates and what they consist of: their group says whether one of them was good enough.
    pub fn add_candidates(&mut self, state: TaskStateName, opened: bool, is_gate: bool, count: i64) {
        if state.is_final() && !matches!(state, TaskStateName::Succeeded | TaskStateName::Skipped) {
            self.total += count;
            self.not_chosen += count;
        } else {
            self.add(state, opened, is_gate, count);
        }
    }

    pub fn ended(&self) -> i64 {
        self.succeeded + self.failed + self.cancelled + self.skipped + self.not_chosen
    }

    /// One failure makes it failed, as it would have been without the cancellations that follow; a skipped step is no failure of its own.
    pub fn state(&self) -> RunState {
        if self.ended() < self.total {
            let moves = self.running + self.queued > 0;
            return if !moves && self.open_gates > 0 { RunState::Waiting } else { RunState::Running };
        }
        match (self.failed, self.cancelled) {
            (0, 0) => RunState::Succeeded,
            (0, _) => RunState::Cancelled,
            _ => RunState::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(states: &[TaskStateName]) -> RunState {
        let mut counts = RunCounts::default();
        for state in states {
            counts.add(*state, false, false, 1);
        }
        counts.state()
    }

    #[test]
    fn a_run_is_what_its_tasks_are() {
        use TaskStateName::{Blocked, Cancelled, Dead, Queued, Skipped, Succeeded};
        assert_eq!(counted(&[Succeeded, Queued]), RunState::Running);
        assert_eq!(counted(&[Succeeded, Blocked]), RunState::Running);
        assert_eq!(counted(&[Succeeded, Skipped]), RunState::Succeeded);
        assert_eq!(counted(&[Succeeded, Dead, Skipped]), RunState::Failed);
        assert_eq!(counted(&[Succeeded, Cancelled, Skipped]), RunState::Cancelled);
        assert_eq!(counted(&[Dead, Cancelled]), RunState::Failed);
    }

    #[test]
    fn it_waits_when_only_a_gate_is_open() {
        let mut counts = RunCounts::default();
        counts.add(TaskStateName::Blocked, true, true, 1);
        counts.add(TaskStateName::Blocked, false, false, 3);
        assert_eq!(counts.state(), RunState::Waiting);
        counts.add(TaskStateName::Queued, false, false, 1);
        assert_eq!(counts.state(), RunState::Running);
    }
}
