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
mod tests;
