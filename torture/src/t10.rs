//! T10, slow consumers and a server that hears nothing: whoever does not read its stream costs the server little and the others
//! nothing, and what no hint tells of is found by the next tick.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Options,
    api::Api,
    check::{self, Outcome, Violation},
    follower::{Follower, SeenEntry},
    ledger, memory,
    world::{Setup, World},
};

/// It is told of everything and carries out nothing.
const HEARS: usize = 0;
/// It carries everything out, and nobody tells it anything.
const HEARS_NOTHING: usize = 1;
/// Tasks that are handed in where nobody can carry them out.
const SINGLE: usize = 20;
/// A tick of the tailer is a second, one of the dispatcher half of it; the rest is for a machine that has other things to do.
const TICK_AND_ROOM: u64 = 2500;
const SLOW: usize = 40;
const EVENTS: usize = 4000;
const BATCH: usize = 250;
/// What one who does not read may cost the server, in bytes.
const EACH: u64 = 1 << 20;

pub async fn run(seed: u64, options: Options) -> anyhow::Result<Outcome> {
    let (slow, events) = (options.followers.unwrap_or(SLOW), options.events.unwrap_or(EVENTS));
    let world = World::create(Setup { slots: [0, 3], ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let api = Arc::new(Api::new(&world)?);
    let stop = CancellationToken::new();
    let mut following = JoinSet::new();
    for server in [HEARS, HEARS_NOTHING] {
        let follower = Follower {
            api: api.clone(),
            addresses: vec![world.direct[server].to_string()],
            stays: Duration::from_secs(600),
            ledger: world.ledgers.join(format!("follower-{server}")),
            seed: 0,
        };
        following.spawn(follower.run(stop.clone()));
    }
    following_both(&world).await?;
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..SINGLE {
        sleep(Duration::from_millis(random.random_range(20..300))).await;
        post(&world, &api, "/api/v1/tasks", &task(&world, &format!("single {number}"))).await?;
    }
    let (mut violations, heard) = unheard(&world, &pool).await?;

    // Nobody carries out what comes now: it is about the stream alone.
    post(&world, &api, "/api/v1/queue/pause", &json!({})).await?;
    let quick = burst(&world, &api, &pool, "quick", events).await?;
    let before = memory::resident(world.pid_of_server(HEARS).await)?;
    let slow_ones = slow_consumers(&world, &api, slow).await?;
    let slowed = burst(&world, &api, &pool, "slowed", events).await?;
    let grown = memory::resident(world.pid_of_server(HEARS).await)?.saturating_sub(before);
    drop(slow_ones);
    if grown > EACH * slow as u64 {
        violations.push(format!("{slow} who do not read cost {} MiB", grown >> 20));
    }
    if slowed > quick * 2 + 500 {
        violations.push(format!("the others waited {slowed} ms at p99 because of those who do not read, {quick} ms without them"));
    }
    stop.cancel();
    while let Some(follower) = following.join_next().await {
        follower??;
    }
    pool.close().await;
    let summary = format!(
        "without a hint {heard}; p99 {quick} ms, and {slowed} ms beside {slow} who do not read, who cost {} kB each",
        grown / 1024 / slow.max(1) as u64
    );
    check::judged(&world, summary, violations).await
}

/// Until both have been told where they begin: what comes before is not theirs to see.
async fn following_both(world: &World) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    for server in [HEARS, HEARS_NOTHING] {
        while ledger::read::<SeenEntry>(&world.ledgers.join(format!("follower-{server}")))?.is_empty() {
            anyhow::ensure!(Instant::now() < until, "server {server} opened no stream within a minute");
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn task(world: &World, title: &str) -> Value {
    json!({"title": title, "correlation_id": title, "repository": world.machine.repository(), "command": "true"})
}

async fn post(world: &World, api: &Api, path: &str, body: &Value) -> anyhow::Result<()> {
    let answer = api.post_until_answered(&world.direct[HEARS].to_string(), path, body, None).await?;
    anyhow::ensure!(answer.is_success(), "{path} was answered {}: {}", answer.status, answer.text);
    Ok(())
}

/// What no hint told of: how long until it was seen in the stream, and until it was begun.
async fn unheard(world: &World, pool: &PgPool) -> anyhow::Result<(Vec<Violation>, String)> {
    // Less than a lease: what was lost on the way must not be found by its end.
    let until = Instant::now() + Duration::from_secs(60);
    while check::unfinished(pool).await? > 0 && Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
    }
    let unfinished = check::unfinished(pool).await?;
    sleep(Duration::from_millis(TICK_AND_ROOM)).await;
    let seen = delays(world, pool, HEARS_NOTHING, "created_at").await?;
    let hinted = delays(world, pool, HEARS, "created_at").await?;
    let begun = "select coalesce(max(extract(epoch from claimed_at - created_at) * 1000), 0)::bigint from attempt join task on task.id = task_id
                 where number = 1 and not exists (select from attempt other where other.claimed_at < attempt.claimed_at and other.ended_at > created_at)";
    let begun: i64 = sqlx::query_scalar(begun).fetch_one(pool).await?;
    let (seen, hinted) = (seen.last().copied().unwrap_or(u64::MAX), hinted.last().copied().unwrap_or(u64::MAX));
    let mut found = vec![];
    if unfinished > 0 {
        found.push(format!("{unfinished} tasks had not ended after a minute"));
    }
    if seen > TICK_AND_ROOM {
        found.push(format!("an event that was committed elsewhere was seen after {seen} ms"));
    }
    if begun.unsigned_abs() > TICK_AND_ROOM {
        found.push(format!("a task that was handed in elsewhere waited {begun} ms for a free slot"));
    }
    Ok((found, format!("an event took {seen} ms at most ({hinted} ms with one), a claim {begun} ms")))
}

/// How long after the time in the column of their task the first events were seen, in milliseconds, ascending; an event that was not
/// seen took for ever.
async fn delays(world: &World, pool: &PgPool, server: usize, since: &str) -> anyhow::Result<Vec<u64>> {
    let seen: Vec<SeenEntry> = ledger::read(&world.ledgers.join(format!("follower-{server}")))?;
    let seen: BTreeMap<_, _> = seen
        .into_iter()
        .filter_map(|entry| match entry {
            SeenEntry::Event { id, at } => Some((id, at)),
            SeenEntry::Begins { .. } => None,
        })
        .collect();
    let statement = format!(
        "select event.xid::text || '-' || event.id, (extract(epoch from {since}) * 1000)::bigint from event join task on task.id = task_id
         where kind = 'task_created'"
    );
    let mut delays = vec![];
    for row in sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(pool).await? {
        let (id, since): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        delays.push(seen.get(&id).map_or(u64::MAX, |at| at.saturating_sub(since.unsigned_abs())));
    }
    delays.sort_unstable();
    Ok(delays)
}

/// Many events, and how long the one who reads waited for one in a hundred of them, in milliseconds.
async fn burst(world: &World, api: &Api, pool: &PgPool, title: &str, events: usize) -> anyhow::Result<u64> {
    let tasks: Vec<_> = (0..BATCH).map(|_| task(world, title)).collect();
    let batch = json!({"tasks": tasks});
    let mut sent = BTreeMap::new();
    for _ in 0..events / BATCH {
        let before: i64 = sqlx::query_scalar("select coalesce(max(id), 0) from event").fetch_one(pool).await?;
        post(world, api, "/api/v1/tasks/batch", &batch).await?;
        // The answer comes after the COMMIT.
        sent.insert(before, crate::work::unix_millis()?);
        sleep(Duration::from_millis(100)).await;
    }
    let last: String = sqlx::query_scalar("select xid::text || '-' || id from event order by event.xid desc, event.id desc limit 1")
        .fetch_one(pool)
        .await?;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let seen: Vec<SeenEntry> = ledger::read(&world.ledgers.join(format!("follower-{HEARS}")))?;
        let is_last = |entry: &SeenEntry| matches!(entry, SeenEntry::Event { id, .. } if *id == last);
        if seen.iter().any(is_last) || Instant::now() > until {
            let mut waited: Vec<u64> = seen.iter().filter_map(|entry| waited(entry, &sent)).collect();
            waited.sort_unstable();
            anyhow::ensure!(seen.iter().any(is_last), "the last event did not come within a minute");
            return Ok(waited.get(waited.len() * 99 / 100).copied().unwrap_or(u64::MAX));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// How long after its request was answered an event came; nothing for events of other bursts.
fn waited(entry: &SeenEntry, sent: &BTreeMap<i64, u64>) -> Option<u64> {
    let SeenEntry::Event { id, at } = entry else { return None };
    let id: i64 = id.split_once('-')?.1.parse().ok()?;
    let (_, sent) = sent.range(..id).next_back()?;
    Some(at.saturating_sub(*sent))
}

/// Streams that are opened and never read.
async fn slow_consumers(world: &World, api: &Api, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = vec![];
    for _ in 0..count {
        let socket = TcpSocket::new_v4()?;
        // The little that the kernel keeps for them must not be what is measured.
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(world.direct[HEARS]).await?;
        stream.write_all(&api.raw_events(&world.direct[HEARS].to_string())).await?;
        streams.push(stream);
    }
    sleep(Duration::from_millis(500)).await;
    Ok(streams)
}
