//! The stream of a workspace's events.

use app::problem::Problem;
use axum::{
    extract::{Query, State},
    response::IntoResponse,
};
use domain::Event;
use engine::Engine;
use http::HeaderMap;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use crate::{auth::Who, sse};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventPosition {
    /// The id of the last event that was seen; the header `Last-Event-ID` wins. From now on when neither is given.
    last_event_id: Option<String>,
}

/// Follow what happens in the workspace: every event once, in order, from where the reader left off.
///
/// When something after the reader's position is not kept any more, or the position is none of this log, the first event is `resync`
/// with a new position: look at everything again that is shown, and go on from there.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "follow_events", params(EventPosition),
    responses(
        (status = 200, description = "Events, each with its position as its id; `resync` when some cannot be told any more.", body = Event, content_type = "text/event-stream"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The position is not one of this stream.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn follow_events(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    Who(actor): Who,
    Query(position): Query<EventPosition>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let last = sse::last_event_id(&headers, position.last_event_id);
    let from = last.map(|text| text.parse()).transpose().map_err(engine::Error::Invalid)?;
    let stream = engine.follow_events(&actor, from).await?;
    Ok(sse::events(stream, stop))
}
