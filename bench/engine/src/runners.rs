//! Many runners elsewhere on one server: how soon they are given work, what that costs the server, and how they come back to it.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Context;
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{
    cluster::Cluster,
    far_runner::{FarRunner, Shared},
    figures::Figure,
    http_client::HttpClient,
    latency,
    load::introduce,
    server_process::ServerProcess,
    work,
};

const RUNNERS: u32 = 50;
const SLOTS: u32 = 4;
const TASKS_PER_SECOND: u32 = 100;
/// How long the server is away.
const AWAY: Duration = Duration::from_secs(3);
/// Until something is given up that has to come.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn figures(cluster: &Cluster, time: Duration) -> anyhow::Result<Vec<Figure>> {
    eprintln!("  runners: as many inside the server");
    let url = cluster.database("muster_near").await?;
    let server = ServerProcess::start(&url, RUNNERS, cluster.folder()).await?;
    let first = introduce(cluster, &url, &server).await?;
    server.has_ended(first as u64).await?;
    let near = latency::measure_at(&server, time, TASKS_PER_SECOND).await?;
    server.stop().await?;

    eprintln!("  runners: {RUNNERS} elsewhere");
    let url = cluster.database("muster_far").await?;
    let server = ServerProcess::start(&url, 0, cluster.folder()).await?;
    let shared = Shared::default();
    let _runners = join(&server, &shared).await?;
    let first = introduce(cluster, &url, &server).await?;
    shared.seen.until_ended(first as u64).await?;
    let (began, before) = (Instant::now(), server.processor_time()?);
    let far = latency::measure_seen(&server, &shared.seen, time, TASKS_PER_SECOND).await?;
    let busy = (server.processor_time()? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let resident = server.resident()? as f64 / 1e6;

    eprintln!("  runners: the server is away for {} s", AWAY.as_secs());
    let Restart { back, lost } = restart(cluster, &url, server, &shared).await?;
    let name = |what: &str| format!("{what}, {RUNNERS} runners of {SLOTS} slots, {TASKS_PER_SECOND} tasks/s");
    Ok(vec![
        Figure::below(name("accepted to given over a socket, p50"), "ms", far.accepted_p50)
            .beside_one("inside the server", near.accepted_p50),
        Figure::below(name("accepted to given over a socket, p99"), "ms", far.accepted_p99)
            .beside_one("inside the server", near.accepted_p99)
            .goal(100.0),
        Figure::below(name("the server's processor time"), "cores", busy),
        Figure::below(name("the server's memory"), "MB", resident),
        Figure::below(format!("all {RUNNERS} runners are back after a kill -9 of the server, {} s away", AWAY.as_secs()), "s", back),
        Figure::below(format!("attempts lost by it, of {}", RUNNERS * SLOTS), "", lost).goal(1.0),
    ])
}

async fn join(server: &ServerProcess, shared: &Shared) -> anyhow::Result<Vec<AbortOnDropHandle<()>>> {
    let mut client = HttpClient::connect(&server.address, &server.key).await?;
    let mut runners = vec![];
    for number in 0..RUNNERS {
        let runner = FarRunner::join(&mut client, &server.address, number, SLOTS, shared.clone()).await?;
        let work = async move {
            if let Err(error) = runner.work().await {
                eprintln!("runner {number} has stopped: {error:#}");
            }
        };
        runners.push(AbortOnDropHandle::new(TaskTracker::new().spawn(work)));
    }
    until_linked(shared).await?;
    Ok(runners)
}

async fn until_linked(shared: &Shared) -> anyhow::Result<()> {
    let mut linked = shared.linked.subscribe();
    timeout(PATIENCE, linked.wait_for(|linked| *linked == RUNNERS)).await.context("not all runners have come")??;
    Ok(())
}

struct Restart {
    /// Seconds from when the server serves again until the last runner is welcome.
    back: f64,
    lost: f64,
}

/// While every slot is taken.
async fn restart(cluster: &Cluster, url: &str, server: ServerProcess, shared: &Shared) -> anyhow::Result<Restart> {
    let (address, ended) = (server.address.clone(), shared.seen.ended());
    shared.holds.send_replace(true);
    shared.seen.take_given();
    let mut client = HttpClient::connect(&address, &server.key).await?;
    for _ in 0..RUNNERS * SLOTS {
        client.create(work::ONE, work::one()).await?;
    }
    let deadline = Instant::now() + PATIENCE;
    while shared.seen.given() < (RUNNERS * SLOTS) as usize {
        anyhow::ensure!(Instant::now() < deadline, "not every slot was taken");
        sleep(Duration::from_millis(20)).await;
    }
    server.stop().await?;
    let mut linked = shared.linked.subscribe();
    timeout(PATIENCE, linked.wait_for(|linked| *linked == 0)).await.context("not all links have broken")??;
    sleep(AWAY).await;
    let server = ServerProcess::start_at(&address, url, 0, cluster.folder()).await?;
    let began = Instant::now();
    until_linked(shared).await?;
    let back = began.elapsed().as_secs_f64();
    shared.holds.send_replace(false);
    timeout(PATIENCE, shared.seen.until_ended(ended + u64::from(RUNNERS * SLOTS))).await.context("not every attempt came to its end")??;
    let pool = PgPool::connect(url).await?;
    let again: i64 = sqlx::query_scalar("select count(*) from attempt where number > 1 or state = 'lost'").fetch_one(&pool).await?;
    pool.close().await;
    let lost = again as f64 + shared.stale.load(Ordering::Relaxed) as f64;
    server.stop().await?;
    Ok(Restart { back, lost })
}
