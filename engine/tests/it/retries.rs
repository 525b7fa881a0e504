//! When an attempt that ended badly is followed by the next, by class of failure, and at whose cost.

use chrono::TimeDelta;
use domain::{
    CheckStatus, Failure, FailureCode, NewTask, TaskId, TaskStateName,
    protocol::{AttemptReport, WorkOutcome},
    task::LIMITS_MAX,
};
use engine::testing::{TestEngine, TestRunner, report};
use serde_json::json;
use sqlx::PgPool;

use crate::scenario::{checked, state};

/// The next attempt ends like this.
async fn fails(runner: &TestRunner, failure: Failure) {
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    let outcome = WorkOutcome::Failed { failure };
    let sent = AttemptReport { outcome, verification: None, ..report(&assignment, CheckStatus::Passed) };
    runner.reports(assignment.attempt, sent).await.unwrap();
}

fn told(seconds: u32) -> Failure {
    Failure { retry_after_seconds: Some(seconds), ..Failure::new(FailureCode::ProviderLimit, "come back later") }
}

/// Moves the time to the next attempt, a second at a time, and says how many that took; nothing when it waits for no time.
async fn waits(test: &TestEngine, ada: &domain::Actor, id: TaskId) -> Option<i64> {
    let now = async || test.engine.task_state(ada, id).await.unwrap();
    for seconds in 0..100_000 {
        test.dispatch().await;
        match now().await {
            TaskStateName::Scheduled => test.advance(TimeDelta::seconds(1)),
            _ => return (seconds > 0).then_some(seconds),
        }
    }
    None
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn work_that_is_told_to_come_back_later_does(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let task = test.create(&ada, NewTask { max_attempts: 1, ..checked("limited") }).await.summary.id;
    fails(&runner, told(300)).await;
    let limited = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!(state(&limited), TaskStateName::Scheduled);
    assert_eq!(limited.attempt_list[0].failure, Some(told(300)), "it is kept with the attempt");
    let waited = waits(&test, &ada, task).await.unwrap();
    assert!((300..=330).contains(&waited), "{waited} s");
    let assignment = runner.claims_one().await;
    assert_eq!(assignment.attempt.number, 2, "though it may fail only once");
    runner.fails(&assignment).await.unwrap();
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Failed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn limits_are_counted_apart_and_there_are_not_endlessly_many(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let retry =
        serde_json::from_value(json!({"by_class": {"provider_limit": {"strategy": "linear", "base_seconds": 1, "cap_seconds": 2}}}))
            .unwrap();
    let task = test.create(&ada, NewTask { max_attempts: 1, retry, ..checked("limited") }).await.summary.id;
    for nth in 1..=LIMITS_MAX {
        fails(&runner, Failure::new(FailureCode::ProviderLimit, "come back later")).await;
        assert_eq!(waits(&test, &ada, task).await, Some(nth.min(2).into()), "after limit {nth}");
        let counted: (i32, i32) =
            sqlx::query_as("select limits, failures from task where id = $1").bind(task.0).fetch_one(&pool).await.unwrap();
        assert_eq!(counted, (nth, 0));
    }
    fails(&runner, Failure::new(FailureCode::ProviderLimit, "come back later")).await;
    let task = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!((state(&task), task.summary.attempts), (TaskStateName::Failed, LIMITS_MAX + 1));
    assert_eq!(task.summary.state.failure().unwrap().code, FailureCode::ProviderLimit);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn each_class_of_failure_waits_in_its_own_way(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let policy = json!({"base_seconds": 20, "by_class": {"infrastructure": {"base_seconds": 3}, "runner_lost": {"base_seconds": 5}}});
    let retry: domain::task::RetryPolicy = serde_json::from_value(policy).unwrap();
    let create = async |retry| test.create(&ada, NewTask { retry, ..checked("flaky") }).await.summary.id;
    for (code, usual, own) in [(FailureCode::CommandFailed, 1, 20), (FailureCode::RunnerFault, 1, 3), (FailureCode::ProviderLimit, 60, 60)]
    {
        for (retry, expected) in [(Default::default(), usual), (retry, own)] {
            let task = create(retry).await;
            fails(&runner, Failure::new(code, "as the test wants it")).await;
            assert_eq!(waits(&test, &ada, task).await, Some(expected), "{}", code.name());
            test.engine.cancel_task(&ada, task).await.unwrap();
        }
    }
    for (retry, expected) in [(Default::default(), None), (retry, Some(5))] {
        let task = create(retry).await;
        runner.comes_back_without(runner.claims_one().await.attempt).await.unwrap();
        assert_eq!(waits(&test, &ada, task).await, expected, "at once, or when it says so");
        test.engine.cancel_task(&ada, task).await.unwrap();
    }
}
