//! Clients that hand in tasks, as many and for as long as they are told to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::body::Bytes;
use tokio::task::JoinSet;

use crate::{
    cluster::Cluster,
    http_client::{HttpClient, connect_many},
    server_process::ServerProcess,
    sizes::{BATCH, BATCH_CLIENTS, CLIENTS},
    work,
};

/// How tasks are handed in.
#[derive(Clone)]
pub struct Load {
    clients: usize,
    size: usize,
    path: &'static str,
    body: Bytes,
}

impl Load {
    pub fn single() -> Self {
        Self { clients: CLIENTS, size: 1, path: work::ONE, body: work::one() }
    }

    pub fn batches() -> Self {
        Self { clients: BATCH_CLIENTS, size: BATCH, path: work::MANY, body: work::many(BATCH) }
    }

    /// How many tasks were accepted in this time.
    pub async fn hand_in_for(&self, server: &ServerProcess, time: Duration) -> anyhow::Result<usize> {
        let until = Instant::now() + time;
        self.hand_in(server, Arc::new(move || Instant::now() < until)).await
    }

    /// So many tasks, or a batch less.
    pub async fn hand_in_total(&self, server: &ServerProcess, tasks: usize) -> anyhow::Result<usize> {
        let (sent, requests) = (AtomicUsize::new(0), tasks / self.size);
        self.hand_in(server, Arc::new(move || sent.fetch_add(1, Ordering::Relaxed) < requests)).await
    }

    /// Every client sends one request after the other.
    async fn hand_in(&self, server: &ServerProcess, goes_on: GoesOn) -> anyhow::Result<usize> {
        let mut running = JoinSet::new();
        for client in connect_many(&server.address, &server.key, self.clients).await? {
            running.spawn(send(client, self.path, self.body.clone(), goes_on.clone()));
        }
        let mut requests = 0;
        while let Some(sent) = running.join_next().await {
            requests += sent??;
        }
        Ok(requests * self.size)
    }
}

type GoesOn = Arc<dyn Fn() -> bool + Send + Sync>;

async fn send(mut client: HttpClient, path: &'static str, body: Bytes, goes_on: GoesOn) -> anyhow::Result<usize> {
    let mut sent = 0;
    while goes_on() {
        client.create(path, body.clone()).await?;
        sent += 1;
    }
    Ok(sent)
}

/// Tasks after which a database has tables to know.
const FIRST: usize = 100;

/// A few tasks by one client, and then what autovacuum does in its first minute; how many tasks.
pub async fn introduce(cluster: &Cluster, database_url: &str, server: &ServerProcess) -> anyhow::Result<usize> {
    let one = Load { clients: 1, ..Load::single() };
    let tasks = one.hand_in_total(server, FIRST).await?;
    cluster.settle(database_url).await?;
    Ok(tasks)
}
