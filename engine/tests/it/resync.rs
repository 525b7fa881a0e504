//! A follower whose position is not kept any more, or never was, is told so.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{Actor, Event, TaskId};
use engine::{EventCursor, EventStream, Followed, Keep, Tailer, supervise, testing::TestEngine};
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::scenario::checked;

const AN_HOUR: Keep = Keep { ended: Some(TimeDelta::hours(1)), dead: None };

/// What comes next, or a failure after a generous while: the wait is a bound, not a measure.
async fn told(stream: &mut EventStream) -> Followed {
    tokio::time::timeout(Duration::from_secs(20), stream.next_batch()).await.expect("something is told").unwrap()
}

/// The events that come next; none of them is to be looked for elsewhere.
async fn events(stream: &mut EventStream) -> Vec<Event> {
    match told(stream).await {
        Followed::Events(batch) => batch.events().to_vec(),
        Followed::Resync(position) => panic!("nothing was missed, and yet it begins anew at {position}"),
    }
}

async fn begins_anew(stream: &mut EventStream) -> EventCursor {
    match told(stream).await {
        Followed::Resync(position) => position,
        Followed::Events(batch) => panic!("it goes on with {:?}", batch.events()),
    }
}

/// Where the first event of a task stands.
async fn position(test: &TestEngine, actor: &Actor, task: TaskId) -> EventCursor {
    test.engine.task_events(actor, task).await.unwrap()[0].cursor.parse().unwrap()
}

/// A task that was cancelled two hours ago.
async fn ended(test: &TestEngine, actor: &Actor) -> (TaskId, EventCursor) {
    let task = test.create(actor, checked("ended")).await.summary.id;
    test.engine.cancel_task(actor, task).await.unwrap();
    let first = position(test, actor, task).await;
    test.advance(TimeDelta::hours(2));
    (task, first)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_position_before_what_was_deleted_begins_anew_and_goes_on(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (gone, before) = ended(&test, &ada).await;
    let kept = test.create(&ada, checked("kept")).await.summary.id;
    let after = position(&test, &ada, kept).await;
    let mut follower = test.engine.follow_events(&ada, Some(before)).await.unwrap();
    assert!(!follower.begins_anew(), "all of it is there");
    assert_eq!(test.engine.forget_all(AN_HOUR, |_| {}).await.unwrap().tasks, 1);

    // one that stood there when it was deleted, one that comes later, and one from the very beginning
    begins_anew(&mut follower).await;
    let mut late = test.engine.follow_events(&ada, Some(before)).await.unwrap();
    assert!(late.begins_anew());
    let here = begins_anew(&mut late).await;
    assert!(here > before);
    begins_anew(&mut test.engine.follow_events(&ada, Some(EventCursor::default())).await.unwrap()).await;

    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    tracker.spawn(supervise(Tailer::default(), test.engine.clone(), stop.clone()));
    let next = test.create(&ada, checked("next")).await.summary.id;
    let mut seen = vec![];
    while !seen.contains(&next) {
        seen.extend(events(&mut late).await.into_iter().map(|event| event.task_id));
    }
    assert!(!seen.contains(&gone));
    // whoever stood behind it has missed nothing
    let mut behind = test.engine.follow_events(&ada, Some(after)).await.unwrap();
    assert_eq!(events(&mut behind).await[0].task_id, next);
    // and where the follower was sent it can come back to
    let mut again = test.engine.follow_events(&ada, Some(here)).await.unwrap();
    assert!(!again.begins_anew());
    assert!(!events(&mut again).await.is_empty());
    stop.cancel();
    tracker.close();
    tracker.wait().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_position_of_another_log_begins_anew(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let own = test.create(&ada, checked("own")).await.summary.id;
    let theirs = test.create(&eve, checked("theirs")).await.summary.id;
    let here = position(&test, &ada, own).await;
    let (xid, id) = here.to_string().split_once('-').map(|(xid, id)| (xid.parse::<u64>().unwrap(), id.parse::<i64>().unwrap())).unwrap();
    let foreign = [
        // from the future of this log, as after a restored backup
        format!("{}-{id}", xid + 1_000_000),
        // from another database, which was at about the same time
        format!("{xid}-{}", id + 1),
        format!("{}-{id}", xid - 1),
        // what another version of Muster called "now"
        format!("{xid}-{}", i64::MAX),
        // from another workspace
        position(&test, &eve, theirs).await.to_string(),
    ];
    for text in foreign {
        let mut stream = test.engine.follow_events(&ada, Some(text.parse().unwrap())).await.unwrap();
        assert!(stream.begins_anew(), "{text}");
        begins_anew(&mut stream).await;
    }
    assert!(!test.engine.follow_events(&ada, Some(here)).await.unwrap().begins_anew());
    assert!(!test.engine.follow_events(&ada, Some(EventCursor::default())).await.unwrap().begins_anew(), "the beginning is all there");
    assert!(!test.engine.follow_events(&ada, None).await.unwrap().begins_anew());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn one_workspace_forgets_for_itself(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let theirs = test.create(&eve, checked("theirs")).await.summary.id;
    let place = position(&test, &eve, theirs).await;
    ended(&test, &ada).await;
    test.engine.forget_all(AN_HOUR, |_| {}).await.unwrap();
    assert!(!test.engine.follow_events(&eve, Some(place)).await.unwrap().begins_anew());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn where_everything_was_deleted_is_a_place_too(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    ended(&test, &ada).await;
    test.engine.forget_all(AN_HOUR, |_| {}).await.unwrap();
    let now = test.engine.follow_events(&ada, None).await.unwrap().cursor();
    assert_ne!(now, EventCursor::default());
    assert!(!test.engine.follow_events(&ada, Some(now)).await.unwrap().begins_anew());
}
