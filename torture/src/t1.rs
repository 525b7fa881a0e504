//! T1, the kill loop: clients hand in work and change their minds while servers, database and network fail, one after the other.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use sqlx::PgPool;
use tests::machine::running_with;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    check::{self, Violation},
    client::Client,
    faults,
    ledger::Ledger,
    proxy::Mood,
    world::{SERVERS, World},
};

const CLIENTS: usize = 8;
/// After everything is whole again, all tasks have ended within this time.
const HEALED_WITHIN: Duration = Duration::from_secs(300);

pub struct Outcome {
    pub faults: usize,
    pub tasks: i64,
    pub attempts: i64,
    pub violations: Vec<Violation>,
    /// Where the ledgers and the servers' logs are kept when something was wrong.
    pub kept: Option<std::path::PathBuf>,
}

pub async fn run(seed: u64, seconds: u64) -> anyhow::Result<Outcome> {
    let world = Arc::new(World::create().await?);
    let ledger = Arc::new(Ledger::open(&world.ledgers.join("clients"))?);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(Client::new(world.clone(), ledger.clone(), seed, number)?.run(until));
    }
    let faults = faults::cause(&world, &mut StdRng::seed_from_u64(seed), until).await?;
    world.proxy.set(Mood::Forward);
    for number in 0..SERVERS {
        world.start_server(number).await?;
        world.wait_until_ready(number).await?;
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let pool = PgPool::connect(world.database_url()).await?;
    settle(&world, &pool).await?;
    let mut violations = check::violations(&world, &pool).await?;
    let tasks = sqlx::query_scalar("select count(*) from task").fetch_one(&pool).await?;
    let attempts = sqlx::query_scalar("select count(*) from attempt").fetch_one(&pool).await?;
    pool.close().await;
    world.end().await?;
    let left = running_with(&world.ledgers.display().to_string());
    violations.extend(left.into_iter().map(|line| format!("it was left running: {line}")));
    let kept = (!violations.is_empty()).then(|| world.machine.keep());
    Ok(Outcome { faults: faults.len(), tasks, attempts, violations, kept })
}

/// Lets everything go on that somebody holds, passes the gates that are open, and waits until all has ended.
async fn settle(world: &World, pool: &PgPool) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let until = Instant::now() + HEALED_WITHIN;
    while check::unfinished(pool).await? > 0 && Instant::now() < until {
        for id in check::held(pool).await? {
            let url = format!("http://{}/api/v1/tasks/{id}/resume", world.addresses[0]);
            // What does not get through is tried again with the next round.
            let _ = client.post(url).bearer_auth(&world.key).timeout(Duration::from_secs(5)).send().await;
        }
        for id in check::open_gates(pool).await? {
            let url = format!("http://{}/api/v1/tasks/{id}/approve", world.addresses[0]);
            let approve = client.post(url).bearer_auth(&world.key).json(&serde_json::json!({})).timeout(Duration::from_secs(5));
            let _ = approve.send().await;
        }
        world.revive().await?;
        sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
