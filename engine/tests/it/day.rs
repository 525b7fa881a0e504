//! Runners that do not take what they are given, those that were stopped, and how a runner stood in the last day.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    Actor, AttemptKey, CheckStatus, NewTask, RunnerId, TaskId, TaskStateName,
    protocol::{Assignment, Said, ToRunner, ToServer},
    runner::{ACCEPT_SECONDS, RunnerLogFilter, RunnerState, TRIAL_SECONDS},
};
use engine::{
    Error, Keep, Retention, Service,
    testing::{TestEngine, report},
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

async fn is_unresponsive(test: &TestEngine, actor: &Actor, id: RunnerId) -> bool {
    test.engine.find_runner(actor, id).await.unwrap().runner.unresponsive_since.is_some()
}

/// From the earliest to what is now, with the seconds of each.
async fn stood(test: &TestEngine, actor: &Actor, id: RunnerId) -> Vec<(RunnerState, Option<i64>)> {
    let day = test.engine.find_runner(actor, id).await.unwrap().day;
    day.periods.iter().rev().map(|period| (period.state, period.lasted_ms.map(|lasted| lasted / 1000))).collect()
}

async fn beats_for(test: &TestEngine, link: &mut Link, seconds: i64, attempts: &[AttemptKey]) {
    for _ in 0..seconds / 10 {
        test.advance(TimeDelta::seconds(10));
        link.beats(attempts).await;
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_does_not_take_what_it_is_given_loses_its_link_and_is_tried_with_one(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let task = hands_in(&test, &ada, "first").await;
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    beats_for(&test, &mut link, ACCEPT_SECONDS - 10, &[]).await;
    assert!(!is_unresponsive(&test, &ada, id).await, "it has a minute for that");
    beats_for(&test, &mut link, 10, &[]).await;
    assert!(is_unresponsive(&test, &ada, id).await);
    assert_eq!(link.told.recv().await, None, "its link is over, so that its next one tells what it has");
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Running, "perhaps it has it after all");

    let mut link = Link::of(&test, &machine, id).await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued);
    let losses: i32 = sqlx::query_scalar("select losses from task where id = $1").bind(task.0).fetch_one(&pool).await.unwrap();
    assert_eq!(losses, 0, "what it never began is charged to nobody");
    assert!(is_unresponsive(&test, &ada, id).await, "a hello is no task taken");
    test.dispatch().await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued, "it does not get it again at once");
    beats_for(&test, &mut link, TRIAL_SECONDS, &[]).await;
    test.dispatch().await;
    let again = link.is_assigned().await;
    assert_eq!((again.attempt.task_id, again.attempt.number), (task, assignment.attempt.number + 1));
    link.beats(&[again.attempt]).await;
    assert!(!is_unresponsive(&test, &ada, id).await);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_rejects_is_back_at_once_and_it_rests(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, link) = Link::joined(&test, &ada).await;
    drop(link);
    let mut link = Link::of_slots(&test, &machine, id, 2).await;
    let task = hands_in(&test, &ada, "first").await;
    test.dispatch().await;
    let attempt = link.is_assigned().await.attempt;
    let rejects = ToServer::Rejects { attempt, reason: "its journal cannot be written".into(), optional: true };
    link.to_server.send(rejects).await.unwrap();
    link.to_server.send(ToServer::Said { attempt, sequence: 1, said: Said::Verifying }).await.unwrap();
    assert_eq!(link.told.recv().await, Some(ToRunner::Stale { attempt }), "it is with the runner no longer");
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued);
    let losses: i32 = sqlx::query_scalar("select losses from task where id = $1").bind(task.0).fetch_one(&pool).await.unwrap();
    assert_eq!(losses, 0, "nobody is charged");
    assert!(is_unresponsive(&test, &ada, id).await, "people see it");
    test.dispatch().await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued, "it does not get it again at once");
    beats_for(&test, &mut link, TRIAL_SECONDS - 10, &[]).await;
    test.dispatch().await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued, "its signs of life change nothing about that");
    beats_for(&test, &mut link, 10, &[]).await;
    test.dispatch().await;
    let again = link.is_assigned().await.attempt;
    assert_eq!((again.task_id, again.number), (task, attempt.number + 1));
    link.beats(&[again]).await;
    assert!(!is_unresponsive(&test, &ada, id).await);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_heartbeat_that_has_waited_says_nothing_of_what_was_given_meanwhile(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = test.connected_runner("here", 1).await;
    let id = runner.runner.session.id();
    hands_in(&test, &ada, "given while the server had no time").await;
    test.dispatch().await;
    test.advance(TimeDelta::seconds(ACCEPT_SECONDS));
    let minute = Duration::from_secs(ACCEPT_SECONDS.unsigned_abs());
    runner.runner.was_idle(minute).await.unwrap();
    assert!(!is_unresponsive(&test, &ada, id).await, "it may have been said before");
    runner.runner.was_idle(Duration::from_secs(5)).await.unwrap();
    assert!(is_unresponsive(&test, &ada, id).await, "the server was not late");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_names_it_has_taken_however_long_it_prepares(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    let task = hands_in(&test, &ada, "a large clone").await;
    test.dispatch().await;
    let attempt = link.is_assigned().await.attempt;
    beats_for(&test, &mut link, 10 * ACCEPT_SECONDS, &[attempt]).await;
    assert!(!is_unresponsive(&test, &ada, id).await);
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Running);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_unresponsive_runner_is_given_one_at_a_time(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "box").await.id;
    sqlx::query("update runner set unresponsive_since = last_seen_at where id = $1").bind(id.0).execute(&pool).await.unwrap();
    let mut link = Link::of_slots(&test, &machine, id, 3).await;
    for title in ["first", "second", "third"] {
        hands_in(&test, &ada, title).await;
    }
    test.dispatch().await;
    let first = link.is_assigned().await.attempt;
    let running = "select count(*) from task where state = 'running'";
    assert_eq!(sqlx::query_scalar::<_, i64>(running).fetch_one(&pool).await.unwrap(), 1);
    link.beats(&[first]).await;
    test.dispatch().await;
    assert_eq!(sqlx::query_scalar::<_, i64>(running).fetch_one(&pool).await.unwrap(), 3, "it takes what it is given");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_had_before_does_not_say_that_it_takes_anything(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "box").await.id;
    let mut link = Link::of_slots(&test, &machine, id, 4).await;
    hands_in(&test, &ada, "had").await;
    test.dispatch().await;
    let had = link.is_assigned().await.attempt;
    beats_for(&test, &mut link, 10, &[had]).await;
    hands_in(&test, &ada, "not taken").await;
    test.dispatch().await;
    link.is_assigned().await;
    beats_for(&test, &mut link, ACCEPT_SECONDS, &[had]).await;
    assert!(is_unresponsive(&test, &ada, id).await);
    let mut link = Link::comes_with(&test, &machine, id, 4, &[had]).await;
    beats_for(&test, &mut link, TRIAL_SECONDS, &[had]).await;
    assert!(is_unresponsive(&test, &ada, id).await);
    for title in ["second", "third"] {
        hands_in(&test, &ada, title).await;
    }
    test.dispatch().await;
    let running = "select count(*) from task where state = 'running'";
    assert_eq!(sqlx::query_scalar::<_, i64>(running).fetch_one(&pool).await.unwrap(), 2, "one beside what it has");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_never_sent_is_no_fault_of_the_runners(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let task = hands_in(&test, &ada, "claimed elsewhere").await;
    test.dispatch().await;
    link.is_assigned().await;
    drop(link);
    let mut link = Link::of(&test, &machine, id).await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued);
    // as if the server had ended between the claim and the sending
    let claimed = "insert into attempt (id, workspace_id, task_id, number, runner_id, state, claimed_at, lease_until, log_start)
                   select gen_random_uuid(), workspace_id, task_id, number + 1, runner_id, 'claimed', claimed_at, claimed_at + interval '2 minutes', 0 from attempt";
    sqlx::query(claimed).execute(&pool).await.unwrap();
    beats_for(&test, &mut link, ACCEPT_SECONDS, &[]).await;
    assert_eq!(link.told.recv().await, None, "its next hello tells what it has");
    assert!(!is_unresponsive(&test, &ada, id).await);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_is_stopped_is_offline_at_once_and_one_that_falls_silent_later(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let state = async || test.engine.find_runner(&ada, id).await.unwrap().runner.state;
    test.advance(TimeDelta::seconds(10));
    link.beats(&[]).await;
    drop(link);
    assert_eq!(state().await, RunnerState::Idle, "a link may break");
    let link = Link::of(&test, &machine, id).await;
    link.to_server.send(ToServer::Stops { ended: vec![], optional: true }).await.unwrap();
    link.beats_nothing_more().await;
    assert_eq!(state().await, RunnerState::Offline);
    test.advance(TimeDelta::seconds(30));
    let link = Link::of(&test, &machine, id).await;
    assert_eq!(state().await, RunnerState::Idle);
    test.advance(TimeDelta::seconds(60));
    assert_eq!(state().await, RunnerState::Offline);
    let told = stood(&test, &ada, id).await;
    let expected =
        [(RunnerState::Idle, Some(10)), (RunnerState::Offline, Some(30)), (RunnerState::Idle, Some(45)), (RunnerState::Offline, None)];
    assert_eq!(told, expected, "silence is an absence once it is 45 s long");
    drop(link);
}

/// Of a runner with one slot.
async fn begins(test: &TestEngine, link: &mut Link) -> Assignment {
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    let said = Said::Started { base_commit: "0123456789abcdef".into(), branch: "muster/stopped-1".into(), continues: None };
    says(link, &assignment, 1, said).await;
    assignment
}

async fn says(link: &mut Link, assignment: &Assignment, sequence: u64, said: Said) {
    link.to_server.send(ToServer::Said { attempt: assignment.attempt, sequence, said }).await.unwrap();
    assert_eq!(link.told.recv().await, Some(ToRunner::Stored { attempt: assignment.attempt, sequence }));
}

async fn stops(link: Link, ended: &[AttemptKey]) {
    link.to_server.send(ToServer::Stops { ended: ended.to_vec(), optional: true }).await.unwrap();
    link.beats_nothing_more().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_has_ended_as_it_stops_goes_to_the_next_at_once_and_costs_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let task = hands_in(&test, &ada, "begun").await;
    let first = begins(&test, &mut link).await;
    stops(link, &[first.attempt]).await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued, "nobody waits for a lease");
    let losses: i32 = sqlx::query_scalar("select losses from task where id = $1").bind(task.0).fetch_one(&pool).await.unwrap();
    assert_eq!(losses, 0);

    let (_, _, mut other) = Link::joined(&test, &ada).await;
    let second = begins(&test, &mut other).await;
    assert_eq!((second.attempt.task_id, second.attempt.number), (task, 2));
    // its next life has it in its journal still, and stops as well
    let link = Link::comes_with(&test, &machine, id, 1, &[first.attempt]).await;
    stops(link, &[first.attempt, second.attempt]).await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Running, "what is another's is not its to give back");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_that_stops_has_still_to_say_counts_when_it_is_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let task = hands_in(&test, &ada, "done").await;
    let assignment = begins(&test, &mut link).await;
    stops(link, &[]).await;
    test.advance(TimeDelta::seconds(60));
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Running);
    let mut link = Link::comes_with(&test, &machine, id, 1, &[assignment.attempt]).await;
    says(&mut link, &assignment, 2, Said::Verifying).await;
    let report = Box::new(report(&assignment, CheckStatus::Passed));
    says(&mut link, &assignment, 3, Said::Report { log_end: 0, report }).await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Succeeded);
}

/// For twenty seconds, and for thirty.
async fn idle_and_then_at_work(test: &TestEngine, ada: &Actor) -> (RunnerId, Link) {
    let (_, id, mut link) = Link::joined(test, ada).await;
    beats_for(test, &mut link, 20, &[]).await;
    hands_in(test, ada, "first").await;
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    beats_for(test, &mut link, 30, &[assignment.attempt]).await;
    link.carries_out(&assignment).await;
    (id, link)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn how_a_runner_stood_is_told_with_how_long(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let (id, mut link) = idle_and_then_at_work(&test, &ada).await;
    beats_for(&test, &mut link, 10, &[]).await;
    test.engine.drain_runner(&ada, id).await.unwrap();
    beats_for(&test, &mut link, 40, &[]).await;
    test.engine.resume_runner(&ada, id).await.unwrap();
    // nothing was heard of it for a minute, and then it goes on over the same link, as after a sleep
    test.advance(TimeDelta::seconds(60));
    link.beats(&[]).await;
    let expected = [
        (RunnerState::Idle, Some(20)),
        (RunnerState::Working, Some(30)),
        (RunnerState::Idle, Some(10)),
        (RunnerState::Draining, Some(40)),
        (RunnerState::Idle, Some(45)),
        (RunnerState::Offline, Some(15)),
        (RunnerState::Idle, None),
    ];
    assert_eq!(stood(&test, &ada, id).await, expected);
    assert!(test.engine.find_runner(&eve, id).await.is_err(), "it is another workspace's");
}

/// What is kept of it, from the earliest on, each with its seconds.
async fn kept(test: &TestEngine, actor: &Actor, id: RunnerId) -> Vec<(Option<i32>, RunnerState, i64)> {
    let filter = |cursor| RunnerLogFilter { cursor, limit: Some(2) };
    let mut page = test.engine.runner_periods(actor, id, &filter(None)).await.unwrap();
    let mut all = page.items;
    while let Some(cursor) = page.next_cursor {
        page = test.engine.runner_periods(actor, id, &filter(Some(cursor))).await.unwrap();
        all.append(&mut page.items);
    }
    all.into_iter().rev().map(|period| (period.slot, period.state, period.lasted_ms / 1000)).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn each_transition_of_a_runner_is_kept_once_with_how_long_it_lasted(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "box").await.id;
    let mut link = Link::of_slots(&test, &machine, id, 2).await;
    beats_for(&test, &mut link, 20, &[]).await;
    hands_in(&test, &ada, "first").await;
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    // it is taken over in the middle of the work
    beats_for(&test, &mut link, 300, &[assignment.attempt]).await;
    test.chronicle().await;
    assert_eq!(kept(&test, &ada, id).await, [(None, RunnerState::Idle, 20)], "what is not over is in none");
    beats_for(&test, &mut link, 30, &[assignment.attempt]).await;
    link.carries_out(&assignment).await;
    test.chronicle().await;
    beats_for(&test, &mut link, 40, &[]).await;
    test.engine.drain_runner(&ada, id).await.unwrap();
    beats_for(&test, &mut link, 50, &[]).await;
    test.engine.resume_runner(&ada, id).await.unwrap();
    beats_for(&test, &mut link, 300, &[]).await;
    let expected = [
        (None, RunnerState::Idle, 20),
        (None, RunnerState::Working, 330),
        (Some(1), RunnerState::Working, 330),
        (None, RunnerState::Idle, 40),
        (Some(1), RunnerState::Idle, 40),
        (None, RunnerState::Draining, 50),
        (Some(1), RunnerState::Draining, 50),
    ];
    for _ in 0..2 {
        test.chronicle().await;
        assert_eq!(kept(&test, &ada, id).await, expected);
    }
    let others = test.engine.runner_periods(&eve, id, &RunnerLogFilter::default()).await;
    assert!(matches!(others, Err(Error::NotFound { .. })), "it is another workspace's");

    test.advance(TimeDelta::days(91));
    Retention(Keep::default()).tick(&test.engine).await.unwrap();
    assert!(kept(&test, &ada, id).await.is_empty(), "it is long ago");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_a_runner_that_was_removed_nothing_more_is_looked_for(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (gone, there) = (Machine::new().joins(&test, &ada, "gone").await.id, Machine::new().joins(&test, &ada, "there").await.id);
    let looked_for = async || {
        test.advance(TimeDelta::minutes(10));
        test.chronicle().await;
        let known = "select runner_id from runner_horizon order by runner_id";
        sqlx::query_scalar::<_, uuid::Uuid>(known).fetch_all(&pool).await.unwrap()
    };
    let both = looked_for().await;
    assert!(both.contains(&gone.0) && both.contains(&there.0), "{both:?}");
    test.engine.remove_runner(&ada, gone).await.unwrap();
    for _ in 0..2 {
        assert!(!looked_for().await.contains(&gone.0));
    }
    assert!(looked_for().await.contains(&there.0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_everybodys_runner_each_workspace_is_kept_its_own_work(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let (id, _link) = idle_and_then_at_work(&test, &ada).await;
    let everybodys = "update runner set workspace_id = null, public_key = null, joined_by = null";
    sqlx::query(everybodys).execute(&pool).await.unwrap();
    test.advance(TimeDelta::minutes(10));
    test.chronicle().await;
    let expected = [(None, RunnerState::Idle, 20), (None, RunnerState::Working, 30), (None, RunnerState::Idle, 45)];
    assert_eq!(kept(&test, &ada, id).await, expected);
    assert_eq!(kept(&test, &eve, id).await, [(None, RunnerState::Idle, 95)]);
}
