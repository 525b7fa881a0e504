//! All workflows, and how the last run of each went.

use domain::workflow::WorkflowSummary;
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{
    list_workflows,
    run::{progress::progress, state_badge::run_badge},
};
use crate::{
    components::{ButtonKind, DataTable, Empty, Icon, LinkButton, Time},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
};

pub struct WorkflowListPage;

impl LazyRoute for WorkflowListPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", workflow_list_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn workflow_list_page() -> Result<AnyView, NotLoaded> {
    let workflows = fetch(|| (), |()| list_workflows());
    use_live(workflows, |_| true);
    Ok(view! {
        <Title text="Workflows · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"Workflows"</h1>
            <div class="l-head__acts">
                <LinkButton href="/runs" text="All runs" shape=Icon::List />
                <LinkButton href="/workflows/new" text="New workflow" kind=ButtonKind::Primary shape=Icon::Plus />
            </div>
        </div>
        {fetched(workflows, 8, |workflows| move || content(workflows.get()))}
    }
    .into_any())
}

const COLUMNS: &[(&str, &str)] = &[
    ("Workflow", ""),
    ("Version", "c-table__short"),
    ("Steps", "c-table__short"),
    ("Changed", "c-table__time"),
    ("Last run", "c-table__state"),
    ("Its steps", "c-table__place"),
];

fn content(workflows: Vec<WorkflowSummary>) -> AnyView {
    if workflows.is_empty() {
        return view! {
            <Empty title="No workflow yet" shape=Icon::Flow>
                <p>"A workflow is a graph of steps: commands, prompts, approvals, and what each waits for. It is written once and run often."</p>
                <p><LinkButton href="/workflows/new" text="New workflow" kind=ButtonKind::Primary shape=Icon::Plus /></p>
            </Empty>
        }
        .into_any();
    }
    let rows = workflows.into_iter().map(row).collect_view();
    view! { <DataTable caption="Workflows" columns=COLUMNS>{rows}</DataTable> }.into_any()
}

fn row(workflow: WorkflowSummary) -> impl IntoView {
    let run = workflow.last_run;
    let state = run.as_ref().map(|run| {
        let href = format!("/runs/{}", run.id);
        view! { <a class="c-table__other" href=href aria-label=format!("Last run of {}", workflow.name)>{run_badge(run.state)}</a> }
    });
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Workflow">
                <a class="c-table__link" href=format!("/workflows/{}", workflow.name) data-row="">{workflow.name.clone()}</a>
                {workflow.description.map(|text| view! { <p class="c-table__about">{text}</p> })}
            </td>
            <td class="c-table__short" data-label="Version">{workflow.version}</td>
            <td class="c-table__short" data-label="Steps">{workflow.steps}</td>
            <td class="c-table__time" data-label="Changed"><Time at=workflow.changed_at /></td>
            <td class="c-table__state" data-label="Last run">{state}</td>
            <td class="c-table__place" data-label="Its steps">{run.map(|run| progress(run.counts))}</td>
        </tr>
    }
}
