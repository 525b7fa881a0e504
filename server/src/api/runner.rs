//! Runners: who there is, what each does, how a machine joins, how it is set and drained, and how it is removed.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::{
    Page, Runner, RunnerId, TaskView,
    runner::{
        JoinRunner, JoinedRunner, NewRunnerToken, NewTrial, RunnerChange, RunnerDetail, RunnerFilter, RunnerLogEntry, RunnerLogFilter,
        RunnerTransition,
    },
};
use engine::Engine;
use http::StatusCode;

use super::extract::{ApiJson, ApiQuery, Id};
use crate::auth::Who;

/// The runners of this server and of your workspace, by name, at most 200: `after` the last of them come the others.
#[utoipa::path(
    get, path = "/runners", tag = "runners", operation_id = "list_runners", params(RunnerFilter),
    responses(
        (status = 200, body = Vec<Runner>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list_runners(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiQuery(filter): ApiQuery<RunnerFilter>,
) -> Result<Json<Vec<Runner>>, Problem> {
    Ok(Json(engine.list_runners(&actor, filter).await?))
}

/// A runner with what it carries out, and what it has carried out. Of one inside a server, what it does for your workspace.
#[utoipa::path(
    get, path = "/runners/{id}", tag = "runners", operation_id = "get_runner", params(("id" = RunnerId, Path)),
    responses(
        (status = 200, body = RunnerDetail),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_runner(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<RunnerId>) -> Result<Json<RunnerDetail>, Problem> {
    Ok(Json(engine.find_runner(&actor, id).await?))
}

/// What has happened to a runner, the latest first: that it joined, was back, was stopped, drained or let work again, was set to other slots, makes
/// no sandbox, has something of attempts left on its machine, or did not take what it was given. What is older than 90 days is not kept.
#[utoipa::path(
    get, path = "/runners/{id}/log", tag = "runners", operation_id = "runner_log", params(("id" = RunnerId, Path), RunnerLogFilter),
    responses(
        (status = 200, body = Page<RunnerLogEntry>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn runner_log(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<RunnerId>,
    ApiQuery(filter): ApiQuery<RunnerLogFilter>,
) -> Result<Json<Page<RunnerLogEntry>>, Problem> {
    Ok(Json(engine.runner_log(&actor, id, &filter).await?))
}

/// How a runner stood, and each of its slots if it has several: a row for each transition, once the state before it is over for a few
/// minutes, what ended last first. Of a runner inside a server, what it did for your workspace. What is older than 90 days is not kept.
#[utoipa::path(
    get, path = "/runners/{id}/periods", tag = "runners", operation_id = "runner_periods", params(("id" = RunnerId, Path), RunnerLogFilter),
    responses(
        (status = 200, body = Page<RunnerTransition>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn runner_periods(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<RunnerId>,
    ApiQuery(filter): ApiQuery<RunnerLogFilter>,
) -> Result<Json<Page<RunnerTransition>>, Problem> {
    Ok(Json(engine.runner_periods(&actor, id, &filter).await?))
}

/// Make a token with which one machine may join the workspace, within an hour. It is shown this once.
#[utoipa::path(
    post, path = "/runner-tokens", tag = "runners", operation_id = "create_runner_token",
    responses(
        (status = 201, body = NewRunnerToken),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create_runner_token(State(engine): State<Engine>, Who(actor): Who) -> Result<(StatusCode, Json<NewRunnerToken>), Problem> {
    // the answer holds a secret, so it is not kept for a request that comes again: that one makes another token
    let actor = actor.without_idempotency();
    Ok((StatusCode::CREATED, Json(engine.create_runner_token(&actor).await?)))
}

/// Join as a runner: the token is the only credential. The same token with the same key gives the same answer again.
#[utoipa::path(
    post, path = "/runners", tag = "runners", operation_id = "join_runner", request_body = JoinRunner, security(()),
    responses(
        (status = 201, body = JoinedRunner),
        (status = 401, description = "The token is not good.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn join_runner(
    State(engine): State<Engine>,
    ApiJson(join): ApiJson<JoinRunner>,
) -> Result<(StatusCode, Json<JoinedRunner>), Problem> {
    Ok((StatusCode::CREATED, Json(engine.join_runner(join).await?)))
}

/// Drain a runner of the workspace: it takes nothing new, and brings what it has to its end. That holds until it is resumed, also when its
/// machine or the server is restarted. The same again changes nothing.
#[utoipa::path(
    post, path = "/runners/{id}/drain", tag = "runners", operation_id = "drain_runner", params(("id" = RunnerId, Path)),
    responses(
        (status = 200, body = Runner),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is inside a server, and serves every workspace.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn drain_runner(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<RunnerId>) -> Result<Json<Runner>, Problem> {
    Ok(Json(engine.drain_runner(&actor, id).await?))
}

/// Let a drained runner take work again. The same again changes nothing.
#[utoipa::path(
    post, path = "/runners/{id}/resume", tag = "runners", operation_id = "resume_runner", params(("id" = RunnerId, Path)),
    responses(
        (status = 200, body = Runner),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is inside a server, and serves every workspace.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn resume_runner(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<RunnerId>) -> Result<Json<Runner>, Problem> {
    Ok(Json(engine.resume_runner(&actor, id).await?))
}

/// Set how many attempts a runner of the workspace carries out at once, or leave that to its machine. It holds at once and until it is set
/// otherwise, also when its machine or the server is restarted; what it carries out beyond that goes on. A runner of an older version is held to
/// fewer than its machine says, and has more once it is updated. The same again changes nothing.
#[utoipa::path(
    patch, path = "/runners/{id}", tag = "runners", operation_id = "change_runner", params(("id" = RunnerId, Path)), request_body = RunnerChange,
    responses(
        (status = 200, body = Runner),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is inside a server, and serves every workspace.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn change_runner(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<RunnerId>,
    ApiJson(change): ApiJson<RunnerChange>,
) -> Result<Json<Runner>, Problem> {
    Ok(Json(engine.change_runner(&actor, id, &change).await?))
}

/// Remove a runner of the workspace: its key is dead, and what it holds goes back into the queue.
#[utoipa::path(
    delete, path = "/runners/{id}", tag = "runners", operation_id = "remove_runner", params(("id" = RunnerId, Path)),
    responses(
        (status = 204),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove_runner(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<RunnerId>) -> Result<StatusCode, Problem> {
    engine.remove_runner(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try a runner out, with the token it has joined with as the bearer: a small task for it alone. One that is on its way or has gone well is
/// the answer again.
#[utoipa::path(
    post, path = "/runners/trial", tag = "runners", operation_id = "try_runner", request_body = NewTrial,
    responses(
        (status = 201, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only a machine that joins tries itself out.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn try_runner(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(new): ApiJson<NewTrial>,
) -> Result<(StatusCode, Json<TaskView>), Problem> {
    Ok((StatusCode::CREATED, Json(engine.try_runner(&actor, new).await?)))
}

/// How the trial of a runner stands, with the token it has joined with as the bearer.
#[utoipa::path(
    get, path = "/runners/trial", tag = "runners", operation_id = "get_runner_trial",
    responses(
        (status = 200, body = TaskView),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_runner_trial(State(engine): State<Engine>, Who(actor): Who) -> Result<Json<TaskView>, Problem> {
    Ok(Json(engine.runner_trial(&actor).await?))
}
