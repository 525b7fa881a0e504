//! Who asks, and what there is to work with.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::{
    Identity, Overview, Repository, Workspace,
    account::{SetAutoPull, SetIsolation},
};
use engine::Engine;

use super::extract::ApiJson;
use crate::auth::Who;

/// Who these credentials belong to.
#[utoipa::path(
    get, path = "/me", tag = "account", operation_id = "me",
    responses((status = 200, body = Identity), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn me(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Identity>, Problem> {
    Ok(Json(engine.identity(&actor).await?))
}

/// Say whether work runs in sandboxes. Owners may. It holds for what is given to a runner from then on; without one, work can do what the
/// user can that runs the runner, and a runner's machine can refuse that.
#[utoipa::path(
    post, path = "/workspace/isolation", tag = "account", operation_id = "set_isolation", request_body = SetIsolation,
    responses(
        (status = 200, body = Workspace),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_isolation(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(wanted): ApiJson<SetIsolation>,
) -> Result<Json<Workspace>, Problem> {
    Ok(Json(engine.set_isolation(&actor, wanted.isolation).await?))
}

/// Say whether models that tasks ask for and no endpoint has are pulled by themselves. Owners may. Tasks wait for them then, and end with a
/// failure where that comes to nothing. It holds for what is given to a runner from then on.
#[utoipa::path(
    post, path = "/workspace/auto-pull", tag = "account", operation_id = "set_auto_pull", request_body = SetAutoPull,
    responses(
        (status = 200, body = Workspace),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_auto_pull(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(wanted): ApiJson<SetAutoPull>,
) -> Result<Json<Workspace>, Problem> {
    Ok(Json(engine.set_auto_pull(&actor, wanted.auto_pull).await?))
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
