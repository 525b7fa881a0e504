//! How many tasks a second are accepted over HTTP, and how many go through their whole life.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::{
    cluster::Cluster,
    load::{Load, introduce},
    server_process::{RUNNERS, ServerProcess},
    sizes::Sizes,
};

/// Tasks a second. A peer's script prints the same.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Throughput {
    pub creates: f64,
    pub lives: f64,
    pub batch_creates: f64,
    pub batch_lives: f64,
}

const WARM_UP: Duration = Duration::from_secs(1);

pub async fn measure(cluster: &Cluster, sizes: Sizes) -> anyhow::Result<Throughput> {
    // Creating is measured without runners, which would share the machine with it; each on tables of its own.
    let creates = creates(cluster, "muster_creates", Load::single(), sizes.rate).await?;
    let batch_creates = self::creates(cluster, "muster_batch_creates", Load::batches(), sizes.rate).await?;
    let lives = lives(cluster, "muster_lives", Load::single(), sizes.lives).await?;
    let batch_lives = self::lives(cluster, "muster_batch_lives", Load::batches(), sizes.batch_lives).await?;
    Ok(Throughput { creates, lives, batch_creates, batch_lives })
}

async fn creates(cluster: &Cluster, database: &str, load: Load, time: Duration) -> anyhow::Result<f64> {
    let url = cluster.database(database).await?;
    let server = ServerProcess::start(&url, 0, cluster.folder()).await?;
    warm_up(cluster, &url, &server, &load).await?;
    let began = Instant::now();
    let created = load.hand_in_for(&server, time).await?;
    let rate = created as f64 / began.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(rate)
}

/// From the first task's creation to the last one's end.
async fn lives(cluster: &Cluster, database: &str, load: Load, total: usize) -> anyhow::Result<f64> {
    let url = cluster.database(database).await?;
    let server = ServerProcess::start(&url, RUNNERS, cluster.folder()).await?;
    let warm = warm_up(cluster, &url, &server, &load).await?;
    server.has_ended(warm as u64).await?;
    let began = Instant::now();
    let created = load.hand_in_total(&server, total).await?;
    server.has_ended((warm + created) as u64).await?;
    let rate = created as f64 / began.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(rate)
}

/// All clients for a moment, so that every connection and every plan is there; how many tasks the database has then.
async fn warm_up(cluster: &Cluster, url: &str, server: &ServerProcess, load: &Load) -> anyhow::Result<usize> {
    let first = introduce(cluster, url, server).await?;
    let more = load.hand_in_for(server, WARM_UP).await?;
    cluster.settle(url).await?;
    Ok(first + more)
}
