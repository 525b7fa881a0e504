//! A session as its page shows it: an entry for each thing that happens. What comes of it later stands with it: a call has its answer, the
//! files that it changed and what asking for it used. An entry that is there is never made anew.

use std::{collections::HashMap, sync::Arc};

use domain::{Backend, SessionEvent, SessionEventKind as Kind, StepCost, Usage, price, session::FileChange};
use leptos::prelude::*;

use super::words::{legible, tokens};
use crate::text::count;

#[derive(Clone)]
pub struct Entry {
    pub event: Arc<SessionEvent>,
    pub later: Later,
    pub turn: TurnCost,
}

/// What the cost that is told with the end of a turn is of: an agent counts its whole session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnCost {
    /// Of this turn, as none ended before it; or the agent says less than before.
    AsTold,
    /// Others have ended before it: what has come to the cost since.
    Since(u64),
    /// Others may have ended before it, which are not here.
    WithAllBefore,
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
    pub cost: Option<StepCost>,
    /// Its agent tells the cost with the end of the turn.
    pub is_told_later: bool,
}

impl Used {
    /// What it has cost. Nothing where that is told later.
    pub fn cost_in_words(self) -> Option<String> {
        match self.cost {
            Some(cost) => Some(cost.in_words()),
            None if self.is_told_later => None,
            None => Some(price::UNKNOWN.to_owned()),
        }
    }
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
        Self::going_on(after, Totals::default(), events)
    }

    /// The same of a session that this agent has begun before them.
    pub fn of_agent(after: i64, backend: Option<Backend>, events: Vec<SessionEvent>) -> Self {
        let totals = Totals { agent: backend.map(|backend| (backend, None)), is_later_part: after > 0, ..Totals::default() };
        Self::going_on(after, totals, events)
    }

    fn going_on(after: i64, totals: Totals, events: Vec<SessionEvent>) -> Self {
        let mut script = Self { last: after, totals, ..Self::default() };
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
        let turn = self.totals.turn(&event.kind);
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
        self.entries.push(Entry { event: Arc::new(event), later: Later::default(), turn });
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
            Kind::Usage { input, cached, output, cost, .. } => {
                let is_told_later = self.totals.tells_costs_later();
                let used = Used { number, input: *input, cached: *cached, output: *output, cost: *cost, is_told_later };
                entry.later.usage.set(Some(used));
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
    /// There are events before these.
    is_later_part: bool,
    model: Option<String>,
    turns: Option<u64>,
    /// What its answers come to, and those of its judges, but for what agents tell of a whole turn.
    steps: Usage,
    judged: Usage,
    /// As an agent tells it with the ends of its turns: of the whole session.
    cost_micros: Option<u64>,
    /// What its judges have cost, each of which has a session of its own.
    judged_micros: Option<u64>,
}

impl Totals {
    fn add(&mut self, kind: &Kind) {
        if let Some(step) = Usage::of_step(kind) {
            let of = if matches!(kind, Kind::Judge { .. }) { &mut self.judged } else { &mut self.steps };
            of.add(&step);
        }
        match kind {
            Kind::Started { backend, version, model, .. } => {
                self.agent = Some((backend.clone(), version.clone()));
                self.model = model.clone();
            }
            Kind::Usage { model, .. } => self.model = self.model.take().or_else(|| model.clone()),
            // of each round, when it has been told that checks did not pass; what it costs is of all of them so far
            Kind::Ended { turns, cost_micros, .. } => {
                self.turns = sum(self.turns, *turns);
                self.cost_micros = self.cost_micros.max(*cost_micros);
            }
            // each judge has a session of its own; what it used counts to the attempt
            Kind::Judge { event, .. } => {
                if let Kind::Ended { cost_micros, .. } = &**event {
                    self.judged_micros = sum(self.judged_micros, *cost_micros);
                }
            }
            _ => {}
        }
    }

    /// Before the end of that turn is added.
    fn turn(&self, kind: &Kind) -> TurnCost {
        let Kind::Ended { cost_micros: Some(so_far), .. } = kind else { return TurnCost::AsTold };
        match self.cost_micros {
            Some(before) => so_far.checked_sub(before).map_or(TurnCost::AsTold, TurnCost::Since),
            None if self.is_later_part => TurnCost::WithAllBefore,
            None => TurnCost::AsTold,
        }
    }

    /// As far as it is known whose session it is.
    fn tells_costs_later(&self) -> bool {
        self.agent.as_ref().is_some_and(|(backend, _)| backend.counts_money())
    }

    /// What all of it has used and cost. Who tells the cost of a turn has told that of its own answers, and of nobody else's.
    fn used(&self) -> Usage {
        let told = |steps: &Usage, of_turns: Option<u64>, cost_micros: Option<u64>| {
            let told_steps = if of_turns.is_some() { steps.steps } else { steps.told_steps };
            Usage { cost_micros, told_steps, ..steps.clone() }
        };
        // an agent that tells both has told the same twice; of judges each tells its own
        let mut all = told(&self.steps, self.cost_micros, self.cost_micros.max(self.steps.cost_micros));
        all.add(&told(&self.judged, self.judged_micros, sum(self.judged_micros, self.judged.cost_micros)));
        all
    }

    pub fn words(&self) -> Vec<String> {
        let agent = self.agent.as_ref().map(|(backend, version)| match version {
            Some(version) => legible(&format!("{} {version}", backend.title())),
            None => backend.title().into_owned(),
        });
        let turns = self.turns.map(|turns| count(u32::try_from(turns).unwrap_or(u32::MAX) as usize, "turn"));
        let used = self.used();
        let at_least = if used.is_incomplete { "at least " } else { "" };
        let tokens =
            (used.input > 0 || used.output > 0).then(|| format!("tokens: {at_least}{}", tokens(used.input, used.cached, used.output)));
        let awaited = self.tells_costs_later() && used.cost_micros.is_none() && used.priced_micros.is_none();
        let costs = if awaited { vec![] } else { used.costs_in_words() };
        [agent, self.model.as_deref().map(legible), turns, tokens].into_iter().flatten().chain(costs).collect()
    }
}

/// Nothing only where neither is known.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.map_or(other, |one| Some(one.saturating_add(other.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{CostSource, session::SessionEnd};
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
        let used = Used { number: 4, input: 1200, cached: 1000, output: 40, cost: None, is_told_later: false };
        assert_eq!(later(&script, 2).usage.get_untracked(), Some(used));
        assert_eq!(used.cost_in_words().as_deref(), Some("price unknown"));
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
        let expected = ["m", "1 turn", "tokens: 2,400 in (2,000 cached), 42 out", "$0.0020 at list price, as the agent counts it"];
        assert_eq!(script.totals.words(), expected);
    }

    #[test]
    fn what_a_judge_tells_says_nothing_of_the_steps_of_the_agent() {
        let judge = |event| Kind::Judge { round: 1, check: 1, event: Box::new(event) };
        let ended = |cost_micros| Kind::Ended { how: SessionEnd::Completed, turns: None, cost_micros };
        let script = Script::new(0, events(1, vec![usage(40), usage(2), ended(None), judge(usage(3)), judge(ended(Some(700)))]));
        let cost = "$0.0007 at list price, as the agent counts it (1 of 3 steps told)";
        assert_eq!(script.totals.words().last().map(String::as_str), Some(cost), "what the agent has cost nobody knows");
    }

    #[test]
    fn what_is_told_of_a_step_and_of_its_turn_counts_once() {
        let cost = Some(StepCost { micros: 500, source: CostSource::Agent });
        let step = Kind::Usage { model: None, input: 100, cached: 0, cache_written: 0, output: 1, cost, is_part: false };
        let ended = Kind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(1000) };
        let script = Script::new(0, events(1, vec![step.clone(), step, ended]));
        assert_eq!(script.totals.words().last().map(String::as_str), Some("$0.0010 at list price, as the agent counts it"));
    }

    #[test]
    fn a_part_is_not_said_to_be_all() {
        let last = Kind::Usage { model: None, input: 100, cached: 0, cache_written: 0, output: 20, cost: None, is_part: true };
        assert_eq!(Script::new(0, events(1, vec![last])).totals.words(), ["tokens: at least 100 in, 20 out", "price unknown"]);
    }

    #[test]
    fn a_later_part_knows_whose_session_it_is() {
        let kinds = || events(500, vec![Kind::Message { text: "I look.".into() }, usage(1)]);
        let cost = |script: &Script| script.entries[0].later.usage.get_untracked().unwrap().cost_in_words();
        let claudes = Script::of_agent(499, Some(Backend::ClaudeCode), kinds());
        assert_eq!(cost(&claudes), None, "it is told with the end of the turn");
        assert_eq!(claudes.totals.words(), ["Claude Code", "m", "tokens: 1,200 in (1,000 cached), 1 out"]);
        assert_eq!(cost(&Script::of_agent(499, Some(Backend::Codex), kinds())).as_deref(), Some("price unknown"));
    }

    #[test]
    fn nothing_hides_in_what_an_agent_calls_itself() {
        let (version, model) = (Some("2\u{202e}1".into()), Some("son\u{7}net".into()));
        let started = Kind::Started { backend: Backend::ClaudeCode, version, model, session: None };
        assert_eq!(Script::new(0, events(1, vec![started])).totals.words(), ["Claude Code 2\u{fffd}1", "son\u{fffd}net"]);
    }

    #[test]
    fn all_of_it_is_added_up() {
        let started =
            Kind::Started { backend: Backend::ClaudeCode, version: Some("2.1.328".into()), model: Some("sonnet".into()), session: None };
        let ended = |turns| Kind::Ended { how: SessionEnd::Completed, turns: Some(turns), cost_micros: Some(1300 * turns) };
        let script = Script::new(0, events(1, vec![started, usage(40), ended(1), usage(2), ended(2)]));
        let cost = "$0.0026 at list price, as the agent counts it";
        let expected = ["Claude Code 2.1.328", "sonnet", "3 turns", "tokens: 2,400 in (2,000 cached), 42 out", cost];
        assert_eq!(script.totals.words(), expected);
        assert_eq!(Script::default().totals.words(), Vec::<String>::new());
    }

    #[test]
    fn each_step_has_its_cost_and_all_say_how_many_have_one() {
        let priced = |micros| Kind::Usage {
            model: Some("small".into()),
            input: 100,
            cached: 0,
            cache_written: 0,
            output: 1,
            cost: Some(StepCost { micros, source: CostSource::Workspace }),
            is_part: false,
        };
        let says = || Kind::Message { text: "I look.".into() };
        let script = Script::new(0, events(1, vec![says(), priced(1200), says(), usage(40), says(), priced(300)]));
        let cost = |place: usize| script.entries[place].later.usage.get_untracked().unwrap().cost_in_words().unwrap();
        assert_eq!([cost(0), cost(1)], ["$0.0012 at the workspace's price", "price unknown"]);
        let words = script.totals.words();
        assert_eq!(words.last().map(String::as_str), Some("$0.0015 at the workspace's price (2 of 3 steps priced)"));
    }

    #[test]
    fn a_turn_has_cost_what_came_since_the_one_before() {
        let started = Kind::Started { backend: Backend::ClaudeCode, version: None, model: None, session: None };
        let ended = |cost| Kind::Ended { how: SessionEnd::Completed, turns: Some(1), cost_micros: Some(cost) };
        let says = || Kind::Message { text: "I look.".into() };
        let mut script = Script::new(0, events(1, vec![started, says(), usage(2)]));
        let step = script.entries[1].later.usage.get_untracked().unwrap();
        assert_eq!(step.cost_in_words(), None, "it is told with the end of the turn");
        assert_eq!(script.totals.words(), ["Claude Code", "m", "tokens: 1,200 in (1,000 cached), 2 out"]);
        script.take(events(4, vec![ended(1300), says(), ended(2000), ended(1900)]));
        let turns: Vec<_> = script.entries.iter().filter(|entry| matches!(entry.event.kind, Kind::Ended { .. })).collect();
        let told = |script: &Script| script.entries.iter().map(|entry| entry.turn).collect::<Vec<_>>();
        assert_eq!(turns.iter().map(|entry| entry.turn).collect::<Vec<_>>(), [TurnCost::AsTold, TurnCost::Since(700), TurnCost::AsTold]);
        let later = || events(500, vec![ended(2000), ended(2500)]);
        let of_agent = Script::of_agent(499, Some(Backend::ClaudeCode), later());
        assert_eq!(told(&of_agent), [TurnCost::WithAllBefore, TurnCost::Since(500)], "it is not the first turn of all");
        assert_eq!(told(&Script::new(499, later())), [TurnCost::AsTold, TurnCost::Since(500)], "a judge has a session of its own");
    }
}
