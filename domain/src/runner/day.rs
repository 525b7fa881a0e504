//! How a runner stood at any time of the last day. That is nowhere written down as such: it follows from when it was not there, when it was
//! to take nothing new, and what it carried out, so that a state is never another than what there was.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::RunnerState;
use crate::TaskId;

/// How far back it is looked at.
pub const DAY: TimeDelta = TimeDelta::hours(24);
/// Attempts that have ended and are looked at; the day begins with the first of them when there are more.
pub const DAY_ATTEMPTS: usize = 500;
/// Periods of the runner that are told.
pub const DAY_PERIODS: usize = 50;
/// Periods of a slot that are told.
pub const SLOT_PERIODS: usize = 10;

/// The latest periods first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerDay {
    /// How it stood, at most [`DAY_PERIODS`].
    pub periods: Vec<RunnerPeriod>,
    /// Of a runner with several slots, or that had several, those of them that carried something out.
    pub slots: Vec<RunnerSlot>,
}

/// For so long it stood so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerPeriod {
    pub state: RunnerState,
    pub since: DateTime<Utc>,
    /// Absent while it stands so.
    pub until: Option<DateTime<Utc>>,
    /// Milliseconds; absent while it stands so.
    pub lasted_ms: Option<i64>,
    /// What a slot carried out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task_id: Option<TaskId>,
}

/// One of the places for attempts of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerSlot {
    /// From 1 on.
    pub number: usize,
    /// At most [`SLOT_PERIODS`].
    pub periods: Vec<RunnerPeriod>,
}

/// From a moment to another, or on and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub since: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
}

/// An attempt as far as it occupies a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupied {
    pub task_id: TaskId,
    pub span: Span,
    /// When its agent waited for people; they may overlap.
    pub waited: Vec<Span>,
}

/// What a day is read off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayFacts {
    /// It is looked at from here on.
    pub since: DateTime<Utc>,
    pub slots: usize,
    /// When it was not there.
    pub absent: Vec<Span>,
    /// When it was to take nothing new.
    pub draining: Vec<Span>,
    /// In the order in which it was given them.
    pub attempts: Vec<Occupied>,
}

/// What counts at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    absent: i64,
    draining: i64,
    busy: i64,
    blocked: i64,
}

impl Counts {
    fn state(self) -> RunnerState {
        RunnerState::of(self.absent == 0, self.draining > 0, self.busy, self.blocked)
    }
}

/// By how much what counts changes, and when.
type Changes = BTreeMap<DateTime<Utc>, Counts>;

impl DayFacts {
    pub fn told(&self) -> RunnerDay {
        let slots = self.each_slot();
        RunnerDay { periods: latest_first(self.runner(), DAY_PERIODS), slots: if self.slots.max(slots.len()) > 1 { slots } else { vec![] } }
    }

    pub(super) fn runner(&self) -> Vec<RunnerPeriod> {
        let mut changes = Changes::new();
        self.note_away(&mut changes);
        for attempt in &self.attempts {
            note(&mut changes, attempt.span, |counts, by| counts.busy += by);
            let waited = apart(&attempt.waited, attempt.span);
            waited.into_iter().for_each(|span| note(&mut changes, span, |counts, by| counts.blocked += by));
        }
        periods(self.since, &changes, |_| None)
    }

    fn note_away(&self, changes: &mut Changes) {
        self.absent.iter().for_each(|span| note(changes, *span, |counts, by| counts.absent += by));
        self.draining.iter().for_each(|span| note(changes, *span, |counts, by| counts.draining += by));
    }

    /// An attempt is in the first slot that was free when it was claimed. What it had more of at once than it has slots shows that it had
    /// more: they are told up to the last that was in them.
    fn each_slot(&self) -> Vec<RunnerSlot> {
        let mut slots: Vec<Vec<&Occupied>> = vec![];
        for attempt in &self.attempts {
            let is_free = |slot: &&mut Vec<&Occupied>| {
                slot.last().is_none_or(|last| last.span.until.is_some_and(|until| until <= attempt.span.since))
            };
            match slots.iter_mut().find(is_free) {
                Some(slot) => slot.push(attempt),
                None => slots.push(vec![attempt]),
            }
        }
        let told = slots.into_iter().enumerate().map(|(place, attempts)| {
            let periods = self.one_slot(self.since, &attempts);
            let periods = if place < self.slots { periods } else { up_to_the_last(periods, &attempts) };
            RunnerSlot { number: place + 1, periods: latest_first(periods, SLOT_PERIODS) }
        });
        told.collect()
    }

    pub(super) fn one_slot(&self, since: DateTime<Utc>, attempts: &[&Occupied]) -> Vec<RunnerPeriod> {
        let mut changes = Changes::new();
        self.note_away(&mut changes);
        for attempt in attempts {
            note(&mut changes, attempt.span, |counts, by| counts.busy += by);
            // so that one that follows at once is a period of its own
            note_nothing(&mut changes, attempt.span.since);
            let waited = apart(&attempt.waited, attempt.span);
            waited.into_iter().for_each(|span| note(&mut changes, span, |counts, by| counts.blocked += by));
        }
        let task_at = |at: DateTime<Utc>| {
            let holds = |attempt: &&&Occupied| attempt.span.since <= at && attempt.span.until.is_none_or(|until| at < until);
            attempts.iter().find(holds).map(|attempt| attempt.task_id)
        };
        periods(since, &changes, task_at)
    }
}

/// From then on, each different from the one before it.
fn periods(since: DateTime<Utc>, changes: &Changes, task_at: impl Fn(DateTime<Utc>) -> Option<TaskId>) -> Vec<RunnerPeriod> {
    let mut counts = Counts::default();
    for change in changes.range(..=since).map(|(_, change)| *change) {
        add(&mut counts, change);
    }
    let period = |state, at| RunnerPeriod { state, since: at, until: None, lasted_ms: None, task_id: task_at(at) };
    let mut periods = vec![period(counts.state(), since)];
    let after = (std::ops::Bound::Excluded(since), std::ops::Bound::Unbounded);
    for (at, change) in changes.range(after) {
        add(&mut counts, *change);
        let next = period(counts.state(), *at);
        let Some(last) = periods.last_mut().filter(|last| (last.state, last.task_id) != (next.state, next.task_id)) else { continue };
        last.until = Some(*at);
        last.lasted_ms = Some((*at - last.since).num_milliseconds());
        periods.push(next);
    }
    periods
}

/// Of a slot that there is no more: how it stood after the last attempt in it is nothing that was.
pub(super) fn up_to_the_last(mut periods: Vec<RunnerPeriod>, attempts: &[&Occupied]) -> Vec<RunnerPeriod> {
    if let Some(end) = attempts.last().and_then(|last| last.span.until) {
        periods.retain(|period| period.since < end);
    }
    periods
}

fn latest_first(mut periods: Vec<RunnerPeriod>, most: usize) -> Vec<RunnerPeriod> {
    periods.reverse();
    periods.truncate(most);
    periods
}

fn add(counts: &mut Counts, change: Counts) {
    counts.absent += change.absent;
    counts.draining += change.draining;
    counts.busy += change.busy;
    counts.blocked += change.blocked;
}

fn note(changes: &mut Changes, span: Span, count: impl Fn(&mut Counts, i64)) {
    if span.until.is_some_and(|until| until <= span.since) {
        return;
    }
    count(changes.entry(span.since).or_default(), 1);
    if let Some(until) = span.until {
        count(changes.entry(until).or_default(), -1);
    }
}

fn note_nothing(changes: &mut Changes, at: DateTime<Utc>) {
    changes.entry(at).or_default();
}

/// These within another, joined where they overlap.
fn apart(spans: &[Span], within: Span) -> Vec<Span> {
    let earlier = |one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let mut spans: Vec<_> =
        spans.iter().map(|span| Span { since: span.since.max(within.since), until: earlier(span.until, within.until) }).collect();
    spans.retain(|span| span.until.is_none_or(|until| until > span.since));
    spans.sort_by_key(|span| span.since);
    let mut joined: Vec<Span> = vec![];
    for span in spans {
        match joined.last_mut().filter(|last| last.until.is_none_or(|until| span.since <= until)) {
            Some(last) => last.until = last.until.zip(span.until).map(|(one, other)| one.max(other)),
            None => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn span(since: i64, until: Option<i64>) -> Span {
        Span { since: at(since), until: until.map(at) }
    }

    fn attempt(task: u128, span: Span, waited: &[Span]) -> Occupied {
        Occupied { task_id: TaskId(Uuid::from_u128(task)), span, waited: waited.to_vec() }
    }

    fn facts(slots: usize, attempts: Vec<Occupied>) -> DayFacts {
        DayFacts { since: at(0), slots, absent: vec![], draining: vec![], attempts }
    }

    /// State and minutes, the first first; the last still lasts.
    fn said(periods: &[RunnerPeriod]) -> Vec<String> {
        let say = |period: &RunnerPeriod| {
            let minutes = period.lasted_ms.map(|lasted| format!(" {}", lasted / 60_000)).unwrap_or_default();
            format!("{}{minutes}", period.state.name())
        };
        periods.iter().rev().map(say).collect()
    }

    #[test]
    fn a_day_is_told_from_one_change_to_the_next() {
        let mut facts = facts(1, vec![attempt(1, span(10, Some(20)), &[span(12, Some(15))]), attempt(2, span(30, None), &[])]);
        facts.absent = vec![span(-5, Some(2))];
        facts.draining = vec![span(40, Some(50))];
        let told = facts.told();
        let expected = ["offline 2", "idle 8", "working 2", "blocked 3", "working 5", "idle 10", "working 10", "draining 10", "working"];
        assert_eq!(said(&told.periods), expected);
        assert!(told.slots.is_empty(), "its only slot stands as it does");
        facts.slots = 2;
        let told = facts.told();
        assert_eq!(told.slots.len(), 1, "the other was not used");
        assert_eq!(said(&told.slots[0].periods), expected, "nor is a slot ready while its runner is away");
    }

    #[test]
    fn two_questions_at_once_are_one_wait_and_one_waits_less_than_all() {
        let waits = [span(11, Some(14)), span(12, Some(16)), span(13, None)];
        let facts = facts(2, vec![attempt(1, span(10, Some(20)), &waits), attempt(2, span(15, Some(25)), &[])]);
        let told = facts.told();
        assert_eq!(said(&told.periods), ["idle 10", "working 1", "blocked 4", "working 10", "idle"]);
        let slots: Vec<_> = told.slots.iter().map(|slot| said(&slot.periods)).collect();
        assert_eq!(slots[0], ["idle 10", "working 1", "blocked 9", "idle"]);
        assert_eq!(slots[1], ["idle 15", "working 10", "idle"]);
    }

    #[test]
    fn an_attempt_is_in_the_first_slot_that_was_free() {
        let attempts = vec![
            attempt(1, span(0, Some(10)), &[]),
            attempt(2, span(5, Some(30)), &[]),
            attempt(3, span(10, Some(20)), &[]),
            attempt(4, span(15, None), &[]),
        ];
        let told = facts(2, attempts).told();
        let tasks = |slot: &RunnerSlot| slot.periods.iter().rev().map(|period| period.task_id.map(|id| id.0.as_u128())).collect::<Vec<_>>();
        assert_eq!(tasks(&told.slots[0]), [Some(1), Some(3), None], "one that follows at once is told apart");
        assert_eq!(tasks(&told.slots[1]), [None, Some(2), None]);
        assert_eq!((told.slots.len(), tasks(&told.slots[2])), (3, vec![None, Some(4)]), "it had another slot then");
    }

    #[test]
    fn a_slot_that_it_has_no_more_is_told_to_its_last_attempt() {
        let both = || vec![attempt(1, span(0, Some(10)), &[]), attempt(2, span(5, Some(30)), &[])];
        let told = facts(1, both()).told();
        assert_eq!(said(&told.slots[0].periods), ["working 10", "idle"]);
        assert_eq!(said(&told.slots[1].periods), ["idle 5", "working 25"], "it is not ready for another");
        let at_work = facts(1, vec![attempt(1, span(0, None), &[]), attempt(2, span(5, None), &[])]);
        assert_eq!(said(&at_work.told().slots[1].periods), ["idle 5", "working"], "what is at work there goes on");
        assert_eq!(said(&facts(2, both()).told().slots[1].periods), ["idle 5", "working 25", "idle"], "one that it has is ready again");
    }

    #[test]
    fn a_day_that_is_full_is_cut_to_its_end() {
        let attempts =
            (0..100).map(|n| attempt(n, span(2 * i64::try_from(n).unwrap(), Some(2 * i64::try_from(n).unwrap() + 1)), &[])).collect();
        let told = facts(1, attempts).told();
        assert_eq!(told.periods.len(), DAY_PERIODS);
        assert_eq!((told.periods[0].state, told.periods[0].until), (RunnerState::Idle, None));
    }
}
