//! Tasks in a list: on the list page and on the overview.

use domain::{Priority, TaskId, TaskStateName, TaskSummary};
use leptos::prelude::*;

use super::state_badge::{asks_badge, priority_badge, state_badge};
use crate::{
    components::{DataTable, Icon, Time, icon},
    text::{query_value, short_location},
};

const COLUMNS: &[(&str, &str)] = &[
    ("State", "c-table__state"),
    ("Task", ""),
    ("Repository", "c-table__place"),
    ("Checks", "c-table__short"),
    ("Priority", "c-table__short"),
    ("Attempts", "c-table__short"),
    ("Created", "c-table__time"),
];

const PICK_COLUMNS: &[(&str, &str)] = &[
    ("Pick", "c-table__pick"),
    ("State", "c-table__state"),
    ("Task", ""),
    ("Repository", "c-table__place"),
    ("Checks", "c-table__short"),
    ("Priority", "c-table__short"),
    ("Attempts", "c-table__short"),
    ("Created", "c-table__time"),
];

/// Which rows a person has picked.
pub type Picks = RwSignal<Vec<TaskId>>;

/// The table, or `empty` in its place. A row keeps its place in the document while its task is listed, so the keyboard's focus
/// stays with the task.
pub fn task_rows(tasks: Signal<Vec<TaskSummary>>, caption: &'static str, empty: &'static str) -> impl IntoView {
    rows(tasks, caption, empty, None)
}

/// As [`task_rows`], each with a box to pick it: a form around them sends the ids.
pub fn pick_rows(tasks: Signal<Vec<TaskSummary>>, caption: &'static str, picks: Picks) -> impl IntoView {
    rows(tasks, caption, "", Some(picks))
}

fn rows(tasks: Signal<Vec<TaskSummary>>, caption: &'static str, empty: &'static str, picks: Option<Picks>) -> impl IntoView {
    let columns = if picks.is_some() { PICK_COLUMNS } else { COLUMNS };
    let has_rows = Memo::new(move |_| tasks.with(|tasks| !tasks.is_empty()));
    move || {
        if !has_rows.get() {
            return view! { <p class="u-quiet">{empty}</p> }.into_any();
        }
        let ids = move || tasks.with(|tasks| tasks.iter().map(|task| task.id).collect::<Vec<_>>());
        view! {
            <DataTable caption=caption columns=columns>
                <For each=ids key=|id| *id let:id>
                    {task_row(tasks, id, picks)}
                </For>
            </DataTable>
        }
        .into_any()
    }
}

fn task_row(tasks: Signal<Vec<TaskSummary>>, id: TaskId, picks: Option<Picks>) -> impl IntoView {
    let task = Memo::new(move |previous: Option<&Option<TaskSummary>>| {
        let found = tasks.with(|tasks| tasks.iter().find(|task| task.id == id).cloned());
        found.or_else(|| previous.cloned().flatten())
    });
    move || task.get().map(|task| cells(task, picks))
}

fn pick(id: TaskId, title: &str, picks: Picks) -> impl IntoView + use<> {
    let toggle = move |_| {
        picks.update(|picks| match picks.iter().position(|other| *other == id) {
            Some(place) => _ = picks.remove(place),
            None => picks.push(id),
        });
    };
    view! {
        <td class="c-table__pick">
            <input
                type="checkbox"
                name="id"
                value=id.to_string()
                aria-label=format!("Pick {title}")
                prop:checked=move || picks.with(|picks| picks.contains(&id))
                on:change=toggle
            />
        </td>
    }
}

fn cells(task: TaskSummary, picks: Option<Picks>) -> impl IntoView {
    let state = task.state.name();
    let priority_class = if task.priority == Priority::Normal { "c-table__short c-table__usual" } else { "c-table__short c-table__plain" };
    view! {
        <tr class="c-table__row">
            {picks.map(|picks| pick(task.id, &task.title, picks))}
            <td class="c-table__state" data-label="State">{state_badge(state)} {asks_badge(task.asks)}</td>
            <td class="c-table__main" data-label="Task">
                <a class="c-table__link" href=format!("/tasks/{}", task.id) data-row="">{task.title.clone()}</a>
                <span class="c-table__id">{task.id.short()}</span>
                {held(&task)}
                {(!task.tags.is_empty()).then(|| tags(&task.tags))}
            </td>
            <td class="c-table__place" data-label="Repository" title=task.repository.clone()>{short_location(&task.repository)}</td>
            <td class="c-table__short" data-label="Checks">{checks(&task)}</td>
            <td class=priority_class data-label="Priority">{priority_badge(task.priority)}</td>
            <td class="c-table__short" data-label="Attempts">{task.attempts} <span class="u-quiet">{of_most(&task)}</span></td>
            <td class="c-table__time" data-label="Created"><Time at=task.created_at /></td>
        </tr>
    }
}

/// That nobody takes it, and why.
fn held(task: &TaskSummary) -> impl IntoView + use<> {
    let why = match (task.paused, task.awaits_model, task.parked) {
        (true, ..) => "paused",
        (false, true, _) => "waits for its model, which is being pulled",
        (false, false, true) => "waits for its turn with a shared key",
        (false, false, false) => return ().into_any(),
    };
    view! { <span class="c-table__held">{icon(Icon::Pause)} {why}</span> }.into_any()
}

/// Each leads to the tasks that have it.
pub fn tags(tags: &[String]) -> impl IntoView + use<> {
    let links: Vec<_> = tags
        .iter()
        .map(|tag| view! { <li><a class="c-tag" href=format!("/tasks?tag={}", query_value(tag))>{tag.clone()}</a></li> })
        .collect();
    view! { <ul class="c-tags" aria-label="Tags">{links}</ul> }
}

/// `2 of 3`, or that nothing could have said otherwise.
fn checks(task: &TaskSummary) -> impl IntoView + use<> {
    let (class, text) = match (task.checks, task.checks_passed, task.state.name()) {
        // a gate that was passed, or a group: nothing was done that could be proven
        (0, _, TaskStateName::Succeeded) if !task.is_unverified() => ("u-quiet", "–".to_owned()),
        (0, _, TaskStateName::Succeeded) => ("u-warn", "unverified".to_owned()),
        (0, ..) => ("u-quiet", "none".to_owned()),
        (all, None, _) => ("u-quiet", format!("– of {all}")),
        (all, Some(passed), _) if passed == all => ("u-good", format!("{passed} of {all}")),
        (all, Some(passed), _) => ("u-bad", format!("{passed} of {all}")),
    };
    view! { <span class=class>{text}</span> }
}

/// Nothing where there were more, as those that were not the task's fault, or were before it was brought back, do not count.
pub fn of_most(task: &TaskSummary) -> Option<String> {
    (task.attempts <= task.max_attempts).then(|| format!(" of {}", task.max_attempts))
}
