//! The start page: how much is where, what happens now, what ended last, and who does the work.

use domain::{Overview, Runner, overview::StateCount};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::overview;
use crate::{
    components::{ButtonKind, CopyButton, Empty, Icon, LinkButton, Time},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
    runner::state::{slots_meter, state_badge, takes_nothing},
    task::{
        row::task_rows,
        state_badge::{state_label, state_shape, state_tone},
    },
};

pub struct OverviewPage;

impl LazyRoute for OverviewPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("home", overview_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(home, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn overview_page() -> Result<AnyView, NotLoaded> {
    let overview = fetch(|| (), |()| overview());
    use_live(overview, |_| true);
    Ok(view! {
        <Title text="Overview · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"Overview"</h1>
            <div class="l-head__acts">
                <LinkButton href="/tasks/new" text="New task" kind=ButtonKind::Primary shape=Icon::Plus />
            </div>
        </div>
        {fetched(overview, 6, content)}
    }
    .into_any())
}

fn content(overview: Signal<Overview>) -> impl IntoView {
    let is_new = Memo::new(move |_| overview.with(|overview| overview.counts.iter().all(|count| count.tasks == 0)));
    let active = Signal::derive(move || overview.with(|overview| overview.active.clone()));
    let ended = Signal::derive(move || overview.with(|overview| overview.ended.clone()));
    view! {
        {move || {
            if is_new.get() {
                view! { <FirstRun /> }.into_any()
            } else {
                view! {
                    <Counts overview=overview />
                    <section class="l-part" aria-labelledby="active">
                        <h2 class="l-part__title" id="active">"Active now"</h2>
                        {task_rows(active, "Tasks that run or are checked now", "Nothing runs at the moment.")}
                    </section>
                    <section class="l-part" aria-labelledby="ended">
                        <h2 class="l-part__title" id="ended">"Ended last"</h2>
                        {task_rows(ended, "Tasks that ended last", "Nothing has ended yet.")}
                    </section>
                }
                    .into_any()
            }
        }}
        <section class="l-part" aria-labelledby="runners">
            <h2 class="l-part__title" id="runners"><a href="/runners">"Runners"</a></h2>
            {move || runners(overview.with(|overview| overview.runners.clone()))}
        </section>
    }
}

/// How many tasks are in each state. A state without tasks is left out, except for those a glance is for.
#[component]
fn Counts(overview: Signal<Overview>) -> impl IntoView {
    let shown = move || {
        let counts = overview.with(|overview| overview.counts.clone());
        counts.into_iter().filter(|count| count.tasks > 0 || is_always_shown(count)).map(count_tile).collect_view()
    };
    view! { <nav class="p-overview__counts" aria-label="Tasks by state">{shown}</nav> }
}

fn is_always_shown(count: &StateCount) -> bool {
    use domain::TaskStateName::{Failed, Queued, Running, Succeeded};
    matches!(count.state, Queued | Running | Succeeded | Failed)
}

fn count_tile(count: StateCount) -> impl IntoView {
    let href = format!("/tasks?state={}", count.state.name());
    let class = format!("p-overview__count p-overview__count--{}", state_tone(count.state).name());
    view! {
        <a class=class href=href data-empty=(count.tasks == 0).then_some("")>
            <span class="p-overview__number">{count.tasks}</span>
            <span class="p-overview__state">{crate::components::icon(state_shape(count.state))} {state_label(count.state)}</span>
        </a>
    }
}

fn runners(runners: Vec<Runner>) -> impl IntoView {
    if runners.is_empty() {
        return view! { <p class="u-quiet">"No runner has called in yet. Tasks wait until one does."</p> }.into_any();
    }
    let cards = runners.into_iter().map(|runner| {
        let (state, slots, silent) = (state_badge(&runner), slots_meter(&runner), takes_nothing(&runner));
        view! {
            <li class="p-overview__runner">
                <a class="p-overview__runner-name" href=format!("/runners/{}", runner.id)>{runner.name}</a>
                {state}
                {silent.map(|words| view! { <span class="u-warn">{words}</span> })}
                {slots}
                <span class="u-quiet">"seen " <Time at=runner.last_seen_at /></span>
                {(!runner.capabilities.is_empty()).then(|| view! { <span class="u-quiet">"has " {runner.capabilities.join(", ")}</span> })}
            </li>
        }
    });
    view! { <ul class="p-overview__runners">{cards.collect_view()}</ul> }.into_any()
}

const FIRST_COMMAND: &str = "muster task run --repo . --command \"make test\" --check git_clean";

/// Shown until there is a task.
#[component]
fn FirstRun() -> impl IntoView {
    view! {
        <Empty title="Hand over the first task" shape=Icon::Shield>
            <p>"Say what to do and what counts as done. Muster runs it on its own branch, checks the result itself, and shows all of it here."</p>
            <p><LinkButton href="/tasks/new" text="New task" kind=ButtonKind::Primary shape=Icon::Plus /></p>
            <p>"Or from a terminal, in a git repository:"</p>
            <p class="c-command">
                <code>{FIRST_COMMAND}</code>
                <CopyButton text=FIRST_COMMAND.to_owned() label="Copy the command" />
            </p>
        </Empty>
    }
}
