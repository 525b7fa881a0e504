//! A run: what it waits for, its graph, its steps, and when each worked.

use std::collections::{HashMap, HashSet};

use domain::{
    Event, EventKind, TaskId, WorkflowRunId,
    task::plain,
    workflow::{RunStep, RunView},
};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{
    acts::Acts,
    bars::Bars,
    changes::changes,
    find_run,
    gates::Gates,
    progress::progress,
    state_badge::{run_badge, step_look},
    steps::Steps,
    tree::Show,
};
use crate::{
    components::{CopyButton, Elapsed, Icon, Notice, Time, Tone},
    document_title::document_title,
    fetched::fetched,
    live::{PAUSE, use_live_every},
    page_json::fetch,
    part::{NotLoaded, part},
    text::short_location,
    workflow::{
        graph::{Label, Mark},
        graph_view::{GraphView, Shape},
        kind::kind_word,
    },
};

/// A run of so many steps is fetched again less often.
const LARGE: usize = 200;
const LARGE_PAUSE: i64 = 2000;

pub struct RunPage;

impl LazyRoute for RunPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", run_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn run_page() -> Result<AnyView, NotLoaded> {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned)));
    // Keyed, so that another run gets a page of its own and nothing is left of the last one.
    Ok(view! {
        <Title text="Run · Muster" />
        <For each=move || id.get() key=String::clone let:id>
            <RunDetail id=id />
        </For>
    }
    .into_any())
}

#[component]
fn RunDetail(id: String) -> impl IntoView {
    let known = id.parse::<WorkflowRunId>().ok();
    let run = fetch(|| (), move |()| find_run(id.clone()));
    let tasks = StoredValue::new(HashSet::<TaskId>::new());
    let is_ours = move |task| tasks.try_with_value(|tasks| tasks.contains(&task)) == Some(true);
    let pause = move || if tasks.try_with_value(HashSet::len).unwrap_or_default() > LARGE { LARGE_PAUSE } else { PAUSE };
    use_live_every(run, pause, move |event| is_ours(event.task_id) || may_be_added(event, known));
    let refresh = Callback::new(move |()| run.refetch());
    fetched(run, 14, move |run: Signal<RunView>| {
        Effect::new(move |_| tasks.set_value(run.with(|run| run.steps.iter().map(|step| step.task).collect())));
        view! { <Content run=run refresh=refresh /> }
    })
}

/// Whether a step may have come to this run, which is not among those that are known. What a later version says may be that.
fn may_be_added(event: &Event, run: Option<WorkflowRunId>) -> bool {
    match event.kind {
        EventKind::StepAdded { run: to } => Some(to) == run,
        EventKind::Unknown => true,
        _ => false,
    }
}

#[component]
fn Content(run: Signal<RunView>, refresh: Callback<()>) -> impl IntoView {
    let id = run.with_untracked(|run| run.summary.id);
    let query = use_query_map();
    let show = Memo::new(move |_| query.with(|query| Show::parse(query.get_str("show").unwrap_or_default())));
    let shape = Memo::new(move |_| run.with(shape_of));
    let marks = Memo::new(move |_| run.with(marks_of));
    let title = Memo::new(move |_| run.with(|run| run.summary.title.clone()));
    let paused_by = Memo::new(move |_| run.with(|run| run.summary.paused_by.clone().filter(|_| !run.summary.state.is_final())));
    view! {
        <Title text=document_title(title) />
        <div class="l-head">
            <div class="l-head__text">
                {move || run.with(crumb)}
                <h1 class="l-head__title">{title}</h1>
                <div class="p-task__badges p-run__badges">
                    {move || run.with(|run| run_badge(run.summary.state))}
                    {move || run.with(|run| progress(run.summary.counts))}
                    <span class="p-task__id">
                        <code>{id.short()}</code>
                        <CopyButton text=id.to_string() label="Copy the run's id" />
                    </span>
                </div>
                {move || run.with(facts)}
            </div>
            <Acts id=id run=run refresh=refresh />
        </div>
        {move || paused_by.get().map(|who| view! {
            <Notice tone=Tone::Warn title=format!("{who} paused this run")><p>"None of its steps is taken by a runner until it is resumed."</p></Notice>
        })}
        <Gates id=id run=run refresh=refresh />
        <GraphView shape=shape marks=marks />
        <Steps run=run show=show />
        <Bars run=run />
        {move || run.with(changes)}
        {move || run.with(parameters)}
    }
}

fn crumb(run: &RunView) -> impl IntoView + use<> {
    let (workflow, version) = (run.summary.workflow.clone(), run.summary.version);
    view! {
        <p class="p-task__crumb">
            <a href="/workflows">"Workflows"</a> " / "
            <a href=format!("/workflows/{workflow}?version={version}")>{format!("{workflow}, version {version}")}</a>
        </p>
    }
}

fn facts(run: &RunView) -> impl IntoView + use<> {
    let place = run.repository.clone();
    view! {
        <p class="p-workflow__facts">
            <span>"started " <Time at=run.summary.created_at /> " by " {run.created_by.clone()}</span>
            <span>{if run.summary.ended_at.is_some() { "took " } else { "for " }} <Elapsed from=run.summary.created_at to=run.summary.ended_at /></span>
            <span title=place.clone()>"in " {short_location(&place)}</span>
            {run.restart_of.map(|earlier| view! { <span>"goes on from " <a href=format!("/runs/{earlier}")>"run " {earlier.short()}</a></span> })}
        </p>
    }
}

fn parameters(run: &RunView) -> impl IntoView + use<> {
    let rows: Vec<_> = run
        .parameters
        .iter()
        .map(|(name, value)| view! { <div><dt><code>{name.clone()}</code></dt><dd>{plain(value)}</dd></div> })
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

fn by_key(run: &RunView) -> HashMap<&str, &RunStep> {
    run.steps.iter().map(|step| (step.key.as_str(), step)).collect()
}

pub fn shape_of(run: &RunView) -> Shape {
    let steps = by_key(run);
    let label = |key: &str| match steps.get(key) {
        Some(step) => Label { title: step.title.clone(), kind: step.kind.clone(), href: format!("/tasks/{}", step.task) },
        None => Label { title: key.to_owned(), kind: String::new(), href: "#steps".to_owned() },
    };
    Shape { labels: run.drawing.nodes.iter().map(|node| label(&node.key)).collect(), drawing: run.drawing.clone() }
}

pub fn marks_of(run: &RunView) -> Vec<Mark> {
    let steps = by_key(run);
    let mark = |key: &str| match steps.get(key) {
        Some(step) => {
            let (tone, shape, word) = step_look(step);
            Mark { tone, shape, word: format!("{word} · {}", which(step)) }
        }
        None => Mark { tone: Tone::Neutral, shape: Icon::Dots, word: String::new() },
    };
    run.drawing.nodes.iter().map(|node| mark(&node.key)).collect()
}

/// What it is; of several that a group has become, which one, as their titles begin alike.
fn which(step: &RunStep) -> &str {
    let name = step.key.rsplit('/').next().unwrap_or_default();
    match name.split_once('[') {
        Some((_, which)) => which.trim_end_matches(']'),
        None => kind_word(&step.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_may_be_a_step_that_has_come() {
        let id = |number: u8| format!("00000000-0000-7000-8000-00000000000{number}");
        let [ours, other] = [1, 2].map(|number| id(number).parse::<WorkflowRunId>().unwrap());
        let event = |kind| Event {
            cursor: "1-1".into(),
            at: chrono::DateTime::UNIX_EPOCH,
            actor: "system".into(),
            task_id: id(3).parse().unwrap(),
            number: 1,
            kind,
        };
        let shows = |kind| may_be_added(&event(kind), Some(ours));
        assert!(shows(EventKind::StepAdded { run: ours }) && shows(EventKind::Unknown));
        assert!(!shows(EventKind::StepAdded { run: other }) && !shows(EventKind::TaskDue));
    }
}
