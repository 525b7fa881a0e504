//! Follows tasks as they go on: their log, every byte once, and their events, every one once and in order, over lost connections too.
//!
//! The log is resumed from its byte offset. Events are numbered within their task, so the workspace's stream only says when to look;
//! what was missed while there was no connection is fetched by number.

use std::{collections::BTreeMap, convert::Infallible, time::Instant};

use domain::{Event, LogChunk, TaskId};
use futures::{StreamExt, future::try_join_all};
use sse_stream::Sse;
use tokio::time::sleep;

use super::{
    client::{Client, Events},
    error::CliError,
    reconnect::Connection,
};

/// What is seen of a followed task.
pub enum Seen {
    Log {
        task: TaskId,
        piece: LogChunk,
    },
    Event(Event),
    /// The connection is gone and did not come back at once; it is tried again. Said once for each time it goes.
    ConnectionLost,
}

/// Follows all of these tasks until each is final and its whole log was shown.
pub async fn follow_tasks(client: &Client, tasks: &[TaskId], show: &impl Fn(Seen) -> Result<(), CliError>) -> Result<(), CliError> {
    let mut events = EventReader::new(tasks);
    // What happened so far comes before what is logged from now on.
    events.catch_up(client, show).await?;
    let logs = try_join_all(tasks.iter().map(|task| follow_log(client, *task, 0, show)));
    tokio::select! {
        ended = logs => ended.map(drop)?,
        failed = events.follow(client, show) => return failed.map(|never| match never {}),
    }
    // The log may end a moment before the last event arrives.
    events.catch_up(client, show).await
}

/// Follows one task's log from a byte offset on until the task is final.
pub async fn follow_log(client: &Client, task: TaskId, from: i64, show: &impl Fn(Seen) -> Result<(), CliError>) -> Result<(), CliError> {
    let mut offset = from;
    let mut connection = Connection::default();
    loop {
        let error = match client.follow_log(task, offset).await {
            Ok(mut stream) => {
                connection.is_up(Instant::now());
                if read_log(&mut stream, task, &mut offset, show).await? {
                    return Ok(());
                }
                None
            }
            Err(error) => Some(error),
        };
        let pause = connection.lost(error, Instant::now())?;
        if pause.tell {
            show(Seen::ConnectionLost)?;
        }
        sleep(pause.wait).await;
    }
}

/// Reads until the connection ends; true when the log ended first.
async fn read_log(
    stream: &mut Events,
    task: TaskId,
    offset: &mut i64,
    show: &impl Fn(Seen) -> Result<(), CliError>,
) -> Result<bool, CliError> {
    while let Some(Ok(message)) = stream.next().await {
        match message.event.as_deref() {
            Some("end") => return Ok(true),
            Some("log") => {
                let piece: LogChunk = decode(&message)?;
                if piece.end > *offset {
                    *offset = piece.end;
                    show(Seen::Log { task, piece })?;
                }
            }
            // Other events are for other readers.
            _ => {}
        }
    }
    Ok(false)
}

/// Knows of each followed task which event was shown last.
struct EventReader {
    shown: BTreeMap<TaskId, i64>,
}

impl EventReader {
    fn new(tasks: &[TaskId]) -> Self {
        Self { shown: tasks.iter().map(|task| (*task, 0)).collect() }
    }

    async fn follow(&mut self, client: &Client, show: &impl Fn(Seen) -> Result<(), CliError>) -> Result<Infallible, CliError> {
        let mut connection = Connection::default();
        loop {
            let lost = match client.follow_events().await {
                Ok(mut stream) => {
                    connection.is_up(Instant::now());
                    self.read(client, &mut stream, show).await.err()
                }
                Err(error) => Some(error),
            };
            // Nothing is said here: the log's connection goes with this one, and speaks for both.
            sleep(connection.lost(lost, Instant::now())?.wait).await;
        }
    }

    /// Reads until the connection ends. What happened before it stood is fetched first.
    async fn read(&mut self, client: &Client, stream: &mut Events, show: &impl Fn(Seen) -> Result<(), CliError>) -> Result<(), CliError> {
        self.catch_up(client, show).await?;
        while let Some(Ok(message)) = stream.next().await {
            if message.event.as_deref() == Some("resync") {
                self.catch_up(client, show).await?;
            } else if message.data.as_deref().is_some_and(|data| !data.is_empty()) {
                self.take(client, decode(&message)?, show).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, client: &Client, event: Event, show: &impl Fn(Seen) -> Result<(), CliError>) -> Result<(), CliError> {
        let Some(shown) = self.shown.get_mut(&event.task_id) else { return Ok(()) };
        if event.number > *shown + 1 {
            return self.catch_up(client, show).await;
        }
        if event.number == *shown + 1 {
            *shown = event.number;
            show(Seen::Event(event))?;
        }
        Ok(())
    }

    async fn catch_up(&mut self, client: &Client, show: &impl Fn(Seen) -> Result<(), CliError>) -> Result<(), CliError> {
        for (task, shown) in &mut self.shown {
            for event in client.task_events(*task).await? {
                if event.number > *shown {
                    *shown = event.number;
                    show(Seen::Event(event))?;
                }
            }
        }
        Ok(())
    }
}

pub fn decode<T: serde::de::DeserializeOwned>(message: &Sse) -> Result<T, CliError> {
    serde_json::from_str(message.data.as_deref().unwrap_or_default()).map_err(|error| CliError::Failed {
        message: format!("the server sent something that is not understood: {error}"),
        remedy: Some("use a command line of the server's version".into()),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use axum::{Json, Router, body::Body, extract::Query, routing::get};
    use domain::{EventKind, LogStream, TaskStateName, Timestamp};
    use futures::stream;

    use super::*;

    const LOG: &str = "one\ntwo\nthree\n";

    fn watched() -> TaskId {
        TaskId(uuid::Uuid::from_u128(1))
    }

    fn event(task_id: TaskId, number: i64) -> Event {
        let kind = EventKind::TaskCreated { state: TaskStateName::Queued };
        Event { cursor: number.to_string(), at: Timestamp::UNIX_EPOCH, actor: "system".into(), task_id, number, kind }
    }

    fn message(name: &str, data: &impl serde::Serialize) -> String {
        format!("event: {name}\ndata: {}\n\n", serde_json::to_string(data).unwrap())
    }

    /// Sends a piece that was there already and another one, and then loses the connection.
    async fn flaky_log(Query(from): Query<BTreeMap<String, usize>>) -> String {
        let from = from["offset"];
        let mut answer = String::from(": hello\n\n");
        for offset in (from.saturating_sub(4)..LOG.len()).step_by(4).take(2) {
            let end = (offset + 4).min(LOG.len());
            let text = LOG[offset..end].to_owned();
            let piece = LogChunk { offset: offset as i64, end: end as i64, attempt: 1, stream: LogStream::Stdout, text };
            answer.push_str(&message("log", &piece));
        }
        if from + 4 >= LOG.len() {
            answer.push_str("event: end\ndata:\n\n");
        }
        answer
    }

    /// Says something twice, leaves something out, speaks of another task, and stays open.
    async fn careless_events() -> Body {
        let other = TaskId(uuid::Uuid::from_u128(2));
        let said = [event(watched(), 2), event(other, 3), event(watched(), 4), event(watched(), 4)];
        let said: String = said.iter().map(|event| message(event.kind.name(), event)).collect();
        let messages = [said, "event: resync\ndata:\n\n".into()].map(Ok::<_, std::io::Error>);
        Body::from_stream(stream::iter(messages).chain(stream::pending()))
    }

    async fn task_events() -> Json<Vec<Event>> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let so_far = if ASKED.fetch_add(1, Ordering::Relaxed) == 0 { 2 } else { 5 };
        Json((1..=so_far).map(|number| event(watched(), number)).collect())
    }

    #[tokio::test]
    async fn every_byte_and_every_event_is_shown_once_over_lost_connections() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let app = Router::new()
            .route("/api/v1/tasks/{id}/log", get(flaky_log))
            .route("/api/v1/tasks/{id}/events", get(task_events))
            .route("/api/v1/events", get(careless_events));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let client = Client::new(url, "key").unwrap();

        let (log, events, losses) = (RefCell::new(String::new()), RefCell::new(vec![]), RefCell::new(0));
        let show = |seen| {
            match seen {
                Seen::Log { piece, .. } => log.borrow_mut().push_str(&piece.text),
                Seen::Event(event) => events.borrow_mut().push(event.number),
                Seen::ConnectionLost => *losses.borrow_mut() += 1,
            }
            Ok(())
        };
        let tasks = [watched()];
        tokio::select! {
            _ = async { axum::serve(listener, app).await } => panic!("the server ended"),
            followed = follow_tasks(&client, &tasks, &show) => followed.unwrap(),
        }
        assert_eq!(log.into_inner(), LOG);
        assert_eq!(events.into_inner(), [1, 2, 3, 4, 5]);
        assert_eq!(losses.into_inner(), 1, "a stream that keeps breaking is told once");
    }
}
