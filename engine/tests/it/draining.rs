//! Runners that are to take nothing new, and what is known of what a runner has done.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, AttemptState, CheckStatus, NewTask, Permission, Priority, Role, RunnerId, SessionEvent, SessionEventKind, TaskId,
    TaskStateName,
    protocol::ToRunner,
    runner::{RunnerState, RunnerTally},
};
use engine::{
    Error,
    testing::{TestEngine, Words, report},
};
use sqlx::PgPool;

use crate::{
    far::{Link, Machine},
    scenario::checked,
};

async fn hands_in(test: &TestEngine, actor: &Actor, title: &str) -> TaskId {
    let new = NewTask { repository: "https://example.org/a.git".into(), ..checked(title) };
    test.create(actor, new).await.summary.id
}

async fn is_given_nothing(test: &TestEngine, actor: &Actor, waits: TaskId) {
    test.dispatch().await;
    assert_eq!(test.engine.task_state(actor, waits).await.unwrap(), TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_drained_runner_takes_nothing_new_and_brings_what_it_has_to_its_end(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    let first = hands_in(&test, &ada, "first").await;
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    let drained = test.engine.drain_runner(&ada, id).await.unwrap();
    assert_eq!((drained.state, drained.busy), (RunnerState::Draining, 1));
    assert_eq!(drained.draining.map(|draining| draining.by).as_deref(), Some("Ada"), "whoever looks knows whom to ask");
    let second = hands_in(&test, &ada, "second").await;
    is_given_nothing(&test, &ada, second).await;
    link.carries_out(&assignment).await;
    assert_eq!(test.engine.task_state(&ada, first).await.unwrap(), TaskStateName::Succeeded);
    is_given_nothing(&test, &ada, second).await;
    let resumed = test.engine.resume_runner(&ada, id).await.unwrap();
    assert_eq!((resumed.state, resumed.draining), (RunnerState::Idle, None));
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, second);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_drained_runner_stays_so_when_it_comes_again(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, link) = Link::joined(&test, &ada).await;
    test.engine.drain_runner(&ada, id).await.unwrap();
    drop(link);
    let mut link = Link::of(&test, &machine, id).await;
    let waits = hands_in(&test, &ada, "waits").await;
    is_given_nothing(&test, &ada, waits).await;
    link.beats(&[]).await;
    is_given_nothing(&test, &ada, waits).await;
    let attempts: i64 = sqlx::query_scalar("select count(*) from attempt").fetch_one(&pool).await.unwrap();
    assert_eq!(attempts, 0, "its hello was enough to know");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_is_told_that_it_is_drained_as_it_is_and_as_it_comes_again(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let drain = |on| Some(ToRunner::Drain { on, optional: true });
    test.engine.drain_runner(&ada, id).await.unwrap();
    assert_eq!(link.told.recv().await, drain(true));
    drop(link);
    let mut link = Link::of(&test, &machine, id).await;
    assert_eq!(link.told.recv().await, drain(true), "it may have been begun anew");
    test.engine.resume_runner(&ada, id).await.unwrap();
    assert_eq!(link.told.recv().await, drain(false));
    drop(link);
    let mut link = Link::of(&test, &machine, id).await;
    let next = hands_in(&test, &ada, "next").await;
    test.dispatch().await;
    let told = link.told.recv().await;
    assert!(matches!(&told, Some(ToRunner::Assign { assignment }) if assignment.attempt.task_id == next), "{told:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_another_server_drains_is_given_nothing_from_then_on(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    // as the other server writes it
    let drained = "update runner set draining_since = now(), draining_by = 'system' where id = $1";
    sqlx::query(drained).bind(id.0).execute(&pool).await.unwrap();
    let waits = hands_in(&test, &ada, "waits").await;
    is_given_nothing(&test, &ada, waits).await;
    let losses: i32 = sqlx::query_scalar("select losses from task where id = $1").bind(waits.0).fetch_one(&pool).await.unwrap();
    assert_eq!(losses, 0, "nobody is charged for what was claimed meanwhile");
    let resumed = "update runner set draining_since = null, draining_by = null where id = $1";
    sqlx::query(resumed).bind(id.0).execute(&pool).await.unwrap();
    link.beats(&[]).await;
    test.advance(TimeDelta::minutes(10));
    test.keep_time().await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, waits, "its link was left alone, and its heartbeat tells");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_another_server_resumes_is_given_work_before_its_next_heartbeat(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    test.engine.drain_runner(&ada, id).await.unwrap();
    let waits = hands_in(&test, &ada, "waits").await;
    is_given_nothing(&test, &ada, waits).await;
    // as the other server writes it
    let resumed = "update runner set draining_since = null, draining_by = null where id = $1";
    sqlx::query(resumed).bind(id.0).execute(&pool).await.unwrap();
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, waits);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_is_told_that_what_it_needs_is_with_a_drained_runner_alone(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, _link) = Link::joined(&test, &ada).await;
    test.engine.drain_runner(&ada, id).await.unwrap();
    let elsewhere = NewTask { repository: "https://example.org/a.git".into(), ..checked("needs it") };
    let needs = NewTask { capabilities: vec!["linux".into()], ..elsewhere };
    let task = test.create(&ada, needs.clone()).await;
    assert_eq!(task.unmet_capabilities, ["linux"]);
    assert_eq!(test.engine.preview_task(&ada, needs).await.unwrap().unmet_capabilities, ["linux"]);
    test.engine.resume_runner(&ada, id).await.unwrap();
    let task = test.engine.get_task(&ada, task.summary.id).await.unwrap();
    assert_eq!(task.unmet_capabilities, Vec::<String>::new());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_may_drain_is_who_may_remove(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let id = Machine::new().joins(&test, &ada, "box").await.id;
    let member = Actor::new(ada.workspace_id, ActorKind::ApiKey { id: domain::ApiKeyId(uuid::Uuid::from_u128(1)), role: Role::Member });
    let forbidden = |error: Error| matches!(error, Error::Forbidden(domain::Forbidden(Permission::ManageRunners)));
    assert!(forbidden(test.engine.drain_runner(&member, id).await.unwrap_err()));
    assert!(forbidden(test.engine.resume_runner(&member, id).await.unwrap_err()));
    assert!(matches!(test.engine.drain_runner(&eve, id).await, Err(Error::NotFound { .. })), "another's is none");
    assert!(matches!(test.engine.find_runner(&eve, id).await, Err(Error::NotFound { .. })));
    let local = test.runner("here").await.session.id();
    assert!(matches!(test.engine.drain_runner(&ada, local).await, Err(Error::Conflict(_))), "it works for others as well");
    let stored =
        sqlx::query("update runner set draining_since = now(), draining_by = 'system' where id = $1").bind(local.0).execute(&pool).await;
    assert!(stored.is_err(), "the database says so too");
    let first = test.engine.drain_runner(&ada, id).await.unwrap();
    test.advance(TimeDelta::minutes(1));
    assert_eq!(test.engine.drain_runner(&ada, id).await.unwrap().draining, first.draining, "the same again changes nothing");
    test.engine.remove_runner(&ada, id).await.unwrap();
    assert!(matches!(test.engine.resume_runner(&ada, id).await, Err(Error::NotFound { .. })));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_makes_room_on_a_runner_that_takes_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    let elsewhere = |title: &str, priority| NewTask { repository: "https://example.org/a.git".into(), priority, ..checked(title) };
    let low = test.create(&ada, elsewhere("low", Priority::Low)).await.summary.id;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, low);
    test.engine.drain_runner(&ada, id).await.unwrap();
    let other = Machine::new();
    let other_id = other.joins(&test, &ada, "other").await.id;
    let mut full = Link::of(&test, &other, other_id).await;
    let high = test.create(&ada, elsewhere("high", Priority::High)).await.summary.id;
    test.dispatch().await;
    assert_eq!(full.is_assigned().await.attempt.task_id, high);
    test.create(&ada, elsewhere("urgent", Priority::Urgent)).await;
    test.advance(TimeDelta::minutes(10));
    test.keep_time().await;
    let stopped: i64 = sqlx::query_scalar("select count(*) from task where stop is not null").fetch_one(&pool).await.unwrap();
    assert_eq!(stopped, 0, "its slot would stay empty");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_free_slots_of_a_drained_runner_are_nobodys(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, drained, _idle) = Link::joined(&test, &ada).await;
    test.engine.drain_runner(&ada, drained).await.unwrap();
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "other").await.id;
    let mut full = Link::of(&test, &machine, id).await;
    let elsewhere = |title: &str, priority| NewTask { repository: "https://example.org/a.git".into(), priority, ..checked(title) };
    let low = test.create(&ada, elsewhere("low", Priority::Low)).await.summary.id;
    test.dispatch().await;
    assert_eq!(full.is_assigned().await.attempt.task_id, low);
    test.create(&ada, elsewhere("urgent", Priority::Urgent)).await;
    test.advance(TimeDelta::minutes(10));
    test.keep_time().await;
    let stopped: Option<bool> =
        sqlx::query_scalar("select stop is not null from task where id = $1").bind(low.0).fetch_one(&pool).await.unwrap();
    assert_eq!(stopped, Some(true), "room is made where it can be used");
}

async fn tally(test: &TestEngine, actor: &Actor, id: RunnerId) -> RunnerTally {
    test.engine.find_runner(actor, id).await.unwrap().tally
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_does_and_has_done_is_found_with_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let local = test.connected_runner("here", 3).await;
    let id = local.runner.session.id();
    let [good, bad, open] = ["good", "bad", "open"].map(checked);
    for new in [good, bad, open] {
        test.create(&ada, NewTask { max_attempts: 1, ..new }).await;
    }
    let claimed = local.runner.claims(3).await;
    local.runner.starts(claimed[2].attempt).await.unwrap();
    local.runner.starts(claimed[0].attempt).await.unwrap();
    let used = SessionEventKind::Usage { model: None, input: 1200, cached: 200, cache_written: 0, output: 34, cost: None, is_part: true };
    let used = SessionEvent { number: 1, at: domain::Timestamp::UNIX_EPOCH, kind: used };
    local.runner.says_together(&[(claimed[0].attempt, Words::Session(vec![used]))]).await.pop().unwrap().unwrap();
    test.advance(TimeDelta::seconds(30));
    local.runner.verifies(claimed[0].attempt).await.unwrap();
    local.runner.reports(claimed[0].attempt, report(&claimed[0], CheckStatus::Passed)).await.unwrap();
    // it takes no time at all
    local.runner.fails(&claimed[1]).await.unwrap();
    let detail = test.engine.find_runner(&ada, id).await.unwrap();
    assert_eq!(detail.current.iter().map(|one| (one.task.as_str(), one.state)).collect::<Vec<_>>(), [("open", AttemptState::Running)]);
    let mut history: Vec<_> = detail.history.iter().map(|one| (one.task.as_str(), one.state, one.failure.is_some())).collect();
    history.sort_unstable_by_key(|one| one.0);
    assert_eq!(history, [("bad", AttemptState::Failed, true), ("good", AttemptState::Succeeded, false)]);
    let tokens = RunnerTally { input: 1200, cached: 200, output: 34, is_incomplete: true, ..RunnerTally::default() };
    assert_eq!(detail.tally, RunnerTally { succeeded: 1, failed: 1, mean_ms: Some(15_000), ..tokens });
    assert_eq!(tally(&test, &eve, id).await, RunnerTally::default(), "of what others have it do, nobody learns");
}
