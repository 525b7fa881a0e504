//! How many attempts a runner carries out at once, as somebody sets it.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, AttemptKey, NewTask, Permission, Role, Runner, RunnerId, TaskId, TaskStateName,
    protocol::ToRunner,
    runner::{RunnerChange, RunnerLogFilter, RunnerNews, RunnerState},
};
use engine::{Dispatcher, Error, Result, Service, testing::TestEngine};
use sqlx::PgPool;

use crate::{
    far::{Link, Machine},
    scenario::{checked, refused},
};

fn anywhere(title: &str) -> NewTask {
    NewTask { repository: "https://example.org/a.git".into(), ..checked(title) }
}

async fn hands_in(test: &TestEngine, actor: &Actor, titles: &[&str]) {
    for title in titles {
        test.create(actor, anywhere(title)).await;
    }
}

async fn sets(test: &TestEngine, actor: &Actor, id: RunnerId, slots: Option<i32>) -> Result<Runner> {
    test.engine.change_runner(actor, id, &RunnerChange { slots }).await
}

fn config(slots: Option<u32>) -> Option<ToRunner> {
    Some(ToRunner::Config { slots, optional: true })
}

/// How many tasks are with runners.
async fn running(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from task where state = 'running'").fetch_one(pool).await.unwrap()
}

async fn joins(test: &TestEngine, actor: &Actor) -> (Machine, RunnerId) {
    let machine = Machine::new();
    let id = machine.joins(test, actor, "box").await.id;
    (machine, id)
}

/// As another server writes it.
async fn is_set_elsewhere(pool: &PgPool, id: RunnerId, slots: Option<i32>) {
    sqlx::query("update runner set slots_set = $2 where id = $1").bind(id.0).bind(slots).execute(pool).await.unwrap();
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_is_told_of_more_slots_and_is_given_more_at_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    hands_in(&test, &ada, &["first", "second", "third"]).await;
    test.dispatch().await;
    link.is_assigned().await;
    assert_eq!(running(&pool).await, 1);
    let runner = sets(&test, &ada, id, Some(2)).await.unwrap();
    assert_eq!((runner.slots, runner.slots_own, runner.slots_set, runner.slots_to_come()), (2, 1, Some(2), None));
    test.dispatch().await;
    assert_eq!(link.hears().await, config(Some(2)), "before it is given more");
    link.is_assigned().await;
    assert_eq!(running(&pool).await, 2);
    assert_eq!(test.engine.preview_task(&ada, anywhere("fourth")).await.unwrap().slots, 2);
    let runner = sets(&test, &ada, id, None).await.unwrap();
    assert_eq!((runner.slots, runner.slots_own, runner.slots_set, runner.busy), (1, 1, None, 2));
    assert_eq!(link.hears().await, config(None));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_at_work_goes_on_and_nothing_new_comes_above_what_was_set(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id) = joins(&test, &ada).await;
    let mut link = Link::of_slots(&test, &machine, id, 2).await;
    hands_in(&test, &ada, &["first", "second", "third"]).await;
    test.dispatch().await;
    let (first, second) = (link.is_assigned().await, link.is_assigned().await);
    assert_eq!(sets(&test, &ada, id, Some(1)).await.unwrap().busy, 2);
    assert_eq!(link.hears().await, config(Some(1)));
    link.beats(&[first.attempt, second.attempt]).await;
    link.carries_out(&first).await;
    test.dispatch().await;
    assert_eq!(running(&pool).await, 1, "one slot is as much as the other takes");
    link.carries_out(&second).await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.title, "third");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_set_holds_over_each_link_until_it_is_left_to_the_machine(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, link) = Link::joined(&test, &ada).await;
    drop(link);
    sets(&test, &ada, id, Some(3)).await.unwrap();
    let mut link = Link::of(&test, &machine, id).await;
    assert_eq!(link.told.recv().await, config(Some(3)), "it may have been begun anew");
    hands_in(&test, &ada, &["first", "second", "third", "fourth"]).await;
    test.dispatch().await;
    assert_eq!(running(&pool).await, 3);
    drop(link);
    sets(&test, &ada, id, None).await.unwrap();
    let mut link = Link::of(&test, &machine, id).await;
    test.dispatch().await;
    let told = link.told.recv().await;
    assert!(matches!(told, Some(ToRunner::Assign { .. })), "a welcome is for as many as its machine says: {told:?}");
    assert_eq!(running(&pool).await, 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_older_runner_is_told_nothing_and_given_no_more_than_both_allow(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id) = joins(&test, &ada).await;
    let mut link = Link::of_an_older(&test, &machine, id, 2).await;
    let runner = sets(&test, &ada, id, Some(1)).await.unwrap();
    assert_eq!((runner.slots, runner.slots_own, runner.slots_to_come()), (1, 2, None));
    hands_in(&test, &ada, &["first", "second", "third"]).await;
    test.dispatch().await;
    let first = link.is_assigned().await;
    assert_eq!(running(&pool).await, 1, "the server holds it to that");
    let runner = sets(&test, &ada, id, Some(8)).await.unwrap();
    assert_eq!((runner.slots, runner.slots_set, runner.slots_to_come()), (2, Some(8), Some(8)), "whoever looks is told");
    test.dispatch().await;
    let second = link.is_assigned().await;
    assert_eq!(running(&pool).await, 2, "it would reject what it has no slot for");
    drop(link);
    // it was updated
    let mut link = Link::comes_with(&test, &machine, id, 2, &[first.attempt, second.attempt]).await;
    assert_eq!(link.told.recv().await, config(Some(8)));
    test.dispatch().await;
    link.is_assigned().await;
    let runner = test.engine.find_runner(&ada, id).await.unwrap().runner;
    assert_eq!((runner.slots, runner.slots_to_come(), runner.busy), (8, None, 3));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_set_over_another_server_is_told_before_the_next_heartbeat_and_with_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    hands_in(&test, &ada, &["first", "second"]).await;
    is_set_elsewhere(&pool, id, Some(2)).await;
    test.dispatch().await;
    assert_eq!(link.hears().await, config(Some(2)));
    let held = [link.is_assigned().await.attempt, link.is_assigned().await.attempt];
    is_set_elsewhere(&pool, id, Some(5)).await;
    link.beats(&held).await;
    assert_eq!(link.hears().await, config(Some(5)));
    link.beats(&held).await;
    is_set_elsewhere(&pool, id, None).await;
    link.beats(&held).await;
    assert_eq!(link.hears().await, config(None), "and what it was told it is not told again");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_claimed_with_more_slots_than_another_server_has_set_goes_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id) = joins(&test, &ada).await;
    let mut link = Link::of_slots(&test, &machine, id, 3).await;
    let mut dispatcher = Dispatcher::default();
    // it looks at what others have set, and not again so soon
    dispatcher.tick(&test.engine).await.unwrap();
    is_set_elsewhere(&pool, id, Some(1)).await;
    hands_in(&test, &ada, &["first", "second", "third"]).await;
    for _ in 0..2 {
        dispatcher.tick(&test.engine).await.unwrap();
        assert!(running(&pool).await <= 1, "above that nothing is given, however soon it is");
    }
    test.dispatch().await;
    assert_eq!(link.hears().await, config(Some(1)));
    link.is_assigned().await;
    assert_eq!(running(&pool).await, 1);
    let losses: i64 = sqlx::query_scalar("select sum(losses) from task").fetch_one(&pool).await.unwrap();
    assert_eq!(losses, 0, "nobody is charged for what was claimed meanwhile");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_may_set_slots_is_who_may_drain_and_what_cannot_be_is_refused(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let (_, id) = joins(&test, &ada).await;
    let member = Actor::new(ada.workspace_id, ActorKind::ApiKey { id: domain::ApiKeyId(uuid::Uuid::from_u128(1)), role: Role::Member });
    let forbidden = sets(&test, &member, id, Some(2)).await;
    assert!(matches!(forbidden, Err(Error::Forbidden(domain::Forbidden(Permission::ManageRunners)))), "{forbidden:?}");
    assert!(matches!(sets(&test, &eve, id, Some(2)).await, Err(Error::NotFound { .. })), "another's is none");
    for slots in [-1, 0, 1001] {
        assert_eq!(refused(sets(&test, &ada, id, Some(slots)).await), ["/slots out_of_range"], "{slots}");
    }
    let local = test.runner("here").await.session.id();
    assert!(matches!(sets(&test, &ada, local, Some(2)).await, Err(Error::Conflict(_))), "it works for others as well");
    let stored = sqlx::query("update runner set slots_set = 2 where id = $1").bind(local.0).execute(&pool).await;
    assert!(stored.is_err(), "the database says so too");
    test.engine.remove_runner(&ada, id).await.unwrap();
    assert!(matches!(sets(&test, &ada, id, Some(2)).await, Err(Error::NotFound { .. })));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn that_slots_were_set_is_in_the_log_of_the_runner_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id) = joins(&test, &ada).await;
    for slots in [None, Some(8), Some(8), Some(1), None, None] {
        sets(&test, &ada, id, slots).await.unwrap();
    }
    let log = test.engine.runner_log(&ada, id, &RunnerLogFilter::default()).await.unwrap();
    let told: Vec<_> = log.items.into_iter().rev().map(|entry| entry.what).collect();
    let by = || "Ada".to_owned();
    let expected = [
        RunnerNews::Joined { by: by() },
        RunnerNews::SlotsSet { by: by(), slots: 8 },
        RunnerNews::SlotsSet { by: by(), slots: 1 },
        RunnerNews::SlotsOwn { by: by() },
    ];
    assert_eq!(told, expected, "the same again is no news");
}

async fn beats_for(test: &TestEngine, link: &mut Link, seconds: i64, attempts: &[AttemptKey]) {
    for _ in 0..seconds / 10 {
        test.advance(TimeDelta::seconds(10));
        link.beats(attempts).await;
    }
}

/// What is kept of how the slots stood, each with its seconds.
async fn of_slots(test: &TestEngine, actor: &Actor, id: RunnerId) -> Vec<(RunnerState, i64, Option<TaskId>)> {
    test.chronicle().await;
    let all = test.engine.runner_periods(actor, id, &RunnerLogFilter::default()).await.unwrap().items;
    let of_slots = all.into_iter().rev().filter(|period| period.slot.is_some());
    of_slots.map(|period| (period.state, period.lasted_ms / 1000, period.task_id)).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn how_a_slot_stood_is_kept_to_its_end_where_there_are_fewer_meanwhile(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id) = joins(&test, &ada).await;
    let mut link = Link::of_slots(&test, &machine, id, 2).await;
    beats_for(&test, &mut link, 20, &[]).await;
    hands_in(&test, &ada, &["first", "second"]).await;
    test.dispatch().await;
    let (first, second) = (link.is_assigned().await, link.is_assigned().await);
    let both = [first.attempt, second.attempt];
    beats_for(&test, &mut link, 300, &both).await;
    sets(&test, &ada, id, Some(1)).await.unwrap();
    assert_eq!(link.hears().await, config(Some(1)));
    beats_for(&test, &mut link, 300, &both).await;
    assert!(of_slots(&test, &ada, id).await.is_empty(), "both are at work, as before");
    link.carries_out(&first).await;
    beats_for(&test, &mut link, 60, &both[1..]).await;
    link.carries_out(&second).await;
    beats_for(&test, &mut link, 300, &[]).await;
    let expected = [(RunnerState::Working, 600, Some(both[0].task_id)), (RunnerState::Working, 660, Some(both[1].task_id))];
    assert_eq!(of_slots(&test, &ada, id).await, expected);
    let day = test.engine.find_runner(&ada, id).await.unwrap().day;
    assert_eq!(day.slots.len(), 2, "it had both in the last day");
    let stands = |slot: usize| day.slots[slot].periods[0].state;
    let last = day.slots[1].periods[0].until;
    assert_eq!((stands(0), stands(1), last.is_some()), (RunnerState::Idle, RunnerState::Working, true), "one of them is no more");
    hands_in(&test, &ada, &["third"]).await;
    test.dispatch().await;
    let third = link.is_assigned().await;
    beats_for(&test, &mut link, 60, &[third.attempt]).await;
    link.carries_out(&third).await;
    beats_for(&test, &mut link, 300, &[]).await;
    assert_eq!(of_slots(&test, &ada, id).await, expected, "its only slot stands as it does");
    assert_eq!(test.engine.task_state(&ada, third.attempt.task_id).await.unwrap(), TaskStateName::Succeeded);
}
