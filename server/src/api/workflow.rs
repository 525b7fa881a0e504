//! Workflows: what can be run.

use app::problem::Problem;
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use domain::workflow::{CheckWorkflow, SaveWorkflow, Validation, WorkflowSummary, WorkflowView};
use engine::Engine;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{
    extract::{ApiJson, ApiQuery},
    idempotency::Place,
    if_match::Tagged,
};
use crate::auth::Who;

/// Where a workflow is found.
pub const PLACE: Place = Place { below: "/api/v1/workflows", by: "name" };

/// Say what is wrong with a definition, field by field, or how its steps are laid out. Nothing is stored, so it takes no
/// `Idempotency-Key`.
#[utoipa::path(
    post, path = "/workflows/check", tag = "workflows", operation_id = "check_workflow", request_body = CheckWorkflow,
    responses(
        (status = 200, description = "What can be said about it, good or bad.", body = Validation),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The request itself is not right.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn check_workflow(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(check): ApiJson<CheckWorkflow>,
) -> Result<Json<Validation>, Problem> {
    Ok(Json(engine.check_workflow(&actor, check).await?))
}

/// Save a definition, in YAML or JSON, as the newest version of the workflow that it names.
#[utoipa::path(
    post, path = "/workflows", tag = "workflows", operation_id = "save_workflow", request_body = SaveWorkflow,
    responses(
        (status = 201, description = "It is stored and can be run.", body = WorkflowView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Its newest version is not the one that `If-Match` names; `detail` says who saved since. \
         `\"0\"` is no version yet: whoever sends it makes a new workflow.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the places in the definition.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn save_workflow(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(save): ApiJson<SaveWorkflow>,
) -> Result<Response, Problem> {
    let workflow = engine.save_workflow(&actor, save).await?;
    let location = format!("{}/{}", PLACE.below, workflow.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Tagged(workflow)).into_response())
}

/// The workflows, each with its newest version and its newest run.
#[utoipa::path(
    get, path = "/workflows", tag = "workflows", operation_id = "list_workflows",
    responses((status = 200, body = Vec<WorkflowSummary>), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn list_workflows(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Vec<WorkflowSummary>>, Problem> {
    Ok(Json(engine.list_workflows(&actor).await?))
}

#[derive(Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Version {
    /// The newest unless given.
    #[serde(default)]
    version: Option<i32>,
}

/// One version of a workflow: what its author wrote, what was read from it, and how its steps are laid out.
#[utoipa::path(
    get, path = "/workflows/{name}", tag = "workflows", operation_id = "get_workflow", params(("name" = String, Path), Version),
    responses(
        (status = 200, body = WorkflowView, headers(("ETag" = String, description = "Its version, and a digest of this answer."))),
        (status = 304, description = "It is as `If-None-Match` says."),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such workflow, or no such version of it.", body = Problem,
         content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_workflow(
    State(engine): State<Engine>,
    Who(actor): Who,
    Path(name): Path<String>,
    ApiQuery(Version { version }): ApiQuery<Version>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(Tagged(engine.get_workflow(&actor, &name, version).await?).unless_known(&headers))
}

/// The workflow that has the name of the route that checks one.
pub async fn get_workflow_named_check(
    state: State<Engine>,
    who: Who,
    version: ApiQuery<Version>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    get_workflow(state, who, Path("check".into()), version, headers).await
}
