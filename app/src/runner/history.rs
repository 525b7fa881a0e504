//! What a runner has done: how its latest attempts have ended, and all that are counted in one sentence.

use domain::runner::{HISTORY_SHOWN, RunnerAttempt, RunnerDetail};
use leptos::prelude::*;

use super::tally::tally_words;
use crate::{
    components::{DataTable, Elapsed, Empty, Icon, Time},
    task::state_badge::attempt_badge,
    text::capitalised,
};

const COLUMNS: &[(&str, &str)] = &[
    ("Task", ""),
    ("Attempt", "c-table__number"),
    ("Ended", "c-table__state"),
    ("Claimed", "c-table__time"),
    ("Took", "c-table__short"),
    ("Why it failed", ""),
];

pub(super) fn history_part(runner: Signal<RunnerDetail>) -> impl IntoView {
    let attempts = Memo::new(move |_| runner.with(|detail| detail.history.clone()));
    let is_empty = Memo::new(move |_| attempts.with(Vec::is_empty));
    let is_cut = Memo::new(move |_| attempts.with(|attempts| attempts.len() as i64 >= HISTORY_SHOWN));
    let tally = Memo::new(move |_| runner.with(|detail| tally_words(detail.tally)));
    view! {
        <section class="l-part" aria-labelledby="history">
            <h2 class="l-part__title" id="history">"What it has done"</h2>
            {move || tally.get().map(|words| view! { <p>{words}</p> })}
            {move || {
                if is_empty.get() {
                    return view! { <Empty title="Nothing yet" shape=Icon::Clock><p>"What it brings to an end is listed here."</p></Empty> }.into_any();
                }
                view! {
                    <DataTable caption="Attempts of this runner, newest first" columns=COLUMNS>
                        <For each=move || attempts.get() key=|attempt| (attempt.task_id, attempt.number) let:attempt>{row(attempt)}</For>
                    </DataTable>
                }
                .into_any()
            }}
            {move || is_cut.get().then(|| view! { <p class="u-quiet">{format!("These are the latest {HISTORY_SHOWN}.")}</p> })}
        </section>
    }
}

fn row(attempt: RunnerAttempt) -> impl IntoView {
    let failure = attempt.failure.map(|failure| (capitalised(&failure.message), failure.code));
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Task">
                <a class="c-table__link" href=format!("/tasks/{}?attempt={}", attempt.task_id, attempt.number)>{attempt.task}</a>
                <span class="c-table__id">{attempt.task_id.short()}</span>
            </td>
            <td class="c-table__number" data-label="Attempt">{attempt.number}</td>
            <td class="c-table__state" data-label="Ended">{attempt_badge(attempt.state)}</td>
            <td class="c-table__time" data-label="Claimed"><Time at=attempt.claimed_at /></td>
            <td class="c-table__short" data-label="Took"><Elapsed from=attempt.claimed_at to=attempt.ended_at /></td>
            <td class="c-table__work" data-label="Why it failed">
                {failure.map(|(message, code)| view! { <p>{message} " " <code title=code.cause()>{code.name()}</code></p> })}
            </td>
        </tr>
    }
}
