//! An attempt's session as it comes into being: each event goes to the server as it is, and into the log as people read it.

pub(crate) mod judging;
pub(crate) mod secrets;
mod shown;

use domain::{
    AttemptId, LogStream, SessionEvent, SessionEventKind,
    agent::VERIFICATION_RETRIES_MAX,
    protocol::Said,
    session::{EVENTS_MAX, SESSION_MAX},
};

use crate::{clock, held::Orders, log::Log, outbox::Outbox};
use judging::Judging;

/// For the events that come when there is no more room: in each round its end, and how many are missing.
const LAST_EVENTS: i64 = 2 * (VERIFICATION_RETRIES_MAX as i64 + 1);

pub(crate) struct Session<'a> {
    pub attempt: AttemptId,
    pub outbox: &'a Outbox,
    pub log: &'a Log,
    pub orders: Orders,
    pub written: Written,
    /// It is a judge's, and this is what is noted of it.
    pub judge: Option<Judging>,
}

#[derive(Default)]
pub(crate) struct Written {
    number: i64,
    bytes: usize,
    left_out: u64,
    /// How often an agent used a tool, where there was one that tells.
    pub tool_calls: Option<u64>,
    /// An agent has begun, or gone on in, a session.
    pub has_begun: bool,
    /// What its session had cost before this attempt went on in it, in millionths of a dollar.
    pub earlier_micros: u64,
}

impl Session<'_> {
    /// Returns when there is room for what comes next.
    pub async fn add(&mut self, kinds: Vec<SessionEventKind>) {
        // before anything is cut: of a key that is cut in two nobody finds the halves
        let clean = |kind| match &self.judge {
            Some(judging) => judging.secrets.out_of_event(kind),
            None => kind,
        };
        let kinds: Vec<_> = kinds.into_iter().map(clean).collect();
        for (kind, bytes) in kinds.into_iter().map(|kind| self.of_this_attempt(kind).kept()).collect::<Vec<_>>() {
            if let Some(judging) = &mut self.judge {
                judging.note(&kind);
            } else {
                let calls = self.written.tool_calls.get_or_insert_default();
                *calls += u64::from(matches!(kind, SessionEventKind::ToolCall { .. }));
                self.written.has_begun |= matches!(kind, SessionEventKind::Started { .. });
            }
            if let Some(text) = shown::shown(&kind) {
                let text = if self.judge.is_some() { shown::of_a_judge(&text) } else { text };
                self.log.text(LogStream::Stdout, &text).await;
            }
            let is_last = matches!(kind, SessionEventKind::Ended { .. });
            let fits = self.written.number < EVENTS_MAX - LAST_EVENTS && self.written.bytes + bytes <= SESSION_MAX;
            // the end is told as long as there is any room, with how many are missing before it
            let fits = match &self.judge {
                None if is_last => self.written.number < EVENTS_MAX - 1,
                None => fits && self.written.left_out == 0,
                // what is kept free is for the rounds
                Some(_) if is_last => fits,
                Some(judging) => fits && self.written.left_out == 0 && judging.has_room(bytes),
            };
            if !fits {
                self.written.left_out += 1;
                continue;
            }
            if !self.has_room().await {
                return;
            }
            self.say_what_is_missing();
            self.written.bytes += bytes;
            self.say(kind);
        }
    }

    /// A session that is gone on in tells what it has cost in all its attempts.
    fn of_this_attempt(&self, kind: SessionEventKind) -> SessionEventKind {
        match kind {
            SessionEventKind::Ended { how, turns, cost_micros: Some(cost) } if self.judge.is_none() => {
                let cost_micros = Some(cost.saturating_sub(self.written.earlier_micros));
                SessionEventKind::Ended { how, turns, cost_micros }
            }
            other => other,
        }
    }

    /// A line that is for nobody but the log.
    pub async fn print(&self, line: &str) {
        let mut text = format!("{line}\n");
        if let Some(judging) = &self.judge {
            judging.secrets.out_of(&mut text);
        }
        self.log.text(LogStream::Stdout, &text).await;
    }

    /// Once there is room; false when nothing more may be said.
    pub async fn has_room(&self) -> bool {
        self.orders.unless_silenced(self.outbox.room(self.attempt)).await.is_some_and(|room| room.is_ok())
    }

    /// As far as nothing has come after it.
    pub fn say_what_is_missing(&mut self) {
        if self.judge.is_some() && self.written.number >= EVENTS_MAX - LAST_EVENTS {
            self.written.left_out = 0;
        }
        if self.written.left_out > 0 && self.written.number < EVENTS_MAX {
            let events = std::mem::take(&mut self.written.left_out);
            self.say(SessionEventKind::LeftOut { events });
        }
    }

    fn say(&mut self, kind: SessionEventKind) {
        self.written.number += 1;
        let kind = match &mut self.judge {
            Some(judging) => judging.said(kind, self.written.number),
            None => kind,
        };
        let event = SessionEvent { number: self.written.number, at: clock::now(), kind };
        self.outbox.say(self.attempt, Said::Session { events: vec![event] });
    }
}
