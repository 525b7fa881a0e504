//! What a runner works on now.

use domain::runner::{RunnerAttempt, RunnerDetail, RunnerState};
use leptos::prelude::*;

use crate::{
    components::{Empty, Icon, Time},
    task::state_badge::attempt_badge,
};

pub(super) fn current_part(runner: Signal<RunnerDetail>) -> impl IntoView {
    let attempts = Memo::new(move |_| runner.with(|detail| detail.current.clone()));
    let state = Memo::new(move |_| runner.with(|detail| detail.runner.state));
    view! {
        <section class="l-part" aria-labelledby="current">
            <h2 class="l-part__title" id="current">"Works on now"</h2>
            {move || {
                let attempts = attempts.get();
                if attempts.is_empty() {
                    let why = why_nothing(state.get());
                    return view! { <Empty title="Works on nothing" shape=Icon::Dots><p>{why}</p></Empty> }.into_any();
                }
                view! { <ul class="p-runner__current">{attempts.into_iter().map(entry).collect_view()}</ul> }.into_any()
            }}
        </section>
    }
}

fn entry(attempt: RunnerAttempt) -> impl IntoView {
    let waits = attempt.is_blocked.then(|| view! { <span class="u-warn">"waits for an answer"</span> });
    view! {
        <li class="p-runner__attempt">
            <a class="p-runner__task" href=format!("/tasks/{}", attempt.task_id)>{attempt.task}</a>
            {attempt_badge(attempt.state)}
            <span class="u-quiet">{format!("attempt {}, since ", attempt.number)} <Time at=attempt.claimed_at /></span>
            {waits}
        </li>
    }
}

fn why_nothing(state: RunnerState) -> &'static str {
    match state {
        RunnerState::Offline => "Nothing was heard of it lately.",
        RunnerState::Draining => "It takes nothing new until it is told to take work again.",
        RunnerState::Blocked | RunnerState::Working | RunnerState::Idle => "It takes the next task that it can do.",
    }
}
