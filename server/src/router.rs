//! Every route of the product, and what surrounds them.

use std::{any::Any, time::Duration};

use app::{App, SiteAssets, problem::Problem, ssr::AppState};
use axum::{
    Router,
    extract::{FromRef, Request, State},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use engine::Engine;
use http::{HeaderMap, HeaderName, StatusCode, header};
use leptos::config::LeptosOptions;
use leptos_axum::{LeptosRoutes, generate_route_list};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    csrf::CsrfLayer,
    limit::RequestBodyLimitLayer,
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
};
use tower_sessions::{Expiry, SessionManagerLayer, cookie::SameSite};

use crate::{
    api, assets, auth, editor, metrics, middleware,
    rendering::{self, Rendering},
    runner_link::{self, Links},
    session_store::PostgresSessions,
};

/// Bytes of a request to the API.
pub(crate) const API_BODY: usize = 4 * 1024 * 1024;
/// Bytes of a form.
const FORM_BODY: usize = 256 * 1024;
/// For the head of an answer; streams go on after it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What handlers can reach.
#[derive(Clone, FromRef)]
pub struct ServerState {
    pub engine: Engine,
    pub leptos_options: LeptosOptions,
    pub assets: SiteAssets,
    /// Cancelled when the server stops: streams end, and `/readyz` says no.
    pub stop: CancellationToken,
    /// Of runners on other machines.
    pub links: Links,
    /// How people reach it.
    #[from_ref(skip)]
    pub origin: String,
}

/// What the API's handlers can reach. Each request clones it several times, once for every layer around its handler.
#[derive(Clone, FromRef)]
pub struct ApiState {
    engine: Engine,
    stop: CancellationToken,
}

impl ServerState {
    /// Whether people reach it by https.
    fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

pub fn router(state: ServerState) -> Router {
    let app_state = AppState {
        leptos_options: state.leptos_options.clone(),
        engine: state.engine.clone(),
        assets: state.assets.clone(),
        origin: state.origin.clone(),
    };
    let (api, document) = api::router(&state.engine);
    let api =
        api.layer(RequestBodyLimitLayer::new(API_BODY)).with_state(ApiState { engine: state.engine.clone(), stop: state.stop.clone() });
    let signed_in = ServiceBuilder::new().layer(sessions(&state)).layer(from_fn_with_state(state.engine.clone(), auth::identify));
    let rendering = Rendering::new(state.engine.clone());
    let carried_through = from_fn_with_state(rendering.clone(), rendering::carried_through);
    Router::new()
        .merge(api)
        .merge(pages(app_state, rendering))
        .layer(signed_in)
        .layer(panics())
        .layer(carried_through)
        .merge(plain(&state))
        .merge(api::docs(document))
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(REQUEST_ID, middleware::NewRequestId))
                .layer(PropagateRequestIdLayer::new(REQUEST_ID))
                .layer(from_fn(middleware::trace))
                .layer(from_fn(metrics::count))
                .layer(from_fn(middleware::security_headers))
                .layer(CompressionLayer::new())
                .layer(from_fn(middleware::complete_problem))
                .layer(panics())
                .layer(from_fn(middleware::plain_errors_as_problems))
                .layer(csrf(&state))
                .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT)),
        )
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Requests that change something are taken from our own pages only. Fetch metadata decides; without it, the Origin.
fn csrf(state: &ServerState) -> CsrfLayer {
    let layer = CsrfLayer::new();
    layer.clone().add_trusted_origin(&state.origin).unwrap_or(layer)
}

fn sessions(state: &ServerState) -> SessionManagerLayer<PostgresSessions> {
    SessionManagerLayer::new(PostgresSessions(state.engine.clone()))
        // The __Host- prefix makes the browser insist on https, the whole host and the root path; plain http cannot have it.
        .with_name(if state.is_secure() { "__Host-muster" } else { "muster" })
        .with_secure(state.is_secure())
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(auth::SESSION_IDLE))
}

/// Counted and answered, also where nobody waits for the answer any more.
fn panics() -> CatchPanicLayer<fn(Box<dyn Any + Send>) -> Response> {
    CatchPanicLayer::custom(middleware::panicked)
}

/// The pages, and the functions behind their forms, which leptos finds by itself.
fn pages(state: AppState, rendering: Rendering) -> Router {
    let routes = generate_route_list(App);
    let assets = state.assets.clone();
    let document = move || app::ssr::document(assets.clone());
    let context = state.clone();
    let page = {
        let document = document.clone();
        let render = leptos_axum::render_app_async_with_context(move || app::ssr::provide(context.clone()), document);
        move |request: Request| {
            let (rendering, has_place) = (rendering.clone(), rendering::is_page(&request));
            let page = render(request);
            async move { if has_place { page.await } else { rendering.carry_through(page).await } }
        }
    };
    let editor = {
        let (page, engine) = (page.clone(), state.engine.clone());
        post(move |request| editor::posted(engine.clone(), request, page.clone()))
    };
    let run_editor = {
        let (page, engine) = (page.clone(), state.engine.clone());
        post(move |request| editor::change_posted(engine.clone(), request, page.clone()))
    };
    Router::new()
        .route("/runs/{id}/change", run_editor)
        .route("/workflows/new", editor.clone())
        .route("/workflows/{name}/edit", editor)
        .leptos_routes_with_context(
            &state,
            routes,
            {
                let state = state.clone();
                move || app::ssr::provide(state.clone())
            },
            document,
        )
        .fallback(move |request: Request| {
            let page = page.clone();
            async move {
                if request.uri().path().starts_with("/api/") {
                    return Problem::not_found("There is nothing at this address of the API.").into_response();
                }
                let mut response = page(request).await;
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        })
        .layer(from_fn(auth::require_sign_in))
        .layer(RequestBodyLimitLayer::new(FORM_BODY))
        .with_state(state)
}

/// What needs no session: files, health, figures, and the links of runners, who prove themselves.
fn plain(state: &ServerState) -> Router {
    let ready = |State(state): State<ServerState>| async move {
        if state.stop.is_cancelled() {
            return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        match state.engine.ready().await {
            Ok(()) => (StatusCode::OK, "ready\n"),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
        }
    };
    Router::new()
        .route("/assets/{*name}", get(assets::asset))
        .route("/favicon.svg", get(|headers: HeaderMap| assets::public_file("favicon.svg", headers)))
        .route("/favicon.ico", get(|| async { (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "/favicon.svg")]) }))
        .route("/robots.txt", get(|| async { "User-agent: *\nDisallow: /\n" }))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::render))
        .route("/api/v1/runners/link", get(runner_link::open))
        .with_state(state.clone())
}
