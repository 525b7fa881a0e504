//! What waits for a runner, by lane and by repository: how much, for how long, who holds it, and how fast it moves.

use domain::{
    Priority, RepositoryId, TaskFilter, TaskStateName,
    queue::{Lane, Queue, QueuedRepository, UnmetCapabilities},
    task::no_runner_has,
};
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{
    PauseQueue, ResumeQueue,
    chart::{chart, table},
    get_queue,
};
use crate::{
    components::{Button, ButtonKind, DataTable, Empty, Icon, Notice, Time, Tone, time::span, toast::tell},
    fetched::fetched,
    live::use_live_every,
    page_json::fetch,
    part::{NotLoaded, part},
    task::{filter::list_path, state_badge::priority_badge},
    text::{count, short_location},
};

/// Milliseconds between two fetches, however much happens: a long queue is read as a whole.
const PAUSE: i64 = 2000;

pub struct QueuePage;

impl LazyRoute for QueuePage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", queue_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn queue_page() -> Result<AnyView, NotLoaded> {
    let waiting = fetch(|| (), |()| get_queue());
    use_live_every(waiting, || PAUSE, |_| true);
    let acts = QueueActs { pause: ServerAction::new(), resume: ServerAction::new() };
    let refresh = Callback::new(move |()| waiting.refetch());
    tell(acts.pause.value(), |_| "Paused. What runs goes on.".into(), refresh);
    tell(acts.resume.value(), |_| "Goes on.".into(), refresh);
    Ok(view! {
        <Title text="Queue · Muster" />
        {fetched(waiting, 8, move |queue| content(queue, acts))}
    }
    .into_any())
}

/// What a person can do with a queue.
#[derive(Clone, Copy)]
struct QueueActs {
    pause: ServerAction<PauseQueue>,
    resume: ServerAction<ResumeQueue>,
}

fn content(queue: Signal<Queue>, acts: QueueActs) -> impl IntoView {
    let paused_by = Memo::new(move |_| queue.with(|queue| queue.paused_by.clone()));
    let is_empty = Memo::new(move |_| queue.with(|queue| queue.repositories.is_empty()));
    view! {
        <div class="l-head">
            <h1 class="l-head__title">"Queue"</h1>
            <div class="l-head__acts">
                {move || hold_button(None, paused_by.get().is_some(), false, acts)}
            </div>
        </div>
        {move || paused_by.get().map(|who| view! {
            <Notice tone=Tone::Warn title=format!("{who} paused this workspace's queue")>
                <p>"No runner takes a task until it is resumed. What runs goes on."</p>
            </Notice>
        })}
        <section class="l-part" aria-labelledby="lanes">
            <h2 class="l-part__title" id="lanes">"Lanes"</h2>
            {move || lanes(&queue.with(|queue| queue.lanes.clone()))}
            {move || queue.with(|queue| unmet(&queue.unmet))}
            <p class="u-quiet">{move || queue.with(empty_sentence)}</p>
        </section>
        <section class="l-part" aria-labelledby="pace">
            <h2 class="l-part__title" id="pace">"Last hour"</h2>
            <p class="u-quiet">{move || queue.with(pace_sentence)}</p>
            <div class="p-queue__pace">
                {move || queue.with(|queue| chart(&queue.minutes))}
                {move || queue.with(|queue| table(&queue.minutes))}
            </div>
        </section>
        <section class="l-part" aria-labelledby="repositories">
            <h2 class="l-part__title" id="repositories">"Repositories"</h2>
            {move || {
                if is_empty.get() {
                    view! { <Empty title="Nothing waits" shape=Icon::Check><p>"Every task that could start has started."</p></Empty> }.into_any()
                } else {
                    repositories(queue.with(|queue| queue.repositories.clone()), acts).into_any()
                }
            }}
        </section>
    }
}

fn pace_sentence(queue: &Queue) -> String {
    let started: i64 = queue.minutes.iter().map(|minute| minute.started).sum();
    let run = if queue.running == 1 { "runs" } else { "run" };
    format!("{} {run} now. {} ended, {}.", counted(queue.running, "task"), counted(queue.ended_last_hour, "task"), counted_verb(started))
}

fn counted_verb(started: i64) -> String {
    format!("{} started", counted(started, "attempt"))
}

fn counted(number: i64, one: &str) -> String {
    crate::text::count(usize::try_from(number).unwrap_or(0), one)
}

/// When the queue will be empty, as far as that can be said.
fn empty_sentence(queue: &Queue) -> String {
    let waiting: i64 = queue.lanes.iter().map(|lane| lane.waiting).sum();
    match queue.empty_in_seconds {
        _ if waiting == 0 => "Nothing waits.".to_owned(),
        Some(seconds) => {
            let time = span(seconds.saturating_mul(1000));
            format!("At the pace of the last ten minutes all that can start has started in {time}, when nothing is added.")
        }
        None => "When the queue will be empty is unknown: nothing of what waits has started in the last ten minutes, or all of it is held."
            .to_owned(),
    }
}

/// What waits for something that no runner has.
fn unmet(kinds: &[UnmetCapabilities]) -> impl IntoView + use<> {
    let sentence = |kind: &UnmetCapabilities| {
        let waits = if kind.waiting == 1 { "waits" } else { "wait" };
        let tasks = count(usize::try_from(kind.waiting).unwrap_or_default(), "task");
        format!("{}: {tasks} {waits} for it.", no_runner_has(&kind.unmet).unwrap_or_default())
    };
    (!kinds.is_empty()).then(|| {
        let items = kinds.iter().map(|kind| view! { <li>{sentence(kind)}</li> }).collect_view();
        view! {
            <Notice tone=Tone::Warn title="Some tasks need what no runner has">
                <ul class="c-notice__list">{items}</ul>
            </Notice>
        }
    })
}

const LANES: &[(&str, &str)] = &[
    ("Lane", ""),
    ("Waiting", "c-table__short"),
    ("Of those held", "c-table__short"),
    ("First waits since", "c-table__time"),
    ("Half wait since", "c-table__time"),
    ("Ended, 1 h", "c-table__short"),
];

fn lanes(lanes: &[Lane]) -> impl IntoView + use<> {
    let rows: Vec<_> = lanes
        .iter()
        .map(|lane| {
            let (waiting, held) = (lane.waiting, lane.held);
            let held_class = if held > 0 { "c-table__short" } else { "c-table__short c-table__usual" };
            view! {
                <tr class="c-table__row">
                    <td class="c-table__main" data-label="Lane">{priority_badge(lane.priority)}</td>
                    <td class="c-table__short" data-label="Waiting">{waiting_link(waiting, lane.priority)}</td>
                    <td class=held_class data-label="Of those held">{(held > 0).then_some(held)}</td>
                    <td class="c-table__time" data-label="First waits since">{lane.oldest.map(|at| view! { <span class="c-table__label">"first "</span> <Time at=at /> })}</td>
                    <td class="c-table__time" data-label="Half wait since">{lane.middle.map(|at| view! { <span class="c-table__label">"half "</span> <Time at=at /> })}</td>
                    <td class="c-table__short" data-label="Ended, 1 h">{lane.ended_last_hour}</td>
                </tr>
            }
        })
        .collect();
    view! { <DataTable caption="Tasks that wait, by lane" columns=LANES>{rows}</DataTable> }
}

fn waiting_link(waiting: i64, lane: Priority) -> AnyView {
    if waiting == 0 {
        return waiting.into_any();
    }
    let href = list_path(&TaskFilter { state: Some(TaskStateName::Queued), priority: Some(lane), ..TaskFilter::default() });
    view! { <a href=href>{waiting} <span class="u-unseen">{format!(" in lane {}", lane.name())}</span></a> }.into_any()
}

const REPOSITORIES: &[(&str, &str)] = &[
    ("Repository", ""),
    ("Waiting", "c-table__short"),
    ("Running", "c-table__short"),
    ("First waits since", "c-table__time"),
    ("Half wait since", "c-table__time"),
    ("Ended, 1 h", "c-table__short"),
    ("Hold", "c-table__time"),
];

fn repositories(repositories: Vec<QueuedRepository>, acts: QueueActs) -> impl IntoView {
    let rows: Vec<_> = repositories
        .into_iter()
        .map(|one| {
            let is_paused = one.paused_by.is_some();
            view! {
                <tr class="c-table__row">
                    <td class="c-table__main" data-label="Repository" title=one.location.clone()>
                        {short_location(&one.location)}
                        {one.paused_by.map(|who| view! { <span class="u-quiet">" paused by " {who}</span> })}
                    </td>
                    <td class="c-table__short" data-label="Waiting">{one.waiting}</td>
                    <td class="c-table__short" data-label="Running">{one.running}</td>
                    <td class="c-table__time" data-label="First waits since">{one.oldest.map(|at| view! { <span class="c-table__label">"first "</span> <Time at=at /> })}</td>
                    <td class="c-table__time" data-label="Half wait since">{one.middle.map(|at| view! { <span class="c-table__label">"half "</span> <Time at=at /> })}</td>
                    <td class="c-table__short" data-label="Ended, 1 h">{one.ended_last_hour}</td>
                    <td class="c-table__act">{hold_button(Some((one.id, short_location(&one.location))), is_paused, true, acts)}</td>
                </tr>
            }
        })
        .collect();
    view! { <DataTable caption="Tasks that wait and run, by repository" columns=REPOSITORIES>{rows}</DataTable> }
}

fn hold_button(repository: Option<(RepositoryId, String)>, is_paused: bool, in_table: bool, acts: QueueActs) -> AnyView {
    let (id, name) = repository.unzip();
    let field = id.map(|id| view! { <input type="hidden" name="repository" value=id.to_string() /> });
    let about = name.map(|name| view! { <span class="u-unseen">{format!(" {name}")}</span> });
    let kind = if in_table { ButtonKind::Quiet } else { ButtonKind::Plain };
    if is_paused {
        view! { <ActionForm action=acts.resume>{field}<Button text="Resume" kind=kind shape=Icon::Play busy=acts.resume.pending() />{about}</ActionForm> }.into_any()
    } else {
        view! { <ActionForm action=acts.pause>{field}<Button text="Pause" kind=kind shape=Icon::Pause busy=acts.pause.pending() />{about}</ActionForm> }.into_any()
    }
}
