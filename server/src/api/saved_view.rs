//! Views: a name for a set of filters of the task list.

use app::problem::Problem;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{SaveView, SavedView, SavedViewId};
use engine::Engine;
use http::{StatusCode, header};

use super::{
    extract::{ApiJson, Id},
    idempotency::Place,
};
use crate::auth::Who;

/// Where a view is found.
pub const PLACE: Place = Place { below: "/api/v1/views", by: "id" };

/// The views that you see: your own, then those that others share; each by name.
#[utoipa::path(
    get, path = "/views", tag = "views", operation_id = "list_views",
    responses((status = 200, body = Vec<SavedView>), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn list_views(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Vec<SavedView>>, Problem> {
    Ok(Json(engine.list_views(&actor).await?))
}

/// Save a set of filters under a name. Private unless `shared`; to share takes the permission to change tasks.
#[utoipa::path(
    post, path = "/views", tag = "views", operation_id = "create_view", request_body = SaveView,
    responses(
        (status = 201, body = SavedView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "You have as many views as one may have.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create_view(State(engine): State<Engine>, Who(actor): Who, ApiJson(new): ApiJson<SaveView>) -> Result<Response, Problem> {
    let view = engine.create_view(&actor, new).await?;
    let location = format!("{}/{}", PLACE.below, view.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(view)).into_response())
}

/// Give a view another name, other filters or another audience. Its maker may, and admins may for what is shared.
#[utoipa::path(
    put, path = "/views/{id}", tag = "views", operation_id = "update_view", params(("id" = SavedViewId, Path)), request_body = SaveView,
    responses(
        (status = 200, body = SavedView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing has changed; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn update_view(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<SavedViewId>,
    ApiJson(new): ApiJson<SaveView>,
) -> Result<Json<SavedView>, Problem> {
    Ok(Json(engine.update_view(&actor, id, new).await?))
}

/// Delete a view. Its maker may, and admins may for what is shared.
#[utoipa::path(
    delete, path = "/views/{id}", tag = "views", operation_id = "delete_view", params(("id" = SavedViewId, Path)),
    responses(
        (status = 204),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete_view(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<SavedViewId>) -> Result<StatusCode, Problem> {
    engine.delete_view(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
