//! One endpoint: whether it answers, what it has, and what it pulls.

use std::time::Duration;

use domain::{
    Endpoint, Runner, RunnerId,
    endpoint::{EndpointDetail, EndpointHealth, EndpointModel, ModelState},
    runner::reading::bytes,
};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{
    acts::{EndpointActs, may_manage, pull_form, remove_form},
    find_endpoint,
    health::{health_badge, load_words, model_badge, origin},
    pulls::pull_list,
};
use crate::{
    components::{DataTable, Empty, Icon, Notice, Time, Tone, facts::fact},
    document_title::document_title,
    fetched::fetched,
    layout::Who,
    live::{look_every, look_while},
    page_json::fetch,
    part::{NotLoaded, part},
    runner::list_runners,
};

/// As often as it is looked at itself; nothing tells of it.
const LOOK: Duration = Duration::from_secs(10);
/// So that a pull is seen to go on, and whether it answers as soon as that is known.
const LOOK_SOON: Duration = Duration::from_secs(2);

pub struct EndpointPage;

impl LazyRoute for EndpointPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", endpoint_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn endpoint_page() -> Result<AnyView, NotLoaded> {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned)));
    // Keyed, so that another endpoint gets a page of its own and nothing is left of the last one.
    Ok(view! {
        <Title text="Endpoint · Muster" />
        <For each=move || id.get() key=String::clone let:id>
            <EndpointById id=id />
        </For>
    }
    .into_any())
}

#[component]
fn EndpointById(id: String) -> impl IntoView {
    let endpoint = fetch(|| (), move |()| find_endpoint(id.clone()));
    look_every(endpoint, LOOK);
    let refresh = Callback::new(move |()| endpoint.refetch());
    fetched(endpoint, 8, move |detail: Signal<EndpointDetail>| view! { <Content detail=detail refresh=refresh /> })
}

#[component]
fn Content(detail: Signal<EndpointDetail>, refresh: Callback<()>) -> impl IntoView {
    let acts = EndpointActs::new(refresh);
    // by their names, which is how people know them
    let runners = fetch(|| (), |()| list_runners());
    let who: Option<Who> = use_context();
    let may_change = move || may_manage(who);
    let endpoint = Memo::new(move |_| detail.with(|detail| detail.endpoint.clone()));
    // what a link to its pulls names
    let wanted = use_query_map().with_untracked(|query| query.get_str("pull").unwrap_or_default().to_owned());
    let name = Memo::new(move |_| endpoint.with(|endpoint| endpoint.name.clone()));
    let id = Memo::new(move |_| endpoint.with(|endpoint| endpoint.id.to_string()));
    let health = Memo::new(move |_| endpoint.with(|endpoint| endpoint.health));
    let registered = Memo::new(move |_| endpoint.with(|endpoint| endpoint.registered_by.is_some()));
    let models = Memo::new(move |_| detail.with(|detail| detail.models.clone()));
    let pulls = Memo::new(move |_| detail.with(|detail| detail.pulls.clone()));
    let is_pulling = move || pulls.with(|pulls| pulls.iter().any(|pull| pull.state.is_open()));
    let changes_soon = Memo::new(move |_| health.get() == EndpointHealth::Unknown || is_pulling());
    look_while(changes_soon, move || refresh.run(()), LOOK_SOON);
    view! {
        <Title text=document_title(name) />
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb"><a href="/endpoints">"Endpoints"</a></p>
                <h1 class="l-head__title">{name}</h1>
                <div class="p-task__badges">
                    {move || health_badge(health.get())}
                    <span class="u-quiet">{move || endpoint.with(origin)}</span>
                </div>
            </div>
            <div class="l-head__acts">
                {move || (registered.get() && may_change()).then(|| endpoint.with_untracked(|endpoint| remove_form(endpoint, acts.remove)))}
            </div>
        </div>
        {acts.refusal()}
        {move || endpoint.with(unconfirmed)}
        {move || endpoint.with(notice)}
        {move || {
            let runners = runners.get().and_then(Result::ok).unwrap_or_default();
            endpoint.with(|endpoint| facts(endpoint, &runners))
        }}
        <section class="l-part" aria-labelledby="models">
            <h2 class="l-part__title" id="models">"Models"</h2>
            {move || model_table(models.get(), may_change())}
        </section>
        <section class="l-part" aria-labelledby="pulls">
            <h2 class="l-part__title" id="pulls">"Pulls"</h2>
            {move || may_change().then(|| pull_form(id.get(), wanted.clone(), acts.pull))}
            {pull_list(pulls.into(), may_change, acts)}
        </section>
    }
}

fn unconfirmed(endpoint: &Endpoint) -> Option<impl IntoView + use<>> {
    let how = (!endpoint.is_confirmed).then(|| endpoint.how_to_confirm())?;
    Some(view! {
        <Notice tone=Tone::Warn title="Found, not confirmed">
            <p>"Any program may listen there, so no attempt is given to it. To have that changed, " {how} "."</p>
        </Notice>
    })
}

fn notice(endpoint: &Endpoint) -> Option<impl IntoView + use<>> {
    let title = match endpoint.health {
        EndpointHealth::Unhealthy => "It does not answer",
        EndpointHealth::Stale => "Nobody has looked at it lately",
        EndpointHealth::Healthy | EndpointHealth::Unknown => return None,
    };
    let why = endpoint.why.clone().map(|why| format!("{why}. ")).unwrap_or_default();
    let since = endpoint.unhealthy_since.map(|since| view! { "It has not answered since " <Time at=since /> ". " });
    Some(view! {
        <Notice tone=Tone::Warn title=title>
            <p>{why} {since} "No attempt is given to it until it answers. What follows is as it was."</p>
        </Notice>
    })
}

fn facts(endpoint: &Endpoint, runners: &[Runner]) -> impl IntoView + use<> {
    let runner = endpoint.runner_id.map(|id| fact("Runner", runner_link(id, runners)));
    let machine_of = endpoint.machine_of.map(|id| fact("Machine of", runner_link(id, runners)));
    let (url, load) = (endpoint.url.clone(), load_words(endpoint));
    view! {
        <dl class="c-facts p-endpoint__facts">
            {fact("Address", view! { <code>{url}</code> })}
            {runner}
            {machine_of}
            {endpoint.version.clone().map(|version| fact("Ollama", version))}
            {fact("Load", load)}
            {endpoint.checked_at.map(|at| fact("Looked at", view! { <Time at=at /> }))}
        </dl>
    }
}

/// By its name, as far as that is among those that are listed.
fn runner_link(id: RunnerId, runners: &[Runner]) -> impl IntoView + use<> {
    let name = runners.iter().find(|one| one.id == id).map_or_else(|| id.short(), |one| one.name.clone());
    view! { <a href=format!("/runners/{id}")>{name}</a> }
}

const COLUMNS: &[(&str, &str)] =
    &[("Model", ""), ("State", "c-table__state"), ("Size", "c-table__short"), ("In GPUs", "c-table__short"), ("Kind", "c-table__place")];

fn model_table(models: Vec<EndpointModel>, may_pull: bool) -> AnyView {
    if models.is_empty() {
        let how = if may_pull { " One is pulled below." } else { " Admins have one pulled." };
        return view! { <Empty title="No models" shape=Icon::Dots><p>"It has none, or has never answered." {how}</p></Empty> }.into_any();
    }
    let rows = models.into_iter().map(model_row).collect_view();
    view! { <DataTable caption="Models of this endpoint, by name" columns=COLUMNS>{rows}</DataTable> }.into_any()
}

/// What is not loaded is in none; of what is, not every Ollama tells.
fn in_gpus(model: &EndpointModel) -> String {
    match (model.vram, model.state) {
        (None, ModelState::Warm) => "not told".to_owned(),
        (None | Some(0), _) => "none".to_owned(),
        (Some(vram), _) => bytes(vram),
    }
}

fn model_row(model: EndpointModel) -> impl IntoView {
    let in_gpus = in_gpus(&model);
    let kind = [model.parameters, model.quantization].into_iter().flatten().collect::<Vec<_>>().join(", ");
    view! {
        <tr class="c-table__row">
            <th class="c-table__main" scope="row" data-label="Model"><code>{model.name}</code></th>
            <td class="c-table__state" data-label="State">{model_badge(model.state)}</td>
            <td class="c-table__short" data-label="Size">{bytes(model.size)}</td>
            <td class="c-table__short" data-label="In GPUs">{in_gpus}</td>
            <td class="c-table__place" data-label="Kind">{kind}</td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_of_a_model_is_in_gpus_is_said_where_it_is_told() {
        let model = |state, vram| EndpointModel { name: "tiny".into(), state, size: 1, quantization: None, parameters: None, vram };
        let said = |state, vram| in_gpus(&model(state, vram));
        assert_eq!(
            [said(ModelState::Warm, None), said(ModelState::Warm, Some(0)), said(ModelState::Cold, None)],
            ["not told", "none", "none"]
        );
        assert_eq!(said(ModelState::Warm, Some(1 << 30)), "1.0 GiB");
    }
}
