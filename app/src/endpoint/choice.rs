//! Which endpoint would be chosen for a model now, and why not the others.

use domain::endpoint::{EndpointChoice, MODEL_MAX, choice::Considered};
use leptos::prelude::*;

use super::health::model_badge;
use crate::{
    components::{Badge, Button, DataTable, Icon, Notice, TextField, Tone},
    fetched::problem_view,
    page_json::Fetched,
};

/// A form that asks for another address, so that it works without scripts and what it says has a link.
pub(super) fn choice_part(
    model: Signal<Option<String>>,
    choice: Fetched<Option<EndpointChoice>>,
    may_pull: impl Fn() -> bool + Copy + Send + Sync + 'static,
) -> impl IntoView {
    view! {
        <section class="l-part" aria-labelledby="choice">
            <h2 class="l-part__title" id="choice">"Which one would be chosen"</h2>
            <p class="u-quiet">
                "What does not answer, was not looked at lately, or was merely found is never chosen. Of the others those come first that have the model loaded, \
                 then those with less to do. It is decided when a task is given to its runner, and stands with the attempt."
            </p>
            <form class="p-endpoints__choose" method="get" action="/endpoints">
                {move || {
                    let value = model.get().unwrap_or_default();
                    view! { <TextField id="choose-model" label="Model" name="model" value=value required=true code=true max=MODEL_MAX as u32 /> }
                }}
                <Button text="Choose" shape=Icon::Search />
            </form>
            <Transition>
                {move || choice.get().map(|answer| match answer {
                    Ok(None) => ().into_any(),
                    Ok(Some(choice)) => told(choice, may_pull()).into_any(),
                    Err(problem) if problem.status == 422 => {
                        let detail = problem.errors.first().map(|error| format!("The name {}.", error.message)).unwrap_or(problem.detail);
                        view! { <Notice tone=Tone::Bad title="That is no model"><p>{detail}</p></Notice> }.into_any()
                    }
                    Err(problem) => problem_view(&problem).into_any(),
                })}
            </Transition>
        </section>
    }
}

const COLUMNS: &[(&str, &str)] = &[("Endpoint", ""), ("Model", "c-table__state"), ("Load", "c-table__number"), ("Why", "")];

fn told(choice: EndpointChoice, may_pull: bool) -> impl IntoView {
    let verdict = match choice.best() {
        Some(best) => {
            let why = sentence(best);
            view! { <Notice tone=Tone::Good title=format!("{} for {}", best.name, choice.model)><p>{why}</p></Notice> }.into_any()
        }
        None => view! {
            <Notice tone=Tone::Warn title=format!("None for {}", choice.model)>
                <p>"No endpoint that may be asked has it. An attempt that wants it begins as its runner's settings say, unless such models are pulled by themselves here."</p>
            </Notice>
        }
        .into_any(),
    };
    let chosen = choice.chosen;
    let model = may_pull.then(|| choice.model.clone());
    let caption = format!("Endpoints for {}, the best first", choice.model);
    view! {
        {verdict}
        <DataTable caption=caption columns=COLUMNS>
            {choice.considered.into_iter().map(|one| row(chosen == Some(one.id), one, model.as_deref())).collect_view()}
        </DataTable>
    }
}

fn sentence(one: &Considered) -> String {
    format!("{}.", crate::text::capitalised(&one.reasons.join("; ")))
}

/// With a way to have it pull what it lacks, when this is named.
fn row(is_chosen: bool, one: Considered, pulls: Option<&str>) -> impl IntoView + use<> {
    let load = one.fits.then_some(one.load);
    let why = one.reasons.join("; ");
    let pull = pulls.filter(|_| one.lacks_the_model).map(|model| {
        let href = format!("/endpoints/{}?pull={model}#pulls", one.id);
        view! { " " <a class="c-table__other" href=href>"Pull it there"</a> }
    });
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Endpoint">
                <a class="c-table__link" href=format!("/endpoints/{}", one.id)>{one.name}</a>
                {is_chosen.then(|| view! { " " <Badge tone=Tone::Good shape=Icon::Check text="Chosen" /> })}
            </td>
            <td class="c-table__state" data-label="Model">{one.state.map(model_badge)}</td>
            <td class="c-table__number" data-label="Load">{load}</td>
            <td class="c-table__work" data-label="Why">{why} {pull}</td>
        </tr>
    }
}
