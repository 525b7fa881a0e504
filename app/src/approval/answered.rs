//! What agents have asked for before: how it was answered, by whom and when.

use domain::{Approval, ApprovalStateName, Page, exact_text::visible};
use leptos::prelude::*;
use serde_json::Value;

use super::{
    state_badge::state_badge,
    words::{in_a_line, kind_word},
};
use crate::{
    components::{DataTable, Time, page_links::page_links},
    text::address,
};

/// What the table shows of them.
pub fn in_short(page: Page<Approval>) -> Page<Approval> {
    let short = |approval: Approval| Approval { subject: in_a_line(&approval.subject), input: Value::Null, patterns: vec![], ..approval };
    Page { items: page.items.into_iter().map(short).collect(), next_cursor: page.next_cursor }
}

const COLUMNS: &[(&str, &str)] =
    &[("State", "c-table__state"), ("Asked for", ""), ("Task", "c-table__place"), ("By", "c-table__place"), ("When", "c-table__time")];

/// `cursor` is where this page of it begins, `waiting` where that of what waits does, which stays there.
pub fn answered_part(page: Signal<Page<Approval>>, cursor: Memo<Option<String>>, waiting: Memo<Option<String>>) -> impl IntoView {
    let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
    let way = move |cursor: Option<String>| address("/approvals", [("cursor", cursor), ("waiting", waiting.get())], "answered");
    let first = move || cursor.with(Option::is_some).then(|| (way(None), "Newest"));
    let next = move || page.with(|page| page.next_cursor.clone()).map(|cursor| (way(Some(cursor)), "More"));
    view! {
        <section class="l-part" id="answered" aria-labelledby="answered-title">
            <h2 class="l-part__title" id="answered-title">"Answered"</h2>
            {move || {
                if is_empty.get() {
                    return view! { <p class="u-quiet">"Nothing yet."</p> }.into_any();
                }
                view! {
                    <DataTable caption="What was answered, newest first" columns=COLUMNS>
                        <For each=move || page.get().items key=|approval| approval.id let:approval>{row(approval)}</For>
                    </DataTable>
                }
                .into_any()
            }}
            {move || page_links("Pages of what was answered", first(), next())}
        </section>
    }
}

fn row(approval: Approval) -> impl IntoView {
    let (by, told, at) = match approval.closed {
        Some(closed) => (closed.by, closed.message, Some(closed.at)),
        None => (None, None, None),
    };
    let by = by.map_or_else(|| nobody(approval.state).to_owned(), |by| visible(&by));
    view! {
        <tr class="c-table__row">
            <td class="c-table__state" data-label="State">{state_badge(approval.state)}</td>
            <td class="c-table__main" data-label="Asked for">
                <span class="u-quiet">{kind_word(approval.kind)} " "</span>
                <code class="c-approval__exact">{approval.subject}</code>
            </td>
            <td class="c-table__place" data-label="Task"><a class="c-table__link" href=format!("/tasks/{}", approval.task_id)>{approval.task}</a></td>
            <td class="c-table__place" data-label="By">
                {by}
                {told.map(|told| view! { <span class="c-approval__told">{format!("“{}”", visible(&told))}</span> })}
            </td>
            <td class="c-table__time" data-label="When">{at.map(|at| view! { <Time at=at /> })}</td>
        </tr>
    }
}

/// Who answered where nobody did.
fn nobody(state: ApprovalStateName) -> &'static str {
    match state {
        ApprovalStateName::Expired => "nobody in time",
        ApprovalStateName::Withdrawn => "the agent waits no longer",
        _ => "",
    }
}
