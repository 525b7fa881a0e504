//! How a runner stood, taken over for keeping piece by piece: each piece goes on where the one before it stopped, so that what was told once
//! is never told otherwise.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    RunnerPeriod, RunnerState,
    day::{DayFacts, Occupied, up_to_the_last},
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
            let periods = self.one_slot(since, attempts);
            let periods = if self.has(*slot) { periods } else { up_to_the_last(periods, attempts) };
            piece.add(Some(*slot), periods, last, since, until);
            let held = attempts.iter().find(|held| held.span.since <= until && held.span.until.is_none_or(|end| until < end));
            // one that it has no more does not stand any more once it is empty
            if let Some(standing) = piece.standing.last_mut().filter(|standing| standing.slot == Some(*slot)) {
                standing.holds = held.map(|held| (held.task_id, held.span.since));
            }
        }
        // an empty slot that it has no more stood so until now
        let gone = before.iter().filter(|last| last.slot.is_some_and(|slot| !slots.contains_key(&slot)));
        piece.ended.extend(gone.filter_map(|last| ended_at(last, self.since)));
        piece.ended.sort_by_key(|ended| (ended.until, ended.slot));
        piece
    }

    /// Whether it is one of those it has by now. Of a runner that has one, that one stands as the runner does, and is not told apart.
    fn has(&self, slot: i32) -> bool {
        self.slots > 1 && usize::try_from(slot).is_ok_and(|slot| slot <= self.slots)
    }

    /// The slots that are used or were: what was in one stays in it, also where it has fewer meanwhile, and what was claimed since is in the
    /// first that was free. So is what it had when it had but one.
    fn seated(&self, before: &[Standing], until: DateTime<Utc>) -> BTreeMap<i32, Vec<&Occupied>> {
        let is_first = before.is_empty();
        let goes_on = |attempt: &Occupied| attempt.span.until.is_none_or(|end| end > self.since);
        let is_in = |standing: &Standing, attempt: &Occupied| standing.holds == Some((attempt.task_id, attempt.span.since));
        let mut seated = BTreeMap::new();
        for standing in before {
            let Some(slot) = standing.slot else { continue };
            let held: Vec<_> = self.attempts.iter().filter(|attempt| is_in(standing, attempt) && goes_on(attempt)).collect();
            if self.has(slot) || !held.is_empty() {
                seated.insert(slot, held);
            }
        }
        let is_new = |attempt: &Occupied| {
            let is_known = || before.iter().any(|standing| standing.slot.is_some() && is_in(standing, attempt));
            is_first || attempt.span.since > self.since || goes_on(attempt) && !is_known()
        };
        let so_far = &self.attempts[..self.attempts.partition_point(|attempt| attempt.span.since <= until)];
        for (attempt, is_beside) in so_far.iter().zip(beside_another(so_far)) {
            // more than one at once shows that it had more than one slot
            if !is_new(attempt) || !(self.slots > 1 || is_beside) {
                continue;
            }
            let is_free = |slot: &i32| {
                let last = seated.get(slot).and_then(|attempts: &Vec<&Occupied>| attempts.last());
                last.is_none_or(|last| last.span.until.is_some_and(|end| end <= attempt.span.since))
            };
            if let Some(slot) = (1..=i32::MAX).find(is_free) {
                seated.entry(slot).or_default().push(attempt);
            }
        }
        seated
    }
}

/// Of each of them, which are in the order in which they were claimed, whether there was another at the same time.
fn beside_another(attempts: &[Occupied]) -> Vec<bool> {
    let mut beside = vec![false; attempts.len()];
    // of those so far, the one that ends last
    let mut last: Option<usize> = None;
    for (place, attempt) in attempts.iter().enumerate() {
        let end = last.map(|last| attempts[last].span.until);
        if let Some(last) = last.filter(|_| end.flatten().is_none_or(|end| end > attempt.span.since)) {
            beside[last] = true;
            beside[place] = true;
        }
        let ends_later = end.is_none_or(|end| end.is_some_and(|end| attempt.span.until.is_none_or(|own| own > end)));
        if ends_later {
            last = Some(place);
        }
    }
    beside
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

    fn of_slots(ended: &[Ended]) -> Vec<(i32, &'static str, i64, i64)> {
        let minute = |at: DateTime<Utc>| (at - DateTime::UNIX_EPOCH).num_minutes();
        ended.iter().filter_map(|ended| Some((ended.slot?, ended.state.name(), minute(ended.since), minute(ended.until)))).collect()
    }

    #[test]
    fn what_is_at_work_in_a_slot_that_it_has_no_more_comes_to_its_end_there() {
        let piece = facts(0).piece(&[], at(15));
        assert_eq!(piece.standing.iter().map(|standing| standing.slot).collect::<Vec<_>>(), [None, Some(1), Some(2)]);
        let fewer = DayFacts { slots: 1, ..facts(15) }.piece(&piece.standing, at(16));
        assert_eq!((&fewer.ended, &fewer.standing), (&vec![], &piece.standing), "both are at work");
        let over = DayFacts { slots: 1, ..facts(16) }.piece(&fewer.standing, at(60));
        let expected = [
            (1, "working", 12, 20),
            (2, "working", 7, 20),
            (1, "offline", 20, 22),
            (2, "offline", 20, 22),
            (1, "working", 22, 30),
            (2, "working", 22, 40),
        ];
        assert_eq!(of_slots(&over.ended), expected, "what comes then is in its only slot, which stands as the runner does");
        assert_eq!(over.standing.iter().map(|standing| standing.slot).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn an_empty_slot_that_it_has_no_more_stood_until_then() {
        let piece = facts(0).piece(&[], at(43));
        let fewer = DayFacts { slots: 1, ..facts(43) }.piece(&piece.standing, at(44));
        assert_eq!(of_slots(&fewer.ended), [(1, "idle", 30, 43), (2, "idle", 40, 43)]);
        assert_eq!(fewer.standing.len(), 1);
    }

    #[test]
    fn what_was_at_work_when_it_had_but_one_slot_is_in_the_first() {
        let alone = || DayFacts { attempts: facts(0).attempts[1..].to_vec(), ..facts(0) };
        let piece = DayFacts { slots: 1, ..alone() }.piece(&[], at(11));
        assert_eq!(piece.standing.iter().map(|standing| standing.slot).collect::<Vec<_>>(), [None], "as nothing else was there yet");
        let more = DayFacts { since: at(11), ..alone() }.piece(&piece.standing, at(19));
        let held: Vec<_> = more.standing.iter().filter_map(|standing| Some((standing.slot?, standing.holds?.0.0.as_u128()))).collect();
        assert_eq!(held, [(1, 2), (2, 3)]);
    }
}
