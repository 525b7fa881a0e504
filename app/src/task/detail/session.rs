//! What an agent said and did in an attempt. The first part comes with the page; what comes after it is added below, so that what a
//! reader has opened stays open.
//!
//! There is no stream of sessions. Whatever the agent does also writes to the log, so the log's stream says when to ask for more; and when
//! the attempt ends, the task itself says how far its session goes.

mod call;
mod entry;
mod given;
mod script;
mod words;

use std::{cell::Cell, rc::Rc, time::Duration};

use domain::{Attempt, AttemptState, LogChunk, TaskId, TaskView, session::SessionPart};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;

use super::log::{Kept, act};
use crate::{
    components::{Button, Empty, Icon, Loading, Notice, Tone, icon},
    fetched::fetched,
    page_json::{fetch, read},
    problem::Problem,
    sse::{Stream, StreamOptions, StreamState},
    task::task_session,
    text::capitalised,
};
use entry::entry;
use script::Script;

/// Between the news of something new and the question for it: events come in bursts.
const PAUSE: Duration = Duration::from_millis(500);

/// What there is to show of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    NoAttempt,
    /// It is over, and had no session.
    Silent,
    Shown,
}

impl Stand {
    fn of(task: &TaskView, number: i32) -> Self {
        match attempt_of(task, number) {
            None => Self::NoAttempt,
            Some(attempt) if attempt.session_events > 0 || !attempt.state.is_final() => Self::Shown,
            Some(_) => Self::Silent,
        }
    }
}

fn attempt_of(task: &TaskView, number: i32) -> Option<&Attempt> {
    task.attempt_list.iter().find(|one| one.number == number)
}

/// `?after=` is for those without scripts, who come to the next part by a link.
#[component]
pub fn Session(id: TaskId, task: Signal<TaskView>, attempt: Memo<i32>) -> impl IntoView {
    let query = use_query_map();
    let after =
        Memo::new(move |_| query.with(|query| query.get_str("after").and_then(|number| number.parse().ok())).unwrap_or(0_i64).max(0));
    let stand = Memo::new(move |_| task.with(|task| Stand::of(task, attempt.get())));
    let part = fetch(
        move || (attempt.get(), after.get(), stand.get() == Stand::Shown),
        move |(attempt, after, is_shown)| async move {
            let part = if is_shown { task_session(id, attempt, after).await } else { Ok(SessionPart::default()) };
            part.map(|part| (attempt, after, part))
        },
    );
    fetched(part, 8, move |part: Signal<(i32, i64, SessionPart)>| {
        move || match stand.get() {
            Stand::NoAttempt => {
                view! { <Empty title="No attempt yet" shape=Icon::Clock><p>"It begins when a runner takes the task."</p></Empty> }
                    .into_any()
            }
            Stand::Silent => silent(id).into_any(),
            // of the attempt before this one
            Stand::Shown if part.with(|(number, ..)| *number != attempt.get()) => view! { <Loading lines=8 /> }.into_any(),
            Stand::Shown => {
                let (attempt, after, part) = part.get();
                view! { <Transcript id=id task=task attempt=attempt after=after part=part /> }.into_any()
            }
        }
    })
}

fn silent(id: TaskId) -> impl IntoView {
    view! {
        <Empty title="No session" shape=Icon::Terminal>
            <p>
                "This agent says nothing that could be shown here. " <a href=format!("/tasks/{id}?view=log") data-noscroll="">"Its log"</a>
                " has what it printed."
            </p>
        </Empty>
    }
}

#[component]
fn Transcript(id: TaskId, task: Signal<TaskView>, attempt: i32, after: i64, part: SessionPart) -> impl IntoView {
    let reading = Reading::new(id, attempt, after, part);
    let state = Memo::new(move |_| task.with(|task| attempt_of(task, attempt).map(|one| one.state)));
    let there = Memo::new(move |_| task.with(|task| attempt_of(task, attempt).map_or(0, |one| one.session_events)));
    let is_open = Memo::new(move |_| state.get().is_some_and(|state| !state.is_final()));
    Effect::new(move || {
        if there.get() > reading.last() {
            reading.wake();
        }
    });
    Effect::new(move || {
        if is_open.get() {
            let kept: Kept = StoredValue::new_local(None::<Stream>);
            let from = task.with_untracked(|task| task.log_bytes);
            kept.set_value(Some(follow(id, from, reading, kept)));
            on_cleanup(move || act(kept, Stream::close));
        }
    });
    let totals = Memo::new(move |_| reading.script.with(|script| script.totals.words()));
    let is_one_of_several = Memo::new(move |_| task.with(|task| task.attempt_list.len() > 1));
    let is_empty = Memo::new(move |_| reading.script.with(|script| script.entries.is_empty()));
    // written with `set`, which tells of the same value as well, and the button must not be made anew below a finger
    let more = Memo::new(move |_| reading.more.get());
    let is_working = Memo::new(move |_| matches!(state.get(), Some(AttemptState::Claimed | AttemptState::Running)));
    view! {
        <ul class="c-session__totals">
            {move || is_one_of_several.get().then(|| view! { <li>"Attempt " {attempt}</li> })}
            {move || totals.get().into_iter().map(|words| view! { <li>{words}</li> }).collect_view()}
            {move || more.get().then(|| view! { <li>"as far as it is shown"</li> })}
        </ul>
        {(after > 0)
            .then(|| {
                let href = format!("/tasks/{id}?view=session&attempt={attempt}");
                view! { <p class="p-task__lead">"What came before is left out here. " <a href=href data-noscroll="">"From the beginning"</a></p> }
            })}
        <ol class="c-session" aria-label="Session">
            <For each=move || reading.script.with(|script| script.entries.clone()) key=|entry| entry.event.number let:one>
                {entry(one, is_open.into())}
            </For>
        </ol>
        {move || is_working.get().then(|| at_work(id, is_empty))}
        {move || reading.problem.get().map(refusal)}
        {move || more.get().then(|| show_more(reading))}
    }
}

fn at_work(id: TaskId, is_empty: Memo<bool>) -> impl IntoView {
    let text = move || match is_empty.get() {
        true => view! {
            "It is starting. What the agent says and does appears here; of some agents there is only "
            <a href=format!("/tasks/{id}?view=log") data-noscroll="">"the log"</a> "."
        }
        .into_any(),
        false => "At work".into_any(),
    };
    view! {
        <div class="c-session__now">
            {icon(Icon::Ring)}
            <p>{text} <span class="u-no-js">" Reload the page for what is new."</span></p>
        </div>
    }
}

fn refusal(problem: Problem) -> impl IntoView {
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    view! { <Notice tone=Tone::Bad title="The rest could not be fetched"><p>{detail}</p></Notice> }
}

fn show_more(reading: Reading) -> impl IntoView {
    let Reading { id, attempt, .. } = reading;
    let href = format!("/tasks/{id}?view=session&attempt={attempt}&after={}", reading.last());
    let press = Callback::new(move |()| reading.go_on());
    view! {
        <div class="c-session__more">
            <span class="u-js"><Button text="Show more" busy=reading.busy on_press=press /></span>
            <a class="c-button u-no-js" href=href>"Show more"</a>
        </div>
    }
}

/// How far a session has been read, and how it goes on.
#[derive(Clone, Copy)]
struct Reading {
    id: TaskId,
    attempt: i32,
    script: RwSignal<Script>,
    /// There are later ones already, which the reader has to ask for.
    more: RwSignal<bool>,
    busy: RwSignal<bool>,
    /// Woken, and about to ask.
    waiting: StoredValue<bool>,
    problem: RwSignal<Option<Problem>>,
}

impl Reading {
    fn new(id: TaskId, attempt: i32, after: i64, part: SessionPart) -> Self {
        Self {
            id,
            attempt,
            script: RwSignal::new(Script::new(after, part.events)),
            more: RwSignal::new(part.more),
            busy: RwSignal::new(false),
            waiting: StoredValue::new(false),
            problem: RwSignal::new(None),
        }
    }

    /// Number of the latest event.
    fn last(self) -> i64 {
        self.script.with_untracked(|script| script.last)
    }

    /// The session may have grown. Who has not asked for what is there already is not given what comes after it.
    fn wake(self) {
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

    fn go_on(self) {
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
fn follow(id: TaskId, from: i64, reading: Reading, kept: Kept) -> Stream {
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
