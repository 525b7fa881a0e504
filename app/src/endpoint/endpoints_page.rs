//! Where models are: the endpoints that runners have found and people have registered, whether they answer, and which one would be chosen.

use std::time::Duration;

use domain::{Endpoint, endpoint::EndpointHealth};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{
    SetAutoPull,
    acts::{EndpointActs, may_manage, refusal, register_form},
    auto_pull::auto_pull_part,
    choice::choice_part,
    choose_endpoint,
    health::{health_badge, load_words, models_words, origin},
    list_endpoints,
};
use crate::{
    components::{DataTable, Empty, Icon, Time, toast::tell},
    fetched::fetched,
    layout::Who,
    live::look_every,
    page_json::fetch,
    part::{NotLoaded, part},
    price::{PriceActs, list_model_prices, prices_part},
    runner::list_runners,
};

/// As often as they are looked at; nothing tells of what was seen.
const LOOK: Duration = Duration::from_secs(10);

pub struct EndpointsPage;

impl LazyRoute for EndpointsPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", endpoints_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn endpoints_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let model = Signal::derive(move || query.with(|query| query.get_str("model").map(str::to_owned)));
    let endpoints = fetch(|| (), |()| list_endpoints());
    let choice = fetch(move || model.get(), choose_endpoint);
    let runners = fetch(|| (), |()| list_runners());
    let prices = fetch(|| (), |()| list_model_prices());
    look_every(endpoints, LOOK);
    look_every(choice, LOOK);
    let acts = EndpointActs::new(Callback::new(move |()| {
        endpoints.refetch();
        choice.refetch();
    }));
    let who: Option<Who> = use_context();
    let auto_pull = ServerAction::<SetAutoPull>::new();
    let changed = Callback::new(move |()| {
        if let Some(who) = who {
            who.refetch();
        }
    });
    tell(auto_pull.value(), |()| "That holds for what starts from now on".into(), changed);
    let price_acts = PriceActs::new(Callback::new(move |()| prices.refetch()));
    let register = move || {
        let known = runners.get().and_then(Result::ok).unwrap_or_default();
        may_manage(who).then(|| register_form(known, acts.register))
    };
    Ok(view! {
        <Title text="Endpoints · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <h1 class="l-head__title">"Endpoints"</h1>
                <p class="u-quiet">"An endpoint is a server of models that speaks Ollama's API, on a runner's machine or elsewhere."</p>
            </div>
            <div class="l-head__acts">
                <Suspense>{register}</Suspense>
            </div>
        </div>
        {acts.refusal()}
        {move || auto_pull.value().get().and_then(Result::err).map(refusal)}
        {fetched(endpoints, 6, content)}
        {choice_part(model, choice, move || may_manage(who))}
        {price_acts.refusal()}
        {fetched(prices, 3, move |prices| prices_part(prices, who, price_acts))}
        <Suspense>{move || who.and_then(|who| who.get()?.ok()).map(|who| auto_pull_part(who, auto_pull))}</Suspense>
    }
    .into_any())
}

const COLUMNS: &[(&str, &str)] = &[
    ("Endpoint", ""),
    ("Health", "c-table__state"),
    ("Models", "c-table__place"),
    ("Load", "c-table__place"),
    ("Looked at", "c-table__time"),
];

fn content(endpoints: Signal<Vec<Endpoint>>) -> impl IntoView {
    let is_empty = Memo::new(move |_| endpoints.with(Vec::is_empty));
    move || {
        if is_empty.get() {
            return view! {
                <Empty title="No endpoint yet" shape=Icon::Machine>
                    <p>"A runner finds an Ollama that listens on its machine, or where MUSTER_OLLAMA_URL says. Others are registered here."</p>
                </Empty>
            }
            .into_any();
        }
        view! {
            <DataTable caption="Endpoints, by name" columns=COLUMNS>
                {move || endpoints.get().into_iter().map(row).collect_view()}
            </DataTable>
        }
        .into_any()
    }
}

fn row(endpoint: Endpoint) -> impl IntoView {
    let why = endpoint.why.clone().filter(|_| endpoint.health == EndpointHealth::Unhealthy);
    let how = (!endpoint.is_confirmed).then(|| format!("It is given no prompts: {}.", endpoint.how_to_confirm()));
    let (from, load, models) = (origin(&endpoint), load_words(&endpoint), models_words(&endpoint));
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Endpoint">
                <a class="c-table__link" href=format!("/endpoints/{}", endpoint.id)>{endpoint.name}</a>
                <p class="c-table__about">{endpoint.url} ", " {from}</p>
                {why.map(|why| view! { <p class="u-bad">{why}</p> })}
                {how.map(|how| view! { <p class="c-table__about">{how}</p> })}
            </td>
            <td class="c-table__state" data-label="Health">{health_badge(endpoint.health)}</td>
            <td class="c-table__place" data-label="Models">{models}</td>
            <td class="c-table__place" data-label="Load">{load}</td>
            <td class="c-table__time" data-label="Looked at">{endpoint.checked_at.map(|at| view! { <Time at=at /> })}</td>
        </tr>
    }
}
