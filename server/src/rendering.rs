//! How many pages are rendered at once, and that each is rendered to its end.
//!
//! Parts of a page are rendered on other threads than the rest. When a render is dropped because its reader has gone, they find that what
//! they read is no more, and panic. So a render goes on by itself, and as nobody who leaves ends it, it has to have a place: whoever goes
//! before there is one has cost nothing.

use std::{pin::pin, sync::Arc, time::Duration};

use app::problem::Problem;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use engine::{APP_CONNECTIONS, Engine};
use http::Method;
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument, Span, warn};

/// For a place. A page that comes later than this is no longer waited for.
const PLACE_WITHIN: Duration = Duration::from_secs(10);
/// For a page; it keeps its place no longer.
const PAGE_WITHIN: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub struct Rendering {
    engine: Engine,
    places: Arc<Semaphore>,
}

impl Rendering {
    /// A page that is rendered keeps a processor busy, and a connection. More at once would hold up everything else: sessions, runners,
    /// the queue.
    pub fn new(engine: Engine) -> Self {
        let at_once = 2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { engine, places: Arc::new(Semaphore::new(at_once.clamp(4, APP_CONNECTIONS as usize))) }
    }

    /// Renders in a place of its own. Must not be called by what has one.
    pub async fn carry_through(self, page: impl Future<Output = Response> + Send + 'static) -> Response {
        let Ok(Ok(place)) = timeout(PLACE_WITHIN, self.places.acquire_owned()).await else {
            return Problem::new(503, "busy", "Too much to do at the moment", "Try again in a few seconds.").into_response();
        };
        let rendering = async move {
            let mut page = pin!(page);
            if let Ok(page) = timeout(PAGE_WITHIN, &mut page).await {
                return page;
            }
            warn!("A page has not been rendered within {PAGE_WITHIN:?}");
            drop(place);
            page.await
        };
        match self.engine.carry_through(rendering.instrument(Span::current())).await {
            Ok(page) => page,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Problem::internal().into_response(),
            },
        }
    }
}

/// For the routes of the pages with all that they look up. What has a body is left alone: it can be sent slowly.
pub async fn carried_through(State(rendering): State<Rendering>, request: Request, next: Next) -> Response {
    if !is_page(&request) {
        return next.run(request).await;
    }
    rendering.carry_through(next.run(request)).await
}

/// Whether [`carried_through`] has given it a place.
pub fn is_page(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && !request.uri().path().starts_with("/api/")
}
