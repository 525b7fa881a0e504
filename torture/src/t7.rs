//! T7, outages and clocks: servers and database are away or stand still for longer than a lease, and clocks are wrong. Nothing is
//! lost, nobody is charged, and no attempt is taken away that could go on. An hour's outage is a lease's here: the lease is short.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::{
    Options,
    api::Api,
    check::{self, Outcome, Violation},
    proxy::Mood,
    t1,
    work::unix_millis,
    world::{SERVERS, Setup, World},
};

pub const KINDS: u64 = 10;

/// Seconds.
const LEASE: u32 = 8;
/// Longer than a lease, and than what a server that has just started waits for its runners.
const AWAY: Duration = Duration::from_secs(11);
/// What runs at once unless it is said.
const LIVE: u32 = 20;
/// Tasks that wait meanwhile.
const WAITING: u32 = 4;
/// The server whose runner is cut off.
const CUT_OFF: usize = 0;
/// The clocks of runners: of the first one, and of the other one.
const RUNNERS_OFF: [&str; SERVERS] = ["+86400", "-3600"];

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
    /// As before, and they come back after more than a lease: no runner elsewhere could be heard meanwhile, and each gives up what it cannot
    /// renew.
    FarServersAwayLong,
    /// A runner elsewhere is cut off for more than a lease from a server that goes on, with work at another one: it gives up what it
    /// cannot renew, before anybody else is given that.
    FarCutOffLong,
    /// The wall clocks of runners elsewhere are wrong by a day and by an hour.
    FarWrongClocks,
}

impl Kind {
    fn is_far(self) -> bool {
        matches!(self, Self::FarServersAway | Self::FarServersAwayLong | Self::FarCutOffLong | Self::FarWrongClocks)
    }
}

pub async fn run(seed: u64, options: Options) -> anyhow::Result<Outcome> {
    let kinds = [
        Kind::ServersAway,
        Kind::AllStandStill,
        Kind::PostgresAway,
        Kind::WrongClocks,
        Kind::ClockJumps,
        Kind::PostgresAwayLong,
        Kind::FarServersAway,
        Kind::FarServersAwayLong,
        Kind::FarCutOffLong,
        Kind::FarWrongClocks,
    ];
    let kind = kinds[usize::try_from(seed % KINDS)?];
    // half of them on each server, or on each runner
    let live = options.live.unwrap_or(LIVE).next_multiple_of(2);
    let clock = tempfile_in_tmp(seed)?;
    let world = World::create(setup(kind, live, &clock)?).await?;
    if kind == Kind::FarWrongClocks {
        for (number, off) in RUNNERS_OFF.into_iter().enumerate() {
            world.kill_runner(number).await?;
            world.start_runner_in(number, &[("FAKETIME", off)]).await?;
        }
    }
    let pool = PgPool::connect(world.database_url()).await?;
    let began = unix_millis()?;
    hand_in(&world, kind, live).await?;
    until_at_work(&world, &pool, live).await?;
    match kind {
        Kind::ServersAway | Kind::FarServersAway | Kind::FarServersAwayLong => {
            for number in 0..SERVERS {
                world.kill_server(number).await?;
            }
            sleep(if kind == Kind::FarServersAway { AWAY / 3 } else { AWAY }).await;
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
        Kind::FarCutOffLong => {
            world.before_servers[CUT_OFF].set(Mood::Hold);
            sleep(AWAY).await;
            world.before_servers[CUT_OFF].set(Mood::Forward);
        }
        Kind::WrongClocks | Kind::FarWrongClocks => {}
        Kind::ClockJumps => fs::write(&clock, "+3600\n")?,
    }
    t1::settle(&world, &pool).await?;
    let mut violations = check::violations(&world, &pool).await?;
    violations.extend(expected(&pool, kind).await?);
    violations.extend(given_up(&pool, kind, live).await?);
    if matches!(kind, Kind::WrongClocks | Kind::FarWrongClocks) {
        violations.extend(times(&pool, began).await?);
    }
    pool.close().await;
    // It lies outside the world's folder, which Postgres's user may not read everywhere.
    fs::remove_file(&clock)?;
    check::judged(&world, format!("{kind:?}, {live} tasks at work, {WAITING} that wait"), violations).await
}

/// What Postgres's user can read.
fn tempfile_in_tmp(seed: u64) -> anyhow::Result<std::path::PathBuf> {
    let path = Path::new("/tmp").join(format!("muster-clock-{}-{seed}", std::process::id()));
    fs::write(&path, "+0\n")?;
    Ok(path)
}

fn setup(kind: Kind, live: u32, clock: &Path) -> anyhow::Result<Setup> {
    let each = [live / 2; SERVERS];
    let (slots, far) = if kind.is_far() { ([0, 0], each) } else { (each, [0, 0]) };
    let usual = Setup { slots, far, lease: Some(LEASE), heartbeat: 3, ..Setup::default() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let faked =
        |library: String| vec![pair("LD_PRELOAD", &library), pair("FAKETIME_DONT_FAKE_MONOTONIC", "1"), pair("FAKETIME_DISABLE_SHM", "1")];
    Ok(match kind {
        // Half of it is for Postgres to recover and for the pools to find it.
        Kind::PostgresAway => Setup { lease: Some(LEASE * 2), ..usual },
        Kind::WrongClocks => {
            let off = |by: &str| anyhow::Ok([faked(faketime()?), vec![pair("FAKETIME", by)]].concat());
            Setup { environment: [off("-3600")?, off("+86400")?], ..usual }
        }
        Kind::ClockJumps => {
            let file = vec![pair("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string()), pair("FAKETIME_NO_CACHE", "1")];
            Setup { postgres: [faked(faketime()?), file].concat(), ..usual }
        }
        Kind::FarWrongClocks => Setup { runners: faked(faketime()?), ..usual },
        Kind::FarServersAway => Setup { lease: Some(LEASE * 2), ..usual },
        Kind::ServersAway | Kind::AllStandStill | Kind::PostgresAwayLong | Kind::FarServersAwayLong | Kind::FarCutOffLong => usual,
    })
}

/// Where libfaketime is. Without it nothing is shown about clocks, which is no success.
fn faketime() -> anyhow::Result<String> {
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = folders.map(|path| path.display().to_string()).find(|path| Path::new(path).exists());
    found.context(
        "no clock can be set wrong: there is no /usr/lib/*/faketime/libfaketimeMT.so.1; scripts/setup --tests installs libfaketime",
    )
}

async fn hand_in(world: &World, kind: Kind, live: u32) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    // the first one is to be at work until the end, and the last one begins after it
    let all_begin = 4000 + 250 * u128::from(live);
    let takes = if kind == Kind::WrongClocks { 1500 } else { AWAY.as_millis() + all_begin };
    let task = |number: u32| {
        // The first are at work all the time, the others wait.
        let takes = if number < live { takes } else { 100 };
        json!({
            "title": format!("Task {number}"),
            "correlation_id": format!("task {number}"),
            "repository": world.machine.repository(),
            "command": format!("'{}' work '{}' --takes {takes}", program.display(), world.ledgers.display()),
        })
    };
    let api = Api::new(world)?;
    for number in 0..live + WAITING {
        let address = world.direct[usize::try_from(number)? % SERVERS].to_string();
        let answer = api.post(&address, "/api/v1/tasks", &task(number), None).await?;
        ensure!(answer.is_success(), "a task was not taken: {}", answer.text);
    }
    Ok(())
}

async fn until_at_work(world: &World, pool: &PgPool, live: u32) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    let running = "select count(*) from attempt where state <> 'claimed'";
    while sqlx::query_scalar::<_, i64>(running).fetch_one(pool).await? < i64::from(live) || unsettled(world, live)? {
        ensure!(Instant::now() < until, "the tasks did not begin");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Whether work that was begun has not said so yet.
fn unsettled(world: &World, live: u32) -> anyhow::Result<bool> {
    let begun: Vec<crate::work::WorkEntry> = crate::ledger::read(&world.ledgers.join("work"))?;
    Ok(begun.len() < usize::try_from(live)?)
}

/// Every task succeeded, nobody was charged, and by how many attempts.
async fn expected(pool: &PgPool, kind: Kind) -> anyhow::Result<Vec<Violation>> {
    let tried_again = matches!(kind, Kind::ServersAway | Kind::PostgresAwayLong | Kind::FarServersAwayLong | Kind::FarCutOffLong);
    let most = if tried_again { 2 } else { 1 };
    let statement =
        "select title || ' is ' || state || ' after ' || attempts || ' attempts, ' || failures || ' of them its own fault' from task
                     where state <> 'succeeded' or failures > 0 or attempts > $1";
    Ok(sqlx::query_scalar(statement).bind(most).fetch_all(pool).await?)
}

/// Where runners elsewhere could not renew what they hold: all that was at work where that was so was taken from it, and nothing else. Otherwise
/// they were not away for longer than a lease, and this shows nothing.
async fn given_up(pool: &PgPool, kind: Kind, live: u32) -> anyhow::Result<Vec<Violation>> {
    let wanted = match kind {
        Kind::FarServersAwayLong => live,
        Kind::FarCutOffLong => live / 2,
        _ => return Ok(vec![]),
    };
    let lost: i64 = sqlx::query_scalar("select count(*) from attempt where state = 'lost'").fetch_one(pool).await?;
    Ok(if lost == i64::from(wanted) { vec![] } else { vec![format!("{lost} attempts were lost, not {wanted}")] })
}

/// Every time that is stored is the database's.
async fn times(pool: &PgPool, began: u64) -> anyhow::Result<Vec<Violation>> {
    let statement = "select 'event ' || id || ' is said to be of ' || at from event
                     where at < to_timestamp($1::float8 / 1000) - interval '1 second' or at > clock_timestamp() + interval '1 second'
                     union all select 'attempt ' || id || ' ended before it was claimed' from attempt where ended_at < claimed_at limit 5";
    Ok(sqlx::query_scalar(statement).bind(began as f64).fetch_all(pool).await?)
}
