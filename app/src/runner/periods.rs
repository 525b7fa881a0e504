//! How a runner and its slots stood before: each transition that is kept, one page of it, with how long it had stood so.

use domain::{Page, runner::RunnerTransition};
use leptos::prelude::*;

use super::day::badge;
use crate::{
    components::{DataTable, Elapsed, Time, page_links::page_links},
    text::address,
};

const COLUMNS: &[(&str, &str)] =
    &[("Stood", ""), ("Slot", "c-table__number"), ("Task", ""), ("Until", "c-table__time"), ("For", "c-table__short")];

/// `stood` is where this page of it begins, `cursor` where that of the log does, which stays there.
pub(super) fn periods_part(
    periods: Signal<Page<RunnerTransition>>,
    stood: Memo<Option<String>>,
    cursor: Memo<Option<String>>,
) -> impl IntoView {
    let is_empty = Memo::new(move |_| periods.with(|periods| periods.items.is_empty()));
    let way = move |stood: Option<String>| address("", [("stood", stood), ("cursor", cursor.get())], "stood");
    let first = move || stood.with(Option::is_some).then(|| (way(None), "Newest"));
    let next = move || periods.with(|periods| periods.next_cursor.clone()).map(|stood| (way(Some(stood)), "More"));
    view! {
        <section class="l-part" id="stood" aria-labelledby="stood-title">
            <h2 class="l-part__title" id="stood-title">"How it stood before"</h2>
            {move || {
                if is_empty.get() {
                    return view! { <p class="u-quiet">"Nothing yet: it is kept for 90 days, a few minutes after it is over."</p> }.into_any();
                }
                view! {
                    <DataTable caption="How this runner and its slots stood before, newest first" columns=COLUMNS>
                        <For each=move || periods.get().items key=|period| period.number let:period>{row(period)}</For>
                    </DataTable>
                }
                .into_any()
            }}
            {move || page_links("Pages of how it stood", first(), next())}
        </section>
    }
}

fn row(period: RunnerTransition) -> impl IntoView {
    let RunnerTransition { slot, state, since, until, task_id, task, .. } = period;
    let task = task_id.zip(task).map(|(id, title)| view! { <a class="c-table__link" href=format!("/tasks/{id}")>{title}</a> });
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Stood">{badge(state)}</td>
            <td class="c-table__number" data-label="Slot">{slot}</td>
            <td data-label="Task">{task}</td>
            <td class="c-table__time" data-label="Until"><Time at=until /></td>
            <td class="c-table__short" data-label="For"><Elapsed from=since to=Some(until) /></td>
        </tr>
    }
}
