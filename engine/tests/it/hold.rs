//! What holds a task back or ends it early: people, deadlines, more urgent tasks, and others that share something with it.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use domain::{
    Actor, FailureCode, NewTask, Priority, TaskFilter, TaskStateName,
    protocol::{Assignment, ToRunner},
    queue::QueueName,
    task::{Concurrency, Stop},
};
use engine::testing::{ConnectedRunner, TestEngine, TestRunner};
use sqlx::PgPool;

use crate::scenario::{after, checked, refused, state};

async fn claimed_titles(runner: &TestRunner, most: usize) -> Vec<String> {
    runner.claims(most).await.into_iter().map(|assignment| assignment.title).collect()
}

fn assignments(runner: &mut ConnectedRunner) -> Vec<Assignment> {
    let assigned = |told| if let ToRunner::Assign { assignment } = told { Some(*assignment) } else { None };
    runner.told().into_iter().filter_map(assigned).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_urgent_task_takes_the_slot_of_the_youngest_low_one(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut runner = test.connected_runner("r1", 3).await;
    for (title, priority) in [("normal", Priority::Normal), ("older low", Priority::Low), ("younger low", Priority::Low)] {
        test.create(&ada, NewTask { priority, ..checked(title) }).await;
        test.dispatch().await;
        test.advance(TimeDelta::seconds(1));
    }
    let held = assignments(&mut runner);
    let younger = held.iter().find(|assignment| assignment.title == "younger low").unwrap();
    runner.runner.starts(younger.attempt).await.unwrap();

    let urgent = test.create(&ada, NewTask { priority: Priority::Urgent, ..checked("urgent") }).await;
    test.dispatch().await;
    test.keep_time().await;
    assert_eq!(runner.told(), [], "a slot may become free by itself");
    test.advance(TimeDelta::seconds(1));
    test.keep_time().await;
    test.keep_time().await;
    assert_eq!(runner.told(), [ToRunner::Cancel { attempt: younger.attempt }], "one makes room for one");
    let stopping = test.engine.get_task(&ada, younger.attempt.task_id).await.unwrap();
    assert_eq!(stopping.summary.state.stop(), Some(&Stop::PreEmpt { for_task: urgent.summary.id }));
    assert_eq!(runner.runner.renews(younger.attempt).await.unwrap(), (true, true), "its next heartbeat says so again");

    runner.has_stopped(younger).await;
    test.dispatch().await;
    let titles: Vec<_> = assignments(&mut runner).into_iter().map(|assignment| assignment.title).collect();
    assert_eq!(titles, ["urgent"]);
    let back = test.engine.get_task(&ada, younger.attempt.task_id).await.unwrap();
    assert_eq!((state(&back), back.summary.attempts), (TaskStateName::Queued, 1));
    assert_eq!(
        test.timeline(&ada, back.summary.id).await[3..],
        [
            format!("Makes room for the urgent task {}", urgent.summary.id.short()),
            "Attempt 1 cancelled".to_owned(),
            "To be tried again, queued".to_owned()
        ]
    );
    let (failures, losses): (i32, i32) =
        sqlx::query_as("select failures, losses from task where id = $1").bind(back.summary.id.0).fetch_one(&pool).await.unwrap();
    assert_eq!((failures, losses), (0, 0), "it is charged nothing");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_paused_waits_and_what_runs_goes_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let first = test.create(&ada, checked("first")).await;
    let second = test.create(&ada, checked("second")).await;
    let paused = test.engine.pause_task(&ada, first.summary.id).await.unwrap();
    assert_eq!((state(&paused), paused.summary.paused, paused.paused_by.as_deref()), (TaskStateName::Queued, true, Some("Ada")));
    let held = runner.claims(5).await;
    assert_eq!(held.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(), ["second"]);

    runner.starts(held[0].attempt).await.unwrap();
    test.engine.pause_task(&ada, second.summary.id).await.unwrap();
    assert_eq!(runner.renews(held[0].attempt).await.unwrap(), (true, true));
    runner.comes_back_without(held[0].attempt).await.unwrap();
    assert_eq!(claimed_titles(&runner, 5).await, Vec::<String>::new());
    for task in [&second, &first] {
        test.engine.resume_task(&ada, task.summary.id).await.unwrap();
    }
    assert_eq!(claimed_titles(&runner, 5).await, ["first", "second"], "each has kept its place");
    assert!(test.engine.resume_task(&ada, first.summary.id).await.is_err(), "nobody holds it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_paused_queue_gives_nothing_away(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, other, runner) = (test.owner().await, test.stranger().await, test.runner("r1").await);
    for (actor, title, repository) in [(&ada, "a", "/srv/one"), (&ada, "b", "/srv/two"), (&other, "theirs", "/srv/one")] {
        test.create(actor, NewTask { repository: repository.into(), ..checked(title) }).await;
    }
    let queue = test.engine.pause_queue(&ada, QueueName::default()).await.unwrap();
    assert_eq!((queue.paused_by.as_deref(), queue.lanes[2].waiting, queue.repositories.len()), (Some("Ada"), 2, 2));
    assert_eq!(claimed_titles(&runner, 5).await, ["theirs"], "another workspace's queue is another queue");
    let one = queue.repositories.iter().find(|repository| repository.location == "/srv/one").unwrap().id;
    test.engine.pause_queue(&ada, QueueName { repository: Some(one) }).await.unwrap();
    let queue = test.engine.resume_queue(&ada, QueueName::default()).await.unwrap();
    assert_eq!(queue.paused_by, None);
    assert_eq!(claimed_titles(&runner, 5).await, ["b"]);
    let theirs = test.engine.pause_queue(&other, QueueName { repository: Some(one) }).await;
    assert!(matches!(theirs, Err(engine::Error::NotFound { .. })), "nobody pauses what is not theirs");
    test.engine.resume_queue(&ada, QueueName { repository: Some(one) }).await.unwrap();
    assert_eq!(claimed_titles(&runner, 5).await, ["a"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn repositories_take_turns_and_urgent_ones_go_first(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let create = async |title: &str, repository: &str, priority| {
        test.create(&ada, NewTask { repository: repository.into(), priority, ..checked(title) }).await;
    };
    for number in 1..=4 {
        create(&format!("busy {number}"), "/srv/busy", Priority::High).await;
    }
    create("small 1", "/srv/small", Priority::Low).await;
    create("small 2", "/srv/small", Priority::Low).await;
    create("now", "/srv/busy", Priority::Urgent).await;
    let mut order = vec![];
    for _ in 0..7 {
        order.extend(claimed_titles(&runner, 1).await);
    }
    assert_eq!(order, ["now", "small 1", "busy 1", "small 2", "busy 2", "busy 3", "busy 4"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_those_that_share_a_key_no_more_run_than_may(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let shared = |key: &str, limit| Some(Concurrency { key: key.into(), limit });
    for number in 0..12 {
        test.create(&ada, NewTask { concurrency: shared("staging", 3), ..checked(&format!("staging {number}")) }).await;
    }
    test.create(&ada, NewTask { concurrency: shared("device", 1), ..checked("device") }).await;
    test.create(&ada, checked("free")).await;
    let runners = [0, 1, 2, 3];
    let mut done = BTreeSet::new();
    let mut first = true;
    while done.len() < 14 {
        let mut held = vec![];
        for _ in 0..4 {
            // several at the same moment, each wanting more than there is
            let claims = runners.iter().map(|number| {
                let test = &test;
                async move {
                    let runner = test.runner(&format!("r{number}")).await;
                    let claimed = runner.claims(4).await;
                    claimed.into_iter().map(move |assignment| (*number, assignment)).collect::<Vec<_>>()
                }
            });
            held.extend(futures::future::join_all(claims).await.into_iter().flatten());
        }
        let staging = held.iter().filter(|(_, assignment)| assignment.title.starts_with("staging")).count();
        assert_eq!(staging, 3.min(12 - done.iter().filter(|title: &&String| title.starts_with("staging")).count()), "as many as may");
        if first {
            assert!(held.iter().any(|(_, assignment)| assignment.title == "free"), "others do not wait for them");
            let listed = test.engine.list_tasks(&ada, TaskFilter { limit: Some(50), ..TaskFilter::default() }).await.unwrap();
            assert!(listed.items.iter().any(|task| task.parked), "and it is shown who waits");
            first = false;
        }
        for (number, assignment) in held {
            let runner = test.runner(&format!("r{number}")).await;
            runner.succeeds(&assignment).await.unwrap();
            done.insert(assignment.title);
        }
    }
    let running: i64 = sqlx::query_scalar("select sum(running) from concurrency").fetch_one(&pool).await.unwrap();
    assert_eq!(running, 0);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_deadline_ends_what_waits_and_stops_what_runs(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let start: domain::Timestamp = engine::testing::START.parse().unwrap();
    let by = |seconds| NewTask { complete_by: Some(start + TimeDelta::seconds(seconds)), ..checked("due") };
    assert_eq!(refused(test.engine.create_task(&ada, by(0)).await), ["/complete_by past"]);

    let running = test.create(&ada, by(10)).await;
    let held = runner.claims_one().await;
    runner.starts(held.attempt).await.unwrap();
    let waiting = test.create(&ada, by(10)).await;
    let child = test.create(&ada, after("child", &[&waiting])).await;
    test.advance(TimeDelta::seconds(10));
    test.keep_time().await;
    let ended = test.engine.get_task(&ada, waiting.summary.id).await.unwrap();
    assert_eq!(ended.summary.state.failure().unwrap().code, FailureCode::DeadlinePassed);
    assert_eq!(state(&test.engine.get_task(&ada, child.summary.id).await.unwrap()), TaskStateName::Skipped);

    assert_eq!(runner.renews(held.attempt).await.unwrap(), (true, true));
    let stopped = engine::testing::report(&held, domain::CheckStatus::Passed);
    let stopped = domain::protocol::AttemptReport { outcome: domain::protocol::WorkOutcome::Cancelled, verification: None, ..stopped };
    runner.reports(held.attempt, stopped).await.unwrap();
    let failed = test.engine.get_task(&ada, running.summary.id).await.unwrap();
    assert_eq!((state(&failed), failed.summary.state.failure().unwrap().code), (TaskStateName::Failed, FailureCode::DeadlinePassed));
    assert!(test.timeline(&ada, running.summary.id).await.contains(&"Its deadline has passed".to_owned()));
    let again = test.engine.retry_task(&ada, running.summary.id).await.unwrap();
    assert_eq!((state(&again), again.complete_by), (TaskStateName::Queued, None), "a deadline that has passed is no deadline");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_no_runner_takes_in_time_is_set_aside(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let create = async |actor: &Actor, title: &str| test.create(actor, NewTask { queue_seconds: Some(60), ..checked(title) }).await;
    let (dropped, kept, held) = (create(&ada, "dropped").await, create(&ada, "kept").await, create(&ada, "held").await);
    test.engine.pause_task(&ada, held.summary.id).await.unwrap();
    test.advance(TimeDelta::seconds(59));
    test.keep_time().await;
    assert_eq!(state(&test.engine.get_task(&ada, kept.summary.id).await.unwrap()), TaskStateName::Queued);
    test.advance(TimeDelta::seconds(1));
    test.keep_time().await;
    for task in [&dropped, &kept] {
        let dead = test.engine.get_task(&ada, task.summary.id).await.unwrap();
        assert_eq!((state(&dead), dead.summary.state.failure().unwrap().code), (TaskStateName::Dead, FailureCode::QueueExpired));
    }
    assert_eq!(state(&test.engine.get_task(&ada, held.summary.id).await.unwrap()), TaskStateName::Queued, "its time stands still");
    assert_eq!(state(&test.engine.discard_task(&ada, dropped.summary.id).await.unwrap()), TaskStateName::Cancelled);
    assert_eq!(state(&test.engine.retry_task(&ada, kept.summary.id).await.unwrap()), TaskStateName::Queued);
    assert!(test.engine.discard_task(&ada, kept.summary.id).await.is_err(), "only what was set aside can be let go");
}
