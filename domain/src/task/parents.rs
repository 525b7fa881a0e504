//! How the tasks that a task waits for stand, and what its failure says about them.

use super::{Task, TaskStateName};
use crate::TaskId;

/// How the tasks that a task waits for stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parents {
    AllSucceeded,
    /// At least one has not ended.
    Waiting,
    /// One ended otherwise than it should have.
    Failed(Broken),
}

/// A task that did not end as another needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub id: TaskId,
    pub title: String,
    pub state: TaskStateName,
    /// The condition that was not met, where there was one.
    pub condition: Option<String>,
    /// What it began with, when that is not this task: its title and how it ended.
    pub root: Option<String>,
    /// From the root to this task.
    pub path: Vec<TaskId>,
}

/// The longest path that is kept.
const PATH_MAX: usize = 100;

impl Broken {
    pub fn new(id: TaskId, title: &str, state: TaskStateName) -> Self {
        Self { id, title: title.to_owned(), state, condition: None, root: None, path: vec![id] }
    }

    /// A task that was skipped for this one, as what waits for it sees it.
    pub fn and_so(&self, skipped: &Task) -> Self {
        let root = self.root.clone().unwrap_or_else(|| format!("“{}” ended {}", self.title, self.state.name()));
        let mut path = self.path.clone();
        path.push(skipped.id);
        if path.len() > PATH_MAX {
            path.remove(1);
        }
        Self { root: Some(root), path, ..Self::new(skipped.id, &skipped.title, skipped.state.name()) }
    }

    pub(super) fn reason(&self) -> String {
        let Self { title, state, .. } = self;
        match (&self.condition, &self.root) {
            (Some(condition), _) => format!("it waits for “{title}”, which ended {}, and `{condition}` is not true of it", state.name()),
            (None, Some(root)) => format!("it waits for “{title}”, which was skipped, as {root}"),
            (None, None) => format!("it waits for “{title}”, which ended {}", state.name()),
        }
    }
}
