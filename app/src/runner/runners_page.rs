//! Who does the work: the machines of this workspace and of the installation, how they stand, and how another one joins.

use domain::{Runner, RunnerId, runner::RUNNERS_LISTED};
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{
    CreateRunnerToken, JoinCommand, RemoveRunner, SetIsolation,
    acts::{may_manage, refusal},
    fleet::fleet,
    has::has,
    isolation::isolation_part,
    list_runners,
    look::keep_looking,
    machine::machine_cell,
    made_runner_token,
    remove_form::remove_form,
    state::{slots_meter, state_badge, takes_nothing},
};
use crate::{
    components::{Button, ButtonKind, CopyButton, DataTable, Empty, Icon, Notice, Time, Tone, icon, toast::tell},
    fetched::fetched,
    layout::Who,
    page_json::fetch,
    part::{NotLoaded, part},
};

pub struct RunnersPage;

impl LazyRoute for RunnersPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", runners_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

/// What a person can do with runners.
#[derive(Clone, Copy)]
struct RunnerActs {
    add: ServerAction<CreateRunnerToken>,
    remove: ServerAction<RemoveRunner>,
    isolate: ServerAction<SetIsolation>,
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn runners_page() -> Result<AnyView, NotLoaded> {
    let runners = fetch(|| (), |()| list_runners());
    let made = fetch(|| (), |()| made_runner_token());
    keep_looking(runners);
    let acts = RunnerActs { add: ServerAction::new(), remove: ServerAction::new(), isolate: ServerAction::new() };
    tell(acts.remove.value(), |()| "It is removed, and its key is dead".into(), Callback::new(move |()| runners.refetch()));
    let who: Option<Who> = use_context();
    let changed = Callback::new(move |()| {
        if let Some(who) = who {
            who.refetch();
        }
    });
    tell(acts.isolate.value(), |()| "That holds for what starts from now on".into(), changed);
    let may_change = move || may_manage(who);
    let command = move || match acts.add.value().get() {
        Some(Ok(command)) => Some(command),
        _ => made.get().and_then(Result::ok).flatten(),
    };
    let refused = move || {
        let added = acts.add.value().get().and_then(Result::err);
        let removed = || acts.remove.value().get().and_then(Result::err);
        added.or_else(removed).or_else(|| acts.isolate.value().get().and_then(Result::err)).map(refusal)
    };
    Ok(view! {
        <Title text="Runners · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <h1 class="l-head__title">"Runners"</h1>
                <p class="u-quiet">"A runner is a process that does the work, inside this server or on a machine that has joined."</p>
            </div>
            <div class="l-head__acts">
                <Suspense>{move || may_change().then(|| add_button(acts))}</Suspense>
            </div>
        </div>
        {refused}
        <Suspense>{move || command().map(join_notice)}</Suspense>
        {fetched(runners, 6, move |runners| content(runners, may_change, acts))}
        <Suspense>{move || who.and_then(|who| who.get()?.ok()).map(|who| isolation_part(who, acts.isolate))}</Suspense>
    }
    .into_any())
}

fn add_button(acts: RunnerActs) -> impl IntoView {
    view! {
        <ActionForm action=acts.add>
            <Button text="Add a machine" kind=ButtonKind::Primary shape=Icon::Plus busy=acts.add.pending() />
        </ActionForm>
    }
}

fn join_notice(made: JoinCommand) -> impl IntoView {
    let command = made.command.clone();
    view! {
        <Notice tone=Tone::Good title="Run this on the machine">
            <p class="c-command">
                <code>{made.command}</code>
                <CopyButton text=command label="Copy the command" />
            </p>
            <p>
                "It works once, ends " <Time at=made.expires_at /> ", and is not shown again. The machine makes a key of its own, carries out a \
                 small task, and appears below. It needs " <code>"muster"</code> " and " <code>"git"</code> "."
            </p>
        </Notice>
    }
}

const COLUMNS: &[(&str, &str)] = &[
    ("Runner", ""),
    ("State", "c-table__state"),
    ("Load", "p-runners__load"),
    ("Has", "p-runners__has"),
    ("Last seen", "c-table__time"),
    ("Change", "c-table__acts"),
];

fn content(runners: Signal<Vec<Runner>>, may_change: impl Fn() -> bool + Copy + Send + Sync + 'static, acts: RunnerActs) -> impl IntoView {
    let is_empty = Memo::new(move |_| runners.with(Vec::is_empty));
    move || {
        if is_empty.get() {
            return view! {
                <Empty title="No runner yet" shape=Icon::Terminal>
                    <p>"Tasks wait until there is one. Start the server with slots of its own, or add a machine."</p>
                </Empty>
            }
            .into_any();
        }
        // of more than are listed nobody knows it here
        let all = move || runners.with(|runners| (runners.len() < RUNNERS_LISTED).then(|| fleet(runners)));
        let there_are_more = move || {
            (runners.with(Vec::len) >= RUNNERS_LISTED).then(|| {
                let words = format!("These are the first {RUNNERS_LISTED} by name. ");
                view! { <p class="u-quiet">{words} <code>"muster runner list"</code> " shows all of them."</p> }
            })
        };
        view! {
            <p class="u-quiet p-runners__fleet">{all}</p>
            <DataTable caption="Runners, by name" columns=COLUMNS>
                <For each=move || runners.get() key=|runner| runner.id let:runner>{row(runner.id, runners, may_change, acts)}</For>
            </DataTable>
            {there_are_more}
        }
        .into_any()
    }
}

/// A row stays its runner's: what is asked in it before one is removed is never asked about another that has come to its place.
fn row(
    id: RunnerId,
    runners: Signal<Vec<Runner>>,
    may_change: impl Fn() -> bool + Send + Sync + 'static,
    acts: RunnerActs,
) -> impl IntoView {
    let now = Memo::new(move |_| runners.with(|runners| runners.iter().find(|one| one.id == id).cloned()));
    let remove = move || now.get().filter(|runner| runner.joined && may_change()).map(|runner| remove_form(&runner, acts.remove));
    view! {
        <tr class="c-table__row">
            {move || now.get().map(cells)}
            <td class="c-table__act c-table__wide">{remove}</td>
        </tr>
    }
}

fn cells(runner: Runner) -> impl IntoView {
    let unable = runner.no_sandbox.clone().filter(|_| runner.online).map(|why| {
        view! { <p class="p-runners__unable">{icon(Icon::Alert)} <span>"Makes no sandbox: " {why}</span></p> }
    });
    let left = runner.left_behind.is_some().then(|| {
        view! { <p class="p-runners__unable">{icon(Icon::Alert)} <span>"Something is left of attempts that have ended"</span></p> }
    });
    let silent = takes_nothing(&runner).map(|words| view! { <p class="p-runners__unable">{icon(Icon::Alert)} <span>{words}</span></p> });
    let place = if runner.joined { "joined this workspace" } else { "inside the server, for every workspace" };
    let state = state_badge(&runner);
    let slots = slots_meter(&runner);
    let machine = machine_cell(runner.reading.as_ref());
    let has = has(&runner);
    let has_class = if has.is_empty() { "p-runners__has c-table__usual" } else { "p-runners__has" };
    view! {
        <td class="c-table__main" data-label="Runner">
            <a class="c-table__link p-runners__name" href=format!("/runners/{}", runner.id)>{runner.name}</a>
            <span class="u-quiet">{place}</span>
            {silent}
            {unable}
            {left}
        </td>
        <td class="c-table__state" data-label="State">{state}</td>
        <td class="p-runners__load" data-label="Load"><span class="p-runners__slots">{slots}</span> {machine}</td>
        <td class=has_class data-label="Has">{has}</td>
        <td class="c-table__time p-runners__seen" data-label="Last seen"><Time at=runner.last_seen_at /></td>
    }
}
