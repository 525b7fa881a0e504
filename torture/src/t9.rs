//! T9, the event stream: many writers whose transactions overlap, commit late or not at all, and followers who hop between two servers
//! while these are killed and the ways to them break. Everyone sees exactly the ordered whole: nothing twice, nothing left out.

use std::{sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Options,
    api::Api,
    check::{self, Outcome},
    follower::{Follower, SeenEntry},
    ledger,
    proxy::{Mood, Proxy},
    world::{SERVERS, Setup, World},
};

const WRITERS: usize = 12;
const FOLLOWERS: usize = 6;
const SECONDS: u64 = 20;
/// After the last commit everyone has the last event within this time.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);

pub async fn run(seed: u64, options: Options) -> anyhow::Result<Outcome> {
    let (writers, followers) = (options.writers.unwrap_or(WRITERS), options.followers.unwrap_or(FOLLOWERS));
    let world = Arc::new(World::create(Setup { slots: [0, 0], ..Setup::default() }).await?);
    let pool = PgPoolOptions::new().max_connections(u32::try_from(writers)? + 2).connect(world.database_url()).await?;
    let api = Arc::new(Api::new(&world)?);
    let stop = CancellationToken::new();
    let mut following = JoinSet::new();
    for number in 0..followers {
        let follower = Follower {
            api: api.clone(),
            addresses: world.addresses.clone(),
            stays: Duration::from_millis(2500),
            ledger: world.ledgers.join(format!("follower-{number}")),
            seed: seed ^ (number as u64) << 32,
        };
        following.spawn(follower.run(stop.clone()));
    }
    let task = json!({"title": "Written by hand", "repository": world.machine.repository(), "command": "true"});
    let mut tasks = vec![];
    for _ in 0..writers {
        tasks.push(api.post(&world.direct[0].to_string(), "/api/v1/tasks", &task, None).await?.id().parse::<Uuid>()?);
    }
    let until = Instant::now() + Duration::from_secs(options.seconds.unwrap_or(SECONDS));
    let mut writing = JoinSet::new();
    for (number, task) in tasks.into_iter().enumerate() {
        let random = StdRng::seed_from_u64(seed ^ (number as u64) << 40);
        if number % 3 == 0 {
            writing.spawn(by_the_api(world.clone(), api.clone(), random, until));
        } else {
            writing.spawn(by_hand(task, pool.clone(), random, until));
        }
    }
    let faults = trouble(&world, &mut StdRng::seed_from_u64(seed), until).await?;
    while let Some(writer) = writing.join_next().await {
        writer??;
    }
    crate::faults::heal(&world).await?;
    let whole = whole(&pool).await?;
    let ledgers: Vec<_> = (0..followers).map(|number| world.ledgers.join(format!("follower-{number}"))).collect();
    let until = Instant::now() + CAUGHT_UP_WITHIN;
    loop {
        let seen = ledgers.iter().map(|path| ledger::read(path)).collect::<Result<Vec<Vec<SeenEntry>>, _>>()?;
        let has_last =
            |seen: &Vec<SeenEntry>| matches!((seen.last(), whole.last()), (Some(SeenEntry::Event { id, .. }), Some(last)) if id == last);
        if seen.iter().all(has_last) || Instant::now() > until {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    // Whoever sees something twice may still do so.
    sleep(Duration::from_millis(500)).await;
    stop.cancel();
    while let Some(follower) = following.join_next().await {
        follower??;
    }
    let mut violations = vec![];
    for (number, path) in ledgers.iter().enumerate() {
        violations.extend(compare(&ledger::read(path)?, &whole).map(|what| format!("follower {number} {what}")));
    }
    violations.extend(check::sound(&pool).await?);
    pool.close().await;
    let summary = format!("{} events, {writers} writers, {followers} followers, {faults} faults", whole.len());
    check::judged(&world, summary, violations).await
}

/// Tasks that are handed in, held and let go.
async fn by_the_api(world: Arc<World>, api: Arc<Api>, mut random: StdRng, until: Instant) -> anyhow::Result<()> {
    let task = json!({"title": "An event", "repository": world.machine.repository(), "command": "true"});
    while Instant::now() < until {
        let address = world.direct[random.random_range(0..SERVERS)].to_string();
        // What does not get through makes no event, or one: both are right.
        if let Ok(made) = api.post(&address, "/api/v1/tasks", &task, None).await {
            for act in ["pause", "resume"] {
                let _ = api.post(&address, &format!("/api/v1/tasks/{}/{act}", made.id()), &json!({}), None).await;
            }
        }
        sleep(Duration::from_millis(random.random_range(5..100))).await;
    }
    Ok(())
}

/// Facts about a task of its own, written as the engine writes them, committed late and now and then not at all.
async fn by_hand(id: Uuid, pool: PgPool, mut random: StdRng, until: Instant) -> anyhow::Result<()> {
    while Instant::now() < until {
        let mut tx = pool.begin().await?;
        sqlx::query("select from task where id = $1 for update").bind(id).execute(&mut *tx).await?;
        for kind in ["task_paused", "task_resumed"].into_iter().take(random.random_range(1..=2)) {
            let fact = "insert into event (workspace_id, task_id, number, actor, kind, payload, at)
                        select workspace_id, id, (select max(number) + 1 from event where task_id = $1), 'system', $2,
                               jsonb_build_object('kind', $2::text), clock_timestamp() from task where id = $1";
            sqlx::query(fact).bind(id).bind(kind).execute(&mut *tx).await?;
        }
        let late = if random.random_bool(0.3) { random.random_range(100..800) } else { random.random_range(0..30) };
        sleep(Duration::from_millis(late)).await;
        if random.random_bool(0.1) {
            tx.rollback().await?
        } else {
            tx.commit().await?
        }
        sleep(Duration::from_millis(random.random_range(0..50))).await;
    }
    Ok(())
}

/// Until the time is over. Postgres is left alone: it is what everything is compared with.
async fn trouble(world: &World, random: &mut StdRng, until: Instant) -> anyhow::Result<usize> {
    let mut faults = 0;
    while Instant::now() < until {
        sleep(Duration::from_millis(random.random_range(100..700))).await;
        let number = random.random_range(0..SERVERS);
        match random.random_range(0..6) {
            0..2 => {
                world.kill_server(number).await?;
                sleep(Duration::from_millis(random.random_range(50..800))).await;
                world.start_server(number, None).await?;
            }
            2 => {
                world.signal_server(number, Signal::STOP).await?;
                sleep(Duration::from_millis(random.random_range(200..1500))).await;
                world.signal_server(number, Signal::CONT).await?;
            }
            3 => {
                let (mood, lasts) = Proxy::trouble(random);
                world.before_postgres[number].set(mood);
                sleep(lasts).await;
                world.before_postgres[number].set(Mood::Forward);
            }
            _ => {
                let (mood, lasts) = Proxy::trouble(random);
                world.before_servers[number].set(mood);
                sleep(lasts).await;
                world.before_servers[number].set(Mood::Forward);
            }
        }
        faults += 1;
        world.revive().await?;
    }
    Ok(faults)
}

/// Every event that was committed, in the order of the log.
async fn whole(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    Ok(sqlx::query_scalar("select xid::text || '-' || id from event order by event.xid, event.id").fetch_all(pool).await?)
}

/// What is wrong with what one has seen, if anything.
fn compare(seen: &[SeenEntry], whole: &[String]) -> Option<String> {
    let position = |id: &str| id.split_once('-').and_then(|(xid, id)| Some((xid.parse::<u64>().ok()?, id.parse::<i64>().ok()?)));
    let Some(begins) = seen.iter().find_map(|entry| match entry {
        SeenEntry::Begins { at } => position(at),
        SeenEntry::Event { .. } => None,
    }) else {
        return Some("was never told where it begins".into());
    };
    let events = seen.iter().filter_map(|entry| match entry {
        SeenEntry::Event { id, .. } => Some(id),
        SeenEntry::Begins { .. } => None,
    });
    let expected = whole.iter().filter(|id| position(id) > Some(begins));
    let (events, expected): (Vec<_>, Vec<_>) = (events.collect(), expected.collect());
    let differs = events.iter().zip(&expected).position(|(one, other)| one != other);
    match differs {
        Some(place) => Some(format!("saw {} as its number {place}, which is {}", events[place], expected[place])),
        None if events.len() != expected.len() => Some(format!("saw {} events of {}", events.len(), expected.len())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_what_comes_after_the_beginning_in_order_and_once() {
        let whole = ["5-1", "9-2", "10-1"].map(str::to_owned);
        let saw = |ids: &[&str]| {
            let begins = SeenEntry::Begins { at: "5-9".into() };
            let events = ids.iter().map(|id| SeenEntry::Event { id: (*id).into(), at: 0 });
            compare(&std::iter::once(begins).chain(events).collect::<Vec<_>>(), &whole)
        };
        assert_eq!(saw(&["9-2", "10-1"]), None);
        for wrong in [&["9-2"][..], &["10-1"], &["10-1", "9-2"], &["9-2", "9-2", "10-1"], &["5-1", "9-2", "10-1"]] {
            assert!(saw(wrong).is_some(), "{wrong:?}");
        }
    }
}
