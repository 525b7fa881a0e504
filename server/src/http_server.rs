//! Accepting connections. axum's own loop has no time limits, so a client that sends one byte every few seconds, or never reads its
//! answer, could hold a connection for ever; this one has. It speaks HTTP/1.1: whoever ends TLS in front of it speaks HTTP/2 to
//! browsers, who never do so without TLS.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::activity::{self, Watched};

/// Bytes of a request's head.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;
/// Bytes that wait on a connection to be read or to be written; hyper would keep 400 kB for a client that does not read.
const BUFFER: usize = 64 * 1024;
/// Connections at once.
const CONNECTIONS: usize = 4096;
/// The wait after a connection could not be accepted, for example because files have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a connection may take over what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request, and for an open connection to begin the next one.
    pub head: Duration,
    /// Without a byte in either direction. Streams say something every 15 s.
    pub still: Duration,
    /// For open requests to finish after the stop was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), still: Duration::from_secs(60), drain: Duration::from_secs(10) }
    }
}

/// Serves until `stop`, then lets what is open finish.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER);
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let service = router.clone().map_request(|request: Request<Incoming>| request.map(Body::new));
        let (stream, moved) = Watched::new(stream);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = activity::stands_still(moved, limits.still) => return debug!("A connection stood still and was closed"),
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
