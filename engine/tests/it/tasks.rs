use chrono::TimeDelta;
use domain::{NewTask, Priority, TaskFilter, TaskId, TaskStateName};
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::{after, checked, refused, state};

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_is_stored_as_it_was_asked_for(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let new = NewTask {
        base_ref: Some("main".into()),
        files: vec!["src/lib.rs".into()],
        success_criteria: vec!["it is tidy".into()],
        priority: Priority::Urgent,
        timeout_seconds: 60,
        max_attempts: 2,
        ..checked("Tidy up")
    };
    let created = test.create(&ada, new.clone()).await;
    let task = test.engine.get_task(&ada, created.summary.id).await.unwrap();
    assert_eq!(task, created);
    assert_eq!(state(&task), TaskStateName::Queued);
    assert_eq!(task.created_by, "Ada");
    assert_eq!(
        (task.base_ref, task.files, task.success_criteria, task.check_specs),
        (new.base_ref, new.files, new.success_criteria, new.checks)
    );
    assert_eq!((task.summary.priority, task.timeout_seconds, task.summary.max_attempts), (Priority::Urgent, 60, 2));
    assert_eq!(test.timeline(&ada, created.summary.id).await, ["Created, queued"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_refused_leaves_nothing_behind(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let unknown = TaskId(uuid::Uuid::from_u128(7));
    let missing = NewTask { depends_on: vec![unknown.into()], ..checked("Lonely") };
    assert_eq!(refused(test.engine.create_task(&ada, missing).await), ["/depends_on/0 not_found"]);
    let nul = NewTask { title: "a\0b".into(), command: Some("c\0d".into()), ..checked("") };
    assert_eq!(refused(test.engine.create_task(&ada, nul).await), ["/title nul", "/command nul"]);
    assert_eq!(test.engine.list_tasks(&ada, TaskFilter::default()).await.unwrap().items, []);
    assert_eq!(test.engine.list_repositories(&ada).await.unwrap(), []);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn lists_are_paged_filtered_and_searched(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    for title in ["one", "two", "100% done", "100x done", "five"] {
        test.create(&ada, checked(title)).await;
    }
    let titles = |page: domain::Page<domain::TaskSummary>| page.items.into_iter().map(|task| task.title).collect::<Vec<_>>();
    let two = TaskFilter { limit: Some(2), ..TaskFilter::default() };
    let first = test.engine.list_tasks(&ada, two.clone()).await.unwrap();
    let second = test.engine.list_tasks(&ada, TaskFilter { cursor: first.next_cursor.clone(), ..two.clone() }).await.unwrap();
    let third = test.engine.list_tasks(&ada, TaskFilter { cursor: second.next_cursor.clone(), ..two }).await.unwrap();
    assert_eq!(third.next_cursor, None);
    assert_eq!([titles(first), titles(second), titles(third)].concat(), ["five", "100x done", "100% done", "two", "one"]);

    let prompt = NewTask { command: None, prompt: Some("Speed up the Importer".into()), ..checked("six") };
    test.create(&ada, NewTask { tags: vec!["team/web".into()], ..prompt }).await;
    for (text, expected) in [
        ("0% D", vec!["100% done"]),
        ("importer", vec!["six"]),
        ("TEAM/W", vec!["six"]),
        ("make it", vec!["five", "100x done", "100% done", "two", "one"]),
        ("nowhere", vec![]),
    ] {
        let filter = TaskFilter { text: Some(text.into()), ..TaskFilter::default() };
        assert_eq!(titles(test.engine.list_tasks(&ada, filter.clone()).await.unwrap()), expected, "{text}");
        let bulk = domain::task::BulkTasks {
            act: domain::task::BulkAct::Cancel,
            priority: None,
            ids: vec![],
            filter: Some(filter),
            preview: true,
            expected: None,
        };
        assert_eq!(test.engine.change_tasks(&ada, bulk).await.unwrap().matched, expected.len() as i64, "{text}");
    }
    let cancelled = TaskFilter { state: Some(TaskStateName::Cancelled), ..TaskFilter::default() };
    assert_eq!(titles(test.engine.list_tasks(&ada, cancelled).await.unwrap()), Vec::<String>::new());
    for (bad, expected) in [
        (TaskFilter { limit: Some(0), ..TaskFilter::default() }, "/limit out_of_range"),
        (TaskFilter { limit: Some(1_000_000_000), ..TaskFilter::default() }, "/limit out_of_range"),
        (TaskFilter { cursor: Some("forged".into()), ..TaskFilter::default() }, "/cursor malformed"),
    ] {
        assert_eq!(refused(test.engine.list_tasks(&ada, bad).await), [expected]);
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_starts_when_everything_it_waits_for_has_succeeded(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (left, right) = (test.create(&ada, checked("left")).await, test.create(&ada, checked("right")).await);
    let child = test.create(&ada, after("child", &[&left, &right])).await;
    assert_eq!(state(&child), TaskStateName::Blocked);
    let runner = test.runner("r1").await;
    for expected in [TaskStateName::Blocked, TaskStateName::Queued] {
        let parent = runner.claims_one().await;
        runner.succeeds(&parent).await.unwrap();
        assert_eq!(state(&test.engine.get_task(&ada, child.summary.id).await.unwrap()), expected);
    }
    assert_eq!(test.timeline(&ada, child.summary.id).await, ["Created, waits for other tasks", "Dependencies done, queued"]);
    assert_eq!(runner.claims_one().await.title, "child");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn two_parents_that_end_at_the_same_moment_release_their_child_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = test.runner("r1").await;
    for round in 0..20 {
        let (left, right) = (test.create(&ada, checked("left")).await, test.create(&ada, checked("right")).await);
        let child = test.create(&ada, after("child", &[&left, &right])).await;
        let parents = runner.claims(2).await;
        assert_eq!(parents.len(), 2, "round {round}");
        let (one, two) = tokio::join!(runner.succeeds(&parents[0]), runner.succeeds(&parents[1]));
        one.unwrap();
        two.unwrap();
        let released = runner.claims(10).await;
        assert_eq!(released.iter().map(|one| one.attempt.task_id).collect::<Vec<_>>(), [child.summary.id], "round {round}");
        runner.succeeds(&released[0]).await.unwrap();
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_for_a_failure_is_skipped_with_the_reason_all_the_way_down(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let parent = test.create(&ada, NewTask { max_attempts: 1, ..checked("parent") }).await;
    let child = test.create(&ada, after("child", &[&parent])).await;
    let grandchild = test.create(&ada, after("grandchild", &[&child])).await;
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await;
    runner.fails(&attempt).await.unwrap();
    let reason = async |id| test.engine.get_task(&ada, id).await.unwrap().summary.state.reason().unwrap();
    assert_eq!(reason(child.summary.id).await, "it waits for “parent”, which ended failed");
    assert_eq!(reason(grandchild.summary.id).await, "it waits for “child”, which was skipped, as “parent” ended failed");
    let late = test.create(&ada, after("late", &[&parent])).await;
    assert_eq!(state(&late), TaskStateName::Skipped);

    let refused = test.engine.retry_task(&ada, child.summary.id).await.unwrap_err();
    assert_eq!(refused.to_string(), "it waits for “parent”, which ended failed; retry that one first");
    test.engine.retry_task(&ada, parent.summary.id).await.unwrap();
    let child = test.engine.retry_task(&ada, child.summary.id).await.unwrap();
    assert_eq!(state(&child), TaskStateName::Blocked);
    let again = runner.claims_one().await;
    runner.succeeds(&again).await.unwrap();
    assert_eq!(runner.claims_one().await.title, "child");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_ends_at_once_and_what_runs_ends_when_its_runner_has_stopped_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let waiting = test.create(&ada, checked("waiting")).await;
    let cancelled = test.engine.cancel_task(&ada, waiting.summary.id).await.unwrap();
    assert_eq!(state(&cancelled), TaskStateName::Cancelled);
    let error = test.engine.cancel_task(&ada, waiting.summary.id).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot cancel a task that is cancelled");

    let running = test.create(&ada, checked("running")).await;
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await;
    runner.starts(attempt.attempt).await.unwrap();
    for _ in 0..2 {
        let asked = test.engine.cancel_task(&ada, running.summary.id).await.unwrap();
        assert_eq!((state(&asked), asked.summary.state.cancel_requested()), (TaskStateName::Running, Some(ada.label().as_str())));
    }
    assert_eq!(runner.renews(attempt.attempt).await.unwrap(), (true, true));
    let stopped = domain::protocol::AttemptReport {
        outcome: domain::protocol::WorkOutcome::Cancelled,
        verification: None,
        ..engine::testing::report(&attempt, domain::CheckStatus::Passed)
    };
    runner.reports(attempt.attempt, stopped).await.unwrap();
    assert_eq!(
        test.timeline(&ada, running.summary.id).await,
        [
            "Created, queued",
            "Attempt 1 given to r1",
            "Attempt 1 started",
            "Cancellation asked for",
            "Attempt 1 cancelled",
            "Ended cancelled"
        ]
    );
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_failed_attempt_is_followed_by_another_after_a_while(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, NewTask { max_attempts: 2, ..checked("flaky") }).await;
    let runner = test.runner("r1").await;
    let first = runner.claims_one().await;
    runner.starts(first.attempt).await.unwrap();
    runner.verifies(first.attempt).await.unwrap();
    runner.reports(first.attempt, engine::testing::report(&first, domain::CheckStatus::Failed)).await.unwrap();
    test.dispatch().await;
    assert_eq!(runner.claims(1).await, [], "not before its time");
    test.advance(TimeDelta::seconds(1));
    test.dispatch().await;
    let second = runner.claims_one().await;
    assert_eq!(second.attempt.number, 2);
    assert_eq!(second.failed_checks.iter().map(|check| check.output.as_str()).collect::<Vec<_>>(), ["what the check printed"]);
    runner.succeeds(&second).await.unwrap();
    let task = test.engine.get_task(&ada, task.summary.id).await.unwrap();
    assert_eq!((state(&task), task.summary.checks_passed, task.summary.checks), (TaskStateName::Succeeded, Some(1), 1));
    assert_eq!(
        test.timeline(&ada, task.summary.id).await,
        [
            "Created, queued",
            "Attempt 1 given to r1",
            "Attempt 1 started",
            "Attempt 1: work done, checks running",
            "Attempt 1 failed, 0 of 1 checks passed: 1 of 1 checks failed: command_succeeds make test",
            "To be tried again, waits for its time",
            "Its time has come, queued",
            "Attempt 2 given to r1",
            "Attempt 2 started",
            "Attempt 2: work done, checks running",
            "Attempt 2 succeeded, 1 of 1 checks passed",
            "Ended succeeded",
        ]
    );
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_edge_closes_a_cycle(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let top = test.create(&ada, checked("top")).await;
    let middle = test.create(&ada, after("middle", &[&top])).await;
    let bottom = test.create(&ada, after("bottom", &[&middle])).await;
    let add = async |task: TaskId, on: TaskId| test.engine.add_dependencies(&ada, task, &[on.into()]).await;
    for (task, on) in [(&top, &bottom), (&top, &middle), (&top, &top)] {
        assert_eq!(refused(add(task.summary.id, on.summary.id).await), ["/depends_on/0 cycle"]);
    }
    let other = test.create(&ada, checked("other")).await;
    let top = add(top.summary.id, other.summary.id).await.unwrap();
    assert_eq!(state(&top), TaskStateName::Blocked);
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await;
    assert_eq!(attempt.title, "other");
    let begun = add(other.summary.id, bottom.summary.id).await.unwrap_err();
    assert!(matches!(begun, Error::Invalid(_)), "it closes a cycle through top: {begun}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn two_edges_that_would_close_a_cycle_together_do_not_pass_each_other(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    for round in 0..20 {
        let task = async |title: &str| test.create(&ada, checked(title)).await;
        // Neither edge touches a row of the other: only the two together go round.
        let (one, two) = (task("one").await, task("two").await);
        let below_one = test.create(&ada, after("waits for one", &[&one])).await.summary.id;
        let below_two = test.create(&ada, after("waits for two", &[&two])).await.summary.id;
        let (on_two, on_one) = ([below_two.into()], [below_one.into()]);
        let results = tokio::join!(
            test.engine.add_dependencies(&ada, one.summary.id, &on_two),
            test.engine.add_dependencies(&ada, two.summary.id, &on_one)
        );
        let accepted = [results.0.is_ok(), results.1.is_ok()].into_iter().filter(|ok| *ok).count();
        assert_eq!(accepted, 1, "round {round}: {results:?}");
        let refused = if results.0.is_ok() { results.1 } else { results.0 };
        assert_eq!(crate::scenario::refused(refused), ["/depends_on/0 cycle"], "round {round}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_database_refuses_what_the_domain_refuses(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let write = async |sql: &'static str| sqlx::query(sql).bind(task.0).execute(&pool).await.map(|done| done.rows_affected());
    for illegal in [
        "update task set state = 'succeeded', queued_at = null, turn = null, ended_at = now(), attempts = 1 where id = $1",
        "update task set state = 'verifying', queued_at = null, turn = null, attempts = 1 where id = $1",
        "update task set state = 'blocked', queued_at = null, turn = null where id = $1",
        "update task set state = 'running' where id = $1",
        "update task set state = 'nonsense' where id = $1",
        "update task set attempts = -1 where id = $1",
        "update task set ended_at = now() where id = $1",
        "update event set kind = 'other' where task_id = $1",
        "insert into task_dependency (workspace_id, task_id, depends_on_id, created_at) select workspace_id, id, id, now() from task where id = $1",
    ] {
        assert!(write(illegal).await.is_err(), "{illegal}");
    }
    assert_eq!(write("update task set state = 'running', queued_at = null, turn = null, attempts = 1 where id = $1").await.unwrap(), 1);
    assert!(write("update task set attempts = 0 where id = $1").await.is_err(), "the fence never falls");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_request_that_goes_away_leaves_no_transaction_open(pool: PgPool) {
    use std::{pin::pin, task::Poll};
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    // The same request, dropped after its first, second, third, … step.
    for steps in 0..60 {
        let mut request = pin!(test.engine.create_task(&ada, checked("gone")));
        let mut left = steps;
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            request.as_mut().poll(context).map(drop)
        })
        .await;
    }
    for _ in 0..30 {
        test.create(&ada, checked("stays")).await;
    }
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(open, 0);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_answer_to_a_new_task_is_what_is_stored(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let full = NewTask {
        run_at: Some(
            test.engine.get_task(&ada, test.create(&ada, checked("one")).await.summary.id).await.unwrap().summary.created_at
                + chrono::TimeDelta::hours(1),
        ),
        tags: vec!["a".into()],
        inputs: [("x".into(), serde_json::json!([1, "two"]))].into(),
        queue_seconds: Some(9),
        base_ref: Some("main".into()),
        capabilities: vec!["gpu".into()],
        tier: Some(domain::task::Tier::Complex),
        estimate_seconds: Some(600),
        land: domain::Land::Push,
        submodules: true,
        lfs: true,
        repositories: vec![domain::task::NewRepository::parse(" api=/srv/server#main ")],
        retry: serde_json::from_value(serde_json::json!({"by_class": {"provider_limit": {"base_seconds": 30}}})).unwrap(),
        ..checked(" Trimmed ")
    };
    for new in [checked("plain"), full] {
        let answered = test.create(&ada, new).await;
        assert_eq!(test.engine.get_task(&ada, answered.summary.id).await.unwrap(), answered);
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_preview_says_what_would_come_and_leaves_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let parent = test.create(&ada, checked("parent")).await;
    let preview = async |new: NewTask| test.engine.preview_task(&ada, new).await.unwrap();
    let next = preview(checked("x")).await;
    assert_eq!(
        (next.state, next.ahead, next.reasons[0].as_str()),
        (TaskStateName::Queued, 1, "it would be queued in the normal lane behind 1 task")
    );
    assert_eq!(next.reasons[1], "no runner is connected");
    let waits = preview(after("y", &[&parent])).await;
    assert_eq!((waits.state, waits.reasons[0].as_str()), (TaskStateName::Blocked, "it would wait for “parent” to succeed"));
    let unknown = NewTask { depends_on: vec![TaskId(uuid::Uuid::now_v7()).into()], ..checked("z") };
    assert_eq!(refused(test.engine.preview_task(&ada, unknown).await), ["/depends_on/0 not_found"]);
    let page = test.engine.list_tasks(&ada, domain::TaskFilter::default()).await.unwrap();
    assert_eq!(page.items.len(), 1, "only the parent is there");
}
