//! Runs of workflows.

use std::time::Duration;

use app::problem::Problem;
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use domain::{
    Actor, Page, WorkflowRunId,
    workflow::{ChangeOutcome, ChangeRun, GateEvent, NewRun, RestartRun, RunDefinition, RunFilter, RunSummary, RunView},
};
use engine::{Engine, Hint};
use http::{StatusCode, header};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    extract::{ApiJson, ApiQuery, Id},
    idempotency::Place,
    wait::Wait,
};
use crate::auth::Who;

type Answer<T> = Result<Json<T>, Problem>;

/// Where a run is found.
pub const PLACE: Place = Place { below: "/api/v1/runs", by: "id" };

fn created(run: RunView) -> Response {
    let location = format!("{}/{}", PLACE.below, run.summary.id);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(run)).into_response()
}

/// Run a workflow.
#[utoipa::path(
    post, path = "/workflows/{name}/runs", tag = "runs", operation_id = "start_run", params(("name" = String, Path)),
    request_body = NewRun,
    responses(
        (status = 201, description = "Its steps are stored and will be carried out.", body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such workflow, or no such version of it.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the parameters.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn start_run(
    State(engine): State<Engine>,
    Who(actor): Who,
    Path(name): Path<String>,
    ApiJson(new): ApiJson<NewRun>,
) -> Result<Response, Problem> {
    Ok(created(engine.start_run(&actor, &name, new).await?))
}

/// Runs, newest first.
#[utoipa::path(
    get, path = "/runs", tag = "runs", operation_id = "list_runs", params(RunFilter),
    responses(
        (status = 200, body = Page<RunSummary>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list_runs(State(engine): State<Engine>, Who(actor): Who, ApiQuery(filter): ApiQuery<RunFilter>) -> Answer<Page<RunSummary>> {
    Ok(Json(engine.list_runs(&actor, filter).await?))
}

/// A run with its steps. With `wait`, as soon as it has ended or the time is over.
#[utoipa::path(
    get, path = "/runs/{id}", tag = "runs", operation_id = "get_run", params(("id" = WorkflowRunId, Path), Wait),
    responses(
        (status = 200, body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_run(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    Who(actor): Who,
    Id(id): Id<WorkflowRunId>,
    ApiQuery(wait): ApiQuery<Wait>,
) -> Answer<RunView> {
    if let Some(at_most) = wait.at_most()? {
        // When the server stops, what is known is answered.
        stop.run_until_cancelled(wait_for_end(&engine, &actor, id, at_most)).await.transpose()?;
    }
    Ok(Json(engine.get_run(&actor, id).await?))
}

/// A hint may be missed, or come to another process.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A large run is not read anew for each of its events.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// Returns when the run has ended, or the time is over.
async fn wait_for_end(engine: &Engine, actor: &Actor, id: WorkflowRunId, at_most: Duration) -> engine::Result<()> {
    let until = Instant::now() + at_most;
    let mut hints = engine.hints();
    while !engine.get_run(actor, id).await?.summary.state.is_final() && Instant::now() < until {
        let look_again = until.min(Instant::now() + LOOK_AGAIN);
        while let Ok(hint) = timeout_at(look_again, hints.recv()).await {
            if matches!(hint, Ok(Hint::Events) | Err(_)) {
                sleep(LOOK_AT_MOST_EVERY).await;
                break;
            }
        }
    }
    Ok(())
}

/// End a run: every task of it that has not ended is cancelled.
#[utoipa::path(
    post, path = "/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run", params(("id" = WorkflowRunId, Path)),
    responses(
        (status = 200, body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended, other than by being cancelled.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel_run(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<WorkflowRunId>) -> Answer<RunView> {
    Ok(Json(engine.cancel_run(&actor, id).await?))
}

/// Hold a run: no runner takes a task of it until it is resumed.
#[utoipa::path(
    post, path = "/runs/{id}/pause", tag = "runs", operation_id = "pause_run", params(("id" = WorkflowRunId, Path)),
    responses(
        (status = 200, body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended, or is held already.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pause_run(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<WorkflowRunId>) -> Answer<RunView> {
    Ok(Json(engine.pause_run(&actor, id).await?))
}

/// Let a run go on that somebody held.
#[utoipa::path(
    post, path = "/runs/{id}/resume", tag = "runs", operation_id = "resume_run", params(("id" = WorkflowRunId, Path)),
    responses(
        (status = 200, body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody holds it.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resume_run(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<WorkflowRunId>) -> Answer<RunView> {
    Ok(Json(engine.resume_run(&actor, id).await?))
}

/// Run it again from a step on, or what did not succeed: a new run that takes over what succeeded before.
#[utoipa::path(
    post, path = "/runs/{id}/restart", tag = "runs", operation_id = "restart_run", params(("id" = WorkflowRunId, Path)),
    request_body = RestartRun,
    responses(
        (status = 201, description = "The new run.", body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has not ended.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It has no such step.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn restart_run(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<WorkflowRunId>,
    ApiJson(restart): ApiJson<RestartRun>,
) -> Result<Response, Problem> {
    Ok(created(engine.restart_run(&actor, id, restart).await?))
}

/// Change a run while it runs: add steps, remove steps, or make steps wait for others. Only steps that have not begun are removed or
/// rewired. The changed graph belongs to this run alone; a restart of it goes on with that. With `preview` nothing is done, and the answer
/// is what would come of it.
#[utoipa::path(
    post, path = "/runs/{id}/change", tag = "runs", operation_id = "change_run", params(("id" = WorkflowRunId, Path)),
    request_body = ChangeRun,
    responses(
        (status = 200, description = "All of it is done, or would be.", body = ChangeOutcome),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended or was cancelled, or has been changed more often than `expected`.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is done; `errors` names the places in the change, such as `/rewire/0/needs/1`.",
         body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn change_run(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<WorkflowRunId>,
    ApiJson(change): ApiJson<ChangeRun>,
) -> Answer<ChangeOutcome> {
    Ok(Json(engine.change_run(&actor, id, change).await?))
}

/// The graph that a run follows: that of its version, or its own since it was changed.
#[utoipa::path(
    get, path = "/runs/{id}/definition", tag = "runs", operation_id = "get_run_definition", params(("id" = WorkflowRunId, Path)),
    responses(
        (status = 200, body = RunDefinition),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_run_definition(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<WorkflowRunId>) -> Answer<RunDefinition> {
    Ok(Json(engine.run_definition(&actor, id).await?))
}

/// Say that something has happened that a gate of the run waits for.
#[utoipa::path(
    post, path = "/runs/{id}/events", tag = "runs", operation_id = "send_event", params(("id" = WorkflowRunId, Path)),
    request_body = GateEvent,
    responses(
        (status = 200, body = RunView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No gate of the run waits for it now.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn send_event(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<WorkflowRunId>,
    ApiJson(event): ApiJson<GateEvent>,
) -> Answer<RunView> {
    Ok(Json(engine.send_event(&actor, id, event).await?))
}
