//! What agents ask people for, and what they need not ask for.

use app::problem::Problem;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    Approval, ApprovalId, ApprovalRule, ApprovalRuleId, Page,
    approval::{AnswerApproval, ApprovalFilter, ApprovalLink, NewApprovalRule},
};
use engine::Engine;
use http::{StatusCode, header};

use super::{
    extract::{ApiJson, ApiQuery, Id},
    idempotency::Place,
};
use crate::auth::Who;

type Answer<T> = Result<Json<T>, Problem>;

/// Where a rule is found.
pub const PLACE: Place = Place { below: "/api/v1/approval-rules", by: "id" };

/// What agents have asked for, the newest first unless it is to be the oldest.
#[utoipa::path(
    get, path = "/approvals", tag = "approvals", operation_id = "list_approvals", params(ApprovalFilter),
    responses(
        (status = 200, body = Page<Approval>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list_approvals(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiQuery(filter): ApiQuery<ApprovalFilter>,
) -> Answer<Page<Approval>> {
    Ok(Json(engine.list_approvals(&actor, &filter).await?))
}

/// What an agent has asked for, with all that its tool would be called with. It is as the agent says it: nothing in it was checked by
/// Muster.
#[utoipa::path(
    get, path = "/approvals/{id}", tag = "approvals", operation_id = "get_approval", params(("id" = ApprovalId, Path)),
    responses(
        (status = 200, body = Approval),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_approval(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<ApprovalId>) -> Answer<Approval> {
    Ok(Json(engine.approval(&actor, id).await?))
}

/// Allow or deny what an agent asks for: it is told at once, and goes on. Members may, and admins where it works without a sandbox. With
/// `always` it becomes a rule of the repository as well, which takes an admin.
#[utoipa::path(
    post, path = "/approvals/{id}/answer", tag = "approvals", operation_id = "answer_approval", params(("id" = ApprovalId, Path)),
    request_body = AnswerApproval,
    responses(
        (status = 200, body = Approval),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait for an answer any more.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is not answered; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn answer_approval(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<ApprovalId>,
    ApiJson(answer): ApiJson<AnswerApproval>,
) -> Answer<Approval> {
    Ok(Json(engine.answer_approval(&actor, id, answer).await?))
}

/// Make a link with which whoever has it answers this one question, once, until its deadline. It is shown this once.
#[utoipa::path(
    post, path = "/approvals/{id}/links", tag = "approvals", operation_id = "create_approval_link", params(("id" = ApprovalId, Path)),
    responses(
        (status = 201, body = ApprovalLink),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait for an answer any more, or has as many links as it may have.", body = Problem,
         content_type = "application/problem+json"),
    )
)]
pub async fn create_approval_link(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<ApprovalId>,
) -> Result<(StatusCode, Json<ApprovalLink>), Problem> {
    // the answer holds a secret, so it is not kept for a request that comes again: that one makes another link
    let actor = actor.without_idempotency();
    Ok((StatusCode::CREATED, Json(engine.link_approval(&actor, id).await?)))
}

/// What is allowed without asking anybody, and how often that has answered: the newest first, and after them those that were removed.
#[utoipa::path(
    get, path = "/approval-rules", tag = "approvals", operation_id = "list_approval_rules",
    responses((status = 200, body = Vec<ApprovalRule>), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn list_approval_rules(State(engine): State<Engine>, Who(actor): Who) -> Answer<Vec<ApprovalRule>> {
    Ok(Json(engine.list_approval_rules(&actor).await?))
}

/// Allow something without asking, from now on. Admins may. The same again is the one that there is.
#[utoipa::path(
    post, path = "/approval-rules", tag = "approvals", operation_id = "make_approval_rule", request_body = NewApprovalRule,
    responses(
        (status = 201, body = ApprovalRule),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are as many rules as there may be.", body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing is stored; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn make_approval_rule(
    State(engine): State<Engine>,
    Who(actor): Who,
    ApiJson(new): ApiJson<NewApprovalRule>,
) -> Result<Response, Problem> {
    let rule = engine.make_approval_rule(&actor, new).await?;
    let location = format!("{}/{}", PLACE.below, rule.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(rule)).into_response())
}

/// Remove a rule: what it allowed is asked for again. Admins may.
#[utoipa::path(
    delete, path = "/approval-rules/{id}", tag = "approvals", operation_id = "remove_approval_rule", params(("id" = ApprovalRuleId, Path)),
    responses(
        (status = 204),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove_approval_rule(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(id): Id<ApprovalRuleId>,
) -> Result<StatusCode, Problem> {
    engine.remove_approval_rule(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
