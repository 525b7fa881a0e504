//! Endpoints: servers of models that speak Ollama's API, what they have, which one would be chosen, and what they are to pull.

use app::problem::Problem;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    Endpoint, EndpointId, Pull, PullId,
    endpoint::{EndpointChoice, EndpointDetail, NewEndpoint, NewPull},
};
use engine::Engine;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{
    extract::{ApiJson, ApiQuery, Id},
    idempotency::Place,
};
use crate::auth::Who;

type Answer<T> = Result<Json<T>, Problem>;

/// Where an endpoint is found.
pub const PLACE: Place = Place { below: "/api/v1/endpoints", by: "id" };

/// Where a pull is found.
pub const PULL_PLACE: Place = Place { below: "/api/v1/pulls", by: "id" };

/// Servers of models: those that runners have found on their machines, and those that were registered, with how many models each has.
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints", operation_id = "list_endpoints",
    responses((status = 200, body = Vec<Endpoint>), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn list_endpoints(State(engine): State<Engine>, Who(actor): Who) -> Answer<Vec<Endpoint>> {
    Ok(Json(engine.list_endpoints(&actor).await?))
}

/// Register an Ollama that the server reaches. Admins may. It is looked at at once, and every ten seconds from then on.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", operation_id = "register_endpoint", request_body = NewEndpoint,
    responses(
        (status = 201, body = Endpoint),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are as many endpoints as there may be.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn register_endpoint(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(new): ApiJson<NewEndpoint>,
) -> Result<Response, Problem> {
    let endpoint = engine.register_endpoint(&actor, new).await?;
    let location = format!("{}/{}", PLACE.below, endpoint.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(endpoint)).into_response())
}

/// An endpoint with its models, whether it answers, and what it has pulled lately.
#[utoipa::path(
    get, path = "/endpoints/{id}", tag = "endpoints", operation_id = "get_endpoint", params(("id" = EndpointId, Path)),
    responses(
        (status = 200, body = EndpointDetail),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_endpoint(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<EndpointId>) -> Answer<EndpointDetail> {
    Ok(Json(engine.find_endpoint(&actor, id).await?))
}

/// Remove an endpoint that was registered. Admins may. What it is pulling is left off; attempts that work with it go on.
#[utoipa::path(
    delete, path = "/endpoints/{id}", tag = "endpoints", operation_id = "remove_endpoint", params(("id" = EndpointId, Path)),
    responses(
        (status = 204),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A runner has found it on its machine, and it goes with that runner.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn remove_endpoint(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<EndpointId>) -> Result<StatusCode, Problem> {
    engine.remove_endpoint(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which model is asked for.
#[derive(Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// As Ollama names it: `llama3:8b`.
    model: String,
}

/// Which endpoint would be chosen for a model at this moment, and why not the others. What is unhealthy, was not looked at for 90 s, or was
/// merely found by a runner is never chosen; of the others those come first that have the model loaded, then those with less to do.
#[utoipa::path(
    get, path = "/endpoints/choose", tag = "endpoints", operation_id = "choose_endpoint", params(Wanted),
    responses(
        (status = 200, body = EndpointChoice),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn choose_endpoint(State(engine): State<Engine>, Who(actor): Who, ApiQuery(wanted): ApiQuery<Wanted>) -> Answer<EndpointChoice> {
    Ok(Json(engine.choose_endpoint(&actor, wanted.model).await?))
}

/// Have an endpoint pull a model. Admins may. How far that has come `GET /api/v1/pulls/{id}` says. It begins when the endpoint answers, and fails
/// when nobody was at it for an hour.
#[utoipa::path(
    post, path = "/endpoints/{id}/pulls", tag = "endpoints", operation_id = "pull_model", params(("id" = EndpointId, Path)),
    request_body = NewPull,
    responses(
        (status = 201, body = Pull),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is being pulled there already, or as many others are as may be; or the endpoint serves every workspace, and nobody has said that one may fill its disk.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pull_model(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<EndpointId>,
    ApiJson(new): ApiJson<NewPull>,
) -> Result<Response, Problem> {
    let pull = engine.pull_model(&actor, id, new).await?;
    let location = format!("{}/{}", PULL_PLACE.below, pull.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(pull)).into_response())
}

/// How far a pull has come, or how it ended. Those that ended are kept for 30 days.
#[utoipa::path(
    get, path = "/pulls/{id}", tag = "endpoints", operation_id = "get_pull", params(("id" = PullId, Path)),
    responses(
        (status = 200, body = Pull),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_pull(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<PullId>) -> Answer<Pull> {
    Ok(Json(engine.find_pull(&actor, id).await?))
}

/// Leave a pull off. Admins may. What there is of the model stays where it is.
#[utoipa::path(
    post, path = "/pulls/{id}/cancel", tag = "endpoints", operation_id = "cancel_pull", params(("id" = PullId, Path)),
    responses(
        (status = 200, body = Pull),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended already.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel_pull(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<PullId>) -> Answer<Pull> {
    Ok(Json(engine.cancel_pull(&actor, id).await?))
}
