//! A session as its page shows it: an entry for each thing that happens. What comes of it later stands with it: a call has its answer, the
//! files that it changed and what asking for it used. An entry that is there is never made anew.

use std::{collections::HashMap, sync::Arc};

use domain::{
    Backend, SessionEvent, SessionEventKind as Kind,
    session::{FileChange, dollars},
};
use leptos::prelude::*;

use super::words::tokens;
use crate::text::count;

#[derive(Clone)]
pub struct Entry {
    pub event: Arc<SessionEvent>,
    pub later: Later,
}

/// What other events say about an entry; each of them has its own number.
#[derive(Clone, Default)]
pub struct Later {
    pub answer: ArcRwSignal<Option<Answer>>,
    pub changes: ArcRwSignal<Vec<Changed>>,
    pub usage: ArcRwSignal<Option<Used>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub number: i64,
    pub output: String,
    pub is_error: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub number: i64,
    pub path: String,
    pub change: FileChange,
    pub diff: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub number: i64,
    pub input: u64,
    pub cached: u64,
    pub output: u64,
}

#[derive(Default)]
pub struct Script {
    pub entries: Vec<Entry>,
    pub totals: Totals,
    /// Number of the latest event.
    pub last: i64,
    /// Where the calls are that have not been answered.
    calls: HashMap<String, usize>,
    /// The entry that the next usage belongs to, and the one that the next change does.
    spoken: Option<usize>,
    answered: Option<usize>,
    /// Whose events these are, when they are a judge's: its round and its check.
    judge: Option<(i32, i32)>,
}

impl Script {
    /// The events after that number.
    pub fn new(after: i64, events: Vec<SessionEvent>) -> Self {
        let mut script = Self { last: after, ..Self::default() };
        script.take(events);
        script
    }

    /// Goes on with these; those that it has already count once.
    pub fn take(&mut self, events: Vec<SessionEvent>) {
        for event in events {
            if event.number > self.last {
                self.last = event.number;
                self.add(event);
            }
        }
    }

    fn add(&mut self, event: SessionEvent) {
        self.totals.add(&event.kind);
        if self.is_of_the_same_judge(&event) || self.belongs(&event) {
            return;
        }
        let here = self.entries.len();
        self.answered = None;
        match &event.kind {
            Kind::ToolCall { call, .. } => {
                self.calls.insert(call.clone(), here);
                self.spoken = Some(here);
            }
            Kind::Message { .. } | Kind::Thinking { .. } => self.spoken = Some(here),
            _ => {}
        }
        self.entries.push(Entry { event: Arc::new(event), later: Later::default() });
    }

    /// What a judge did is shown elsewhere. Its first event becomes a line that says that it was asked; the others are of that.
    fn is_of_the_same_judge(&mut self, event: &SessionEvent) -> bool {
        let judge = match &event.kind {
            Kind::Judge { round, check, .. } => Some((*round, *check)),
            _ => None,
        };
        let before = std::mem::replace(&mut self.judge, judge);
        judge.is_some() && judge == before
    }

    /// Whether it has found its place with an entry that is there. In the middle of a session there may be none.
    fn belongs(&mut self, event: &SessionEvent) -> bool {
        let number = event.number;
        let place = match &event.kind {
            Kind::ToolResult { call, .. } => {
                self.answered = self.calls.remove(call);
                self.answered
            }
            Kind::FileChange { .. } => self.answered,
            Kind::Usage { .. } => self.spoken.take(),
            _ => None,
        };
        let Some(entry) = place.and_then(|place| self.entries.get(place)) else { return false };
        match &event.kind {
            Kind::ToolResult { output, is_error, .. } => {
                entry.later.answer.set(Some(Answer { number, output: output.clone(), is_error: *is_error }));
            }
            Kind::FileChange { path, change, diff } => {
                let changed = Changed { number, path: path.clone(), change: *change, diff: diff.clone() };
                entry.later.changes.update(|changes| changes.push(changed));
            }
            Kind::Usage { input, cached, output, .. } => {
                entry.later.usage.set(Some(Used { number, input: *input, cached: *cached, output: *output }));
            }
            _ => return false,
        }
        true
    }
}

/// What all of it comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    agent: Option<(Backend, Option<String>)>,
    model: Option<String>,
    turns: Option<u64>,
    input: u64,
    cached: u64,
    output: u64,
    /// There was more.
    is_part: bool,
    cost_micros: Option<u64>,
    /// What its judges have cost.
    judged_micros: Option<u64>,
}

impl Totals {
    fn add(&mut self, kind: &Kind) {
        match kind {
            Kind::Started { backend, version, model, .. } => {
                self.agent = Some((backend.clone(), version.clone()));
                self.model = model.clone();
            }
            Kind::Usage { model, input, cached, output, is_part } => {
                self.is_part |= is_part;
                self.model = self.model.take().or_else(|| model.clone());
                self.input = self.input.saturating_add(*input);
                self.cached = self.cached.saturating_add(*cached);
                self.output = self.output.saturating_add(*output);
            }
            // of each round, when it has been told that checks did not pass; what it costs is of all of them so far
            Kind::Ended { turns, cost_micros, .. } => {
                self.turns = sum(self.turns, *turns);
                self.cost_micros = self.cost_micros.max(*cost_micros);
            }
            // each judge has a session of its own; what it used counts to the attempt
            Kind::Judge { event, .. } => match &**event {
                Kind::Usage { input, cached, output, is_part, .. } => {
                    self.is_part |= is_part;
                    self.input = self.input.saturating_add(*input);
                    self.cached = self.cached.saturating_add(*cached);
                    self.output = self.output.saturating_add(*output);
                }
                Kind::Ended { cost_micros, .. } => self.judged_micros = sum(self.judged_micros, *cost_micros),
                _ => {}
            },
            _ => {}
        }
    }

    pub fn words(&self) -> Vec<String> {
        let agent = self.agent.as_ref().map(|(backend, version)| match version {
            Some(version) => format!("{} {version}", backend.title()),
            None => backend.title().into_owned(),
        });
        let turns = self.turns.map(|turns| count(u32::try_from(turns).unwrap_or(u32::MAX) as usize, "turn"));
        let at_least = if self.is_part { "at least " } else { "" };
        let used =
            (self.input > 0 || self.output > 0).then(|| format!("tokens: {at_least}{}", tokens(self.input, self.cached, self.output)));
        let cost = sum(self.cost_micros, self.judged_micros).map(|micros| format!("{} at list prices", dollars(micros)));
        [agent, self.model.clone(), turns, used, cost].into_iter().flatten().collect()
    }
}

/// Nothing only where neither is known.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.map_or(other, |one| Some(one.saturating_add(other.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::session::SessionEnd;
    use serde_json::json;

    use super::*;

    fn events(from: i64, kinds: Vec<Kind>) -> Vec<SessionEvent> {
        (from..).zip(kinds).map(|(number, kind)| SessionEvent { number, at: DateTime::UNIX_EPOCH, kind }).collect()
    }

    fn call(call: &str) -> Kind {
        Kind::ToolCall { call: call.into(), tool: "Edit".into(), input: json!({}) }
    }

    fn result(call: &str) -> Kind {
        Kind::ToolResult { call: call.into(), output: "ok".into(), is_error: false }
    }

    fn usage(output: u64) -> Kind {
        Kind::Usage { model: Some("m".into()), input: 1200, cached: 1000, cache_written: 0, output, cost: None, is_part: false }
    }

    fn change(path: &str) -> Kind {
        Kind::FileChange { path: path.into(), change: FileChange::Edited, diff: None }
    }

    fn numbers(script: &Script) -> Vec<i64> {
        script.entries.iter().map(|entry| entry.event.number).collect()
    }

    #[test]
    fn what_comes_of_a_call_stands_with_it() {
        let message = Kind::Message { text: "I look.".into() };
        let mut script = Script::new(0, events(1, vec![message, call("a"), call("b"), usage(40), result("b"), change("b.rs")]));
        assert_eq!(numbers(&script), [1, 2, 3]);
        let later = |script: &Script, place: usize| script.entries[place].later.clone();
        assert_eq!(later(&script, 2).answer.get_untracked().map(|answer| answer.number), Some(5));
        assert_eq!(later(&script, 2).changes.get_untracked()[0].path, "b.rs");
        assert_eq!(later(&script, 2).usage.get_untracked(), Some(Used { number: 4, input: 1200, cached: 1000, output: 40 }));
        assert_eq!(later(&script, 1).answer.get_untracked(), None, "it is still at work");
        // what comes later finds the entry that is on the page, and comes once
        script.take(events(6, vec![change("b.rs"), result("a"), change("a.rs"), usage(2)]));
        assert_eq!((numbers(&script), script.last), (vec![1, 2, 3, 9], 9));
        assert_eq!(later(&script, 1).changes.get_untracked().len(), 1);
        assert_eq!(later(&script, 2).changes.get_untracked().len(), 1);
    }

    #[test]
    fn from_the_middle_on_everything_is_shown() {
        let script = Script::new(500, events(500, vec![call("x"), result("a"), change("a.rs"), usage(1)]));
        assert_eq!(numbers(&script), [501, 502, 503]);
    }

    #[test]
    fn a_judge_is_one_line_and_what_it_used_counts() {
        let judge = |check, event| Kind::Judge { round: 1, check, event: Box::new(event) };
        let ended = |cost| Kind::Ended { how: SessionEnd::Completed, turns: Some(1), cost_micros: Some(cost) };
        let says = || Kind::Message { text: "I look.".into() };
        let kinds = vec![usage(40), ended(1300), judge(2, says()), judge(2, usage(2)), judge(2, ended(700)), judge(3, says()), says()];
        let script = Script::new(0, events(1, kinds));
        assert_eq!(numbers(&script), [1, 2, 3, 6, 7]);
        let expected = ["m", "1 turn", "tokens: 2,400 in (2,000 cached), 42 out", "$0.0020 at list prices"];
        assert_eq!(script.totals.words(), expected);
    }

    #[test]
    fn a_part_is_not_said_to_be_all() {
        let last = Kind::Usage { model: None, input: 100, cached: 0, cache_written: 0, output: 20, cost: None, is_part: true };
        assert_eq!(Script::new(0, events(1, vec![last])).totals.words(), ["tokens: at least 100 in, 20 out"]);
    }

    #[test]
    fn all_of_it_is_added_up() {
        let started =
            Kind::Started { backend: Backend::ClaudeCode, version: Some("2.1.328".into()), model: Some("sonnet".into()), session: None };
        let ended = |turns| Kind::Ended { how: SessionEnd::Completed, turns: Some(turns), cost_micros: Some(1300 * turns) };
        let script = Script::new(0, events(1, vec![started, usage(40), ended(1), usage(2), ended(2)]));
        let expected = ["Claude Code 2.1.328", "sonnet", "3 turns", "tokens: 2,400 in (2,000 cached), 42 out", "$0.0026 at list prices"];
        assert_eq!(script.totals.words(), expected);
        assert_eq!(Script::default().totals.words(), Vec::<String>::new());
    }
}
