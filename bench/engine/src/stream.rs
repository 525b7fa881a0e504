//! How soon an event reaches everybody who listens, and what a listener costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use domain::Timestamp;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    figures::percentile,
    http_client::{HttpClient, connect_many},
    serve::now_nanos,
    server_process::ServerProcess,
    work,
};

const EVENTS: &str = "/api/v1/events";
pub const CLIENTS: usize = 1000;
pub const EVENTS_PER_SECOND: usize = 500;
/// Every task that is created is an event.
const TASKS_IN_A_REQUEST: usize = 10;
const PRODUCERS: usize = 32;
/// One client of so many reads its events and looks at their times. The others count them as they go by: reading a thousand copies of
/// each would take the processors from the server.
const SAMPLED: usize = 20;
/// Bytes that a client takes at once.
const READ: usize = 16 * 1024;
/// For what is still under way when nothing new comes.
const DRAINS: Duration = Duration::from_secs(30);
const MEMORY_SETTLES: Duration = Duration::from_secs(2);

pub struct Stream {
    /// Milliseconds from the beginning of an event's transaction, which is before its commit, to a client.
    pub p50: f64,
    pub p99: f64,
    /// Events handed to clients each second, over all clients.
    pub delivered: f64,
    /// Bytes of the server's memory for a client, at the worst moment.
    pub memory: f64,
}

/// Those who listen.
struct Audience {
    counted: Arc<AtomicU64>,
    /// Milliseconds.
    times: mpsc::UnboundedReceiver<f64>,
    running: JoinSet<anyhow::Result<()>>,
}

pub async fn measure(server: &ServerProcess, time: Duration) -> anyhow::Result<Stream> {
    let mut producers = connect_many(&server.address, &server.key, PRODUCERS).await?;
    // What the first requests cost is not to be counted as a client's.
    for producer in &mut producers {
        producer.create(work::MANY, work::many(TASKS_IN_A_REQUEST)).await?;
    }
    sleep(MEMORY_SETTLES).await;
    let before = server.resident()?;
    let mut audience = gather(server).await?;
    sleep(MEMORY_SETTLES).await;

    let mut memory = server.resident()?;
    let mut look_at_memory = || server.resident().map(|now| memory = memory.max(now));
    let began = Instant::now();
    let requests = produce(producers, time, &mut look_at_memory).await?;
    let events = requests * TASKS_IN_A_REQUEST;
    let deadline = Instant::now() + DRAINS;
    while audience.counted.load(Ordering::Relaxed) < (events * CLIENTS) as u64 && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
        look_at_memory()?;
    }
    let delivered = audience.counted.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    audience.running.shutdown().await;
    let mut times: Vec<_> = std::iter::from_fn(|| audience.times.try_recv().ok()).collect();
    Ok(Stream {
        p50: percentile(&mut times, 0.5),
        p99: percentile(&mut times, 0.99),
        delivered,
        memory: memory.saturating_sub(before) as f64 / CLIENTS as f64,
    })
}

async fn gather(server: &ServerProcess) -> anyhow::Result<Audience> {
    let counted = Arc::new(AtomicU64::new(0));
    let (sender, times) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    for number in 0..CLIENTS {
        if number % SAMPLED > 0 {
            running.spawn(count(begin(server).await?, counted.clone()));
            continue;
        }
        let mut client = HttpClient::connect(&server.address, &server.key).await?;
        let body = client.follow(EVENTS).await?;
        running.spawn(listen(client, body, counted.clone(), sender.clone()));
    }
    Ok(Audience { counted, times, running })
}

/// A stream whose head has come, with the beginning of its body perhaps.
async fn begin(server: &ServerProcess) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(&server.address).await?;
    let request = format!("GET {EVENTS} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n", server.address, server.key);
    stream.write_all(request.as_bytes()).await?;
    let mut begun = vec![];
    while !begun.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut begun).await? > 0, "the server has closed the connection");
    }
    ensure!(begun.starts_with(b"HTTP/1.1 200 "), "{EVENTS} answered {}", String::from_utf8_lossy(&begun));
    Ok((stream, begun))
}

/// Counts empty lines: every event ends with one, and nothing else has one but what the stream says first, and what it says when it
/// is quiet, which it is not while this is measured.
async fn count((mut stream, begun): (TcpStream, Vec<u8>), counted: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut last = 0;
    let mut said_first = ends(&mut last, &begun) > 0;
    let mut bytes = vec![0; READ];
    loop {
        let length = stream.read(&mut bytes).await?;
        ensure!(length > 0, "the server has closed the connection");
        let mut events = ends(&mut last, &bytes[..length]);
        if !said_first && events > 0 {
            said_first = true;
            events -= 1;
        }
        counted.fetch_add(events, Ordering::Relaxed);
    }
}

/// Empty lines that end in these bytes; `last` is the byte before them, and then the last of them.
fn ends(last: &mut u8, bytes: &[u8]) -> u64 {
    let (Some(first), Some(new_last)) = (bytes.first(), bytes.last()) else { return 0 };
    let across = u64::from(*last == b'\n' && *first == b'\n');
    *last = *new_last;
    across + bytes.iter().zip(&bytes[1..]).map(|(one, next)| u64::from(*one == b'\n' && *next == b'\n')).sum::<u64>()
}

/// At a steady pace that does not wait for answers as long as the server keeps up with it; how many requests were sent.
async fn produce(
    producers: Vec<HttpClient>,
    time: Duration,
    look_at_memory: &mut impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let every = Duration::from_secs(1) * TASKS_IN_A_REQUEST as u32 / EVENTS_PER_SECOND as u32;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (put_back, mut free) = mpsc::unbounded_channel();
    producers.into_iter().try_for_each(|producer| put_back.send(producer))?;
    let mut running = JoinSet::new();
    let began = Instant::now();
    let mut requests = 0;
    while began.elapsed() < time {
        ticks.tick().await;
        let Some(mut producer) = free.recv().await else { break };
        let put_back = put_back.clone();
        running.spawn(async move {
            producer.create(work::MANY, work::many(TASKS_IN_A_REQUEST)).await?;
            anyhow::Ok(put_back.send(producer).is_ok())
        });
        requests += 1;
        look_at_memory()?;
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(requests)
}

#[derive(Deserialize)]
struct Received {
    at: Timestamp,
}

/// Reads lines until the stream ends.
async fn listen(
    _connection: HttpClient,
    mut body: Incoming,
    counted: Arc<AtomicU64>,
    times: mpsc::UnboundedSender<f64>,
) -> anyhow::Result<()> {
    let mut begun = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        let mut events = 0;
        while let Some(part) = lines.next() {
            if lines.peek().is_none() {
                // The rest of this line comes with the next frame.
                begun.extend_from_slice(part);
                break;
            }
            let whole;
            let line = if begun.is_empty() {
                part
            } else {
                begun.extend_from_slice(part);
                whole = std::mem::take(&mut begun);
                &whole
            };
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            events += 1;
            let received: Received = serde_json::from_slice(data)?;
            let at = received.at.timestamp_nanos_opt().unwrap_or(0).unsigned_abs();
            times.send(now_nanos().saturating_sub(at.into()) as f64 / 1e6)?;
        }
        counted.fetch_add(events, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_wherever_it_is_cut() {
        let text = b"1a\r\nretry: 1\n\n\r\n2b\r\nevent: event\ndata: {}\n\nevent: event\ndata: {}\n\n\r\n";
        for cut in 0..text.len() {
            let mut last = 0;
            assert_eq!(ends(&mut last, &text[..cut]) + ends(&mut last, &text[cut..]), 3, "cut at {cut}");
        }
    }
}
