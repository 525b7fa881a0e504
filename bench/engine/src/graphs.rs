//! How fast tasks that wait for each other go through their lives, beside as many that do not, and how soon one follows another.

use anyhow::ensure;
use domain::TaskId;
use hyper::body::Bytes;
use serde::Deserialize;
use std::time::{Duration, Instant};
use tokio::time::sleep;

use crate::{
    cluster::Cluster,
    figures::percentile,
    fill,
    http_client::HttpClient,
    latency,
    load::introduce,
    server_process::{RUNNERS, ServerProcess},
    work,
};

/// All nodes of a level wait for the first node of the level before.
pub const LEVELS: usize = 100;
pub const WIDTH: usize = 100;
/// Nodes of a chain, each of which waits for the one before.
const CHAIN: usize = 100;
/// Nodes that wait for others while a chain is followed a second time.
pub const ROWS: usize = 100_000;
/// After the last end, for what is told late.
const SETTLES: Duration = Duration::from_millis(500);

pub struct Graphs {
    /// Nodes a second.
    pub graph: f64,
    /// As many tasks that wait for nothing, a second.
    pub independent: f64,
    /// Milliseconds from one node of a chain to the next, p50: with little else in the table, and with many nodes that wait.
    pub follows: f64,
    pub follows_among_many: f64,
}

#[derive(Deserialize)]
struct Link {
    id: TaskId,
}

pub async fn measure(cluster: &Cluster) -> anyhow::Result<Graphs> {
    let independent = rate(cluster, "muster_independent", false).await?;
    let graph = rate(cluster, "muster_graph", true).await?;
    let (follows, follows_among_many) = chains(cluster).await?;
    Ok(Graphs { graph, independent, follows, follows_among_many })
}

/// From the moment at which everything is stored and may begin to the last end.
async fn rate(cluster: &Cluster, database: &str, wait: bool) -> anyhow::Result<f64> {
    let url = cluster.database(database).await?;
    let server = ServerProcess::start(&url, RUNNERS, cluster.folder()).await?;
    let first = introduce(cluster, &url, &server).await?;
    server.has_ended(first as u64).await?;
    let mut client = HttpClient::connect(&server.address, &server.key).await?;
    client.post(work::PAUSE, work::whole_queue(), 200).await?;
    let mut ahead: Option<TaskId> = None;
    for _ in 0..LEVELS {
        let links: Vec<Link> = serde_json::from_slice(&client.create(work::MANY, work::level(WIDTH, ahead)).await?)?;
        ahead = links.first().map(|link| link.id).filter(|_| wait);
    }
    cluster.settle(&url).await?;
    let began = Instant::now();
    client.post(work::RESUME, work::whole_queue(), 200).await?;
    server.has_ended((first + LEVELS * WIDTH) as u64).await?;
    let rate = (LEVELS * WIDTH) as f64 / began.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(rate)
}

async fn chains(cluster: &Cluster) -> anyhow::Result<(f64, f64)> {
    let url = cluster.database("muster_chain").await?;
    let server = ServerProcess::start(&url, RUNNERS, cluster.folder()).await?;
    let first = introduce(cluster, &url, &server).await?;
    server.has_ended(first as u64).await?;
    let pattern = latency::pattern(&server).await?;
    let few = chain(&server).await?;
    fill::with_waiting_nodes(&url, pattern, ROWS).await?;
    let many = chain(&server).await?;
    server.stop().await?;
    Ok((few, many))
}

async fn chain(server: &ServerProcess) -> anyhow::Result<f64> {
    server.take_given();
    let before = server.ended();
    let mut client = HttpClient::connect(&server.address, &server.key).await?;
    client.post(work::PAUSE, work::whole_queue(), 200).await?;
    let mut nodes: Vec<TaskId> = vec![];
    for _ in 0..CHAIN {
        let body: Bytes = work::level(1, nodes.last().copied());
        let links: Vec<Link> = serde_json::from_slice(&client.create(work::MANY, body).await?)?;
        nodes.extend(links.into_iter().map(|link| link.id));
    }
    client.post(work::RESUME, work::whole_queue(), 200).await?;
    server.has_ended(before + CHAIN as u64).await?;
    sleep(SETTLES).await;
    let given = server.take_given();
    let times: Vec<_> = nodes.iter().filter_map(|id| given.get(&id.to_string()).copied()).collect();
    ensure!(times.len() == CHAIN, "{} of {CHAIN} nodes were never given to a runner", CHAIN - times.len());
    let mut steps: Vec<_> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 / 1e6).collect();
    Ok(percentile(&mut steps, 0.5))
}
