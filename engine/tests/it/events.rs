use std::time::Duration;

use domain::EventKind;
use engine::{Clock, Dispatcher, EventStream, Tailer, supervise, testing::TestEngine};
use serde_json::json;
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::scenario::checked;

/// The next event, or a failure after a generous while: the wait is a bound, not a measure.
async fn next(stream: &mut EventStream) -> domain::Event {
    tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("an event arrives").unwrap()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_follower_that_resumes_misses_nothing_and_sees_nothing_twice(pool: PgPool) {
    let test = TestEngine::with_clock(&pool, Clock::Database).await;
    let ada = test.owner().await;
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    tracker.spawn(supervise(Tailer::default(), test.engine.clone(), stop.clone()));
    let mut stream = test.engine.follow_events(&ada, None).await.unwrap();
    let start = stream.cursor();

    // Twenty writers at once: their transactions commit in another order than they began in.
    for number in 0..20 {
        let (engine, ada) = (test.engine.clone(), ada.clone());
        tracker.spawn(async move {
            for step in 0..5 {
                engine.create_task(&ada, checked(&format!("{number}-{step}"))).await.unwrap();
            }
        });
    }
    let mut live = vec![];
    while live.len() < 100 {
        live.push(next(&mut stream).await);
        // Every seventh event the connection is lost.
        if live.len() % 7 == 0 {
            let cursor = live.last().unwrap().cursor.parse().unwrap();
            stream = test.engine.follow_events(&ada, Some(cursor)).await.unwrap();
        }
    }
    let mut ids: Vec<_> = live.iter().map(|event| event.task_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100, "every task once");

    let mut replay = test.engine.follow_events(&ada, Some(start)).await.unwrap();
    for event in &live {
        assert_eq!(&next(&mut replay).await, event, "the same order for everyone");
    }
    stop.cancel();
    tracker.close();
    tracker.wait().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_event_that_commits_late_is_not_passed_over(pool: PgPool) {
    let test = TestEngine::with_clock(&pool, Clock::Database).await;
    let ada = test.owner().await;
    let first = test.create(&ada, checked("first")).await.summary.id;
    // From a known place on: where "now" is depends on what else runs on this Postgres.
    let created = test.engine.task_events(&ada, first).await.unwrap().remove(0).cursor;
    let mut stream = test.engine.follow_events(&ada, Some(created.parse().unwrap())).await.unwrap();
    // A transaction takes its place in the order, and then dawdles.
    let mut late = pool.begin().await.unwrap();
    sqlx::query("insert into event (workspace_id, task_id, number, actor, kind, payload, at) values ($1, $2, 2, 'system', 'task_due', '{\"kind\": \"task_due\"}', now())")
        .bind(ada.workspace_id.0)
        .bind(first.0)
        .execute(&mut *late)
        .await
        .unwrap();
    let second = test.create(&ada, checked("second")).await.summary.id;
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    tracker.spawn(supervise(Tailer::default(), test.engine.clone(), stop.clone()));
    let early = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    assert!(early.is_err(), "nothing is told while something may still come before it: {early:?}");
    late.commit().await.unwrap();
    assert_eq!(next(&mut stream).await.task_id, first);
    assert_eq!(next(&mut stream).await.task_id, second);
    stop.cancel();
    tracker.close();
    tracker.wait().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_a_batch_that_is_known_in_part_the_rest_is_told(pool: PgPool) {
    const MOMENT: Duration = Duration::from_millis(50);
    let mut test = TestEngine::with_clock(&pool, Clock::Database).await;
    let ada = test.owner().await;
    test.tail().await;
    let newest = async |test: &TestEngine| test.engine.follow_events(&ada, None).await.unwrap().cursor();
    let start = newest(&test).await;
    let first = test.create(&ada, checked("first")).await.summary.id;
    // What else runs on this Postgres may hold either of the two back for a moment; they are handed out together all the same.
    while newest(&test).await == start {}
    let mut stream = test.engine.follow_events(&ada, Some(start)).await.unwrap();
    assert_eq!(next(&mut stream).await.task_id, first, "from the table");
    let known = stream.cursor();
    assert!(tokio::time::timeout(MOMENT, stream.next()).await.is_err(), "it has caught up");
    let second = test.create(&ada, checked("second")).await.summary.id;
    while newest(&test).await == known {}
    test.tail().await;
    assert_eq!(next(&mut stream).await.task_id, second);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_later_version_has_taken_down_keeps_nobody_from_what_follows(pool: PgPool) {
    let mut test = TestEngine::with_clock(&pool, Clock::Database).await;
    let ada = test.owner().await;
    test.tail().await;
    let first = test.create(&ada, checked("first")).await.summary.id;
    let created = test.engine.task_events(&ada, first).await.unwrap().remove(0).cursor;
    let mut live = test.engine.follow_events(&ada, Some(created.parse().unwrap())).await.unwrap();
    let later = [
        (2_i64, "task_teleported", json!({"kind": "task_teleported", "to": "mars"})),
        (3, "task_released", json!({"kind": "task_released", "state": "on_mars"})),
    ];
    for (number, kind, payload) in later {
        let insert =
            "insert into event (workspace_id, task_id, number, actor, kind, payload, at) values ($1, $2, $3, 'system', $4, $5, now())";
        let insert = sqlx::query(insert).bind(ada.workspace_id.0).bind(first.0).bind(number).bind(kind).bind(payload);
        insert.execute(&pool).await.unwrap();
    }
    let second = test.create(&ada, checked("second")).await.summary.id;
    let last = test.engine.task_events(&ada, second).await.unwrap().remove(0).cursor;
    // what else runs on this Postgres may hold them back for a moment
    while test.engine.follow_events(&ada, None).await.unwrap().cursor().to_string() != last {}
    // whoever reads the log for all followers does not stand still before it, and neither does one that catches up from the table
    test.tail().await;
    for number in 2..=3 {
        let event = next(&mut live).await;
        assert_eq!((event.task_id, event.number, event.kind), (first, number, EventKind::Unknown));
    }
    assert_eq!(next(&mut live).await.task_id, second);
    let timeline = test.engine.task_events(&ada, first).await.unwrap();
    assert_eq!(timeline.iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_timeline_is_numbered_without_holes(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.succeeds(&assignment).await.unwrap();
    let events = test.engine.task_events(&ada, task).await.unwrap();
    assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
    assert_eq!(events[0].actor, ada.label());
    assert_eq!(events[1].actor, format!("runner:{}", runner.session.id()));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_malformed_position_is_refused(_pool: PgPool) {
    for bad in ["", "7", "a-b", "1-", "-1-2", "1--2", "99999999999999999999-1"] {
        assert!(bad.parse::<engine::EventCursor>().is_err(), "{bad}");
    }
    assert_eq!("7-12".parse::<engine::EventCursor>().unwrap().to_string(), "7-12");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn ticks_with_nothing_to_do_change_nothing(pool: PgPool) {
    use engine::{Rescuer, Service, Tick};
    let test = TestEngine::new(&pool).await;
    assert_eq!(Dispatcher::default().tick(&test.engine).await.unwrap(), Tick::Idle);
    assert_eq!(Rescuer::default().tick(&test.engine).await.unwrap(), Tick::Idle);
    assert_eq!(Tailer::default().tick(&test.engine).await.unwrap(), Tick::Idle);
}
