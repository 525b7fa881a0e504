//! One runner: how it stands, what it works on, what it has done, and what has happened to it.

use domain::{
    Page, Runner,
    runner::{Draining, RunnerDetail, RunnerLogEntry, RunnerTransition},
};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{
    acts::Acts, current::current_part, day::day_part, facts::facts, find_runner, history::history_part, log::log_part, look::keep_looking,
    machine::machine_part, periods::periods_part, runner_log, runner_periods, state::state_badge,
};
use crate::{
    components::{Notice, Time, Tone},
    document_title::document_title,
    endpoint::of_runner::EndpointsOfRunner,
    fetched::fetched,
    page_json::{Fetched, fetch},
    part::{NotLoaded, part},
};

pub struct RunnerPage;

impl LazyRoute for RunnerPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", runner_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn runner_page() -> Result<AnyView, NotLoaded> {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned)));
    // Keyed, so that another runner gets a page of its own and nothing is left of the last one.
    Ok(view! {
        <Title text="Runner · Muster" />
        <For each=move || id.get() key=String::clone let:id>
            <RunnerById id=id />
        </For>
    }
    .into_any())
}

#[component]
fn RunnerById(id: String) -> impl IntoView {
    let query = use_query_map();
    let cursor = Memo::new(move |_| query.with(|query| query.get_str("cursor").map(str::to_owned)));
    let log = {
        let id = id.clone();
        fetch(move || cursor.get(), move |cursor| runner_log(id.clone(), cursor))
    };
    let stood = Memo::new(move |_| query.with(|query| query.get_str("stood").map(str::to_owned)));
    let periods = {
        let id = id.clone();
        fetch(move || stood.get(), move |cursor| runner_periods(id.clone(), cursor))
    };
    let (is_leaving, before) = (RwSignal::new(false), StoredValue::new(None::<RunnerDetail>));
    let runner = fetch(
        || (),
        move |()| {
            let id = id.clone();
            async move {
                let found = find_runner(id).await;
                // it is removed from this very page: until that has gone, what it says stays
                let is_leaving = is_leaving.try_get_untracked().unwrap_or_default();
                match (found, before.try_get_value().flatten()) {
                    (Err(_), Some(before)) if is_leaving => Ok(before),
                    (found, _) => {
                        before.try_update_value(|before| *before = found.as_ref().ok().cloned());
                        found
                    }
                }
            }
        },
    );
    keep_looking(runner);
    keep_looking(log);
    keep_looking(periods);
    let refresh = Callback::new(move |()| {
        runner.refetch();
        log.refetch();
        periods.refetch();
    });
    fetched(runner, 12, move |runner: Signal<RunnerDetail>| {
        view! {
            <Content
                runner=runner
                periods=periods
                stood=stood
                log=log
                cursor=cursor
                is_leaving=is_leaving
                refresh=refresh
            />
        }
    })
}

#[component]
fn Content(
    runner: Signal<RunnerDetail>,
    periods: Fetched<Page<RunnerTransition>>,
    stood: Memo<Option<String>>,
    log: Fetched<Page<RunnerLogEntry>>,
    cursor: Memo<Option<String>>,
    is_leaving: RwSignal<bool>,
    refresh: Callback<()>,
) -> impl IntoView {
    let name = Memo::new(move |_| runner.with(|detail| detail.runner.name.clone()));
    view! {
        <Title text=document_title(name) />
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb"><a href="/runners">"Runners"</a></p>
                <h1 class="l-head__title">{name}</h1>
                <div class="p-task__badges">
                    <span class="p-task__state" role="status">{move || runner.with(|detail| state_badge(&detail.runner))}</span>
                    {move || runner.with(origin)}
                </div>
            </div>
            <Acts runner=runner is_leaving=is_leaving refresh=refresh />
        </div>
        {move || runner.with(|detail| drain_notice(&detail.runner))}
        {move || runner.with(|detail| slots_notice(&detail.runner))}
        {move || runner.with(|detail| unresponsive_notice(&detail.runner))}
        {move || runner.with(|detail| disk_notice(&detail.runner))}
        {move || runner.with(|detail| facts(&detail.runner))}
        {current_part(runner)}
        {machine_part(runner)}
        <EndpointsOfRunner id=runner.with_untracked(|detail| detail.runner.id) />
        {day_part(runner)}
        {fetched(periods, 4, move |periods| periods_part(periods, stood, cursor))}
        {history_part(runner)}
        {fetched(log, 4, move |log| log_part(log, cursor, stood))}
    }
}

/// Through whom it is here, and since when.
fn origin(detail: &RunnerDetail) -> AnyView {
    let at = detail.created_at;
    match (detail.runner.joined, detail.joined_by.clone()) {
        (false, _) => view! { <span class="u-quiet">"inside the server, for every workspace"</span> }.into_any(),
        (true, Some(by)) => view! { <span class="u-quiet">"joined by " {by} ", " <Time at=at /></span> }.into_any(),
        (true, None) => view! { <span class="u-quiet">"joined " <Time at=at /></span> }.into_any(),
    }
}

fn drain_notice(runner: &Runner) -> Option<impl IntoView + use<>> {
    let Draining { since, by } = runner.draining.clone()?;
    let left = left(runner.busy);
    Some(view! {
        <Notice tone=Tone::Warn title="Takes nothing new">
            <p>"Asked for by " {by} ", " <Time at=since /> ". " {left}</p>
        </Notice>
    })
}

fn slots_notice(runner: &Runner) -> Option<impl IntoView + use<>> {
    let (to_come, slots) = (runner.slots_to_come()?, runner.slots);
    Some(view! {
        <Notice tone=Tone::Warn title="Has fewer slots than were set">
            <p>
                {format!("{to_come} were set, and it has {slots}, as its machine says. ")}
                "An older version of Muster takes fewer from here and not more: update it on the machine, and it has them as soon as it comes again."
            </p>
        </Notice>
    })
}

fn unresponsive_notice(runner: &Runner) -> Option<impl IntoView + use<>> {
    let since = runner.takes_nothing_since()?;
    Some(view! {
        <Notice tone=Tone::Warn title="Does not take what it is given">
            <p>
                "It gives signs of life, but did not take a task that it was given; that was noticed " <Time at=since /> ". What it does not take "
                "goes back into the queue with its next link, and every five minutes it is given one task, until it takes one. If it does not, "
                "start it again."
            </p>
        </Notice>
    })
}

fn disk_notice(runner: &Runner) -> Option<impl IntoView + use<>> {
    let why = runner.lacks_disk().filter(|_| runner.online)?;
    Some(view! {
        <Notice tone=Tone::Warn title="Has no room on its disk">
            <p>{why} ". What is at work goes on. It is given work again within ten seconds once there is room."</p>
        </Notice>
    })
}

/// Whether anything is still to come to an end.
fn left(busy: i64) -> String {
    match busy {
        0 => "Nothing is at work any more: the machine can be switched off.".to_owned(),
        1 => "1 task is still at work.".to_owned(),
        busy => format!("{busy} tasks are still at work."),
    }
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn what_is_left_is_counted() {
        assert_eq!(left(0), "Nothing is at work any more: the machine can be switched off.");
        assert_eq!(left(1), "1 task is still at work.");
        assert_eq!(left(2), "2 tasks are still at work.");
    }
}
