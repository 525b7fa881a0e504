//! How a runner stood, taken over for keeping piece by piece: each piece goes on where the one before it stopped, so that what was told once
//! is never told otherwise.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    RunnerPeriod, RunnerState,
    day::{DayFacts, Occupied},
};
use crate::TaskId;

/// A runner, or one of its slots, stood so, and then otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerTransition {
    /// Higher of what ended later.
    pub number: i64,
    /// From 1 on; absent of the runner as a whole.
    pub slot: Option<i32>,
    pub state: RunnerState,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Milliseconds.
    pub lasted_ms: i64,
    /// What a slot carried out, if that task is still there.
    pub task_id: Option<TaskId>,
    /// Its title.
    pub task: Option<String>,
}

/// How the runner, or one of its slots, stands where a piece stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Absent of the runner as a whole.
    pub slot: Option<i32>,
    pub state: RunnerState,
    pub since: DateTime<Utc>,
    /// What the slot carries out, and since when.
    pub holds: Option<(TaskId, DateTime<Utc>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub slot: Option<i32>,
    pub state: RunnerState,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub task_id: Option<TaskId>,
}

/// A piece of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// What ended first is first.
    pub ended: Vec<Ended>,
    pub standing: Vec<Standing>,
}

impl DayFacts {
    /// From where the piece before stopped, which is where these facts begin, up to and with `until`; nothing stands before the first piece.
    pub fn piece(&self, before: &[Standing], until: DateTime<Utc>) -> Piece {
        let mut piece = Piece::default();
        piece.add(None, self.runner(), before.iter().find(|standing| standing.slot.is_none()), self.since, until);
        let slots = self.seated(before, until);
        for (slot, attempts) in &slots {
            let last = before.iter().find(|standing| standing.slot == Some(*slot));
            let first = attempts.first().map_or(self.since, |first| first.span.since.max(self.since));
            // one that was never used begins with what it is used for
            let since = if last.is_some() { self.since } else { first };
            piece.add(Some(*slot), self.one_slot(since, attempts), last, since, until);
            let held = attempts.iter().find(|held| held.span.since <= until && held.span.until.is_none_or(|end| until < end));
            if let Some(standing) = piece.standing.last_mut() {
                standing.holds = held.map(|held| (held.task_id, held.span.since));
            }
        }
        // a slot that it has no more stood so until now
        let gone = before.iter().filter(|last| last.slot.is_some_and(|slot| !slots.contains_key(&slot)));
        piece.ended.extend(gone.filter_map(|last| ended_at(last, self.since)));
        piece.ended.sort_by_key(|ended| (ended.until, ended.slot));
        piece
    }

    /// The slots that are used or were: what was in one stays in it, and what was claimed since is in the first that was free.
    fn seated(&self, before: &[Standing], until: DateTime<Utc>) -> BTreeMap<i32, Vec<&Occupied>> {
        let slots = i32::try_from(self.slots).unwrap_or(i32::MAX);
        if slots < 2 {
            return BTreeMap::new();
        }
        let is_first = before.is_empty();
        let mut seated = BTreeMap::new();
        for standing in before {
            let Some(slot) = standing.slot.filter(|slot| *slot <= slots) else { continue };
            let is_held = |attempt: &&Occupied| standing.holds == Some((attempt.task_id, attempt.span.since));
            seated.insert(slot, self.attempts.iter().filter(is_held).collect::<Vec<_>>());
        }
        let is_new = |attempt: &&Occupied| attempt.span.since <= until && (is_first || attempt.span.since > self.since);
        for attempt in self.attempts.iter().filter(is_new) {
            let is_free = |slot: &i32| {
                let last = seated.get(slot).and_then(|attempts| attempts.last());
                last.is_none_or(|last| last.span.until.is_some_and(|end| end <= attempt.span.since))
            };
            if let Some(slot) = (1..=slots).find(is_free) {
                seated.entry(slot).or_default().push(attempt);
            }
        }
        seated
    }
}

impl Piece {
    fn add(
        &mut self,
        slot: Option<i32>,
        mut periods: Vec<RunnerPeriod>,
        last: Option<&Standing>,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) {
        if let (Some(first), Some(last)) = (periods.first_mut(), last) {
            match (last.state, last.holds.map(|(task, _)| task)) == (first.state, first.task_id) {
                true => first.since = last.since,
                false => self.ended.extend(ended_at(last, since)),
            }
        }
        for period in periods {
            let RunnerPeriod { state, since, task_id, .. } = period;
            let Some(end) = period.until.filter(|end| *end <= until) else {
                self.standing.push(Standing { slot, state, since, holds: None });
                return;
            };
            self.ended.push(Ended { slot, state, since, until: end, task_id });
        }
    }
}

fn ended_at(last: &Standing, until: DateTime<Utc>) -> Option<Ended> {
    let Standing { slot, state, since, holds } = *last;
    (since < until).then_some(Ended { slot, state, since, until, task_id: holds.map(|(task, _)| task) })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::runner::day::Span;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn facts(since: i64) -> DayFacts {
        let attempt = |task, since, until| {
            let span = Span { since: at(since), until: Some(at(until)) };
            Occupied { task_id: TaskId(Uuid::from_u128(task)), span, waited: vec![] }
        };
        let attempts = vec![attempt(1, 5, 10), attempt(2, 7, 40), attempt(3, 12, 30), attempt(4, 45, 50)];
        let absent = vec![Span { since: at(20), until: Some(at(22)) }];
        DayFacts { since: at(since), slots: 2, absent, draining: vec![], attempts }
    }

    /// In pieces that stop there.
    fn taken_over(stops: &[i64]) -> Vec<Ended> {
        let (mut since, mut before, mut all) = (0, vec![], vec![]);
        for stop in stops {
            let piece = facts(since).piece(&before, at(*stop));
            all.extend(piece.ended);
            (since, before) = (*stop, piece.standing);
        }
        all
    }

    #[test]
    fn it_is_told_alike_in_whatever_pieces_it_is_taken_over() {
        let whole = taken_over(&[60]);
        let states: Vec<_> = whole.iter().filter(|ended| ended.slot.is_none()).map(|ended| (ended.state.name(), ended.since)).collect();
        let expected = [("idle", 0), ("working", 5), ("offline", 20), ("working", 22), ("idle", 40), ("working", 45)];
        assert_eq!(states, expected.map(|(state, since)| (state, at(since))));
        let second =
            whole.iter().filter(|ended| ended.slot == Some(2) && ended.task_id.is_some()).map(|ended| ended.task_id.unwrap().0.as_u128());
        assert_eq!(second.collect::<Vec<_>>(), [2, 2, 2], "what is in a slot stays in it");
        assert_eq!(taken_over(&(1..=60).collect::<Vec<_>>()), whole);
        assert_eq!(taken_over(&[11, 25, 60]), whole);
    }

    #[test]
    fn a_slot_that_it_has_no_more_stood_until_then() {
        let piece = facts(0).piece(&[], at(15));
        assert_eq!(piece.standing.iter().map(|standing| standing.slot).collect::<Vec<_>>(), [None, Some(1), Some(2)]);
        let fewer = DayFacts { slots: 1, ..facts(15) }.piece(&piece.standing, at(16));
        assert_eq!(fewer.ended.iter().map(|ended| (ended.slot, ended.until)).collect::<Vec<_>>(), [(Some(1), at(15)), (Some(2), at(15))]);
        assert_eq!(fewer.standing.len(), 1);
    }
}
