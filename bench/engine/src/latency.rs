//! How soon an accepted task is with a runner, at a steady pace that does not wait for answers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    figures::percentile,
    http_client::{HttpClient, connect_many},
    seen::Seen,
    serve::now_nanos,
    server_process::ServerProcess,
    work::{self, Created},
};

const TASKS_PER_SECOND: u32 = 100;
/// The first of them find connections, caches and plans that are not there yet.
const WARM_UP: usize = 200;
const CONNECTIONS: usize = 32;
/// After the last answer, for what was given late.
const SETTLES: Duration = Duration::from_secs(2);

/// Milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// From the answer that says "accepted" until the runner has the attempt. A runner that has it before the answer has arrived counts
    /// as 0.
    pub accepted_p50: f64,
    pub accepted_p99: f64,
    /// From the request's first byte: the acceptance itself is in it, so it is more than any reading of the goal asks for.
    pub sent_p50: f64,
    pub sent_p99: f64,
}

struct Handed {
    task: String,
    sent: u128,
    accepted: u128,
}

pub async fn measure(server: &ServerProcess, time: Duration) -> anyhow::Result<Latency> {
    measure_at(server, time, TASKS_PER_SECOND).await
}

/// As [`measure`], at another pace.
pub async fn measure_at(server: &ServerProcess, time: Duration, tasks_per_second: u32) -> anyhow::Result<Latency> {
    measure_seen(server, &server.seen, time, tasks_per_second).await
}

/// As [`measure_at`], with runners that are elsewhere.
pub async fn measure_seen(server: &ServerProcess, seen: &Seen, time: Duration, tasks_per_second: u32) -> anyhow::Result<Latency> {
    seen.take_given();
    let ended_before = seen.ended();
    let idle = Arc::new(Mutex::new(connect_many(&server.address, &server.key, CONNECTIONS).await?));
    let total = (time.as_secs_f64() * f64::from(tasks_per_second)) as usize + WARM_UP;
    let mut ticks = interval(Duration::from_secs(1) / tasks_per_second);
    // The pace is kept on average; a late tick is made up for, as arrivals do not wait.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    for _ in 0..total {
        ticks.tick().await;
        running.spawn(hand_in(idle.clone(), server.address.clone(), server.key.clone()));
    }
    let mut handed = Vec::with_capacity(total);
    while let Some(one) = running.join_next().await {
        handed.push(one??);
    }
    seen.until_ended(ended_before + total as u64).await?;
    sleep(SETTLES).await;
    handed.sort_by_key(|one| one.sent);
    latency(&handed[WARM_UP..], &seen.take_given())
}

/// On a connection that is free, or a new one when the server is behind.
async fn hand_in(idle: Arc<Mutex<Vec<HttpClient>>>, address: String, key: String) -> anyhow::Result<Handed> {
    let free = idle.lock().await.pop();
    let mut client = match free {
        Some(client) if client.is_open() => client,
        _ => HttpClient::connect(&address, &key).await?,
    };
    let sent = now_nanos();
    let answer = client.create(work::ONE, work::one()).await?;
    let accepted = now_nanos();
    idle.lock().await.push(client);
    let created: Created = serde_json::from_slice(&answer)?;
    Ok(Handed { task: created.id.to_string(), sent, accepted })
}

fn latency(handed: &[Handed], given: &HashMap<String, u128>) -> anyhow::Result<Latency> {
    let (mut accepted, mut sent) = (vec![], vec![]);
    for one in handed {
        let Some(at) = given.get(&one.task) else { continue };
        accepted.push(at.saturating_sub(one.accepted) as f64 / 1e6);
        sent.push(at.saturating_sub(one.sent) as f64 / 1e6);
    }
    ensure!(accepted.len() == handed.len(), "{} of {} tasks were never given to a runner", handed.len() - accepted.len(), handed.len());
    Ok(Latency {
        accepted_p50: percentile(&mut accepted, 0.5),
        accepted_p99: percentile(&mut accepted, 0.99),
        sent_p50: percentile(&mut sent, 0.5),
        sent_p99: percentile(&mut sent, 0.99),
    })
}

/// One task of the repository whose tasks are to wait, carried out: the pattern for the rows that are made by SQL.
pub async fn pattern(server: &ServerProcess) -> anyhow::Result<domain::TaskId> {
    let before = server.ended();
    let mut client = HttpClient::connect(&server.address, &server.key).await?;
    let created: Created = serde_json::from_slice(&client.create(work::ONE, work::one_of(work::WAITING_REPOSITORY)).await?)?;
    server.has_ended(before + 1).await?;
    Ok(created.id)
}
