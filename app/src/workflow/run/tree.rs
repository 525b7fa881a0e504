//! The steps of a run in the order in which they are listed: what a group has become follows the group. Pure.

use std::collections::HashMap;

use domain::{TaskStateName, workflow::RunStep};

/// Steps that are listed before a person asks for all of them.
pub const SHOWN: usize = 100;

/// Which steps are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// The first ones.
    #[default]
    First,
    All,
    Only(Part),
}

/// Steps that stand alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Open,
    Failed,
    Running,
    Queued,
    Waiting,
    Succeeded,
    Skipped,
    Cancelled,
}

impl Part {
    pub const ALL: [Self; 8] =
        [Self::Open, Self::Failed, Self::Running, Self::Queued, Self::Waiting, Self::Succeeded, Self::Skipped, Self::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn of(step: &RunStep) -> Self {
        match step.state {
            _ if step.open_gate.is_some() => Self::Open,
            TaskStateName::Blocked if step.started_at.is_some() => Self::Running,
            TaskStateName::Blocked => Self::Waiting,
            TaskStateName::Scheduled | TaskStateName::Queued => Self::Queued,
            TaskStateName::Running | TaskStateName::Verifying => Self::Running,
            TaskStateName::Succeeded => Self::Succeeded,
            TaskStateName::Partial | TaskStateName::Failed | TaskStateName::Dead => Self::Failed,
            TaskStateName::Cancelled => Self::Cancelled,
            TaskStateName::Skipped => Self::Skipped,
        }
    }
}

impl Show {
    pub fn parse(name: &str) -> Self {
        match name {
            "all" => Self::All,
            name => Part::ALL.into_iter().find(|part| part.name() == name).map_or(Self::First, Self::Only),
        }
    }
}

/// A step, and how many groups it is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub depth: usize,
    pub step: RunStep,
}

/// What is listed, and how many more there are.
pub fn rows(steps: &[RunStep], show: Show) -> (Vec<Row>, usize) {
    let wanted = |step: &RunStep| match show {
        Show::First | Show::All => true,
        Show::Only(part) => Part::of(step) == part,
    };
    let all: Vec<_> = ordered(steps).into_iter().filter(|(_, index)| wanted(&steps[*index])).collect();
    let most = if show == Show::First { SHOWN } else { usize::MAX };
    let more = all.len().saturating_sub(most);
    let rows = all.into_iter().take(most).map(|(depth, index)| Row { depth, step: steps[index].clone() });
    (rows.collect(), more)
}

/// Depth first. A step whose group is not there stands by itself.
fn ordered(steps: &[RunStep]) -> Vec<(usize, usize)> {
    let places: HashMap<&str, usize> = steps.iter().enumerate().map(|(index, step)| (step.key.as_str(), index)).collect();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut open: Vec<(usize, usize)> = vec![];
    for (index, step) in steps.iter().enumerate() {
        match step.group.as_deref().and_then(|group| places.get(group)).filter(|group| **group != index) {
            Some(group) => children.entry(*group).or_default().push(index),
            None => open.push((0, index)),
        }
    }
    open.reverse();
    let mut ordered = Vec::with_capacity(steps.len());
    while let Some((depth, index)) = open.pop() {
        ordered.push((depth, index));
        let inside = children.remove(&index).unwrap_or_default();
        open.extend(inside.into_iter().rev().map(|child| (depth + 1, child)));
    }
    ordered
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn step(key: &str, group: Option<&str>) -> RunStep {
        RunStep {
            key: key.into(),
            task: "0190a2b4-7d34-7c11-8a52-0123456789ab".parse().unwrap(),
            title: key.into(),
            state: TaskStateName::Succeeded,
            kind: "command".into(),
            open_gate: None,
            reason: None,
            reused: false,
            removed: false,
            paused: false,
            attempts: 1,
            started_at: None,
            ended_at: None,
            group: group.map(str::to_owned),
        }
    }

    fn listed(steps: &[RunStep], show: Show) -> Vec<String> {
        rows(steps, show).0.into_iter().map(|row| format!("{}{}", " ".repeat(row.depth), row.step.key)).collect()
    }

    #[test]
    fn what_a_group_has_become_follows_it() {
        let steps = [
            step("a", None),
            step("all", None),
            step("z", None),
            step("all/1", Some("all")),
            step("all/2", Some("all")),
            step("all/1/x", Some("all/1")),
            step("lost", Some("nobody")),
        ];
        assert_eq!(listed(&steps, Show::First), ["a", "all", " all/1", "  all/1/x", " all/2", "z", "lost"]);
    }

    #[test]
    fn of_many_the_first_are_listed() {
        let mut steps: Vec<_> = (0..250).map(|number| step(&format!("s{number}"), None)).collect();
        steps[200].state = TaskStateName::Dead;
        assert_eq!((rows(&steps, Show::First).0.len(), rows(&steps, Show::First).1), (SHOWN, 150));
        assert_eq!((rows(&steps, Show::All).0.len(), rows(&steps, Show::All).1), (250, 0));
        assert_eq!(listed(&steps, Show::parse("failed")), ["s200"]);
        assert_eq!(Show::parse("nonsense"), Show::First);
    }
}
