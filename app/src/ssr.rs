//! The server's side of the pages: the one door to the engine, and the browser's session.

use axum::extract::FromRef;
use domain::{
    Actor, UserId,
    account::NewOwner,
    workflow::{CheckWorkflow, SaveWorkflow, WorkflowView},
};
use engine::Engine;
use http::{HeaderName, HeaderValue, header, request::Parts};
use leptos::{
    config::LeptosOptions,
    nonce::use_nonce,
    prelude::{IntoView, expect_context, provide_context, use_context},
};
use leptos_axum::ResponseOptions;
use serde::{Serialize, de::DeserializeOwned};
use tower_sessions::Session;

use crate::{SiteAssets, fetched::SetStatus, part::Announce, problem::Problem, workflow::edit::Opened};

/// What every page and server function can reach.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub leptos_options: LeptosOptions,
    pub engine: Engine,
    pub assets: SiteAssets,
    /// How people reach the server, without a slash at the end.
    pub origin: String,
}

/// What pages and server functions find in their context.
pub fn provide(state: AppState) {
    provide_context(state);
    provide_context(Announce(announce_part));
    provide_context(SetStatus(answer_with_status));
}

/// Where a session keeps who is signed in.
pub const SESSION_USER: &str = "user";

/// Carries out one engine method as whoever sends this request.
pub async fn call<T>(act: impl AsyncFnOnce(Engine, Actor) -> engine::Result<T>) -> Result<T, Problem> {
    let actor = parts()?.extensions.get::<Actor>().cloned().ok_or_else(Problem::unauthorized)?;
    Ok(act(engine()?, actor).await?)
}

pub fn engine() -> Result<Engine, Problem> {
    use_context::<AppState>().map(|state| state.engine).ok_or_else(Problem::internal)
}

fn parts() -> Result<Parts, Problem> {
    use_context::<Parts>().ok_or_else(Problem::internal)
}

/// When what a page is about is not there, or cannot be had at the moment, the answer's status says so as well.
pub fn answer_with_status(problem: &Problem) {
    if let (404 | 429 | 500.., Some(answer), Ok(status)) =
        (problem.status, use_context::<ResponseOptions>(), http::StatusCode::from_u16(problem.status))
    {
        answer.set_status(status);
    }
}

/// Sends a browser without scripts back to its form, at an address that holds what was typed.
pub fn go_back(path: Option<String>) {
    let accepts = parts().ok().and_then(|request| Some(request.headers.get(header::ACCEPT)?.to_str().ok()?.contains("text/html")));
    if let (Some(true), Some(path)) = (accepts, path) {
        leptos_axum::redirect(&path);
    }
}

/// The path of the page that a form was sent from, when it is one of these or below it.
pub fn came_from(pages: &[&str]) -> Option<String> {
    let referer = parts().ok()?.headers.get(header::REFERER)?.to_str().ok()?.parse::<http::Uri>().ok()?;
    let path = referer.path();
    let is_below = |page: &str| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    pages.iter().any(|page| is_below(page)).then(|| path.to_owned())
}

pub fn origin() -> Result<String, Problem> {
    use_context::<AppState>().map(|state| state.origin).ok_or_else(Problem::internal)
}

/// Where a session keeps a secret until the next page shows it.
const SESSION_SHOWN_ONCE: &str = "shown_once";

/// One for each kind of secret, or one page would take away what another is to show.
fn shown_once_key<T>() -> String {
    format!("{SESSION_SHOWN_ONCE} {}", std::any::type_name::<T>())
}

/// Gives a secret to a program; for a browser without scripts, to the page at this address, once.
pub async fn show_once<T: Serialize>(secret: T, path: &str) -> Result<T, Problem> {
    let is_plain =
        parts()?.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if is_plain {
        session()?.insert(&shown_once_key::<T>(), &secret).await.map_err(|_| Problem::internal())?;
        leptos_axum::redirect(path);
    }
    Ok(secret)
}

/// Nothing when there is none, or a page has shown it.
pub async fn shown_once<T: DeserializeOwned>() -> Result<Option<T>, Problem> {
    session()?.remove(&shown_once_key::<T>()).await.map_err(|_| Problem::internal())
}

/// Saves a workflow as whoever has opened it has seen it.
pub async fn save_workflow(engine: &Engine, actor: Actor, source: String, opened: &Opened) -> engine::Result<WorkflowView> {
    let check = CheckWorkflow { source: source.clone() };
    let name = engine.check_workflow(&actor, check).await?.definition.map(|definition| definition.name).unwrap_or_default();
    let actor = Actor { if_match: Some(opened.seen_of(&name)), ..actor };
    engine.save_workflow(&actor, SaveWorkflow { source }).await
}

fn session() -> Result<Session, Problem> {
    parts()?.extensions.get::<Session>().cloned().ok_or_else(Problem::internal)
}

/// Whether nobody can sign in yet.
pub async fn needs_owner() -> Result<bool, Problem> {
    Ok(engine()?.needs_owner().await?)
}

/// Signs this browser in.
pub async fn sign_in(email: String, password: String) -> Result<(), Problem> {
    let user = engine()?.sign_in(&email, &password).await?;
    start_session(user).await
}

/// Makes the first owner and signs this browser in.
pub async fn create_owner(token: String, new: NewOwner) -> Result<(), Problem> {
    let user = engine()?.create_owner(&token, new).await?;
    start_session(user).await
}

/// A new id for a new person, whatever the browser brought along.
async fn start_session(user: UserId) -> Result<(), Problem> {
    let session = session()?;
    let started = async {
        session.cycle_id().await?;
        session.insert(SESSION_USER, user).await
    };
    started.await.map_err(|_| Problem::internal())
}

/// Signs this browser out; its session is gone from the database.
pub async fn sign_out() -> Result<(), Problem> {
    session()?.flush().await.map_err(|_| Problem::internal())?;
    // What the browser has kept of the pages goes too, so that "back" shows nothing.
    expect_context::<ResponseOptions>()
        .insert_header(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(())
}

/// The whole document, with the policy that lets only its own scripts run.
pub fn document(assets: SiteAssets) -> impl IntoView {
    let nonce = use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
    if let (Some(response), Ok(policy)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(&content_security_policy(&nonce))) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
    crate::shell(assets, nonce)
}

/// Lets the browser fetch a part of the program while it still reads the page that needs it.
fn announce_part(name: &str) {
    let (Some(state), Some(response)) = (use_context::<AppState>(), use_context::<ResponseOptions>()) else { return };
    for path in state.assets.parts.get(name).into_iter().flatten() {
        if let Ok(link) = HeaderValue::from_str(&format!("<{path}>; rel=preload; as=fetch; crossorigin=anonymous")) {
            response.append_header(header::LINK, link);
        }
    }
}

fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
}
