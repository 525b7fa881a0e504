//! What has happened to a runner, one page of it: what came to its end with it, and how long that had lasted.

use domain::{
    Page,
    runner::{RunnerLogEntry, RunnerNews},
};
use leptos::prelude::*;

use crate::{
    components::{DataTable, Elapsed, Time, page_links::page_links},
    text::address,
};

const COLUMNS: &[(&str, &str)] = &[("What happened", ""), ("When", "c-table__time"), ("After", "c-table__short")];

/// `cursor` is where this page of it begins, `stood` where that of the other list does, which stays there.
pub(super) fn log_part(log: Signal<Page<RunnerLogEntry>>, cursor: Memo<Option<String>>, stood: Memo<Option<String>>) -> impl IntoView {
    let is_empty = Memo::new(move |_| log.with(|log| log.items.is_empty()));
    let way = move |cursor: Option<String>| address("", [("cursor", cursor), ("stood", stood.get())], "log");
    let first = move || cursor.with(Option::is_some).then(|| (way(None), "Newest"));
    let next = move || log.with(|log| log.next_cursor.clone()).map(|cursor| (way(Some(cursor)), "More"));
    view! {
        <section class="l-part" id="log" aria-labelledby="log-title">
            <h2 class="l-part__title" id="log-title">"What has happened to it"</h2>
            {move || {
                if is_empty.get() {
                    let words = "Nothing yet: that it was away, stopped or drained, makes no sandbox, or does not take or end what it is given, is kept here.";
                    return view! { <p class="u-quiet">{words}</p> }.into_any();
                }
                view! {
                    <DataTable caption="What has happened to this runner, newest first" columns=COLUMNS>
                        <For each=move || log.get().items key=|entry| entry.number let:entry>{row(entry)}</For>
                    </DataTable>
                }
                .into_any()
            }}
            {move || page_links("Pages of what has happened", first(), next())}
        </section>
    }
}

fn row(entry: RunnerLogEntry) -> impl IntoView {
    let RunnerLogEntry { at, since, what, .. } = entry;
    let words = what.sentence();
    let words = match what {
        RunnerNews::NotTaken { task_id, task: Some(_), .. } | RunnerNews::NotEnded { task_id, task: Some(_), .. } => {
            view! { <a class="c-table__link" href=format!("/tasks/{task_id}")>{words}</a> }.into_any()
        }
        _ => words.into_any(),
    };
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="What happened">{words}</td>
            <td class="c-table__time" data-label="When"><Time at=at /></td>
            <td class="c-table__short" data-label="After">{since.map(|since| view! { <Elapsed from=since to=Some(at) /> })}</td>
        </tr>
    }
}
