//! What goes wrong, drawn from the seed: one fault after the other, each healed before the next begins.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::{
    proxy::{Mood, Proxy},
    world::{SERVERS, World},
};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    KillServer { number: usize, back_after: Duration },
    StopServerForAWhile { number: usize, back_after: Duration },
    KillPostgres { back_after: Duration },
    StopPostgresAtOnce { back_after: Duration },
    TerminateBackends,
    Network { mood: Mood, lasts: Duration },
}

fn draw(random: &mut StdRng) -> Fault {
    let millis = |random: &mut StdRng, from, to| Duration::from_millis(random.random_range(from..to));
    match random.random_range(0..10) {
        0..3 => Fault::KillServer { number: random.random_range(0..SERVERS), back_after: millis(random, 100, 3000) },
        3..5 => Fault::StopServerForAWhile { number: random.random_range(0..SERVERS), back_after: millis(random, 500, 5000) },
        5 => Fault::KillPostgres { back_after: millis(random, 100, 2000) },
        6 => Fault::StopPostgresAtOnce { back_after: millis(random, 100, 2000) },
        7 => Fault::TerminateBackends,
        _ => {
            let (mood, lasts) = Proxy::trouble(random);
            Fault::Network { mood, lasts }
        }
    }
}

/// A fault every one to four seconds, until the time is over; then everything is whole again.
pub async fn cause(world: &World, random: &mut StdRng, until: Instant) -> anyhow::Result<Vec<Fault>> {
    let mut caused = vec![];
    while Instant::now() < until {
        sleep(Duration::from_millis(random.random_range(500..2500))).await;
        let fault = draw(random);
        caused.push(fault);
        match fault {
            Fault::KillServer { number, back_after } => {
                world.kill_server(number).await?;
                sleep(back_after).await;
                world.start_server(number).await?;
            }
            Fault::StopServerForAWhile { number, back_after } => {
                world.signal_server(number, Signal::STOP).await?;
                sleep(back_after).await;
                world.signal_server(number, Signal::CONT).await?;
            }
            Fault::KillPostgres { back_after } => {
                world.kill_postgres().await;
                sleep(back_after).await;
                world.start_postgres().await?;
            }
            Fault::StopPostgresAtOnce { back_after } => {
                world.stop_postgres_at_once().await;
                sleep(back_after).await;
                world.start_postgres().await?;
            }
            Fault::TerminateBackends => {
                if let Ok(pool) = sqlx::PgPool::connect(world.database_url()).await {
                    // Whether it reaches all of them or dies itself is part of the trouble.
                    let _ = sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'muster'")
                        .execute(&pool)
                        .await;
                    pool.close().await;
                }
            }
            Fault::Network { mood, lasts } => {
                world.proxy.set(mood);
                sleep(lasts).await;
                world.proxy.set(Mood::Forward);
            }
        }
        world.revive().await?;
    }
    Ok(caused)
}
