//! Runs in a list.

use domain::{WorkflowRunId, workflow::RunSummary};
use leptos::prelude::*;

use super::{progress::progress, state_badge::run_badge};
use crate::components::{DataTable, Elapsed, Icon, Time, icon};

const COLUMNS: &[(&str, &str)] = &[
    ("State", "c-table__state"),
    ("Run", ""),
    ("Workflow", "c-table__place"),
    ("Steps", "c-table__place"),
    ("Started", "c-table__time"),
    ("Took", "c-table__time"),
];

/// The table, or `empty` in its place. A row keeps its place in the document while its run is listed.
pub fn run_rows(runs: Signal<Vec<RunSummary>>, caption: &'static str, empty: &'static str) -> impl IntoView {
    let has_rows = Memo::new(move |_| runs.with(|runs| !runs.is_empty()));
    move || {
        if !has_rows.get() {
            return view! { <p class="u-quiet">{empty}</p> }.into_any();
        }
        let ids = move || runs.with(|runs| runs.iter().map(|run| run.id).collect::<Vec<_>>());
        view! {
            <DataTable caption=caption columns=COLUMNS>
                <For each=ids key=|id| *id let:id>
                    {run_row(runs, id)}
                </For>
            </DataTable>
        }
        .into_any()
    }
}

fn run_row(runs: Signal<Vec<RunSummary>>, id: WorkflowRunId) -> impl IntoView {
    let run = Memo::new(move |previous: Option<&Option<RunSummary>>| {
        let found = runs.with(|runs| runs.iter().find(|run| run.id == id).cloned());
        found.or_else(|| previous.cloned().flatten())
    });
    move || run.get().map(cells)
}

fn cells(run: RunSummary) -> impl IntoView {
    let workflow = format!("/workflows/{}?version={}", run.workflow, run.version);
    view! {
        <tr class="c-table__row">
            <td class="c-table__state" data-label="State">{run_badge(run.state)}</td>
            <td class="c-table__main" data-label="Run">
                <a class="c-table__link" href=format!("/runs/{}", run.id) data-row="">{run.title}</a>
                <span class="c-table__id">{run.id.short()}</span>
                {run.paused_by.is_some().then(|| view! { <span class="c-table__held">{icon(Icon::Pause)} " paused"</span> })}
            </td>
            <td class="c-table__place" data-label="Workflow"><a class="c-table__other" href=workflow>{run.workflow} " " {run.version}</a></td>
            <td class="c-table__place" data-label="Steps">{progress(run.counts)}</td>
            <td class="c-table__time" data-label="Started"><Time at=run.created_at /></td>
            <td class="c-table__time" data-label="Took"><Elapsed from=run.created_at to=run.ended_at /></td>
        </tr>
    }
}
