//! What agents said and did in attempts, and what they are told while they work.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::{
    TaskId,
    session::{OnItsWay, SessionPart, TellAgent},
};
use engine::Engine;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{ApiJson, ApiQuery, Id};
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

/// Tell the agent of a task something while it works. It hears of it between two steps, or with `interrupt` at once: what it does then ends.
/// It is in the session once it has come to the agent.
#[utoipa::path(
    post, path = "/tasks/{id}/session/messages", tag = "tasks", operation_id = "tell_agent", params(("id" = TaskId, Path)),
    request_body = TellAgent,
    responses(
        (status = 200, description = "It is on its way.", body = OnItsWay),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No agent works on it now, or as much is on its way to it as may be.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn tell_agent(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    ApiJson(tell): ApiJson<TellAgent>,
) -> Result<Json<OnItsWay>, Problem> {
    Ok(Json(engine.tell_agent(&actor, id, tell).await?))
}
