//! What runners read of their machines: the last one is kept and told with its age, and of a disk without room it comes that the
//! runner is given nothing new.

use chrono::TimeDelta;
use domain::{
    Actor, NewTask, RunnerId, TaskStateName,
    protocol::ToServer,
    runner::{
        HostReading, RunnerFilter, RunnerReading,
        reading::{Amount, CpuReading, STALE_AFTER_SECONDS},
    },
};
use engine::testing::TestEngine;
use sqlx::PgPool;

use crate::{
    far::{Link, Machine},
    scenario::checked,
};

fn busy(percent: u32) -> HostReading {
    let cpu = CpuReading { percent, millicores: 4000, is_limited: false, load_percent: None };
    HostReading { cpu: Some(cpu), ..HostReading::default() }
}

fn reading(host: HostReading) -> ToServer {
    ToServer::Reading { reading: Box::new(host), endpoint: None, age_seconds: 0, optional: true }
}

/// It has no answer of its own; that of the next sign of life comes when it is kept.
async fn reads(link: &mut Link, host: HostReading) {
    link.to_server.send(reading(host)).await.unwrap();
    link.beats(&[]).await;
}

async fn read_of(test: &TestEngine, actor: &Actor, id: RunnerId) -> Option<RunnerReading> {
    test.engine.find_runner(actor, id).await.unwrap().runner.reading
}

async fn percent_of(test: &TestEngine, actor: &Actor, id: RunnerId) -> Option<u32> {
    read_of(test, actor, id).await.and_then(|reading| reading.host.cpu).map(|cpu| cpu.percent)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_last_reading_is_told_until_it_is_stale_and_then_as_what_it_is(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    assert_eq!(read_of(&test, &ada, id).await, None, "it has read nothing yet");
    reads(&mut link, busy(10)).await;
    test.advance(TimeDelta::seconds(10));
    reads(&mut link, busy(20)).await;
    let rows: i64 = sqlx::query_scalar("select count(*) from runner_reading").fetch_one(&pool).await.unwrap();
    assert_eq!((percent_of(&test, &ada, id).await, rows), (Some(20), 1));
    test.advance(TimeDelta::seconds(STALE_AFTER_SECONDS));
    assert!(!read_of(&test, &ada, id).await.unwrap().is_stale);
    test.advance(TimeDelta::seconds(1));
    let last = read_of(&test, &ada, id).await.unwrap();
    assert!(last.is_stale && last.host == busy(20), "it is kept, and said to be old: {last:?}");
    let listed = test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap();
    assert_eq!(listed[0].reading.as_ref(), Some(&last), "in the list as on its page");
}

fn with_free(gib: u64) -> HostReading {
    let disk = Amount { used: (100 - gib) << 30, total: 100 << 30, is_limited: false };
    HostReading { disk: Some(disk), ..HostReading::default() }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_whose_disk_is_full_is_given_nothing_until_there_is_room(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    reads(&mut link, with_free(1)).await;
    let new = NewTask { repository: "https://example.org/a.git".into(), ..checked("waits for room") };
    let task = test.create(&ada, new).await.summary.id;
    test.dispatch().await;
    link.beats(&[]).await;
    let wait = test.engine.get_task(&ada, task).await.unwrap().runner_wait.unwrap();
    assert_eq!((wait.code.name(), wait.message.as_str()), ("disk_full", "the one runner that could take it has no room on its disk"));
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued);
    let why = test.engine.find_runner(&ada, id).await.unwrap().runner.lacks_disk();
    assert!(why.is_some_and(|why| why.starts_with("1.0 GiB of its disk are free")));
    test.advance(TimeDelta::seconds(10));
    reads(&mut link, with_free(3)).await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, task);
    assert_eq!(test.engine.find_runner(&ada, id).await.unwrap().runner.lacks_disk(), None);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_comes_back_is_given_nothing_before_it_has_said_that_there_is_room(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    reads(&mut link, with_free(1)).await;
    drop(link);
    let new = NewTask { repository: "https://example.org/a.git".into(), ..checked("waits for room") };
    let task = test.create(&ada, new).await.summary.id;
    let mut link = Link::of(&test, &machine, id).await;
    test.dispatch().await;
    link.beats(&[]).await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued, "its disk was full a moment ago");
    drop(link);
    test.advance(TimeDelta::seconds(STALE_AFTER_SECONDS + 1));
    let mut link = Link::of(&test, &machine, id).await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, task, "what was read long ago says nothing of how it is now");
}

/// As after a night with its lid closed, or a disk that hung.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_read_long_ago_is_stale_over_whichever_link_it_comes(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    for (age_seconds, expected, is_stale) in [(60, 60, false), (91, 91, true), (u32::MAX, 24 * 60 * 60, true)] {
        let reading = ToServer::Reading { reading: Box::new(busy(10)), endpoint: None, age_seconds, optional: true };
        link.to_server.send(reading).await.unwrap();
        link.beats(&[]).await;
        let now: chrono::DateTime<chrono::Utc> = engine::testing::START.parse().unwrap();
        let kept = read_of(&test, &ada, id).await.unwrap();
        assert_eq!((now - kept.at, kept.is_stale), (TimeDelta::seconds(expected), is_stale));
        link = Link::of(&test, &machine, id).await;
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_comes_a_moment_after_the_last_reading_is_passed_over(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    reads(&mut link, busy(10)).await;
    test.advance(TimeDelta::milliseconds(999));
    reads(&mut link, busy(20)).await;
    assert_eq!(percent_of(&test, &ada, id).await, Some(10));
    test.advance(TimeDelta::milliseconds(1));
    reads(&mut link, busy(30)).await;
    assert_eq!(percent_of(&test, &ada, id).await, Some(30));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_server_that_starts_again_has_the_last_reading(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    reads(&mut link, busy(30)).await;
    drop(link);
    let again = TestEngine::new(&pool).await;
    assert_eq!(percent_of(&again, &ada, id).await, Some(30));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_reading_makes_no_event_and_gives_nobody_work(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    let events = "select count(*) from event";
    let before: i64 = sqlx::query_scalar(events).fetch_one(&pool).await.unwrap();
    for percent in 0..50 {
        test.advance(TimeDelta::seconds(1));
        reads(&mut link, busy(percent)).await;
    }
    assert_eq!(sqlx::query_scalar::<_, i64>(events).fetch_one(&pool).await.unwrap(), before);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_older_link_says_nothing_of_the_machine(pool: PgPool) {
    let (one, other) = (TestEngine::new(&pool).await, TestEngine::new(&pool).await);
    let ada = one.owner().await;
    let (machine, id, older) = Link::joined(&one, &ada).await;
    // at another server, so that nothing but the database ends the older one
    let mut newer = Link::of(&other, &machine, id).await;
    reads(&mut newer, busy(40)).await;
    older.to_server.send(reading(busy(50))).await.unwrap();
    older.beats_nothing_more().await;
    assert_eq!(percent_of(&one, &ada, id).await, Some(40));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_machine_reads_is_told_to_its_own_workspace(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let stranger = test.stranger().await;
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "box").await.id;
    let mut link = Link::of(&test, &machine, id).await;
    reads(&mut link, busy(60)).await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("set role muster_app").execute(&mut *connection).await.unwrap();
    for (actor, expected) in [(&ada, 1_i64), (&stranger, 0)] {
        sqlx::query("begin").execute(&mut *connection).await.unwrap();
        let workspace = actor.workspace_id.to_string();
        sqlx::query("select set_config('muster.workspace_id', $1, true)").bind(workspace).execute(&mut *connection).await.unwrap();
        let seen: i64 = sqlx::query_scalar("select count(*) from runner_reading").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(seen, expected);
        sqlx::query("rollback").execute(&mut *connection).await.unwrap();
    }
}
