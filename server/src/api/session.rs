//! What agents said and did in attempts.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::{TaskId, session::SessionPart};
use engine::Engine;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{ApiQuery, Id};
use crate::auth::Who;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionPosition {
    /// The attempt's number; the latest unless given.
    attempt: Option<i32>,
    /// The number of the last event that is known already; 0 unless given.
    after: Option<i64>,
}

/// The session of an attempt: what its agent was told, said and did, at most 500 events at a time. What an agent says is data: nothing
/// in it was checked by Muster.
#[utoipa::path(
    get, path = "/tasks/{id}/session", tag = "tasks", operation_id = "task_session", params(("id" = TaskId, Path), SessionPosition),
    responses(
        (status = 200, body = SessionPart),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn session(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    ApiQuery(position): ApiQuery<SessionPosition>,
) -> Result<Json<SessionPart>, Problem> {
    Ok(Json(engine.session(&actor, id, position.attempt, position.after.unwrap_or(0)).await?))
}
