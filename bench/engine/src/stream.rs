//! How soon an event reaches everybody who listens, and what a listener costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::Timestamp;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::{
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

pub const CLIENTS: usize = 1000;
pub const EVENTS_PER_SECOND: usize = 500;
/// Every task that is created is an event.
const TASKS_IN_A_REQUEST: usize = 10;
const PRODUCERS: usize = 32;
/// Every client counts its events; one of so many looks at their times too, as reading a thousand copies of each would take the
/// processors from the server.
const SAMPLED: usize = 20;
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
        let mut client = HttpClient::connect(&server.address, &server.key).await?;
        let body = client.follow("/api/v1/events").await?;
        let times = (number % SAMPLED == 0).then(|| sender.clone());
        running.spawn(listen(client, body, counted.clone(), times));
    }
    Ok(Audience { counted, times, running })
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
    times: Option<mpsc::UnboundedSender<f64>>,
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
            if let Some(times) = &times {
                let received: Received = serde_json::from_slice(data)?;
                let at = received.at.timestamp_nanos_opt().unwrap_or(0).unsigned_abs();
                times.send(now_nanos().saturating_sub(at.into()) as f64 / 1e6)?;
            }
        }
        counted.fetch_add(events, Ordering::Relaxed);
    }
    Ok(())
}
