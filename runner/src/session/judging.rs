//! What is noted of a judge while it judges: what it says, what it uses, and where that is in the session of its attempt.

use domain::{Judgement, SessionEventKind as Event, judgement::EventRange};

use super::secrets::Secrets;
use crate::backend::found::Found;

/// So much of one judge is kept in the session: what a page shows at once.
const EVENTS: usize = 300;
const BYTES: usize = 384 * 1024;
/// What is longer was not meant to be a verdict.
const SAID: usize = 1024 * 1024;

pub(crate) struct Judging {
    round: i32,
    check: i32,
    /// What nothing that it says and does may hold.
    pub secrets: Secrets,
    /// All its messages, or nothing when they are too long.
    words: Option<String>,
    /// How often it has used a tool.
    pub tool_calls: u64,
    judgement: Judgement,
    events: usize,
    bytes: usize,
}

impl Judging {
    pub fn new(round: i32, check: usize, by: &Found, secrets: Secrets) -> Self {
        let judgement = Judgement {
            backend: by.backend.clone(),
            version: Some(by.version.clone()),
            model: None,
            verdict: None,
            turns: None,
            input: 0,
            cached: 0,
            output: 0,
            cost_micros: None,
            events: None,
        };
        let check = i32::try_from(check).unwrap_or(i32::MAX);
        Self { round, check, secrets, words: Some(String::new()), tool_calls: 0, judgement, events: 0, bytes: 0 }
    }

    pub fn note(&mut self, kind: &Event) {
        let of = &mut self.judgement;
        match kind {
            Event::Started { version, model, .. } => {
                of.version = version.clone().or(of.version.take());
                of.model = model.clone();
            }
            Event::Message { text } => {
                let words = self.words.take().filter(|words| words.len() + text.len() < SAID);
                self.words = words.map(|words| words + text + "\n");
            }
            Event::ToolCall { .. } => self.tool_calls += 1,
            Event::Usage { model, input, cached, output, .. } => {
                of.model = of.model.take().or_else(|| model.clone());
                of.input = of.input.saturating_add(*input);
                of.cached = of.cached.saturating_add(*cached);
                of.output = of.output.saturating_add(*output);
            }
            Event::Ended { turns, cost_micros, .. } => (of.turns, of.cost_micros) = (*turns, *cost_micros),
            _ => {}
        }
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        self.events < EVENTS && self.bytes + bytes <= BYTES
    }

    /// An event as it goes into the session, with this number.
    pub fn said(&mut self, event: Event, number: i64) -> Event {
        self.events += 1;
        self.bytes += serde_json::to_string(&event).map_or(0, |text| text.len());
        let first = self.judgement.events.map_or(number, |events| events.first);
        self.judgement.events = Some(EventRange { first, last: number });
        Event::Judge { round: self.round, check: self.check, event: Box::new(event) }
    }

    /// All its messages, one below the other; nothing when they are too long to be a judge's.
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }

    /// Without a verdict, as far as it is known.
    pub fn judgement(&self) -> Judgement {
        self.judgement.clone()
    }
}

#[cfg(test)]
mod tests {
    use domain::{Backend, session::SessionEnd};

    use super::*;

    fn judging() -> Judging {
        let (backend, version) = (Backend::ClaudeCode, "2.1".into());
        Judging::new(
            2,
            3,
            &Found { backend, version, program: "/c".into(), needs: "/c".into(), manifest: None, is_simple: false },
            Secrets::default(),
        )
    }

    #[test]
    fn what_it_says_and_uses_is_noted() {
        let mut judging = judging();
        let used =
            Event::Usage { model: Some("opus".into()), input: 100, cached: 40, cache_written: 0, output: 20, cost: None, is_part: false };
        let message = |text: &str| Event::Message { text: text.into() };
        let ended = Event::Ended { how: SessionEnd::Completed, turns: Some(2), cost_micros: Some(1300) };
        for kind in [message("I look."), Event::Thinking { text: "Hm.".into() }, used.clone(), message("Done."), used, ended] {
            judging.note(&kind);
        }
        assert_eq!(judging.words(), Some("I look.\nDone.\n"));
        let judgement = judging.judgement();
        assert_eq!((judgement.input, judgement.cached, judgement.output, judgement.turns), (200, 80, 40, Some(2)));
        assert_eq!((judgement.judge().as_str(), judgement.cost_micros), ("Claude Code 2.1 with opus", Some(1300)));
    }

    #[test]
    fn too_much_is_nothing() {
        let mut judging = judging();
        for _ in 0..17 {
            judging.note(&Event::Message { text: "x".repeat(64 * 1024) });
        }
        judging.note(&Event::Message { text: "the end".into() });
        assert_eq!(judging.words(), None);
    }

    #[test]
    fn its_events_are_told_from_those_of_the_work() {
        let mut judging = judging();
        let told = judging.said(Event::Message { text: "I look.".into() }, 7);
        assert!(matches!(told, Event::Judge { round: 2, check: 3, .. }));
        judging.said(Event::LeftOut { events: 1 }, 9);
        assert_eq!(judging.judgement().events, Some(EventRange { first: 7, last: 9 }));
        assert!(judging.has_room(1) && !judging.has_room(BYTES));
    }
}
