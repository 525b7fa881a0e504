//! Other queues, each measured by its own script in bench/peers with the same numbers of clients and jobs.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::{
    cluster::Cluster,
    redis::Redis,
    sizes::{BATCH, BATCH_CLIENTS, CLIENTS, Sizes},
    throughput::Throughput,
};

pub const BULLMQ: &str = "BullMQ";

/// By name.
pub async fn measure(cluster: &Cluster, sizes: Sizes) -> anyhow::Result<Vec<(&'static str, Throughput)>> {
    let redis = Redis::start(cluster.folder()).await?;
    let bullmq = script("bullmq.mjs", &[("REDIS_PORT", redis.port.to_string())], sizes).await?;
    drop(redis);
    let graphile_url = cluster.database("graphile_worker").await?;
    cluster.settle(&graphile_url).await?;
    let graphile_worker = script("graphile-worker.mjs", &[("DATABASE_URL", graphile_url)], sizes).await?;
    let pg_boss_url = cluster.database("pg_boss").await?;
    cluster.settle(&pg_boss_url).await?;
    let pg_boss = script("pg-boss.mjs", &[("DATABASE_URL", pg_boss_url)], sizes).await?;
    Ok(vec![(BULLMQ, bullmq), ("graphile-worker", graphile_worker), ("pg-boss", pg_boss)])
}

async fn script(name: &str, environment: &[(&str, String)], sizes: Sizes) -> anyhow::Result<Throughput> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../peers").join(name);
    let mut command = Command::new("node");
    command.arg(file).envs(environment.iter().map(|(key, value)| (key, value))).kill_on_drop(true);
    command.env("BENCH_SECONDS", sizes.rate.as_secs().to_string()).env("BENCH_CLIENTS", CLIENTS.to_string());
    command.env("BENCH_BATCH", BATCH.to_string()).env("BENCH_BATCH_CLIENTS", BATCH_CLIENTS.to_string());
    command.env("BENCH_LIVES", sizes.lives.to_string()).env("BENCH_BATCH_LIVES", sizes.batch_lives.to_string());
    let output = command.output().await.context("node cannot be run")?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().with_context(|| format!("{name} said nothing"))?;
    serde_json::from_str(last).with_context(|| format!("{name} said {last}"))
}
