//! Changing a task, and changing it only as it was seen.

use chrono::TimeDelta;
use domain::{
    Actor, IfMatch, NewTask, Priority, TaskView,
    task::{Dependency, TaskChange},
    workflow::{GateAnswer, SaveWorkflow},
};
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::{checked, refused};

fn change(text: &str) -> TaskChange {
    serde_json::from_str(text).unwrap()
}

/// Somebody who has seen this version.
fn saw(actor: &Actor, version: i64) -> Actor {
    Actor { if_match: Some(IfMatch::Versions(vec![version])), ..actor.clone() }
}

fn changed_since<T: std::fmt::Debug>(result: engine::Result<T>) -> String {
    match result {
        Err(Error::Changed(said)) => said,
        other => panic!("expected that it has changed, got {other:?}"),
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_changed_is_shown_and_written_down(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("Old")).await;
    let id = task.summary.id;
    assert_eq!(test.engine.get_task(&ada, id).await.unwrap(), task, "a task that was just stored reads as it was answered");
    let wanted = change(
        r#"{"title":"New","priority":"high","tags":["web"],"complete_by":"2026-11-20T10:00:00Z","queue_seconds":60,"timeout_seconds":120,
            "max_attempts":5,"retry":{"strategy":"linear","base_seconds":2,"cap_seconds":9}}"#,
    );
    let edited = test.engine.edit_task(&saw(&ada, 1), id, wanted.clone()).await.unwrap();
    assert_eq!((edited.version, edited.summary.title.as_str(), edited.summary.priority), (2, "New", Priority::High));
    assert_eq!((edited.timeout_seconds, edited.summary.max_attempts, edited.queue_seconds), (120, 5, Some(60)));
    assert_eq!((Some(edited.retry), &edited.summary.tags), (wanted.retry, &vec!["web".to_owned()]));
    assert_eq!(Some(edited.complete_by), wanted.complete_by);
    assert_eq!(
        test.timeline(&ada, id).await.last().unwrap(),
        "Changed title “Old” → “New”, priority normal → high, tags none → web, complete by none → 2026-11-20T10:00:00Z, \
         queue seconds none → 60, timeout seconds 3600 → 120, max attempts 3 → 5, retry exponential 1 60 → linear 2 9"
    );
    let again = test.engine.edit_task(&ada, id, wanted).await.unwrap();
    assert_eq!(again, edited, "what is as it was leaves no trace");
    let cleared = test.engine.edit_task(&ada, id, change(r#"{"complete_by":null,"queue_seconds":null}"#)).await.unwrap();
    assert_eq!((cleared.complete_by, cleared.queue_seconds, cleared.summary.title.as_str()), (None, None, "New"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_was_slower_is_told_who_did_what(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = test.create(&ada, checked("One")).await.summary.id;
    let key = test.engine.create_key_here("ci", domain::Role::Member).await.unwrap();
    let ci = test.engine.actor_of_key(key.reveal()).await.unwrap().unwrap();
    let seen = saw(&ada, 1);
    test.engine.edit_task(&ci, id, change(r#"{"title":"Two"}"#)).await.unwrap();
    let runner = test.runner("builder").await;
    let assignment = runner.claims_one().await;
    let said = changed_since(test.engine.edit_task(&seen, id, change(r#"{"title":"Three"}"#)).await);
    assert_eq!(
        said,
        "it has changed since version 1 and is at version 3 now. ci (API key): Changed title “One” → “Two”; \
         builder: Attempt 1 given to builder"
    );
    assert_eq!(test.engine.get_task(&ada, id).await.unwrap().summary.title, "Two", "nothing of it was done");
    // the log grows, and nobody's change is stale for it
    runner.starts(assignment.attempt).await.unwrap();
    let seen = saw(&ada, 4);
    runner.logs(assignment.attempt, 0, "working\n").await.unwrap();
    assert_eq!(test.engine.edit_task(&seen, id, change(r#"{"title":"Three"}"#)).await.unwrap().version, 5);
    for never in [99, -1] {
        let said = changed_since(test.engine.edit_task(&saw(&ada, never), id, change(r#"{"title":"Four"}"#)).await);
        assert_eq!(said, "that is no version of this task; it is at version 5");
    }
    let whatever = Actor { if_match: Some(IfMatch::Any), ..ada };
    assert_eq!(test.engine.edit_task(&whatever, id, change(r#"{"title":"Four"}"#)).await.unwrap().version, 6);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_act_is_done_on_a_version_that_is_gone(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (one, other) = (test.create(&ada, checked("One")).await.summary.id, test.create(&ada, checked("Other")).await.summary.id);
    test.engine.edit_task(&ada, one, change(r#"{"title":"Two"}"#)).await.unwrap();
    let (engine, stale) = (&test.engine, saw(&ada, 1));
    let answers: Vec<engine::Result<TaskView>> = vec![
        engine.cancel_task(&stale, one).await,
        engine.pause_task(&stale, one).await,
        engine.resume_task(&stale, one).await,
        engine.retry_task(&stale, one).await,
        engine.discard_task(&stale, one).await,
        engine.approve_task(&stale, one, GateAnswer::default()).await,
        engine.reject_task(&stale, one, GateAnswer::default()).await,
        engine.add_dependencies(&stale, one, &[Dependency::from(other)]).await,
    ];
    for answer in answers {
        changed_since(answer);
    }
    assert_eq!(engine.pause_task(&saw(&ada, 2), one).await.unwrap().version, 3);
    assert_eq!(test.timeline(&ada, one).await.len(), 3);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_lane_that_is_changed_is_the_lane_it_queues_in(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    for title in ["first", "second"] {
        test.create(&ada, checked(title)).await;
    }
    let late = test.create(&ada, checked("late")).await.summary.id;
    test.engine.edit_task(&ada, late, change(r#"{"priority":"urgent"}"#)).await.unwrap();
    assert_eq!(runner.claims_one().await.attempt.task_id, late);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_deadline_that_is_moved_is_the_one_that_counts(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let by = |text: &str| Some(text.parse().unwrap());
    let id = test.create(&ada, NewTask { complete_by: by("2026-11-20T09:10:00Z"), ..checked("One") }).await.summary.id;
    test.engine.edit_task(&ada, id, change(r#"{"complete_by":"2026-11-20T09:30:00Z"}"#)).await.unwrap();
    test.advance(TimeDelta::minutes(20));
    test.keep_time().await;
    assert_eq!(test.engine.get_task(&ada, id).await.unwrap().summary.state.name().name(), "queued");
    let past = test.engine.edit_task(&ada, id, change(r#"{"complete_by":"2026-11-20T09:15:00Z"}"#)).await;
    assert_eq!(refused(past), ["/complete_by past"]);
    test.advance(TimeDelta::minutes(20));
    test.keep_time().await;
    let ended = test.engine.edit_task(&ada, id, change(r#"{"title":"Too late"}"#)).await;
    assert!(matches!(ended, Err(Error::InvalidTransition(_))), "{ended:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_stranger_finds_nothing_to_change(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let id = test.create(&ada, checked("One")).await.summary.id;
    let theirs = test.engine.edit_task(&eve, id, change(r#"{"title":"Mine now"}"#)).await;
    assert!(matches!(theirs, Err(Error::NotFound { .. })), "{theirs:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_workflow_is_saved_on_the_version_that_was_seen(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let source = |command: &str| SaveWorkflow { source: format!("name: release\nsteps:\n  - id: build\n    command: {command}\n") };
    let save = async |actor: &Actor, command: &str| test.engine.save_workflow(actor, source(command)).await;
    assert_eq!(changed_since(save(&saw(&ada, 1), "make").await), "there is no workflow of that name, so there is no version to match");
    assert_eq!(save(&ada, "make").await.unwrap().version, 1);
    assert_eq!(save(&saw(&ada, 1), "make all").await.unwrap().version, 2);
    let said = changed_since(save(&saw(&ada, 1), "make none").await);
    assert_eq!(said, "Ada saved version 2 at 2026-11-20 09:00:00 UTC; look at it and save again");
    assert_eq!(save(&saw(&ada, 1), "make all").await.unwrap().version, 2, "what it says already needs no saving");
    assert_eq!(test.engine.get_workflow(&ada, "release", None).await.unwrap().version, 2);
}
