//! Who sends a request: an API key or a browser's session, looked up anew each time.

use app::problem::Problem;
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use domain::{Actor, UserId};
use engine::Engine;
use http::{Method, header, request::Parts};
use tower_sessions::{Session, cookie::time::Duration, cookie::time::OffsetDateTime};

/// Whoever sends the request; without one the answer is 401.
pub struct Who(pub Actor);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Actor>().cloned().map(Self).ok_or_else(Problem::unauthorized)
    }
}

/// A session ends after this long without a request.
pub const SESSION_IDLE: Duration = Duration::hours(8);
/// A session is written back at most this often to push its end further away.
const RENEW_EVERY: Duration = Duration::minutes(5);

/// Puts the actor into the request. A bearer token that is not good is refused at once; no credentials at all go on as nobody.
pub async fn identify(State(engine): State<Engine>, mut request: Request, next: Next) -> Response {
    let found = match bearer_token(&request) {
        Some(token) => match engine.actor_of_key(token).await {
            Ok(None) => Err(Problem::unauthorized()),
            other => other.map_err(Problem::from),
        },
        None => actor_of_session(&engine, request.extensions().get::<Session>().cloned()).await,
    };
    match found {
        Ok(Some(actor)) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn bearer_token(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

async fn actor_of_session(engine: &Engine, session: Option<Session>) -> Result<Option<Actor>, Problem> {
    let Some(session) = session else { return Ok(None) };
    let user = session.get::<UserId>(app::ssr::SESSION_USER).await.map_err(|_| unavailable())?;
    let Some(user) = user else { return Ok(None) };
    let actor = engine.actor_of_user(user).await?;
    if actor.is_some() && session.expiry_date() - OffsetDateTime::now_utc() < SESSION_IDLE {
        renew(&session).await?;
    }
    Ok(actor)
}

async fn renew(session: &Session) -> Result<(), Problem> {
    const RENEWED: &str = "renewed_at";
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let last = session.get::<i64>(RENEWED).await.map_err(|_| unavailable())?.unwrap_or(0);
    if now - last > RENEW_EVERY.whole_seconds() {
        session.insert(RENEWED, now).await.map_err(|_| unavailable())?;
    }
    Ok(())
}

fn unavailable() -> Problem {
    Problem::new(503, "unavailable", "Not reachable at the moment", "The database does not answer. Try again in a few seconds.")
}

/// Pages that can be seen without signing in.
const OPEN_PAGES: [&str; 4] = ["/sign-in", "/setup", "/answer", "/dev/components"];

/// Sends whoever opens a page without being signed in to the sign-in page, and back afterwards.
pub async fn require_sign_in(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN_PAGES.contains(&path) || request.method() != Method::GET;
    if open || request.extensions().get::<Actor>().is_some() {
        return next.run(request).await;
    }
    let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let next_page: String = url_encode(wanted);
    Redirect::to(&format!("/sign-in?next={next_page}")).into_response()
}

fn url_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
