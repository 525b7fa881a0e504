//! A link over a WebSocket, from a runner to its server.

use std::time::Duration;

use domain::protocol::{TO_RUNNER_BYTES, ToRunner, ToServer, leave_out};
use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, connect_async_with_config,
    tungstenite::{Error, Message, handshake::client::Response, protocol::WebSocketConfig},
};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::{Link, NotLinked};

/// For the connection and the server's answer to it.
const CONNECTS: Duration = Duration::from_secs(15);
/// Between two pings. The server sends its own as well: whichever way has become a hole, somebody hears nothing any more.
const PING: Duration = Duration::from_secs(20);
/// Without a sign of life from the server, which answers pings.
const SILENT: Duration = Duration::from_secs(45);
/// Messages that wait on this side.
const WAITING: usize = 64;

/// Opens a link to this address, `ws://` or `wss://`.
pub async fn dial(url: String) -> Result<Link, NotLinked> {
    link(&url, connect_async_with_config(&url, Some(config()), true)).await
}

/// What is taken from a server.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(TO_RUNNER_BYTES)).max_frame_size(Some(TO_RUNNER_BYTES))
}

/// A link over what this connects to the server, whatever carries the bytes.
pub(crate) async fn link<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    url: &str,
    connecting: impl Future<Output = Result<(WebSocketStream<S>, Response), Error>>,
) -> Result<Link, NotLinked> {
    let connected = timeout(CONNECTS, connecting).await;
    let (socket, _) = connected
        .map_err(|_| NotLinked(format!("{url} does not answer within {} s", CONNECTS.as_secs())))?
        .map_err(|error| NotLinked(format!("{url}: {error}")))?;
    let (to_server, said) = mpsc::channel(WAITING);
    let (tell, from_server) = mpsc::channel(WAITING);
    TaskTracker::new().spawn(carry(socket, said, tell));
    Ok(Link { to_server, from_server })
}

async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    mut said: mpsc::Receiver<ToServer>,
    tell: mpsc::Sender<ToRunner>,
) {
    let (mut sink, mut stream) = socket.split();
    let write = async {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                _ = ping.tick() => Message::Ping(Default::default()),
                message = said.recv() => match message {
                    None => break,
                    Some(message) => match serde_json::to_string(&message) {
                        Ok(text) => Message::text(text),
                        Err(_) => continue,
                    },
                },
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let read = async {
        loop {
            let message = match timeout(SILENT, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(None | Some(Err(_))) => return,
                Err(_) => return warn!("The server gives no sign of life for {} s: this link to it is given up", SILENT.as_secs()),
            };
            match message {
                Message::Text(text) => match serde_json::from_str::<ToRunner>(&text) {
                    Ok(message) => {
                        if tell.send(message).await.is_err() {
                            return;
                        }
                    }
                    Err(_) if leave_out(&text) => {}
                    // What it was cannot be told, so the link begins anew.
                    Err(error) => return warn!("The server said what this runner does not understand: {error}"),
                },
                Message::Close(frame) => return debug!("The server closes the link: {frame:?}"),
                _ => {}
            }
        }
    };
    tokio::select! {
        biased;
        () = write => {}
        () = read => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio_tungstenite::{accept_async, client_async_with_config};

    use super::*;

    /// A link, and the server's end of it.
    async fn linked() -> (Link, WebSocketStream<DuplexStream>) {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let url = "ws://server/link";
        let (link, socket) = tokio::join!(link(url, client_async_with_config(url, here, Some(config()))), accept_async(there));
        (link.unwrap(), socket.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_by_itself_is_pinged_and_kept() {
        let (mut link, mut server) = linked().await;
        let mut pings = 0;
        let talk = async {
            while pings < 100 {
                tokio::select! {
                    told = link.from_server.recv() => panic!("the link is over, or {told:?} was said"),
                    heard = server.next() => match heard {
                        Some(Ok(Message::Ping(_))) => pings += 1,
                        other => panic!("{other:?}"),
                    },
                }
            }
        };
        assert!(timeout(SILENT * 3, talk).await.is_err());
        assert_eq!(pings, 6, "one every 20 s, for 135 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_no_ping_is_left() {
        let (mut link, _server) = linked().await;
        let since = Instant::now();
        assert_eq!(link.from_server.recv().await, None);
        assert!((SILENT..SILENT + PING).contains(&since.elapsed()), "{:?}", since.elapsed());
    }
}
