//! The endpoints on the machine of a runner, on its own page: where work there finds models.

use std::time::Duration;

use domain::{Endpoint, RunnerId};
use leptos::prelude::*;

use super::{
    health::{health_badge, load_words, models_words},
    list_endpoints,
};
use crate::{fetched::fetched, live::look_every, page_json::fetch};

/// As often as they are looked at; nothing tells of what was seen.
const LOOK: Duration = Duration::from_secs(10);

/// Nothing where there is none.
#[component]
pub fn EndpointsOfRunner(id: RunnerId) -> impl IntoView {
    let endpoints = fetch(|| (), |()| list_endpoints());
    look_every(endpoints, LOOK);
    fetched(endpoints, 1, move |endpoints: Signal<Vec<Endpoint>>| {
        let own = Memo::new(move |_| endpoints.with(|all| all.iter().filter(|one| is_there(one, id)).cloned().collect::<Vec<_>>()));
        move || {
            let own = own.get();
            (!own.is_empty()).then(|| {
                view! {
                    <section class="l-part" aria-labelledby="models">
                        <h2 class="l-part__title" id="models">"Models on its machine"</h2>
                        <ul class="p-runner__current">{own.into_iter().map(entry).collect_view()}</ul>
                    </section>
                }
            })
        }
    })
}

/// As it was found there, or as whoever registered it has said.
fn is_there(endpoint: &Endpoint, runner: RunnerId) -> bool {
    [endpoint.runner_id, endpoint.machine_of].contains(&Some(runner))
}

fn entry(endpoint: Endpoint) -> impl IntoView {
    let (models, load) = (models_words(&endpoint), load_words(&endpoint));
    view! {
        <li class="p-runner__attempt">
            <a class="p-runner__task" href=format!("/endpoints/{}", endpoint.id)>{endpoint.name}</a>
            {health_badge(endpoint.health)}
            <span class="u-quiet">{models} "; " {load}</span>
        </li>
    }
}
