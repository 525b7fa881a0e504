//! The queue.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::queue::{Queue, QueueName};
use engine::Engine;

use super::extract::ApiJson;
use crate::auth::Who;

/// What waits for a runner, by lane and by repository.
#[utoipa::path(
    get, path = "/queue", tag = "queue", operation_id = "get_queue",
    responses((status = 200, body = Queue), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn get_queue(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<Queue>, Problem> {
    Ok(Json(engine.get_queue(&actor).await?))
}

/// Pause a queue: no runner takes from it until it is resumed. What runs goes on.
#[utoipa::path(
    post, path = "/queue/pause", tag = "queue", operation_id = "pause_queue", request_body = QueueName,
    responses(
        (status = 200, body = Queue),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such repository.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pause_queue(State(engine): State<Engine>, Who(actor): Who, ApiJson(name): ApiJson<QueueName>) -> Result<Json<Queue>, Problem> {
    Ok(Json(engine.pause_queue(&actor, name).await?))
}

/// Let a queue go on. What is not paused stays as it is.
#[utoipa::path(
    post, path = "/queue/resume", tag = "queue", operation_id = "resume_queue", request_body = QueueName,
    responses(
        (status = 200, body = Queue),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such repository.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resume_queue(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(name): ApiJson<QueueName>,
) -> Result<Json<Queue>, Problem> {
    Ok(Json(engine.resume_queue(&actor, name).await?))
}
