//! Links of runners on other machines: a WebSocket each, whose messages are those of [`domain::protocol`] as JSON.
//!
//! A link is counted, pinged, and closed when it says nothing or stands still: once it is upgraded, nothing of the HTTP server watches it
//! any more. Who comes is proven in the engine ([`engine::serve_runner`]); until then it has a few seconds, and few may try at once.
//! What is not understood is told and has no effect; who goes on saying it is sent away, each time for longer.

mod manners;
mod patience;

use std::{sync::Arc, time::Duration};

use app::problem::Problem;
use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    response::{IntoResponse, Response},
};
use domain::{
    RunnerId,
    protocol::{TO_SERVER_BYTES, ToRunner, ToServer, leave_out},
};
use engine::{Engine, Entrance};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderMap, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at},
};
use tokio_tungstenite::tungstenite;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use manners::{Manners, Verdict};
use patience::Patience;

/// Links at once.
const LINKS: usize = 1024;
/// Links at once of which nobody knows yet whose they are.
const UNPROVEN: usize = 32;
/// Bytes that may wait to be written: one assignment fits.
const TO_WRITE: usize = 9 * 1024 * 1024;
/// Messages that wait on either side.
const WAITING: usize = 16;

/// Why a link is closed, beside what the WebSocket protocol has codes for.
const NOT_UNDERSTOOD: u16 = 4400;
const NOT_KNOWN: u16 = 4401;
const NO_HELLO: u16 = 4408;
const TOO_MUCH: u16 = 4429;
const DONE: u16 = 1000;
const NO_WEBSOCKET: u16 = 1002;
const NOT_TEXT: u16 = 1003;
const NO_UTF8: u16 = 1007;
const TOO_LONG: u16 = 1009;
const RESTARTS: u16 = 1012;

/// How long a link may take over what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the first message, and to wait for a place among those who are not known yet.
    pub hello: Duration,
    /// Between two pings.
    pub ping: Duration,
    /// Without a sign of life.
    pub silent: Duration,
    /// For one message to be written.
    pub writes: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { hello: seconds(5), ping: seconds(20), silent: seconds(45), writes: seconds(10) }
    }
}

/// The links of this server.
#[derive(Clone)]
pub struct Links {
    places: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    patience: Arc<Patience>,
    limits: Limits,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Links {
    /// They end with `stop`.
    pub fn new(limits: Limits, stop: CancellationToken) -> Self {
        let (places, unproven) = (Arc::new(Semaphore::new(LINKS)), Arc::new(Semaphore::new(UNPROVEN)));
        Self { places, unproven, patience: Arc::default(), limits, tracker: TaskTracker::new(), stop }
    }

    /// Until all of them have ended.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// `GET /api/v1/runners/link`.
pub async fn open(State(engine): State<Engine>, State(links): State<Links>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return Problem::new(403, "forbidden", "Not for browsers", "Runners open links, not pages.").into_response();
    }
    let full = |detail: &str| Problem::new(503, "unavailable", "Too many runners", detail).into_response();
    let Ok(place) = links.places.clone().try_acquire_owned() else {
        return full("This server has as many links as it can hold. Try again later.");
    };
    // Whoever comes while many others do waits for a moment.
    let Ok(Ok(unproven)) = timeout(links.limits.hello, links.unproven.clone().acquire_owned()).await else {
        return full("Too many runners come at once. Try again later.");
    };
    let upgrade = upgrade.max_message_size(TO_SERVER_BYTES).max_frame_size(TO_SERVER_BYTES).max_write_buffer_size(TO_WRITE);
    upgrade.on_upgrade(move |socket| {
        let tracker = links.tracker.clone();
        tracker.track_future(async move {
            let _place = place;
            carry(engine, socket, links, unproven).await;
        })
    })
}

/// Carries messages until either side ends it.
async fn carry(engine: Engine, socket: WebSocket, links: Links, unproven: OwnedSemaphorePermit) {
    let (sink, stream) = socket.split();
    let (to_server, from_runner) = mpsc::channel(WAITING);
    let (to_runner, from_server) = mpsc::channel(WAITING);
    let remarks = to_runner.clone().downgrade();
    let served = async {
        if let Err(error) = engine::serve_runner(engine, Entrance::Far, from_runner, to_runner).await {
            debug!("A runner's link was not taken: {error}");
        }
    };
    let (welcome, is_welcome) = watch::channel(false);
    let hang_up = CancellationToken::new();
    let read = async {
        let why = Reader { links: &links, is_welcome, remarks }.read(stream, to_server).await;
        hang_up.cancel();
        why
    };
    let write = Writer { limits: links.limits, welcome, unproven: Some(unproven) }.write(sink, from_server, &hang_up);
    let ((), why, sink) = tokio::join!(served, read, write);
    if let Some(mut sink) = sink {
        let frame = CloseFrame { code: why.0, reason: why.1.into() };
        let _ = timeout(links.limits.writes, sink.send(Message::Close(Some(frame)))).await;
    }
}

/// A code and a reason.
type Why = (u16, &'static str);

const RESTARTING: Why = (RESTARTS, "the server stops");
const ENDED_HERE: Why = (DONE, "the server has ended it");
const STRANGE: Why = (NOT_UNDERSTOOD, "this is no message of the protocol");

/// Where the connection itself has failed, nobody hears it.
fn broken_by(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Why {
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => (TOO_LONG, "a message has at most 1 MiB"),
        Some(tungstenite::Error::Utf8(_)) => (NO_UTF8, "a message is no text"),
        _ => (NO_WEBSOCKET, "this is not what a WebSocket carries"),
    }
}

struct Reader<'a> {
    links: &'a Links,
    /// Once the runner has proven who it is.
    is_welcome: watch::Receiver<bool>,
    remarks: mpsc::WeakSender<ToRunner>,
}

impl Reader<'_> {
    async fn read(mut self, mut stream: SplitStream<WebSocket>, to_server: mpsc::Sender<ToServer>) -> Why {
        let Limits { hello, silent, .. } = self.links.limits;
        // whatever else it says meanwhile, it has to say who it is by then
        let hello_by = Instant::now() + hello;
        let mut runner = None;
        let mut manners = Manners::new(Instant::now());
        loop {
            let by = if runner.is_none() { hello_by } else { Instant::now() + silent };
            let message = tokio::select! {
                message = timeout_at(by, stream.next()) => message,
                () = self.links.stop.cancelled() => return RESTARTING,
                () = to_server.closed() => return ENDED_HERE,
            };
            let text = match message {
                Err(_) if runner.is_none() => return (NO_HELLO, "no hello came"),
                Err(_) => return (DONE, "no sign of life"),
                Ok(Some(Ok(Message::Text(text)))) => text,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) if manners.pinged(Instant::now()) == Verdict::Bearable => continue,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => return (TOO_MUCH, "too many pings"),
                Ok(Some(Ok(Message::Binary(_)))) => return (NOT_TEXT, "messages are text"),
                Ok(None | Some(Ok(Message::Close(_)))) => return (DONE, "the runner has ended it"),
                Ok(Some(Err(error))) => return broken_by(&*error.into_inner()),
            };
            if let Some(later) = manners.spoke(Instant::now()) {
                sleep_until(later).await;
            }
            let message = match (serde_json::from_str(&text), runner) {
                (Ok(message), _) => message,
                (Err(_), _) if leave_out(&text) => continue,
                (Err(error), Some(runner)) => match self.not_understood(runner, &error, &mut manners) {
                    None => continue,
                    Some(why) => return why,
                },
                (Err(_), None) => return STRANGE,
            };
            if runner.is_some() {
                if to_server.send(message).await.is_err() {
                    return ENDED_HERE;
                }
                continue;
            }
            let ToServer::Hello(hello) = &message else { return (NOT_KNOWN, "a hello comes first") };
            if self.links.patience.rests_for(hello.runner_id, Instant::now()).is_some() {
                return (TOO_MUCH, "too much was not understood; come back later");
            }
            runner = Some(hello.runner_id);
            if to_server.send(message).await.is_err() {
                return ENDED_HERE;
            }
            // Nothing more is taken from it before it has proven who it is.
            tokio::select! {
                welcome = self.is_welcome.wait_for(|is_welcome| *is_welcome) => if welcome.is_err() { return ENDED_HERE },
                () = self.links.stop.cancelled() => return RESTARTING,
                () = to_server.closed() => return ENDED_HERE,
            }
        }
    }

    /// The runner, which has proven who it is, is told, as long as there is patience.
    fn not_understood(&self, runner: RunnerId, error: &serde_json::Error, manners: &mut Manners) -> Option<Why> {
        if manners.was_not_understood(Instant::now()) == Verdict::TooMuch {
            self.links.patience.lost_with(runner, Instant::now());
            return Some(STRANGE);
        }
        if let Some(remarks) = self.remarks.upgrade() {
            // Who does not read what it is told is not told this either.
            let _ = remarks.try_send(ToRunner::NotUnderstood { message: error.to_string() });
        }
        None
    }
}

struct Writer {
    limits: Limits,
    welcome: watch::Sender<bool>,
    /// Its place among those who are not known yet.
    unproven: Option<OwnedSemaphorePermit>,
}

impl Writer {
    /// Gives the sink back for a last word, unless it takes nothing any more.
    async fn write(
        mut self,
        mut sink: SplitSink<WebSocket, Message>,
        mut from_server: mpsc::Receiver<ToRunner>,
        hang_up: &CancellationToken,
    ) -> Option<SplitSink<WebSocket, Message>> {
        let mut ping = interval(self.limits.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                message = from_server.recv() => match message {
                    None => return Some(sink),
                    Some(message) => {
                        if matches!(message, ToRunner::Welcome { .. }) {
                            self.unproven = None;
                            self.welcome.send_replace(true);
                        }
                        match serde_json::to_string(&message) {
                            Ok(text) => Message::text(text),
                            Err(_) => continue,
                        }
                    }
                },
                () = hang_up.cancelled() => return Some(sink),
                _ = ping.tick() => Message::Ping(Default::default()),
            };
            if !matches!(timeout(self.limits.writes, sink.send(message)).await, Ok(Ok(()))) {
                return None;
            }
        }
    }
}
