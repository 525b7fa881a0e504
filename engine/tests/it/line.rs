//! Where a claim begins: at the first task that is known to wait in each line.

use domain::{NewTask, Priority, TaskId, TaskView};
use engine::testing::TestEngine;
use sqlx::PgPool;

use crate::scenario::checked;

async fn last_number(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select last_value from queue_joined").fetch_one(pool).await.unwrap()
}

fn ids(tasks: &[&TaskView]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.summary.id).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_joins_is_found_by_its_number_wherever_it_joins(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let first = test.create(&ada, checked("first")).await;
    assert_eq!(runner.claims_what_joined_after(0, 1).await, ids(&[&first]));
    let number = last_number(&pool).await;
    let normal = test.create(&ada, checked("normal")).await;
    let low = test.create(&ada, NewTask { priority: Priority::Low, ..checked("low") }).await;
    let elsewhere = test.create(&ada, NewTask { repository: "/srv/other".into(), ..checked("elsewhere") }).await;
    let urgent = test.create(&ada, NewTask { priority: Priority::Urgent, ..checked("urgent") }).await;
    assert_eq!(runner.claims_what_joined_after(number, 1).await, ids(&[&urgent]));
    let number = last_number(&pool).await;
    // those that were left behind are remembered
    let mut rest = runner.claims_what_joined_after(number, 9).await;
    rest.sort_unstable();
    assert_eq!(rest, ids(&[&normal, &low, &elsewhere]));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_comes_back_to_an_old_place_is_found_by_a_new_number(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, one, other) = (test.owner().await, test.runner("r1").await, test.runner("r2").await);
    let first = test.create(&ada, checked("first")).await;
    let (second, third) = (test.create(&ada, checked("second")).await, test.create(&ada, checked("third")).await);
    assert_eq!(one.claims_one().await.attempt.task_id, first.summary.id);
    assert_eq!(other.claims_one().await.attempt.task_id, second.summary.id);
    let number = last_number(&pool).await;
    assert_eq!(test.engine.give_back(&one.session).await.unwrap(), 1);
    assert_eq!(other.claims_what_joined_after(number, 1).await, ids(&[&first]), "the line began after it");
    test.engine.pause_task(&ada, third.summary.id).await.unwrap();
    assert!(other.claims_what_joined_after(number, 1).await.is_empty());
    let number = last_number(&pool).await;
    test.engine.resume_task(&ada, third.summary.id).await.unwrap();
    assert_eq!(other.claims_what_joined_after(number, 1).await, ids(&[&third]));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_its_number_does_not_tell_of_is_found_by_looking_around(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let late = test.create(&ada, checked("late")).await;
    let number = last_number(&pool).await;
    assert!(runner.claims_what_joined_after(number, 9).await.is_empty());
    assert_eq!(runner.claims_one().await.attempt.task_id, late.summary.id);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_somebody_holds_for_a_moment_is_not_forgotten(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let held = test.create(&ada, checked("held")).await;
    let free = test.create(&ada, checked("free")).await;
    let number = last_number(&pool).await;
    let mut somebody = pool.begin().await.unwrap();
    sqlx::query("select from task where id = $1 for update").bind(held.summary.id.0).execute(&mut *somebody).await.unwrap();
    assert_eq!(runner.claims_what_joined_after(0, 9).await, ids(&[&free]), "nobody waits for it");
    assert!(runner.claims_what_joined_after(number, 9).await.is_empty());
    somebody.rollback().await.unwrap();
    assert_eq!(runner.claims_what_joined_after(number, 9).await, ids(&[&held]));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_row_of_the_task_decides_whatever_its_place_says(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let held = test.create(&ada, checked("held")).await.summary.id;
    let there = test.create(&ada, checked("there")).await;
    // no statement of Muster's can do this
    sqlx::raw_sql("alter table task disable trigger moves_in_the_queue").execute(&pool).await.unwrap();
    test.engine.pause_task(&ada, held).await.unwrap();
    assert_eq!(runner.claims_what_joined_after(0, 9).await, ids(&[&there]));
}

/// Places that are not those of tasks which a runner may take, and such tasks without one.
pub async fn wrong_places(pool: &PgPool) -> Vec<TaskId> {
    sqlx::query_scalar(
        "select coalesce(task.id, place.task_id) from queue_place place
         full join (select * from task where state = 'queued' and paused_by is null and not parked) as task
           on task.id = place.task_id and task.workspace_id = place.workspace_id and task.repository_id = place.repository_id
              and task.capabilities = place.capabilities and task.turn = place.turn
         where task.id is null or place.task_id is null",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}
