//! Who asks, and what there is to work with.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::{Identity, Overview, Repository};
use engine::Engine;

use crate::auth::Who;

/// Who these credentials belong to.
#[utoipa::path(
    get, path = "/me", tag = "account", operation_id = "me",
    responses((status = 200, body = Identity), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn me(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Identity>, Problem> {
    Ok(Json(engine.identity(&actor).await?))
}

/// How much is where, what runs now, what ended last, and the runners.
#[utoipa::path(
    get, path = "/overview", tag = "account", operation_id = "overview",
    responses((status = 200, body = Overview), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn overview(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Overview>, Problem> {
    Ok(Json(engine.overview(&actor).await?))
}

/// The repositories that tasks have named, the newest first.
#[utoipa::path(
    get, path = "/repositories", tag = "repositories", operation_id = "list_repositories",
    responses((status = 200, body = Vec<Repository>), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn list_repositories(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Vec<Repository>>, Problem> {
    Ok(Json(engine.list_repositories(&actor).await?))
}
