//! Tasks.

use app::problem::Problem;
use axum::{
    Json,
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use domain::{
    Event, LandTask, NewTask, NewTasks, Page, TaskFilter, TaskId, TaskSummary, TaskView,
    task::{BulkOutcome, BulkTasks, Dependency, TaskChange, TaskLink, TaskPreview},
    workflow::GateAnswer,
};
use engine::Engine;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{ApiJson, ApiQuery, Id},
    idempotency::Place,
    if_match::{self, Tagged},
    wait::Wait,
};
use crate::{auth::Who, sse};

type Answer<T> = Result<Json<T>, Problem>;
/// A task that was changed, with its new version.
type Changed = Result<Tagged<TaskView>, Problem>;

/// Where a task is found.
pub const PLACE: Place = Place { below: "/api/v1/tasks", by: "id" };

/// Hand in a task.
#[utoipa::path(
    post, path = "/tasks", tag = "tasks", operation_id = "create_task", request_body = NewTask,
    responses(
        (status = 201, description = "It is stored and will be carried out.", body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create_task(State(engine): State<Engine>, Who(actor): Who, ApiJson(new): ApiJson<NewTask>) -> Result<Response, Problem> {
    let task = engine.create_task(&actor, new).await?;
    let location = format!("{}/{}", PLACE.below, task.summary.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(task)).into_response())
}

/// Say what would become of a task if it were handed in now, and why. Nothing is stored, so it takes no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/tasks/preview", tag = "tasks", operation_id = "preview_task", request_body = NewTask,
    responses(
        (status = 200, body = TaskPreview),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It would be refused; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn preview_task(State(engine): State<Engine>, Who(actor): Who, ApiJson(new): ApiJson<NewTask>) -> Answer<TaskPreview> {
    Ok(Json(engine.preview_task(&actor, new).await?))
}

/// Hand in up to 1,000 tasks together: all are stored, or none.
#[utoipa::path(
    post, path = "/tasks/batch", tag = "tasks", operation_id = "create_tasks", request_body = NewTasks,
    responses(
        (status = 201, description = "All are stored and will be carried out; in the order in which they were sent.", body = Vec<TaskLink>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the tasks and fields.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn create_tasks(State(engine): State<Engine>, Who(actor): Who, ApiJson(new): ApiJson<NewTasks>) -> Result<Response, Problem> {
    let tasks = engine.create_tasks(&actor, new).await?;
    Ok((StatusCode::CREATED, Json(tasks)).into_response())
}

/// Tasks, newest first.
#[utoipa::path(
    get, path = "/tasks", tag = "tasks", operation_id = "list_tasks", params(TaskFilter),
    responses(
        (status = 200, body = Page<TaskSummary>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list_tasks(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiQuery(filter): ApiQuery<TaskFilter>,
) -> Answer<Page<TaskSummary>> {
    Ok(Json(engine.list_tasks(&actor, filter).await?))
}

/// A task with its attempts, checks and artifacts. With `wait`, as soon as it has ended or the time is over. Its `ETag` is for
/// `If-None-Match` here, and for `If-Match` where it is changed.
#[utoipa::path(
    get, path = "/tasks/{id}", tag = "tasks", operation_id = "get_task", params(("id" = TaskId, Path), Wait, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the answer that is known.")),
    responses(
        (status = 200, body = TaskView, headers(("ETag" = String, description = "Its version, and a digest of this answer."))),
        (status = 304, description = "It is as `If-None-Match` says."),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_task(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    ApiQuery(wait): ApiQuery<Wait>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(at_most) = wait.at_most()? {
        // When the server stops, what is known is answered.
        stop.run_until_cancelled(engine.wait_for_end(&actor, id, at_most)).await.transpose()?;
    }
    Ok(Tagged(engine.get_task(&actor, id).await?).unless_known(&headers))
}

/// Change what may still be changed of a task that has not ended. What it does, where, and what counts as done never change.
#[utoipa::path(
    patch, path = "/tasks/{id}", tag = "tasks", operation_id = "edit_task", params(("id" = TaskId, Path)), request_body = TaskChange,
    responses(
        (status = 200, body = TaskView, headers(("ETag" = String, description = "Its new version, and a digest of this answer."))),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says; `detail` names who did what since.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`errors` names the fields that are not right, or that come too late.", body = Problem,
         content_type = "application/problem+json"),
        (status = 428, description = "There is no `If-Match`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn edit_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>, ApiJson(change): ApiJson<TaskChange>) -> Changed {
    if_match::required(&actor)?;
    Ok(Tagged(engine.edit_task(&actor, id, change).await?))
}

/// End a task. What waits ends at once; what runs ends when its runner has stopped it.
#[utoipa::path(
    post, path = "/tasks/{id}/cancel", tag = "tasks", operation_id = "cancel_task", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended already.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>) -> Changed {
    Ok(Tagged(engine.cancel_task(&actor, id).await?))
}

/// Bring an ended task back, with a fresh allowance of attempts.
#[utoipa::path(
    post, path = "/tasks/{id}/retry", tag = "tasks", operation_id = "retry_task", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has not ended, has succeeded, or waits for a task that did not succeed.", body = Problem,
         content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn retry_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>) -> Changed {
    Ok(Tagged(engine.retry_task(&actor, id).await?))
}

/// Push the result of a task that has succeeded, and open a pull request for it when that is asked for. What came of it is in `landing` and `more_landings` of the
/// task; asked for again it is tried again, or brought up to date.
#[utoipa::path(
    post, path = "/tasks/{id}/land", tag = "tasks", operation_id = "land_task", params(("id" = TaskId, Path)), request_body = LandTask,
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has not succeeded, or has changed nothing.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn land_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>, ApiJson(land): ApiJson<LandTask>) -> Changed {
    Ok(Tagged(engine.land_task(&actor, id, land).await?))
}

/// Hold a task: no runner takes it until it is resumed. What works on it is stopped, its work saved, and goes back into the queue.
#[utoipa::path(
    post, path = "/tasks/{id}/pause", tag = "tasks", operation_id = "pause_task", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pause_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>) -> Changed {
    Ok(Tagged(engine.pause_task(&actor, id).await?))
}

/// Let a task go on that somebody held.
#[utoipa::path(
    post, path = "/tasks/{id}/resume", tag = "tasks", operation_id = "resume_task", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody holds it.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resume_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>) -> Changed {
    Ok(Tagged(engine.resume_task(&actor, id).await?))
}

/// Let go of a task that was set aside (`dead`).
#[utoipa::path(
    post, path = "/tasks/{id}/discard", tag = "tasks", operation_id = "discard_task", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was not set aside.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn discard_task(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>) -> Changed {
    Ok(Tagged(engine.discard_task(&actor, id).await?))
}

/// Say yes at an approval that waits for an answer: what waits for it goes on.
#[utoipa::path(
    post, path = "/tasks/{id}/approve", tag = "tasks", operation_id = "approve_task", params(("id" = TaskId, Path)), request_body = GateAnswer,
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is no approval, or it does not wait for an answer now.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn approve_task(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    ApiJson(answer): ApiJson<GateAnswer>,
) -> Changed {
    Ok(Tagged(engine.approve_task(&actor, id, answer).await?))
}

/// Say no at an approval that waits for an answer: it has failed.
#[utoipa::path(
    post, path = "/tasks/{id}/reject", tag = "tasks", operation_id = "reject_task", params(("id" = TaskId, Path)), request_body = GateAnswer,
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is no approval, or it does not wait for an answer now.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn reject_task(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    ApiJson(answer): ApiJson<GateAnswer>,
) -> Changed {
    Ok(Tagged(engine.reject_task(&actor, id, answer).await?))
}

/// One act on many tasks, at most 1,000 at once, the oldest first. A preview says how many it is about.
#[utoipa::path(
    post, path = "/tasks/bulk", tag = "tasks", operation_id = "change_tasks", request_body = BulkTasks,
    responses(
        (status = 200, body = BulkOutcome),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is about another number of tasks than was expected.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn change_tasks(State(engine): State<Engine>, Who(actor): Who, ApiJson(bulk): ApiJson<BulkTasks>) -> Answer<BulkOutcome> {
    Ok(Json(engine.change_tasks(&actor, bulk).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDependencies {
    /// Tasks to wait for: an id stands for one that has to succeed.
    depends_on: Vec<Dependency>,
}

/// Make a task that has not begun wait for others too.
#[utoipa::path(
    post, path = "/tasks/{id}/dependencies", tag = "tasks", operation_id = "add_dependencies", params(("id" = TaskId, Path)),
    request_body = NewDependencies,
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has begun.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A task does not exist, has failed, or would close a cycle.", body = Problem,
         content_type = "application/problem+json"),
        (status = 412, description = "It is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn add_dependencies(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    ApiJson(new): ApiJson<NewDependencies>,
) -> Changed {
    Ok(Tagged(engine.add_dependencies(&actor, id, &new.depends_on).await?))
}

/// What happened to a task, oldest first.
#[utoipa::path(
    get, path = "/tasks/{id}/events", tag = "tasks", operation_id = "task_events", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = Vec<Event>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn task_events(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<TaskId>) -> Answer<Vec<Event>> {
    Ok(Json(engine.task_events(&actor, id).await?))
}

#[derive(Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogPosition {
    /// The byte to start at; 0 unless given. `Last-Event-ID` wins.
    offset: Option<i64>,
}

/// A task's log. As an event stream when that is accepted: pieces named `log`, each with the byte offset after it as its id, then one
/// `end` when the task has ended. Otherwise the bytes so far, as a file.
#[utoipa::path(
    get, path = "/tasks/{id}/log", tag = "tasks", operation_id = "task_log", params(("id" = TaskId, Path), LogPosition),
    responses(
        (status = 200, description = "The log.", content((domain::LogChunk = "text/event-stream"), (String = "application/octet-stream"))),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn task_log(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    Who(actor): Who,
    Id(id): Id<TaskId>,
    Query(position): Query<LogPosition>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/event-stream") {
        engine.task_state(&actor, id).await?;
        let name = format!("attachment; filename=\"task-{}.log\"", id.short());
        let headers = [
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CONTENT_DISPOSITION, name.as_str()),
            (header::CONTENT_SECURITY_POLICY, "sandbox"),
        ];
        return Ok((headers, Body::from_stream(sse::raw_log(engine, actor, id))).into_response());
    }
    let from = match sse::last_event_id(&headers, None) {
        Some(text) => text.parse().map_err(|_| Problem::bad_request("Last-Event-ID is not a position of this log."))?,
        None => position.offset.unwrap_or(0),
    };
    // Whatever is wrong is said before the stream begins.
    engine.task_log(&actor, id, from).await?;
    Ok(sse::log(engine, actor, id, from, stop).into_response())
}
