//! How far the reader of a page has come in a session, and how it goes on while the agent is at work.

use std::{cell::Cell, rc::Rc, time::Duration};

use domain::{
    LogChunk, TaskId,
    session::{OnItsWay, SessionPart},
};
use leptos::{prelude::*, task::spawn_local};

use super::script::Script;
use crate::{
    page_json::read,
    problem::Problem,
    sse::{Stream, StreamOptions, StreamState},
    task::{
        detail::log::{Kept, act},
        task_session,
    },
};

/// Between the news of something new and the question for it: events come in bursts.
const PAUSE: Duration = Duration::from_millis(500);

/// How far a session has been read, and how it goes on.
#[derive(Clone, Copy)]
pub struct Reading {
    pub id: TaskId,
    pub attempt: i32,
    pub script: RwSignal<Script>,
    /// What its agent is told and has not come there.
    pub told: RwSignal<Vec<OnItsWay>>,
    /// There are later ones already, which the reader has to ask for.
    pub more: RwSignal<bool>,
    pub busy: RwSignal<bool>,
    /// Woken, and about to ask.
    waiting: StoredValue<bool>,
    pub problem: RwSignal<Option<Problem>>,
}

impl Reading {
    pub fn new(id: TaskId, attempt: i32, after: i64, part: SessionPart) -> Self {
        Self {
            id,
            attempt,
            script: RwSignal::new(Script::of_agent(after, part.backend, part.events)),
            told: RwSignal::new(part.on_its_way),
            more: RwSignal::new(part.more),
            busy: RwSignal::new(false),
            waiting: StoredValue::new(false),
            problem: RwSignal::new(None),
        }
    }

    /// Number of the latest event.
    pub fn last(self) -> i64 {
        self.script.with_untracked(|script| script.last)
    }

    /// The session may have grown. Who has not asked for what is there already is not given what comes after it.
    pub fn wake(self) {
        let has_failed = self.problem.try_with_untracked(Option::is_some).unwrap_or(false);
        let is_held = self.more.try_get_untracked().unwrap_or(true) && !has_failed;
        if is_held || self.waiting.try_get_value() != Some(false) {
            return;
        }
        self.waiting.set_value(true);
        let ask = move || {
            if self.waiting.try_set_value(false).is_none() {
                self.go_on();
            }
        };
        set_timeout(ask, PAUSE);
    }

    /// Somebody has told its agent this here; its place among the others is asked for.
    pub fn tell(self, told: OnItsWay) {
        self.told.update(|all| {
            if !all.contains(&told) {
                all.push(told);
            }
        });
        self.wake();
    }

    pub fn go_on(self) {
        if self.busy.get_untracked() {
            return self.wake();
        }
        self.busy.set(true);
        let after = self.last();
        spawn_local(async move {
            let part = task_session(self.id, self.attempt, after).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match part {
                Ok(part) => {
                    if !part.events.is_empty() {
                        self.script.update(|script| script.take(part.events));
                    }
                    self.told.set(part.on_its_way);
                    self.more.set(part.more);
                    self.problem.set(None);
                }
                Err(problem) => {
                    self.more.set(true);
                    self.problem.set(Some(problem));
                }
            }
        });
    }
}

/// Follows the log for what it says about the session: that there is more.
pub fn follow(id: TaskId, from: i64, reading: Reading, kept: Kept) -> Stream {
    let end = Rc::new(Cell::new(from));
    let here = end.clone();
    let on_log = move |data: String| {
        if let Some(chunk) = read::<LogChunk>(&data) {
            here.set(chunk.end);
        }
        reading.wake();
    };
    let on_end = move |_| {
        reading.wake();
        act(kept, Stream::close);
    };
    let on_state = move |state: StreamState| {
        if state == StreamState::Open {
            reading.wake();
        }
    };
    Stream::open(StreamOptions {
        url: Box::new(move || format!("/api/v1/tasks/{id}/log?offset={}", end.get())),
        events: vec![("log", Box::new(on_log)), ("end", Box::new(on_end))],
        on_state: Box::new(on_state),
    })
}
