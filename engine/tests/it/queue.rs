//! Whose turn it is: lanes, their patience, and workspaces that share the runners.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{
    Actor, NewTask, NewTasks, Priority, TaskFilter,
    queue::{Minute, Queue, QueueName},
};
use engine::testing::{TestEngine, TestRunner};
use sqlx::PgPool;

use crate::scenario::checked;

async fn queue(test: &TestEngine, actor: &Actor, priority: Priority, titles: impl Iterator<Item = String>) {
    let tasks = titles.map(|title| NewTask { priority, ..checked(&title) }).collect();
    test.engine.create_tasks(actor, NewTasks { tasks }).await.unwrap();
}

/// Titles in the order in which a runner with one slot gets them.
async fn order(runner: &TestRunner, most: usize) -> Vec<String> {
    let mut titles = vec![];
    while titles.len() < most {
        let Some(assignment) = runner.claims(1).await.pop() else { break };
        titles.push(assignment.title);
    }
    titles
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn lanes_come_in_order_and_inside_a_lane_the_first_is_first(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent] {
        queue(&test, &ada, priority, (1..=2).map(|number| format!("{} {number}", priority.name()))).await;
    }
    assert_eq!(order(&runner, 9).await, ["urgent 1", "urgent 2", "high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_lane_waits_as_long_as_its_patience_and_no_longer(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (actor, runner) = (test.owner().await, test.runner("r1").await);
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        queue(&test, &actor, priority, std::iter::once("patient".to_owned())).await;
        let patience = usize::try_from(priority.patience()).unwrap();
        queue(&test, &actor, Priority::Urgent, (0..patience + 2).map(|number| format!("urgent {number}"))).await;
        let titles = order(&runner, patience + 3).await;
        let passed = titles.iter().position(|title| title == "patient").unwrap();
        assert!(passed <= patience, "{} was passed {passed} times", priority.name());
        assert!(passed >= patience - 1, "{} gave way {passed} times only", priority.name());
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn workspaces_take_turns_however_much_each_has(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let runner = test.runner("r1").await;
    let (busy, small, late) = (test.owner().await, test.stranger().await, test.stranger().await);
    queue(&test, &busy, Priority::Urgent, (0..50).map(|number| format!("busy {number}"))).await;
    assert_eq!(order(&runner, 3).await, ["busy 0", "busy 1", "busy 2"], "whoever is alone gets everything");
    queue(&test, &small, Priority::Low, (0..3).map(|number| format!("small {number}"))).await;
    queue(&test, &late, Priority::Normal, (0..2).map(|number| format!("late {number}"))).await;
    let titles = order(&runner, 9).await;
    for turns in titles[..6].chunks(3) {
        let mut names: Vec<_> = turns.iter().map(|title| title.split(' ').next().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["busy", "late", "small"], "each once within three claims: {titles:?}");
    }
    assert_eq!(titles[6..].iter().filter(|title| title.starts_with("small")).count(), 1);

    // many slots at once are shared as well
    queue(&test, &small, Priority::Low, (3..9).map(|number| format!("small {number}"))).await;
    let mut shares = BTreeMap::<String, usize>::new();
    for assignment in runner.claims(8).await {
        *shares.entry(assignment.title.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(shares, BTreeMap::from([("busy".to_owned(), 4), ("small".to_owned(), 4)]));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_queue_says_how_long_it_is_and_how_fast_it_moves(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve, runner) = (test.owner().await, test.stranger().await, test.runner("r1").await);
    queue(&test, &eve, Priority::High, std::iter::once("theirs".to_owned())).await;
    assert_eq!(runner.claims(1).await.len(), 1, "what others do is not counted here");
    for minute in 0..5 {
        queue(&test, &ada, Priority::Normal, std::iter::once(format!("joined in minute {minute}"))).await;
        test.advance(TimeDelta::minutes(1));
    }
    let start = test.engine.list_tasks(&ada, TaskFilter::default()).await.unwrap().items.last().unwrap().created_at;
    let before = test.engine.get_queue(&ada).await.unwrap();
    let lane = |queue: &Queue, priority| queue.lanes.iter().find(|lane| lane.priority == priority).unwrap().clone();
    let normal = lane(&before, Priority::Normal);
    assert_eq!((normal.waiting, normal.oldest, normal.middle), (5, Some(start), Some(start + TimeDelta::minutes(2))));
    assert_eq!(lane(&before, Priority::High).waiting, 0);
    assert_eq!((before.repositories[0].waiting, before.repositories[0].middle), (5, normal.middle));
    assert_eq!(before.empty_in_seconds, None, "nothing has started, so nobody knows");

    let assignment = runner.claims_one().await;
    runner.succeeds(&assignment).await.unwrap();
    test.advance(TimeDelta::minutes(1));
    runner.claims_one().await;
    let after = test.engine.get_queue(&ada).await.unwrap();
    let moved: Vec<_> = after.minutes.iter().filter(|minute| minute.started + minute.ended > 0).collect();
    let at = |minutes| start + TimeDelta::minutes(minutes);
    assert_eq!(moved, [&Minute { at: at(5), started: 1, ended: 1 }, &Minute { at: at(6), started: 1, ended: 0 }]);
    assert_eq!((after.minutes.len(), after.ended_last_hour, after.running), (60, 1, 1));
    assert_eq!((lane(&after, Priority::Normal).ended_last_hour, after.repositories[0].ended_last_hour), (1, 1));
    // two started in the nine whole minutes that count, and three are left
    assert_eq!(after.empty_in_seconds, Some(9 * 60 * 3 / 2));

    test.engine.pause_queue(&ada, QueueName::default()).await.unwrap();
    assert_eq!(test.engine.get_queue(&ada).await.unwrap().empty_in_seconds, None, "a queue that is paused does not get empty");
    test.engine.resume_queue(&ada, QueueName::default()).await.unwrap();
    test.advance(TimeDelta::hours(1));
    let later = test.engine.get_queue(&ada).await.unwrap();
    assert_eq!((later.ended_last_hour, later.empty_in_seconds), (0, None), "it has come to rest");
}
