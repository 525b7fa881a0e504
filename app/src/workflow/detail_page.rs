//! A workflow: its graph, its steps, its source, and its runs. Older versions are at `?version=`.

use domain::workflow::{RunFilter, WorkflowView};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{
    find_workflow,
    graph_view::{GraphView, Shape},
    run::{list_runs, row::run_rows},
    step_table::{anchor, labels, marks, step_table},
};
use crate::{
    components::{ButtonKind, CopyButton, Icon, LinkButton, Notice, Time, Tone},
    document_title::document_title,
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
    text::{count, query_value, short_location},
};

pub struct WorkflowPage;

impl LazyRoute for WorkflowPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", workflow_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

/// Runs that are shown below a workflow.
const RUNS: u32 = 10;

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn workflow_page() -> Result<AnyView, NotLoaded> {
    let (params, query) = (use_params_map(), use_query_map());
    let name = Memo::new(move |_| params.with(|params| params.get_str("name").map(str::to_owned).unwrap_or_default()));
    let version = Memo::new(move |_| query.with(|query| query.get_str("version").and_then(|number| number.parse::<i32>().ok())));
    let workflow = fetch(move || (name.get(), version.get()), |(name, version)| find_workflow(name, version));
    Ok(view! {
        <Title text=document_title(name) />
        {fetched(workflow, 12, |workflow| view! { <Content workflow=workflow /> })}
        <Runs name=name />
    }
    .into_any())
}

#[component]
fn Content(workflow: Signal<WorkflowView>) -> impl IntoView {
    let shape = Memo::new(move |_| workflow.with(shape_of));
    let marks = Memo::new(move |_| shape.with(|shape| marks(&shape.labels)));
    view! {
        {move || workflow.with(head)}
        <GraphView shape=shape marks=marks />
        <section class="l-part" aria-labelledby="steps">
            <h2 class="l-part__title" id="steps">"Steps"</h2>
            {move || workflow.with(|workflow| step_table(&workflow.definition))}
        </section>
        {move || workflow.with(parameters)}
        {move || workflow.with(source)}
    }
}

fn shape_of(workflow: &WorkflowView) -> Shape {
    let labels = labels(&workflow.drawing, &workflow.definition, anchor);
    Shape { drawing: workflow.drawing.clone(), labels }
}

fn head(workflow: &WorkflowView) -> impl IntoView + use<> {
    let (name, version, newest) = (workflow.name.clone(), workflow.version, workflow.newest_version);
    let is_old = version != newest;
    let of_version = if is_old { format!("?version={version}") } else { String::new() };
    let definition = &workflow.definition;
    view! {
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb"><a href="/workflows">"Workflows"</a></p>
                <h1 class="l-head__title">{name.clone()}</h1>
                {definition.description.clone().map(|text| view! { <p>{text}</p> })}
                <p class="p-workflow__facts">
                    <span>{versions(&name, version, newest)}</span>
                    <span>{count(definition.steps.len(), "step")}</span>
                    <span>"changed " <Time at=workflow.created_at /> " by " {workflow.created_by.clone()}</span>
                    {definition.repository.clone().map(|place| view! { <span title=place.clone()>"works in " {short_location(&place)}</span> })}
                </p>
            </div>
            <div class="l-head__acts">
                {(!is_old).then(|| view! { <LinkButton href=format!("/workflows/{name}/edit") text="Edit" shape=Icon::File /> })}
                <LinkButton href=format!("/workflows/{name}/run{of_version}") text="Run" kind=ButtonKind::Primary shape=Icon::Play />
            </div>
        </div>
        {is_old.then(|| view! {
            <Notice tone=Tone::Info title=format!("This is version {version}")>
                <p>"It has been changed since. " <a href=format!("/workflows/{name}")>{format!("See version {newest}")}</a></p>
            </Notice>
        })}
    }
}

/// The version that is shown, between the ways to its neighbours.
fn versions(name: &str, version: i32, newest: i32) -> impl IntoView + use<> {
    let link = |number: i32| {
        let href = format!("/workflows/{name}?version={number}");
        view! { <a href=href aria-label=format!("Version {number}") data-noscroll="">{number}</a> }
    };
    let before = (version > 1).then(|| view! { {link(version - 1)} " · " });
    let after = (version < newest).then(|| view! { " · " {link(version + 1)} });
    view! { "version " {before} <strong>{version}</strong> {after} " of " {newest} }
}

fn parameters(workflow: &WorkflowView) -> impl IntoView + use<> {
    let rows: Vec<_> = workflow
        .definition
        .parameters
        .iter()
        .map(|(name, parameter)| {
            let default = match &parameter.default {
                Some(value) => format!("{}, {} unless given", parameter.kind.phrase(), value),
                None => format!("{}, has to be given", parameter.kind.phrase()),
            };
            let about = parameter.description.clone().map(|text| format!("{text}: "));
            view! { <div><dt><code>{name.clone()}</code></dt><dd>{about} {default}</dd></div> }
        })
        .collect();
    (!rows.is_empty()).then(|| {
        view! {
            <section class="l-part" aria-labelledby="parameters">
                <h2 class="l-part__title" id="parameters">"Parameters"</h2>
                <dl class="c-values">{rows}</dl>
            </section>
        }
    })
}

fn source(workflow: &WorkflowView) -> impl IntoView + use<> {
    let text = workflow.source.clone();
    view! {
        <details class="l-part p-workflow__text">
            <summary class="l-part__title">"Source"</summary>
            <p><CopyButton text=text.clone() label="Copy the source" /></p>
            <pre class="c-output" tabindex="0" role="region" aria-label="Source">{text}</pre>
        </details>
    }
}

#[component]
fn Runs(name: Memo<String>) -> impl IntoView {
    let runs = fetch(move || name.get(), |name| list_runs(RunFilter { workflow: Some(name), limit: Some(RUNS), ..RunFilter::default() }));
    use_live(runs, |_| true);
    view! {
        <section class="l-part" aria-labelledby="runs">
            <h2 class="l-part__title" id="runs">"Runs"</h2>
            {fetched(runs, 4, move |page| {
                let runs = Signal::derive(move || page.with(|page| page.items.clone()));
                let has_more = move || page.with(|page| page.next_cursor.is_some());
                view! {
                    {run_rows(runs, "Runs of this workflow, newest first", "It has not been run yet.")}
                    {move || has_more().then(|| {
                        let href = format!("/runs?workflow={}", query_value(&name.get()));
                        view! { <p><a href=href>"All runs of this workflow"</a></p> }
                    })}
                }
            })}
        </section>
    }
}
