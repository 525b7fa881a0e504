//! Endpoints: what the pages ask the server for. Each server function is one call of the engine's method of the same name.

pub mod acts;
mod auto_pull;
mod choice;
pub mod endpoint_page;
pub mod endpoints_page;
mod health;
pub mod of_runner;
mod pulls;

use domain::{
    Endpoint, EndpointId, Pull, PullId,
    endpoint::{EndpointChoice, EndpointDetail},
};
use leptos::prelude::*;

use crate::problem::Problem;

#[server(prefix = "/_fn", endpoint = "list_endpoints")]
pub async fn list_endpoints() -> Result<Vec<Endpoint>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_endpoints(&actor).await).await
}

/// The endpoint of a page, by what stands in its address. When there is none, the answer's status says so as well.
#[server(prefix = "/_fn", endpoint = "find_endpoint")]
pub async fn find_endpoint(id: String) -> Result<EndpointDetail, Problem> {
    match id.parse() {
        Ok(id) => crate::ssr::call(async |engine, actor| engine.find_endpoint(&actor, id).await).await,
        Err(_) => Err(Problem::not_found("There is no endpoint of that id.")),
    }
    .inspect_err(crate::ssr::answer_with_status)
}

/// Nothing where no model is named.
#[server(prefix = "/_fn", endpoint = "choose_endpoint")]
pub async fn choose_endpoint(#[server(default)] model: Option<String>) -> Result<Option<EndpointChoice>, Problem> {
    let Some(model) = model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()) else { return Ok(None) };
    crate::ssr::call(async |engine, actor| engine.choose_endpoint(&actor, model).await).await.map(Some)
}

/// On the machine of no runner when none is named.
#[server(prefix = "/_fn", endpoint = "register_endpoint")]
pub async fn register_endpoint(name: String, url: String, #[server(default)] machine_of: Option<String>) -> Result<Endpoint, Problem> {
    let machine_of = machine_of.filter(|id| !id.is_empty()).map(|id| id.parse::<domain::RunnerId>()).transpose();
    let machine_of = machine_of.map_err(|_| Problem::not_found("There is no runner of that id."))?;
    let new = domain::endpoint::NewEndpoint { name, url, machine_of };
    let endpoint = crate::ssr::call(async |engine, actor| engine.register_endpoint(&actor, new).await).await?;
    leptos_axum::redirect(&format!("/endpoints/{}", endpoint.id));
    Ok(endpoint)
}

#[server(prefix = "/_fn", endpoint = "remove_endpoint")]
pub async fn remove_endpoint(id: EndpointId) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.remove_endpoint(&actor, id).await).await?;
    leptos_axum::redirect("/endpoints");
    Ok(())
}

#[server(prefix = "/_fn", endpoint = "set_auto_pull")]
pub async fn set_auto_pull(auto_pull: bool) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.set_auto_pull(&actor, auto_pull).await).await?;
    leptos_axum::redirect("/endpoints");
    Ok(())
}

#[server(prefix = "/_fn", endpoint = "pull_model")]
pub async fn pull_model(id: EndpointId, model: String) -> Result<Pull, Problem> {
    let new = domain::endpoint::NewPull { model };
    let pull = crate::ssr::call(async |engine, actor| engine.pull_model(&actor, id, new).await).await?;
    leptos_axum::redirect(&format!("/endpoints/{id}"));
    Ok(pull)
}

#[server(prefix = "/_fn", endpoint = "cancel_pull")]
pub async fn cancel_pull(id: PullId) -> Result<Pull, Problem> {
    let pull = crate::ssr::call(async |engine, actor| engine.cancel_pull(&actor, id).await).await?;
    leptos_axum::redirect(&format!("/endpoints/{}", pull.endpoint_id));
    Ok(pull)
}
