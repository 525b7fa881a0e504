//! What an agent said and did in an attempt. The first part comes with the page; what comes after it is added below, so that what a
//! reader has opened stays open.
//!
//! There is no stream of sessions. Whatever the agent does also writes to the log, so the log's stream says when to ask for more; and when
//! the attempt ends, the task itself says how far its session goes. What its agent is told stands behind it until it has come there.

mod call;
mod entry;
mod given;
pub mod judge;
mod reading;
mod script;
mod told;
pub mod words;

use domain::{
    Attempt, AttemptState, TaskId, TaskView,
    session::{OnItsWay, SessionPart},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::{
    facts::all_used,
    log::{Kept, act},
};
use crate::{
    components::{Button, Empty, Icon, Loading, Notice, Tone, icon},
    fetched::fetched,
    page_json::fetch,
    problem::Problem,
    sse::Stream,
    task::task_session,
    text::capitalised,
};
use entry::entry;
use reading::{Reading, follow};
use told::{TellBox, ahead};

/// Events that are shown to whoever wants to see where a long session has come to, without all that led there.
const LATEST: i64 = 100;

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
    // whatever happens to a task may be about what its agent is told
    let version = Memo::new(move |_| task.with(|task| task.version));
    Effect::new(move |before: Option<i64>| {
        let version = version.get();
        if before.is_some_and(|before| before != version) && is_open.get_untracked() {
            reading.wake();
        }
        version
    });
    let totals = Memo::new(move |_| reading.script.with(|script| script.totals.words()));
    let of_all = Memo::new(move |_| task.with(|task| all_used(&task.attempt_list)));
    let is_one_of_several = Memo::new(move |_| task.with(|task| task.attempt_list.len() > 1));
    let continues = Memo::new(move |_| task.with(|task| attempt_of(task, attempt).and_then(|one| one.continues)));
    let is_empty = Memo::new(move |_| reading.script.with(|script| script.entries.is_empty()));
    // written with `set`, which tells of the same value as well, and the button must not be made anew below a finger
    let more = Memo::new(move |_| reading.more.get());
    let told = Memo::new(move |_| reading.told.get());
    let can_be_told = Memo::new(move |_| is_open.get() && (there.get() > 0 || !is_empty.get()));
    let is_working = Memo::new(move |_| matches!(state.get(), Some(AttemptState::Claimed | AttemptState::Running)));
    let asks = Memo::new(move |_| task.with(|task| attempt_of(task, attempt).is_some_and(|one| one.blocked_since.is_some())));
    view! {
        <ul class="c-session__totals">
            {move || is_one_of_several.get().then(|| view! { <li>"Attempt " {attempt}</li> })}
            {move || continues.get().map(|earlier| goes_on_from(id, earlier))}
            {move || totals.get().into_iter().map(|words| view! { <li>{words}</li> }).collect_view()}
            {move || (after > 0 || more.get()).then(|| view! { <li>"as far as it is shown"</li> })}
            {move || of_all.get().map(|words| view! { <li>"All attempts: " {words}</li> })}
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
        {move || is_working.get().then(|| at_work(id, is_empty, asks))}
        {move || reading.problem.get().map(refusal)}
        {move || more.get().then(|| show_more(reading, there))}
        // while there is more than is shown, nobody knows here what has come of it
        {move || (is_open.get() || !more.get()).then(|| ahead(told.get(), is_open.get()))}
        <TellBox id=id is_shown=can_be_told on_told=Callback::new(move |told: OnItsWay| reading.tell(told)) />
    }
}

fn goes_on_from(id: TaskId, earlier: i32) -> impl IntoView {
    let href = format!("/tasks/{id}?view=session&attempt={earlier}");
    view! { <li>"goes on from " <a href=href data-noscroll="">"attempt " {earlier}</a>", which was interrupted"</li> }
}

fn at_work(id: TaskId, is_empty: Memo<bool>, asks: Memo<bool>) -> impl IntoView {
    let text = move || match (asks.get(), is_empty.get()) {
        (true, _) => "It has asked something, and waits for the answer".into_any(),
        (false, true) => view! {
            "It is starting. What the agent says and does appears here; of some agents there is only "
            <a href=format!("/tasks/{id}?view=log") data-noscroll="">"the log"</a> "."
        }
        .into_any(),
        (false, false) => "At work".into_any(),
    };
    view! {
        <div class="c-session__now">
            {icon(Icon::Ring)}
            <p role="status">{text} <span class="u-no-js">" Reload the page for what is new."</span></p>
        </div>
    }
}

fn refusal(problem: Problem) -> impl IntoView {
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    view! { <Notice tone=Tone::Bad title="The rest could not be fetched"><p>{detail}</p></Notice> }
}

fn show_more(reading: Reading, there: Memo<i64>) -> impl IntoView {
    let Reading { id, attempt, .. } = reading;
    let address = move |after: i64| format!("/tasks/{id}?view=session&attempt={attempt}&after={after}");
    let href = address(reading.last());
    let latest = move || {
        let after = there.get() - LATEST;
        let href = address(after);
        (after > reading.script.with(|script| script.last))
            .then(|| view! { <a class="c-button" href=href data-noscroll="">{format!("Go to the latest {LATEST}")}</a> })
    };
    let press = Callback::new(move |()| reading.go_on());
    view! {
        <div class="c-session__more">
            <span class="u-js"><Button text="Show more" busy=reading.busy on_press=press /></span>
            <a class="c-button u-no-js" href=href>"Show more"</a>
            {latest}
        </div>
    }
}
