//! REST, version 1: stable, described by OpenAPI, for scripts and other services. A route is here only when somebody outside
//! needs it.

mod account;
mod approval;
mod artifact;
mod endpoint;
mod event;
mod extract;
mod idempotency;
mod if_match;
mod price;
mod queue;
mod run;
mod runner;
mod saved_view;
mod session;
mod task;
mod wait;
mod workflow;

use axum::{
    Json, Router,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use engine::Engine;
use http::{HeaderValue, StatusCode, header};
use tower::ServiceBuilder;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::router::ApiState;
use idempotency::Answers;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster",
        description = "Hand tasks to coding agents, follow them live, and take only what has been proven.\n\nSend an API key as a bearer \
                       token. Errors are problem documents (RFC 9457) with the fields that are not right.",
        license(name = "Apache-2.0")
    ),
    components(schemas(app::problem::Problem)),
    modifiers(&Security),
    security(("api_key" = []), ("session" = []))
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("mst_key_…").build();
        components.add_security_scheme("api_key", SecurityScheme::Http(bearer));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-muster"))));
    }
}

/// The routes of the API, all below `/api/v1`, and their description.
pub fn router(engine: &Engine) -> (Router<ApiState>, utoipa::openapi::OpenApi) {
    let once = |with, place| from_fn_with_state(Answers { engine: engine.clone(), with, place }, idempotency::once);
    let made = |place| once(StatusCode::CREATED, Some(place));
    let tasks = OpenApiRouter::new()
        .routes(routes!(task::create_task, task::list_tasks))
        .routes(routes!(task::create_tasks))
        .layer(made(task::PLACE));
    let workflows =
        as_seen(OpenApiRouter::new().routes(routes!(workflow::save_workflow, workflow::list_workflows))).layer(made(workflow::PLACE));
    let runs = OpenApiRouter::new().routes(routes!(run::start_run)).routes(routes!(run::restart_run)).layer(made(run::PLACE));
    let views = OpenApiRouter::new().routes(routes!(saved_view::create_view, saved_view::list_views)).layer(made(saved_view::PLACE));
    let rules =
        OpenApiRouter::new().routes(routes!(approval::make_approval_rule, approval::list_approval_rules)).layer(made(approval::PLACE));
    let endpoints =
        OpenApiRouter::new().routes(routes!(endpoint::register_endpoint, endpoint::list_endpoints)).layer(made(endpoint::PLACE));
    let pulls = OpenApiRouter::new().routes(routes!(endpoint::pull_model)).layer(made(endpoint::PULL_PLACE));
    let one_task = OpenApiRouter::new()
        .routes(routes!(task::cancel_task))
        .routes(routes!(task::retry_task))
        .routes(routes!(task::land_task))
        .routes(routes!(task::pause_task))
        .routes(routes!(task::resume_task))
        .routes(routes!(task::discard_task))
        .routes(routes!(task::approve_task))
        .routes(routes!(task::reject_task))
        .routes(routes!(task::add_dependencies));
    let changing = as_seen(one_task)
        .routes(routes!(task::change_tasks))
        .routes(routes!(session::tell_agent))
        .routes(routes!(approval::answer_approval))
        .routes(routes!(run::cancel_run))
        .routes(routes!(run::pause_run))
        .routes(routes!(run::resume_run))
        .routes(routes!(run::send_event))
        .routes(routes!(run::change_run))
        .routes(routes!(queue::pause_queue))
        .routes(routes!(queue::resume_queue))
        .routes(routes!(runner::drain_runner))
        .routes(routes!(runner::resume_runner))
        .routes(routes!(endpoint::cancel_pull))
        .routes(routes!(account::set_isolation))
        .routes(routes!(account::set_auto_pull))
        .layer(once(StatusCode::OK, None));
    let mut once_each = tasks.merge(workflows).merge(runs).merge(views).merge(rules).merge(endpoints).merge(pulls).merge(changing);
    idempotency::describe(once_each.get_openapi_mut());
    // A machine joins once and is tried out once by itself, and a token is a secret, which is not kept to be told again.
    let runners = OpenApiRouter::new()
        .routes(routes!(runner::list_runners, runner::join_runner))
        .routes(routes!(runner::create_runner_token))
        .routes(routes!(runner::try_runner, runner::get_runner_trial))
        .routes(routes!(runner::get_runner, runner::change_runner, runner::remove_runner))
        .routes(routes!(runner::runner_log))
        .routes(routes!(runner::runner_periods));
    // A link is a secret as well.
    let links = OpenApiRouter::new().routes(routes!(approval::create_approval_link));
    let reading = OpenApiRouter::new()
        .routes(routes!(task::preview_task))
        .routes(routes!(task::task_events))
        .routes(routes!(task::task_log))
        .routes(routes!(session::session))
        .routes(routes!(approval::list_approvals))
        .routes(routes!(approval::get_approval))
        .routes(routes!(approval::remove_approval_rule))
        .routes(routes!(artifact::get_artifact))
        .routes(routes!(endpoint::choose_endpoint))
        .routes(routes!(endpoint::get_pull))
        .routes(routes!(endpoint::get_endpoint, endpoint::remove_endpoint))
        .routes(routes!(event::follow_events))
        .routes(routes!(price::list_model_prices))
        .routes(routes!(price::get_model_price_history, price::set_model_price, price::remove_model_price))
        .routes(routes!(queue::get_queue))
        .routes(routes!(workflow::check_workflow))
        .route("/workflows/check", get(workflow::get_workflow_named_check))
        .routes(routes!(workflow::get_workflow))
        .routes(routes!(run::list_runs))
        .routes(routes!(run::get_run))
        .routes(routes!(run::get_run_definition))
        .routes(routes!(saved_view::update_view, saved_view::delete_view))
        .routes(routes!(account::list_repositories))
        .routes(routes!(account::overview))
        .routes(routes!(account::me));
    let a_task = as_seen(OpenApiRouter::new().routes(routes!(task::get_task, task::edit_task)));
    OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", once_each.merge(a_task).merge(runners).merge(links).merge(reading))
        .split_for_parts()
}

/// Routes that change something only as whoever asks has seen it, when they say what they have seen.
fn as_seen(mut routes: OpenApiRouter<ApiState>) -> OpenApiRouter<ApiState> {
    if_match::describe(routes.get_openapi_mut());
    routes.layer(from_fn(if_match::read))
}

/// The description as JSON and as a page, all of it served from here.
pub fn docs(document: utoipa::openapi::OpenApi) -> Router {
    const POLICY: &str =
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";
    let json = document.clone();
    let config = Config::from("/api/openapi.json").try_it_out_enabled(true).use_base_layout();
    let page = Router::from(SwaggerUi::new("/api/docs").config(config));
    let policy = ServiceBuilder::new().map_response(|mut response: axum::response::Response| {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response
    });
    Router::new().merge(page).layer(policy).route("/api/openapi.json", get(move || async move { Json(json) }))
}
