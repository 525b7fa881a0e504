//! REST, version 1: stable, described by OpenAPI, for scripts and other services. A route is here only when somebody outside
//! needs it.

mod account;
mod artifact;
mod event;
mod extract;
mod idempotency;
mod queue;
mod task;

use axum::{Json, Router, middleware::from_fn_with_state, routing::get};
use engine::Engine;
use http::{HeaderValue, StatusCode, header};
use tower::ServiceBuilder;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::router::ServerState;
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
pub fn router(engine: &Engine) -> (Router<ServerState>, utoipa::openapi::OpenApi) {
    let answers = |with| from_fn_with_state(Answers { engine: engine.clone(), with }, idempotency::once);
    let creating = OpenApiRouter::new()
        .routes(routes!(task::create_task, task::list_tasks))
        .routes(routes!(task::create_tasks))
        .layer(answers(StatusCode::CREATED));
    let changing = OpenApiRouter::new()
        .routes(routes!(task::cancel_task))
        .routes(routes!(task::retry_task))
        .routes(routes!(task::pause_task))
        .routes(routes!(task::resume_task))
        .routes(routes!(task::discard_task))
        .routes(routes!(task::change_tasks))
        .routes(routes!(queue::pause_queue))
        .routes(routes!(queue::resume_queue))
        .routes(routes!(task::add_dependencies))
        .layer(answers(StatusCode::OK));
    let reading = OpenApiRouter::new()
        .routes(routes!(task::get_task))
        .routes(routes!(task::task_events))
        .routes(routes!(task::task_log))
        .routes(routes!(artifact::get_artifact))
        .routes(routes!(event::follow_events))
        .routes(routes!(queue::get_queue))
        .routes(routes!(account::list_repositories))
        .routes(routes!(account::overview))
        .routes(routes!(account::me));
    let all = creating.merge(changing).merge(reading);
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", all).split_for_parts();
    idempotency::describe(&mut document);
    (router, document)
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
