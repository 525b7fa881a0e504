//! A link over a WebSocket, from a runner to its server.

use std::time::Duration;

use domain::protocol::{TO_RUNNER_BYTES, ToRunner, ToServer, leave_out};
use futures::{SinkExt, StreamExt, stream::SplitStream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message,
        handshake::client::Response,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::{Link, NotLinked, fits};

/// For the connection and the server's answer to it.
const CONNECTS: Duration = Duration::from_secs(15);
/// Between two pings. The server sends its own as well: whichever way has become a hole, somebody hears nothing any more.
const PING: Duration = Duration::from_secs(20);
/// Without a sign of life from the server, which answers pings.
const SILENT: Duration = Duration::from_secs(45);
/// For the last word of a link.
const CLOSES: Duration = Duration::from_secs(5);
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
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                _ = ping.tick() => Message::Ping(Default::default()),
                message = said.recv() => match message {
                    None => break,
                    Some(message) => match fits::text_of(message) {
                        Some(text) => Message::text(text),
                        None => continue,
                    },
                },
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let why = tokio::select! {
        biased;
        () = write => None,
        why = read(&mut stream, tell) => why,
    };
    if let Some(why) = why {
        let _ = timeout(CLOSES, sink.send(Message::Close(Some(why)))).await;
    }
}

/// Until the link is over. What the server is told of that, where it has to be told.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    tell: mpsc::Sender<ToRunner>,
) -> Option<CloseFrame> {
    loop {
        let message = match timeout(SILENT, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(Error::Capacity(error)))) => {
                warn!("The server says more at once than this runner takes: {error}");
                let reason = format!("a message to a runner has at most {TO_RUNNER_BYTES} bytes");
                return Some(CloseFrame { code: CloseCode::Size, reason: reason.into() });
            }
            Ok(None | Some(Err(_))) => return None,
            Err(_) => {
                warn!("The server gives no sign of life for {} s: this link to it is given up", SILENT.as_secs());
                return None;
            }
        };
        match message {
            Message::Text(text) => match serde_json::from_str::<ToRunner>(&text) {
                Ok(message) => tell.send(message).await.ok()?,
                Err(_) if leave_out(&text) => {}
                Err(error) => {
                    // What it was cannot be told, so the link begins anew.
                    warn!("The server said what this runner does not understand: {error}");
                    return None;
                }
            },
            Message::Close(frame) => {
                say_why(frame.as_ref());
                return None;
            }
            _ => {}
        }
    }
}

/// A server that stops, or ends a link as another has taken its place, has nothing against this runner.
fn say_why(frame: Option<&CloseFrame>) {
    match frame {
        Some(frame) if !matches!(frame.code, CloseCode::Normal | CloseCode::Away | CloseCode::Restart) => {
            warn!("The server closes the link ({}): {}", u16::from(frame.code), frame.reason);
        }
        frame => debug!("The server closes the link: {frame:?}"),
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        AttemptId, AttemptKey, TaskId,
        protocol::{Said, TO_SERVER_BYTES},
    };
    use tokio::io::DuplexStream;
    use tokio_tungstenite::{
        accept_async, client_async_with_config,
        tungstenite::protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    };
    use uuid::Uuid;

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

    #[tokio::test]
    async fn what_is_longer_than_a_runner_takes_ends_the_link_with_a_reason() {
        let (mut link, mut server) = linked().await;
        let frame = |payload: Vec<u8>, code, is_last| Message::Frame(Frame::message(payload, OpCode::Data(code), is_last));
        server.send(frame(vec![b'x'; TO_RUNNER_BYTES], Data::Text, false)).await.unwrap();
        server.send(frame(vec![b'x'], Data::Continue, true)).await.unwrap();
        assert_eq!(link.from_server.recv().await, None);
        match server.next().await {
            Some(Ok(Message::Close(Some(why)))) => assert_eq!((why.code, why.reason.as_str().contains("8388608")), (CloseCode::Size, true)),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_longer_than_a_server_takes_is_not_said_and_what_follows_is() {
        let (link, mut server) = linked().await;
        let attempt = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        let said = |sequence, said| ToServer::Said { attempt, sequence, said };
        link.to_server.send(said(1, Said::Part { bytes: vec![0; TO_SERVER_BYTES] })).await.unwrap();
        link.to_server.send(said(2, Said::Verifying)).await.unwrap();
        let mut heard = vec![];
        for _ in 0..2 {
            let Some(Ok(Message::Text(text))) = server.next().await else { panic!("the link is over") };
            assert!(text.len() <= TO_SERVER_BYTES, "{} bytes", text.len());
            heard.push(serde_json::from_str::<ToServer>(&text).unwrap());
        }
        assert_eq!(heard, [said(1, Said::Session { events: vec![] }), said(2, Said::Verifying)]);
    }
}
