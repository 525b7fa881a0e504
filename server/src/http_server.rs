//! Accepting connections. axum's own loop has no time limits, so a client that sends one byte every few seconds, or never reads its
//! answer, could hold a connection for ever; this one has. It speaks HTTP/1.1: whoever ends TLS in front of it speaks HTTP/2 to
//! browsers, who never do so without TLS.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::{HeaderName, HeaderValue};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};
use tracing::{debug, warn};

use crate::activity::{Activity, Answering, Watched};

/// Bytes of a request's head.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Bytes that wait on a connection to be read or to be written; hyper would keep 400 kB for a client that does not read.
const BUFFER: usize = 64 * 1024;
/// Connections at once.
const CONNECTIONS: usize = 4096;
/// The wait after a connection could not be accepted, for example because files have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a connection may take over what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request, from its first byte; on a new connection, from its beginning.
    pub head: Duration,
    /// Without a byte in either direction, so also between two requests, of which clients are told less ([`told`]). Streams say something
    /// every 15 s.
    pub still: Duration,
    /// For open requests to finish after the stop was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), still: Duration::from_secs(60), drain: Duration::from_secs(10) }
    }
}

/// How long clients are told that an idle connection stays open: a second request that is on its way while the connection is closed here
/// would be lost, and a client may not send a POST again by itself. So they close first, those that listen; for the others it is long.
const CLOSES_LATER: Duration = Duration::from_secs(5);

fn told(limits: Limits) -> Option<HeaderValue> {
    let seconds = limits.still.saturating_sub(CLOSES_LATER).as_secs();
    if seconds == 0 { None } else { HeaderValue::try_from(format!("timeout={seconds}")).ok() }
}

/// Serves until `stop`, then lets what is open finish.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder
        // its own limit would begin with the end of the request before
        .header_read_timeout(None)
        .max_header_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER);
    let told = told(limits);
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let (stream, activity) = Watched::new(stream);
        let service = service(&router, &activity, told.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = activity.stands_still(limits.still) => return debug!("A connection stood still and was closed"),
                () = activity.head_is_late(limits.head) => return debug!("The head of a request did not come whole, and its connection was closed"),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    match tokio::time::timeout(limits.drain, connection).await {
                        Ok(ended) => ended,
                        Err(_) => return warn!("A request did not finish within {:?} and was cut off", limits.drain),
                    }
                }
            };
            if let Err(error) = ended {
                debug!("A connection ended early: {error}");
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The router, with what is seen of each request.
fn service(
    router: &Router,
    activity: &Arc<Activity>,
    told: Option<HeaderValue>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + use<> {
    let (begun, ended) = (Arc::clone(activity), Arc::clone(activity));
    let begin = move |request: Request<Incoming>| {
        begun.is_served();
        request.map(Body::new)
    };
    let end = move |mut response: Response| {
        if let Some(told) = told.clone() {
            response.headers_mut().insert(KEEP_ALIVE, told);
        }
        response.map(|body| Body::new(Answering::new(body, &ended)))
    };
    router.clone().map_request(begin).map_response(end)
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(tokio::net::TcpStream, Place)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Small answers go out at once; it only costs speed when it cannot be set.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            warn!("A connection could not be accepted: {error}");
            tokio::time::sleep(ACCEPT_AGAIN).await;
            None
        }
    }
}
