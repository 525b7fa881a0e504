//! T1, the kill loop: clients hand in work and change their minds while servers, runners elsewhere, database and network fail, one after
//! the other.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use sqlx::PgPool;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Options,
    check::{self, Outcome},
    client::Client,
    faults,
    ledger::Ledger,
    world::{Setup, World},
};

const CLIENTS: usize = 8;
/// After everything is whole again, all tasks have ended within this time.
const HEALED_WITHIN: Duration = Duration::from_secs(300);

pub async fn run(seed: u64, options: Options) -> anyhow::Result<Outcome> {
    let world = Arc::new(World::create(Setup { slots: [2, 2], far: [2, 2], ..Setup::default() }).await?);
    let ledger = Arc::new(Ledger::open(&world.ledgers.join("clients"))?);
    let until = Instant::now() + Duration::from_secs(options.seconds.unwrap_or(60));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(Client::new(world.clone(), ledger.clone(), seed, number)?.run(until));
    }
    let faults = faults::cause(&world, &mut StdRng::seed_from_u64(seed), until).await?;
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let pool = PgPool::connect(world.database_url()).await?;
    settle(&world, &pool).await?;
    let violations = check::violations(&world, &pool).await?;
    let tasks: i64 = sqlx::query_scalar("select count(*) from task").fetch_one(&pool).await?;
    let attempts: i64 = sqlx::query_scalar("select count(*) from attempt").fetch_one(&pool).await?;
    let summary = format!("{tasks} tasks, {attempts} attempts, {} faults, {} deaths at a crash point", faults.len(), world.died());
    pool.close().await;
    check::judged(&world, summary, violations).await
}

/// Lets everything go on that somebody holds, passes the gates that are open, and waits until all has ended.
pub async fn settle(world: &World, pool: &PgPool) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let until = Instant::now() + HEALED_WITHIN;
    while check::unfinished(pool).await? > 0 && Instant::now() < until {
        for id in check::held(pool).await? {
            let url = format!("http://{}/api/v1/tasks/{id}/resume", world.direct[0]);
            // What does not get through is tried again with the next round.
            let _ = client.post(url).bearer_auth(&world.key).timeout(Duration::from_secs(5)).send().await;
        }
        for id in check::open_gates(pool).await? {
            let url = format!("http://{}/api/v1/tasks/{id}/approve", world.direct[0]);
            let approve = client.post(url).bearer_auth(&world.key).json(&serde_json::json!({})).timeout(Duration::from_secs(5));
            let _ = approve.send().await;
        }
        world.revive().await?;
        sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
