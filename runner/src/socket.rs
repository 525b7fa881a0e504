//! A link over a WebSocket, from a runner to its server.

use std::time::Duration;

use domain::protocol::{TO_RUNNER_BYTES, ToRunner, ToServer, leave_out};
use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
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
/// Without a byte from the server, which pings every 20 s.
const SILENT: Duration = Duration::from_secs(45);
/// Messages from the server that wait on this side.
const INCOMING: usize = 64;
/// Those to the server. Each may be a piece of a log, and what waits here is out of its page's bound of memory.
const OUTGOING: usize = 8;

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
    let (to_server, said) = mpsc::channel(OUTGOING);
    let (tell, from_server) = mpsc::channel(INCOMING);
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
        while let Some(message) = said.recv().await {
            let Ok(text) = serde_json::to_string(&message) else { continue };
            if sink.send(Message::text(text)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let read = async {
        while let Ok(Some(Ok(message))) = timeout(SILENT, stream.next()).await {
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
