//! Streams to browsers and scripts. Every one can be resumed, ends when the server stops, and is ended by the server from time to
//! time so that whoever listens is looked at again.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use domain::{Actor, TaskId};
use engine::{Engine, EventCursor, EventStream, Followed, Hint};
use futures::{Stream, StreamExt, stream};
use http::{
    HeaderMap,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// A comment this often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a browser comes back after the stream has ended.
const RETRY: Duration = Duration::from_secs(2);
/// A stream lives no longer; the reader comes back and is authorised again.
const MAX_AGE: Duration = Duration::from_mins(10);
/// Messages that may wait for a slow reader before the writer waits too.
const WAITING: usize = 64;
/// How often the log is looked at without a hint.
const LOG_POLL: Duration = Duration::from_secs(1);

pub type Stream1 = Sse<axum::response::sse::KeepAliveStream<ReceiverStream<Result<Event, Infallible>>>>;

/// The position a reader has reached, from the header or from `?last_event_id=`.
pub fn last_event_id(headers: &HeaderMap, query: Option<String>) -> Option<String> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    header.or(query).filter(|id| !id.is_empty())
}

/// The events of a workspace. They are written out once for all who follow it, and a reader takes them when its connection has room:
/// nothing waits for it here, and one that reads slowly goes on from the table.
pub fn events(stream: EventStream, stop: CancellationToken) -> Response {
    // Whoever has to begin anew learns the new position together with that, never before.
    let id = if stream.begins_anew() { String::new() } else { format!("id: {}\n", stream.cursor()) };
    let first = format!("retry: {}\n{id}: following\n\n", RETRY.as_millis());
    let end = Box::pin(async move {
        tokio::select! {
            () = stop.cancelled_owned() => {}
            () = sleep(MAX_AGE) => {}
        }
    });
    let follower = Follower { stream, end, quiet: Box::pin(sleep(KEEP_ALIVE)) };
    let frames = stream::unfold(follower, async |mut follower| Some((follower.next().await?, follower)));
    let body = stream::iter([Bytes::from(first)]).chain(frames.fuse()).map(Ok::<_, Infallible>);
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(body)).into_response()
}

/// Whoever reads the events of a workspace.
struct Follower {
    stream: EventStream,
    /// When the server stops or the stream has lived long enough.
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    quiet: Pin<Box<Sleep>>,
}

impl Follower {
    /// What is to be sent next; nothing when the stream has ended.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = &mut self.end => return None,
            followed = self.stream.next_batch() => match followed {
                Ok(followed) => {
                    self.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                    return Some(match followed {
                        Followed::Events(batch) => Bytes::from_owner(batch.rendered(event_frames)),
                        Followed::Resync(position) => resync_frame(position).into(),
                    });
                }
                Err(error) => warn!("A stream of events ended: {error}"),
            },
            () = &mut self.quiet => {
                self.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
        None
    }
}

/// Something was missed that cannot be told any more: whoever reads this looks at everything again, and goes on from here.
fn resync_frame(position: EventCursor) -> String {
    format!("event: resync\nid: {position}\ndata: {{\"cursor\":\"{position}\"}}\n\n")
}

/// As the standard for server-sent events wants them; JSON holds no line break.
fn event_frames(events: &[domain::Event]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(events.len() * 256);
    for event in events {
        frames.extend_from_slice(format!("event: event\nid: {}\ndata: ", event.cursor).as_bytes());
        // writing to memory cannot fail, and every kind of event can be written
        let _ = serde_json::to_writer(&mut frames, event);
        frames.extend_from_slice(b"\n\n");
    }
    frames
}

/// A task's log from a byte on, until the task has ended and everything was sent.
pub fn log(engine: Engine, actor: Actor, task: TaskId, from: i64, stop: CancellationToken) -> Stream1 {
    let first = Event::default().retry(RETRY).comment("following");
    send(stop, Some(first), move |sender| async move {
        if let Err(error) = follow_log(&engine, &actor, task, from, &sender).await {
            warn!("A stream of a log ended: {error}");
        }
    })
}

async fn follow_log(engine: &Engine, actor: &Actor, task: TaskId, from: i64, sender: &Sender) -> engine::Result<()> {
    let mut offset = from;
    let mut hints = engine.hints();
    loop {
        // Before the log is read: once it is final, what is read is all there is.
        let ended = engine.task_state(actor, task).await?.is_final();
        let chunks = engine.task_log(actor, task, offset).await?;
        if chunks.is_empty() && ended {
            push(sender, Event::default().event("end").id(offset.to_string()), &serde_json::json!({ "end": offset })).await;
            return Ok(());
        }
        for chunk in &chunks {
            if !push(sender, Event::default().event("log").id(chunk.end.to_string()), chunk).await {
                return Ok(());
            }
            offset = chunk.end;
        }
        if chunks.is_empty() {
            let deadline = Instant::now() + LOG_POLL;
            while let Ok(hint) = tokio::time::timeout_at(deadline, hints.recv()).await {
                if matches!(hint, Ok(Hint::Log(grown)) if grown == task) || matches!(hint, Ok(Hint::Events) | Err(_)) {
                    break;
                }
            }
        }
    }
}

type Sender = mpsc::Sender<Result<Event, Infallible>>;

async fn push(sender: &Sender, event: Event, data: &impl Serialize) -> bool {
    match event.json_data(data) {
        Ok(event) => sender.send(Ok(event)).await.is_ok(),
        Err(_) => false,
    }
}

/// Runs a writer until it is done, the reader has gone, the server stops or the stream has lived long enough.
fn send<F: Future<Output = ()> + Send + 'static>(
    stop: CancellationToken,
    first: Option<Event>,
    write: impl FnOnce(Sender) -> F + Send + 'static,
) -> Stream1 {
    let (sender, receiver) = mpsc::channel(WAITING);
    if let Some(first) = first {
        // The channel is empty, so there is room.
        let _ = sender.try_send(Ok(first));
    }
    TaskTracker::new().spawn(async move {
        let gone = sender.clone();
        tokio::select! {
            () = write(sender) => {}
            () = gone.closed() => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(MAX_AGE) => {}
        }
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Bytes of a log, for whoever wants the file.
pub fn raw_log(engine: Engine, actor: Actor, task: TaskId) -> impl Stream<Item = engine::Result<Vec<u8>>> {
    // Fused: compression asks once more after the end.
    let stream = futures::stream::unfold((engine, actor, Some(0_i64)), move |(engine, actor, from)| async move {
        let from = from?;
        match engine.task_log_raw(&actor, task, from).await {
            Ok(chunks) if chunks.is_empty() => None,
            Ok(chunks) => {
                let bytes: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
                let next = from + bytes.len() as i64;
                Some((Ok(bytes), (engine, actor, Some(next))))
            }
            Err(error) => Some((Err(error), (engine, actor, None))),
        }
    });
    stream.fuse()
}
