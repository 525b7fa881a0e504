//! T7, outages and clocks: servers and database are away or stand still for longer than a lease, and clocks are wrong. Nothing is
//! lost, nobody is charged, and no attempt is taken away that could go on. An hour's outage is a lease's here: the lease is short.

use std::{fs, path::Path, time::Duration};

use anyhow::ensure;
use rustix::process::Signal;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::{
    api::Api,
    check::{self, Outcome, Violation},
    t1,
    work::unix_millis,
    world::{SERVERS, Setup, World},
};

pub const KINDS: u64 = 7;

/// Seconds.
const LEASE: u32 = 8;
/// Longer than a lease, and than what a server that has just started waits for its runners.
const AWAY: Duration = Duration::from_secs(11);
const TASKS: i64 = 10;
/// What runs at once; the other tasks wait.
const LIVE: i64 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Both servers are killed, and come back after more than a lease. A local runner dies with its server, so what was at work is
    /// tried again; what waited is not touched.
    ServersAway,
    /// Servers and database stand still for more than a lease, as on a machine that sleeps; the work goes on.
    AllStandStill,
    /// Postgres is killed, and comes back within the lease.
    PostgresAway,
    /// As before, and it comes back after more than a lease: the runners give up what they cannot renew, and take it up again.
    PostgresAwayLong,
    /// The servers' wall clocks are wrong by a day and by an hour.
    WrongClocks,
    /// The database's clock jumps by an hour.
    ClockJumps,
    /// Both servers are killed, and come back within the lease: runners elsewhere go on with all that they hold.
    FarServersAway,
}

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let kinds = [
        Kind::ServersAway,
        Kind::AllStandStill,
        Kind::PostgresAway,
        Kind::WrongClocks,
        Kind::ClockJumps,
        Kind::PostgresAwayLong,
        Kind::FarServersAway,
    ];
    let kind = kinds[usize::try_from(seed % KINDS)?];
    let clock = tempfile_in_tmp(seed)?;
    let Some(setup) = setup(kind, &clock) else {
        return Ok(Outcome { summary: format!("{kind:?} is left out: there is no libfaketime here"), violations: vec![], kept: None });
    };
    let world = World::create(setup).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let began = unix_millis()?;
    hand_in(&world, kind).await?;
    until_at_work(&world, &pool).await?;
    match kind {
        Kind::ServersAway | Kind::FarServersAway => {
            for number in 0..SERVERS {
                world.kill_server(number).await?;
            }
            sleep(if kind == Kind::ServersAway { AWAY } else { AWAY / 3 }).await;
            for number in 0..SERVERS {
                world.start_server(number, None).await?;
            }
        }
        Kind::AllStandStill => {
            for number in 0..SERVERS {
                world.signal_server(number, Signal::STOP).await?;
            }
            world.signal_postgres(Signal::STOP).await?;
            sleep(AWAY).await;
            world.signal_postgres(Signal::CONT).await?;
            for number in 0..SERVERS {
                world.signal_server(number, Signal::CONT).await?;
            }
        }
        Kind::PostgresAway | Kind::PostgresAwayLong => {
            world.kill_postgres().await;
            sleep(if kind == Kind::PostgresAway { AWAY / 3 } else { AWAY }).await;
            world.start_postgres().await?;
        }
        Kind::WrongClocks => {}
        Kind::ClockJumps => fs::write(&clock, "+3600\n")?,
    }
    t1::settle(&world, &pool).await?;
    let mut violations = check::violations(&world, &pool).await?;
    violations.extend(expected(&pool, kind).await?);
    if kind == Kind::WrongClocks {
        violations.extend(times(&pool, began).await?);
    }
    pool.close().await;
    // It lies outside the world's folder, which Postgres's user may not read everywhere.
    fs::remove_file(&clock)?;
    check::judged(&world, format!("{kind:?}, {TASKS} tasks"), violations).await
}

/// What Postgres's user can read.
fn tempfile_in_tmp(seed: u64) -> anyhow::Result<std::path::PathBuf> {
    let path = Path::new("/tmp").join(format!("muster-clock-{}-{seed}", std::process::id()));
    fs::write(&path, "+0\n")?;
    Ok(path)
}

/// Nothing when the clock cannot be set for a process here.
fn setup(kind: Kind, clock: &Path) -> Option<Setup> {
    let usual = Setup { slots: [3, 3], lease: Some(LEASE), heartbeat: 3, ..Setup::default() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let faked =
        |library: String| vec![pair("LD_PRELOAD", &library), pair("FAKETIME_DONT_FAKE_MONOTONIC", "1"), pair("FAKETIME_DISABLE_SHM", "1")];
    match kind {
        // Half of it is for Postgres to recover and for the pools to find it.
        Kind::PostgresAway => Some(Setup { lease: Some(LEASE * 2), ..usual }),
        Kind::WrongClocks => {
            let off = |by: &str| Some([faked(faketime()?), vec![pair("FAKETIME", by)]].concat());
            Some(Setup { environment: [off("-3600")?, off("+86400")?], ..usual })
        }
        Kind::ClockJumps => {
            let file = vec![pair("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string()), pair("FAKETIME_NO_CACHE", "1")];
            Some(Setup { postgres: [faked(faketime()?), file].concat(), ..usual })
        }
        Kind::FarServersAway => Some(Setup { slots: [0, 0], far: [3, 3], lease: Some(LEASE * 2), ..usual }),
        Kind::ServersAway | Kind::AllStandStill | Kind::PostgresAwayLong => Some(usual),
    }
}

/// Where Debian's libfaketime is.
fn faketime() -> Option<String> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    folders.map(|path| path.display().to_string()).find(|path| Path::new(path).exists())
}

async fn hand_in(world: &World, kind: Kind) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let takes = if kind == Kind::WrongClocks { 1500 } else { AWAY.as_millis() + 5000 };
    let task = |number: i64| {
        // The first are at work all the time, the others wait.
        let takes = if number < LIVE { takes } else { 100 };
        json!({
            "title": format!("Task {number}"),
            "correlation_id": format!("task {number}"),
            "repository": world.machine.repository(),
            "command": format!("'{}' work '{}' --takes {takes}", program.display(), world.ledgers.display()),
        })
    };
    let api = Api::new(world)?;
    for number in 0..TASKS {
        let address = world.direct[usize::try_from(number)? % SERVERS].to_string();
        let answer = api.post(&address, "/api/v1/tasks", &task(number), None).await?;
        ensure!(answer.is_success(), "a task was not taken: {}", answer.text);
    }
    Ok(())
}

async fn until_at_work(world: &World, pool: &PgPool) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    let running = "select count(*) from attempt where state <> 'claimed'";
    while sqlx::query_scalar::<_, i64>(running).fetch_one(pool).await? < LIVE || unsettled(world)? {
        ensure!(Instant::now() < until, "the tasks did not begin");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Whether work that was begun has not said so yet.
fn unsettled(world: &World) -> anyhow::Result<bool> {
    let begun: Vec<crate::work::WorkEntry> = crate::ledger::read(&world.ledgers.join("work"))?;
    Ok((begun.len() as i64) < LIVE)
}

/// Every task succeeded, nobody was charged, and by how many attempts.
async fn expected(pool: &PgPool, kind: Kind) -> anyhow::Result<Vec<Violation>> {
    let most = if matches!(kind, Kind::ServersAway | Kind::PostgresAwayLong) { 2 } else { 1 };
    let statement =
        "select title || ' is ' || state || ' after ' || attempts || ' attempts, ' || failures || ' of them its own fault' from task
                     where state <> 'succeeded' or failures > 0 or attempts > $1";
    Ok(sqlx::query_scalar(statement).bind(most).fetch_all(pool).await?)
}

/// Every time that is stored is the database's.
async fn times(pool: &PgPool, began: u64) -> anyhow::Result<Vec<Violation>> {
    let statement = "select 'event ' || id || ' is said to be of ' || at from event
                     where at < to_timestamp($1::float8 / 1000) - interval '1 second' or at > clock_timestamp() + interval '1 second'
                     union all select 'attempt ' || id || ' ended before it was claimed' from attempt where ended_at < claimed_at limit 5";
    Ok(sqlx::query_scalar(statement).bind(began as f64).fetch_all(pool).await?)
}
