//! One act on many tasks.

use domain::{
    NewTask, Priority, TaskFilter, TaskStateName,
    task::{BulkAct, BulkOutcome, BulkTasks},
};
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::{after, checked, refused, state};

fn all_like(act: BulkAct, filter: TaskFilter) -> BulkTasks {
    BulkTasks { act, priority: None, ids: vec![], filter: Some(filter), preview: false, expected: None }
}

fn tagged(tag: &str) -> TaskFilter {
    TaskFilter { tag: Some(tag.into()), ..TaskFilter::default() }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_preview_counts_and_the_act_changes_that_many(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let create =
        async |actor: &domain::Actor, title: &str| test.create(actor, NewTask { tags: vec!["nightly".into()], ..checked(title) }).await;
    let tasks = [create(&ada, "one").await, create(&ada, "two").await, create(&ada, "three").await];
    let (theirs, other) = (create(&eve, "theirs").await, test.create(&ada, checked("other")).await);
    let cancel = all_like(BulkAct::Cancel, tagged("nightly"));

    let preview = test.engine.change_tasks(&ada, BulkTasks { preview: true, ..cancel.clone() }).await.unwrap();
    assert_eq!(preview, BulkOutcome { matched: 3, ..BulkOutcome::default() });
    let refused_act = test.engine.change_tasks(&ada, BulkTasks { expected: Some(2), ..cancel.clone() }).await;
    assert!(matches!(refused_act, Err(Error::Conflict(message)) if message == "it would change 3 tasks now, not 2; look again"));
    let done = test.engine.change_tasks(&ada, BulkTasks { expected: Some(3), ..cancel.clone() }).await.unwrap();
    assert_eq!(done, BulkOutcome { matched: 3, changed: 3, ..BulkOutcome::default() });
    for task in &tasks {
        assert_eq!(state(&test.engine.get_task(&ada, task.summary.id).await.unwrap()), TaskStateName::Cancelled);
        assert_eq!(test.timeline(&ada, task.summary.id).await.last().unwrap(), "Ended cancelled");
    }
    assert_eq!(state(&test.engine.get_task(&eve, theirs.summary.id).await.unwrap()), TaskStateName::Queued, "nobody reaches theirs");
    assert_eq!(state(&test.engine.get_task(&ada, other.summary.id).await.unwrap()), TaskStateName::Queued);
    assert_eq!(test.engine.change_tasks(&ada, cancel).await.unwrap().matched, 0, "nothing is left to cancel");

    let ids = vec![tasks[0].summary.id, other.summary.id, theirs.summary.id];
    let retry = BulkTasks { ids, filter: None, ..all_like(BulkAct::Retry, TaskFilter::default()) };
    assert_eq!(test.engine.change_tasks(&ada, retry).await.unwrap(), BulkOutcome { matched: 1, changed: 1, ..BulkOutcome::default() });
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_refuses_is_passed_over(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let parent = test.create(&ada, checked("parent")).await;
    let child = test.create(&ada, after("child", &[&parent])).await;
    test.engine.cancel_task(&ada, parent.summary.id).await.unwrap();
    let ids = vec![child.summary.id];
    let retry = BulkTasks { ids, filter: None, ..all_like(BulkAct::Retry, TaskFilter::default()) };
    let outcome = test.engine.change_tasks(&ada, retry).await.unwrap();
    assert_eq!(outcome, BulkOutcome { matched: 1, passed_over: 1, ..BulkOutcome::default() });
    let everything = test.engine.change_tasks(&ada, all_like(BulkAct::Retry, TaskFilter::default())).await.unwrap();
    assert_eq!((everything.changed, everything.passed_over), (2, 0), "the parent comes first, so the child can follow");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_lane_changes_for_many_at_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    for title in ["first", "second"] {
        test.create(&ada, checked(title)).await;
    }
    let late = test.create(&ada, NewTask { tags: vec!["hot".into()], ..checked("late") }).await;
    let urgent = BulkTasks { priority: Some(Priority::Urgent), ..all_like(BulkAct::Prioritise, tagged("hot")) };
    assert_eq!(test.engine.change_tasks(&ada, urgent).await.unwrap().changed, 1);
    assert_eq!(runner.claims_one().await.attempt.task_id, late.summary.id);
    assert_eq!(refused(test.engine.change_tasks(&ada, all_like(BulkAct::Prioritise, tagged("hot"))).await), ["/priority required"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_thousand_are_changed_and_the_rest_is_said(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let first = test.create(&ada, checked("one")).await.summary.id;
    sqlx::query(
        "insert into task select (jsonb_populate_record(task, jsonb_build_object('id', gen_random_uuid()))).* from task, generate_series(1, 1001) where id = $1",
    )
    .bind(first.0)
    .execute(&pool)
    .await
    .unwrap();
    let numbered = "insert into event (workspace_id, task_id, number, actor, kind, payload, at)
        select workspace_id, task.id, 1, 'test', 'task_created', '{\"kind\": \"task_created\", \"state\": \"queued\"}', now() from task where id <> $1";
    sqlx::query(numbered).bind(first.0).execute(&pool).await.unwrap();
    let cancel = all_like(BulkAct::Cancel, TaskFilter::default());
    let outcome = test.engine.change_tasks(&ada, cancel.clone()).await.unwrap();
    assert_eq!(outcome, BulkOutcome { matched: 1002, changed: 1000, passed_over: 0, left: 2 });
    assert_eq!(test.engine.change_tasks(&ada, cancel).await.unwrap().changed, 2);
}
