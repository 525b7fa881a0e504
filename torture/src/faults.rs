//! What goes wrong, drawn from the seed: one fault after the other, each healed before the next begins.

use std::time::Duration;

use domain::crash;
use rand::{Rng, rngs::StdRng};
use rustix::process::{Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{
    proxy::{Mood, Proxy},
    world::{SERVERS, World},
};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// `next_dies_at`: the place in the program at which its next life ends, and how often that place is passed before.
    KillServer {
        number: usize,
        back_after: Duration,
        next_dies_at: Option<(&'static str, u32)>,
    },
    StopServerForAWhile {
        number: usize,
        back_after: Duration,
    },
    /// A runner behind the proxy of this server. Its work goes on without it until its next life.
    KillRunner {
        number: usize,
        back_after: Duration,
        next_dies_at: Option<(&'static str, u32)>,
    },
    StopRunnerForAWhile {
        number: usize,
        back_after: Duration,
    },
    KillPostgres {
        back_after: Duration,
    },
    StopPostgresAtOnce {
        back_after: Duration,
    },
    StopBackendForAWhile {
        pick: usize,
        back_after: Duration,
    },
    TerminateBackend {
        pick: usize,
    },
    TerminateBackends,
    /// Between a server and Postgres.
    Database {
        number: usize,
        mood: Mood,
        lasts: Duration,
    },
    /// Between clients and a server, and between its runner and it.
    Clients {
        number: usize,
        mood: Mood,
        lasts: Duration,
    },
}

fn draw(random: &mut StdRng) -> Fault {
    let millis = |random: &mut StdRng, from, to| Duration::from_millis(random.random_range(from..to));
    let number = random.random_range(0..SERVERS);
    match random.random_range(0..20) {
        0..2 => Fault::KillServer { number, back_after: millis(random, 100, 3000), next_dies_at: None },
        2..6 => {
            let place = crash::POINTS[random.random_range(0..crash::POINTS.len())];
            let next_dies_at = Some((place, random.random_range(1..12)));
            Fault::KillServer { number, back_after: millis(random, 100, 1000), next_dies_at }
        }
        6..8 => Fault::StopServerForAWhile { number, back_after: millis(random, 500, 5000) },
        8 => Fault::KillPostgres { back_after: millis(random, 100, 2000) },
        9 => Fault::StopPostgresAtOnce { back_after: millis(random, 100, 2000) },
        10 => Fault::StopBackendForAWhile { pick: random.random_range(0..64), back_after: millis(random, 500, 5000) },
        11 => Fault::TerminateBackend { pick: random.random_range(0..64) },
        12 => Fault::TerminateBackends,
        13 => Fault::KillRunner { number, back_after: millis(random, 100, 3000), next_dies_at: None },
        14 | 15 => {
            let place = crash::RUNNER_POINTS[random.random_range(0..crash::RUNNER_POINTS.len())];
            let next_dies_at = Some((place, random.random_range(1..6)));
            Fault::KillRunner { number, back_after: millis(random, 100, 1000), next_dies_at }
        }
        16 => Fault::StopRunnerForAWhile { number, back_after: millis(random, 500, 5000) },
        17 => {
            let (mood, lasts) = Proxy::trouble(random);
            Fault::Database { number, mood, lasts }
        }
        _ => {
            let (mood, lasts) = Proxy::trouble(random);
            Fault::Clients { number, mood, lasts }
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
        one(world, fault).await?;
        world.revive().await?;
    }
    heal(world).await?;
    Ok(caused)
}

async fn one(world: &World, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::KillServer { number, back_after, next_dies_at } => {
            world.kill_server(number).await?;
            sleep(back_after).await;
            let dies_at = next_dies_at.map(|(place, passes)| format!("{place}:{passes}"));
            world.start_server(number, dies_at.as_deref()).await?;
        }
        Fault::StopServerForAWhile { number, back_after } => {
            world.signal_server(number, Signal::STOP).await?;
            sleep(back_after).await;
            world.signal_server(number, Signal::CONT).await?;
        }
        Fault::KillRunner { number, back_after, next_dies_at } => {
            world.kill_runner(number).await?;
            sleep(back_after).await;
            let dies_at = next_dies_at.map(|(place, passes)| format!("{place}:{passes}"));
            world.start_runner(number, dies_at.as_deref()).await?;
        }
        Fault::StopRunnerForAWhile { number, back_after } => {
            world.signal_runner(number, Signal::STOP).await?;
            sleep(back_after).await;
            world.signal_runner(number, Signal::CONT).await?;
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
        Fault::StopBackendForAWhile { pick, back_after } => {
            if let Some(backend) = world.one_backend(pick).await {
                // It may have ended before either signal.
                let _ = kill_process(backend, Signal::STOP);
                sleep(back_after).await;
                let _ = kill_process(backend, Signal::CONT);
            }
        }
        Fault::TerminateBackend { pick } => {
            if let Some(backend) = world.one_backend(pick).await {
                // As pg_terminate_backend does it.
                let _ = kill_process(backend, Signal::TERM);
            }
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
        Fault::Database { number, mood, lasts } => {
            world.before_postgres[number].set(mood);
            sleep(lasts).await;
            world.before_postgres[number].set(Mood::Forward);
        }
        Fault::Clients { number, mood, lasts } => {
            world.before_servers[number].set(mood);
            sleep(lasts).await;
            world.before_servers[number].set(Mood::Forward);
        }
    }
    Ok(())
}

/// Everything is whole: a server or runner that was to die somewhere and has not come there yet begins a life without that.
pub async fn heal(world: &World) -> anyhow::Result<()> {
    for number in 0..SERVERS {
        world.kill_server(number).await?;
        world.start_server(number, None).await?;
        world.wait_until_ready(number).await?;
        world.kill_runner(number).await?;
        world.start_runner(number, None).await?;
    }
    Ok(())
}
