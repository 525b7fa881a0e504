//! Attempts that were interrupted, and who is given the next one: the runner that keeps what it takes to go on, as long as that is at hand.

use domain::{
    Actor, AttemptKey, CheckStatus, Failure, FailureCode, TaskId,
    protocol::{Assignment, AttemptReport, Hello, ToRunner, WorkOutcome},
};
use engine::testing::{ConnectedRunner, TestEngine, report};
use sqlx::PgPool;

use crate::{link::Link, scenario::checked};

/// What it was given since the last time.
fn given(runner: &mut ConnectedRunner) -> Vec<Assignment> {
    let told = runner.told().into_iter();
    told.filter_map(|message| if let ToRunner::Assign { assignment } = message { Some(*assignment) } else { None }).collect()
}

/// The attempt at this task among what was given.
fn of(given: Vec<Assignment>, task: TaskId) -> Assignment {
    given.into_iter().find(|assignment| assignment.attempt.task_id == task).unwrap()
}

/// An attempt at each of so many new tasks, which the one runner that there is has begun and lost.
async fn interrupted(test: &TestEngine, ada: &Actor, runner: &mut ConnectedRunner, count: usize) -> Vec<AttemptKey> {
    let mut new = vec![];
    for number in 0..count {
        new.push(test.create(ada, checked(&format!("interrupted {number}"))).await.summary.id);
    }
    test.dispatch().await;
    let attempts: Vec<_> =
        given(runner).into_iter().map(|assignment| assignment.attempt).filter(|one| new.contains(&one.task_id)).collect();
    assert_eq!(attempts.len(), count);
    for attempt in &attempts {
        runner.runner.starts(*attempt).await.unwrap();
        runner.runner.comes_back_without(*attempt).await.unwrap();
    }
    attempts
}

fn tasks(given: &[Assignment]) -> Vec<TaskId> {
    let mut tasks: Vec<_> = given.iter().map(|assignment| assignment.attempt.task_id).collect();
    tasks.sort_unstable();
    tasks
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_keeps_what_was_interrupted_is_given_it_before_others_are(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut keeper = test.connected_runner("keeper", 9).await;
    let both = interrupted(&test, &ada, &mut keeper, 2).await;
    assert_eq!(keeper.keeps(&both).await, []);
    let mut others = vec![];
    for name in ["b", "c", "d", "e", "f"] {
        others.push(test.connected_runner(name, 3).await);
        // of another kind, which is given work by itself
        others.push(test.connected_runner_with(&name.repeat(2), 3, &[name]).await);
    }
    test.dispatch().await;
    let mut own = given(&mut keeper);
    own.sort_by_key(|assignment| assignment.attempt.task_id);
    let mut expected: Vec<_> = both.into_iter().map(|attempt| (attempt.task_id, 2, Some(attempt))).collect();
    expected.sort_by_key(|(task, ..)| *task);
    let is = |one: &Assignment| (one.attempt.task_id, one.attempt.number, one.continues);
    assert_eq!(own.iter().map(is).collect::<Vec<_>>(), expected);
    assert!(others.iter_mut().all(|other| given(other).is_empty()));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whatever_else_waits_is_given_out_beside_what_is_gone_on_from(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut keeper = test.connected_runner("keeper", 3).await;
    let attempt = interrupted(&test, &ada, &mut keeper, 1).await.remove(0);
    keeper.keeps(&[attempt]).await;
    let mut other = test.connected_runner("other", 3).await;
    let mut all = vec![attempt.task_id];
    for number in 0..4 {
        all.push(test.create(&ada, checked(&format!("task {number}"))).await.summary.id);
    }
    all.sort_unstable();
    test.dispatch().await;
    let (own, others) = (given(&mut keeper), given(&mut other));
    assert!(tasks(&own).contains(&attempt.task_id));
    let going_on: Vec<_> = own.iter().chain(&others).filter_map(|assignment| assignment.continues).collect();
    assert_eq!(going_on, [attempt]);
    assert_eq!((own.len(), others.len()), (2, 3), "each has its slots");
    assert_eq!(tasks(&[own, others].concat()), all, "each task is given to one");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_waits_for_a_runner_that_is_away_or_has_no_free_slot(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut full = test.connected_runner("full", 1).await;
    let first = interrupted(&test, &ada, &mut full, 1).await.remove(0);
    // its slot is not free yet
    assert_eq!(full.keeps(&[first]).await, []);
    let mut other = test.connected_runner("other", 9).await;
    test.dispatch().await;
    let next = given(&mut other).remove(0);
    assert_eq!((next.attempt.task_id, next.continues), (first.task_id, None), "what another keeps it does not hear of");
    drop(full);
    let mut away = test.connected_runner("away", 9).await;
    drop(other);
    let second = interrupted(&test, &ada, &mut away, 1).await.remove(0);
    away.keeps(&[second]).await;
    drop(away);
    let mut last = test.connected_runner("last", 9).await;
    test.dispatch().await;
    let next = of(given(&mut last), second.task_id);
    assert_eq!(next.continues, None);
}

/// Its lease was over before it came back, as after a restart of its machine that took a while.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_that_waits_for_its_runner_is_gone_on_from_when_that_comes_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut away = test.connected_runner("r1", 9).await;
    let attempt = interrupted(&test, &ada, &mut away, 1).await.remove(0);
    let other = test.create(&ada, checked("another")).await.summary.id;
    drop(away);
    let mut link = Link::of_machine(&test, |hello| Hello { slots: 2, keeps: vec![attempt], ..hello }).await;
    test.dispatch().await;
    let mut given = [link.is_assigned().await, link.is_assigned().await].map(|one| (one.attempt.task_id, one.continues));
    given.sort_by_key(|(task, _)| *task == other);
    assert_eq!(given, [(attempt.task_id, Some(attempt)), (other, None)]);
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_forgets_what_nobody_will_go_on_from(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut keeper = test.connected_runner("keeper", 99).await;
    let cancelled = interrupted(&test, &ada, &mut keeper, 1).await.remove(0);
    test.engine.cancel_task(&ada, cancelled.task_id).await.unwrap();
    assert_eq!(keeper.keeps(&[cancelled]).await, [cancelled], "its task is over");

    let limited = test.create(&ada, checked("limited")).await.summary.id;
    test.dispatch().await;
    let assignment = of(given(&mut keeper), limited);
    assert_eq!(keeper.keeps(&[assignment.attempt]).await, [assignment.attempt], "it has not begun");
    keeper.runner.starts(assignment.attempt).await.unwrap();
    assert_eq!(keeper.keeps(&[assignment.attempt]).await, [], "its last word is on its way");
    let failure = Failure { retry_after_seconds: Some(60), ..Failure::new(FailureCode::ProviderLimit, "come back later") };
    let outcome = WorkOutcome::Failed { failure };
    let sent = AttemptReport { outcome, verification: None, ..report(&assignment, CheckStatus::Passed) };
    keeper.runner.reports(assignment.attempt, sent).await.unwrap();
    assert_eq!(keeper.keeps(&[assignment.attempt]).await, [], "it is to come back");
    let other = test.connected_runner("other", 9).await;
    assert_eq!(other.keeps(&[assignment.attempt]).await, [assignment.attempt], "it was never with that one");

    let failed = test.create(&ada, checked("failed")).await.summary.id;
    drop(other);
    test.dispatch().await;
    let assignment = of(given(&mut keeper), failed);
    keeper.runner.fails(&assignment).await.unwrap();
    assert_eq!(keeper.keeps(&[assignment.attempt]).await, [assignment.attempt], "it was the work's own fault");

    let lost = interrupted(&test, &ada, &mut keeper, 1).await.remove(0);
    test.dispatch().await;
    let next = of(given(&mut keeper), lost.task_id).attempt;
    assert_eq!(keeper.keeps(&[lost]).await, [], "the next one has not begun");
    keeper.runner.starts(next).await.unwrap();
    assert_eq!(keeper.keeps(&[lost, next]).await, [lost]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_attempt_says_from_which_earlier_one_it_goes_on(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut keeper = test.connected_runner("keeper", 9).await;
    let first = interrupted(&test, &ada, &mut keeper, 1).await.remove(0);
    for (earlier, shown) in [(1, Some(1)), (7, None)] {
        test.dispatch().await;
        let next = given(&mut keeper).remove(0).attempt;
        keeper.runner.goes_on(next, earlier).await.unwrap();
        keeper.runner.comes_back_without(next).await.unwrap();
        let task = test.engine.get_task(&ada, first.task_id).await.unwrap();
        assert_eq!(task.attempt_list.last().unwrap().continues, shown, "whatever its runner says, it is an earlier one");
    }
}
