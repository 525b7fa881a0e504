//! T2, the stale holder: whoever holds an attempt stands still past its lease, another completes the task, and the first comes back.
//! What it says is refused, its work is ended, and nothing of it reaches what the other has made.

use std::{process::Command, time::Duration};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use serde_json::json;
use sqlx::PgPool;
use tests::machine::running_with;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    api::Api,
    check::{self, Outcome, Violation},
    ledger,
    proxy::Mood,
    work::{MINE, TickEntry, unix_millis},
    world::{Setup, World},
};

pub const KINDS: u64 = 6;

/// Seconds.
const LEASE: u32 = 8;
const HOLDER: usize = 0;
const OTHER: usize = 1;
/// The first holder's work is gone this soon after it could know.
const GONE_WITHIN: u64 = 5000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The holder's process stands still, its work goes on.
    StandsStill,
    /// As before, and the work ends meanwhile: its report comes late.
    EndsMeanwhile,
    /// The holder runs, and cannot reach the database.
    CutOff,
    /// The holder is a runner elsewhere, which stands still; its work goes on.
    FarStandsStill,
    /// As before, and it cannot reach the server.
    FarCutOff,
    /// As before, and its work ends for nobody who asks.
    FarCutOffHeedless,
}

impl Kind {
    fn is_far(self) -> bool {
        matches!(self, Self::FarStandsStill | Self::FarCutOff | Self::FarCutOffHeedless)
    }
}

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let kinds = [Kind::StandsStill, Kind::EndsMeanwhile, Kind::CutOff, Kind::FarStandsStill, Kind::FarCutOff, Kind::FarCutOffHeedless];
    let kind = kinds[usize::try_from(seed % KINDS)?];
    let mut random = StdRng::seed_from_u64(seed);
    let (slots, far) = if kind.is_far() { ([0, 0], [1, 1]) } else { ([1, 1], [0, 0]) };
    let world = World::create(Setup { slots, far, lease: Some(LEASE), ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    match kind.is_far() {
        true => world.kill_runner(OTHER).await?,
        false => world.kill_server(OTHER).await?,
    }
    let task = hand_in(&world, kind).await?;
    until("attempt 1 works", async || Ok(!ticks(&world, 1)?.is_empty())).await?;
    match kind.is_far() {
        true => world.start_runner(OTHER, None).await?,
        false => world.start_server(OTHER, None).await?,
    }
    world.wait_until_ready(OTHER).await?;

    match kind {
        Kind::CutOff => world.before_postgres[HOLDER].set(Mood::Hold),
        Kind::FarCutOff | Kind::FarCutOffHeedless => world.before_servers[HOLDER].set(Mood::Hold),
        Kind::FarStandsStill => world.signal_runner(HOLDER, Signal::STOP).await?,
        _ => world.signal_server(HOLDER, Signal::STOP).await?,
    }
    let state = "select state from task where id = $1";
    let succeeded = async || Ok(sqlx::query_scalar::<_, String>(state).bind(task).fetch_one(&pool).await? == "succeeded");
    until("attempt 2 completes", succeeded).await?;
    sleep(Duration::from_millis(random.random_range(0..1500))).await;
    let before = picture(&pool, task).await?;
    match kind {
        Kind::CutOff => world.before_postgres[HOLDER].set(Mood::Forward),
        Kind::FarCutOff | Kind::FarCutOffHeedless => world.before_servers[HOLDER].set(Mood::Forward),
        Kind::FarStandsStill => world.signal_runner(HOLDER, Signal::CONT).await?,
        _ => world.signal_server(HOLDER, Signal::CONT).await?,
    }
    let back_at = unix_millis()?;
    sleep(Duration::from_millis(GONE_WITHIN)).await;
    let running = running_with(&format!("hold {}", world.ledgers.display()));
    world.wait_until_ready(HOLDER).await?;
    let after = picture(&pool, task).await?;

    let mut violations: Vec<_> = running.into_iter().map(|line| format!("still at work after {GONE_WITHIN} ms: {line}")).collect();
    if before != after {
        violations.push(format!("what came late was not refused: {before} became {after}"));
    }
    violations.extend(attempts(&pool, task).await?);
    violations.extend(in_time(&world, &pool, task, kind, back_at).await?);
    violations.extend(trees(&world, task)?);
    pool.close().await;
    check::judged(&world, format!("{kind:?}"), violations).await
}

async fn hand_in(world: &World, kind: Kind) -> anyhow::Result<Uuid> {
    let program = std::env::current_exe()?;
    // It ends while its runner does not see it.
    let ends = if kind == Kind::EndsMeanwhile { " --first-ends-after 5000" } else { "" };
    // what is ignored stays so in the program that takes the place of this one
    let first = if kind == Kind::FarCutOffHeedless { "trap '' INT TERM; " } else { "" };
    let task = json!({
        "title": "Hold",
        "repository": world.machine.repository(),
        "command": format!("{first}exec '{}' hold {}{ends}", program.display(), world.ledgers.display()),
    });
    let answer = Api::new(world)?.post(&world.direct[HOLDER].to_string(), "/api/v1/tasks", &task, None).await?;
    answer.id().parse().with_context(|| format!("the task was not taken: {}", answer.text))
}

/// Looks every 50 ms.
pub async fn until(what: &str, done: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(90);
    while !done().await? {
        anyhow::ensure!(Instant::now() < until, "waited in vain until {what}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn ticks(world: &World, attempt: i32) -> anyhow::Result<Vec<u64>> {
    let ticks: Vec<TickEntry> = ledger::read(&world.ledgers.join("ticks"))?;
    Ok(ticks.into_iter().filter(|tick| tick.attempt == attempt).map(|tick| tick.at).collect())
}

/// Everything that is stored about a task.
async fn picture(pool: &PgPool, task: Uuid) -> sqlx::Result<String> {
    sqlx::query_scalar(
        "select jsonb_build_object(
           'task', (select to_jsonb(task) from task where id = $1),
           'attempts', (select jsonb_agg(to_jsonb(attempt) order by number) from attempt where task_id = $1),
           'artifacts', (select jsonb_agg(artifact.id order by artifact.id) from artifact join attempt on attempt.id = attempt_id where task_id = $1),
           'checks', (select count(*) from verification join attempt on attempt.id = attempt_id where task_id = $1),
           'events', (select jsonb_agg(kind order by number) from event where task_id = $1),
           'log', (select sum(length(content)) from log_chunk where task_id = $1))::text",
    )
    .bind(task)
    .fetch_one(pool)
    .await
}

async fn attempts(pool: &PgPool, task: Uuid) -> anyhow::Result<Vec<Violation>> {
    let states = "select coalesce(string_agg(state, ', ' order by number), '') from attempt where task_id = $1";
    let found: String = sqlx::query_scalar(states).bind(task).fetch_one(pool).await?;
    Ok(if found == "lost, succeeded" { vec![] } else { vec![format!("the attempts are {found}")] })
}

/// The first holder's work ends soon after it is back; one that can tell that it is cut off ends it before anybody else begins.
async fn in_time(world: &World, pool: &PgPool, task: Uuid, kind: Kind, back_at: u64) -> anyhow::Result<Vec<Violation>> {
    let last = ticks(world, 1)?.into_iter().max().unwrap_or(0);
    let claimed = "select (extract(epoch from claimed_at) * 1000)::bigint from attempt where task_id = $1 and number = 2";
    let claimed_at: i64 = sqlx::query_scalar(claimed).bind(task).fetch_one(pool).await?;
    Ok(match kind {
        Kind::CutOff | Kind::FarCutOff | Kind::FarCutOffHeedless if last > claimed_at.unsigned_abs() => {
            vec![format!("attempt 1 was at work {} ms after attempt 2 was claimed", last - claimed_at.unsigned_abs())]
        }
        _ if last > back_at + GONE_WITHIN => vec![format!("attempt 1 was at work {} ms after its holder was back", last - back_at)],
        _ => vec![],
    })
}

/// Each attempt's branch holds what it made, and nothing of the other's.
fn trees(world: &World, task: Uuid) -> anyhow::Result<Vec<Violation>> {
    let short = &task.simple().to_string()[24..];
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("git").arg("-C").arg(world.machine.repository()).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut found = vec![];
    let (content, files) =
        (git(&["show", &format!("muster/{short}-2:{MINE}")])?, git(&["ls-tree", "-r", "--name-only", &format!("muster/{short}-2")])?);
    if content != "attempt 2\n" || files != format!("README.md\n{MINE}\n") {
        found.push(format!("attempt 2 left {files:?} with {content:?}"));
    }
    let first = git(&["show", &format!("muster/{short}-1:{MINE}")])?;
    if !["", "attempt 1\n"].contains(&first.as_str()) {
        found.push(format!("attempt 1 left {first:?}"));
    }
    Ok(found)
}
