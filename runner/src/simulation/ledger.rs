//! What was really done and said, beside what anybody was told of it.

use std::{collections::BTreeMap, time::Duration};

use domain::{
    AttemptId, AttemptKey, RunnerId,
    protocol::{AttemptReport, Said},
};

#[derive(Default)]
pub(super) struct Ledger {
    /// What has begun.
    pub works: BTreeMap<AttemptId, Work>,
    /// What happened, in its order.
    pub steps: Vec<String>,
    /// What must not be, seen at the moment at which it was.
    pub wrong: Vec<String>,
    /// Lives of runners that have begun.
    pub lives: usize,
}

/// The work of one attempt.
pub(super) struct Work {
    pub key: AttemptKey,
    pub runner: RunnerId,
    /// When it began, and when nothing of it ran any more.
    pub from: Duration,
    pub to: Option<Duration>,
    /// What its runner was given to say about it, but for its last word.
    pub said: Vec<Said>,
    /// All bytes that its runner took.
    pub log: Vec<u8>,
    /// The numbers of what has come to its agent.
    pub told: Vec<i64>,
    /// Its result, once there is one.
    pub report: Option<AttemptReport>,
    /// Its runner gave it up as nobody answered.
    pub was_fenced: bool,
    /// Its runner died while it was at work, or in the moment in which it ended.
    pub was_cut_off: bool,
    /// Its machine lost its power, and so perhaps what was not synced.
    pub lost_power: bool,
}

impl Work {
    pub fn new(key: AttemptKey, runner: RunnerId, from: Duration) -> Self {
        Self {
            key,
            runner,
            from,
            to: None,
            said: vec![],
            log: vec![],
            told: vec![],
            report: None,
            was_fenced: false,
            was_cut_off: false,
            lost_power: false,
        }
    }

    /// Whether both were at work at the same moment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ended_before = |one: &Self, next: &Self| one.to.is_some_and(|to| to <= next.from);
        !ended_before(self, other) && !ended_before(other, self)
    }
}
