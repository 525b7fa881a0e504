//! What ended long ago is deleted, with everything that belongs to it, and nothing that something still needs.

use chrono::TimeDelta;
use domain::{
    Actor, TaskId, TaskView,
    task::Dependency,
    workflow::{NewRun, RestartRun, RunFilter, RunView, SaveWorkflow},
};
use engine::{Forgotten, Keep, Retention, Service, Tick, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::{after, checked, state};

const TWO_WEEKS: Keep = Keep { ended: Some(TimeDelta::days(14)), dead: None };

fn gone(tasks: u64, runs: u64) -> Forgotten {
    Forgotten { tasks, runs }
}

async fn rows(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(pool).await.unwrap()
}

/// Everything that is old enough, and what a preview said of it.
async fn forget(test: &TestEngine, keep: Keep) -> Forgotten {
    let would = test.engine.would_forget(keep).await.unwrap();
    let did = test.engine.forget_all(keep, |_| {}).await.unwrap();
    assert_eq!(would, did, "a preview says what is done");
    did
}

async fn is_there(test: &TestEngine, actor: &Actor, task: TaskId) -> bool {
    test.engine.get_task(actor, task).await.is_ok()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn it_goes_with_everything_that_belongs_to_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let done = test.create(&ada, checked("done")).await.summary.id;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.logs(assignment.attempt, 0, "worked\n").await.unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    runner.reports(assignment.attempt, engine::testing::report(&assignment, domain::CheckStatus::Passed)).await.unwrap();
    let artifact = "insert into artifact (id, workspace_id, attempt_id, kind, name, sha256, content, created_at)
                    select id, workspace_id, id, 'diff', 'changes.diff', repeat('0', 64), '+', now() from attempt";
    sqlx::query(artifact).execute(&pool).await.unwrap();
    test.advance(TimeDelta::days(13));
    let young = test.create(&ada, checked("young")).await.summary.id;
    test.engine.cancel_task(&ada, young).await.unwrap();
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(0, 0), "its time has not come");
    assert_eq!(test.engine.forget_some(Keep::default()).await.unwrap(), gone(0, 0));
    test.advance(TimeDelta::days(2));
    assert_eq!(forget(&test, Keep::default()).await, gone(0, 0), "never is never");
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(1, 0));
    assert!(!is_there(&test, &ada, done).await && is_there(&test, &ada, young).await);
    for table in ["attempt", "verification", "verification_check", "log_chunk", "artifact"] {
        assert_eq!(rows(&pool, table).await, 0, "{table}");
    }
    assert_eq!(test.timeline(&ada, young).await.len(), 2, "what is kept keeps its whole timeline");
    assert_eq!(Retention(TWO_WEEKS).tick(&test.engine).await.unwrap(), Tick::Idle);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_something_needs_is_kept_however_old_it_is(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let parent = test.create(&ada, checked("parent")).await;
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    let slow = test.create(&ada, checked("slow")).await;
    let waiting = test.create(&ada, after("waiting", &[&parent, &slow])).await;
    let failed = test.create(&ada, after("failed", &[&parent])).await;
    test.engine.cancel_task(&ada, failed.summary.id).await.unwrap();
    test.advance(TimeDelta::days(400));
    let latest = test.create(&ada, after("latest", &[&parent])).await;
    // the one that was cancelled goes, and what the blocked one and the queued one wait for stays
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(1, 0));
    assert!(is_there(&test, &ada, parent.summary.id).await);
    assert_eq!(test.engine.get_task(&ada, waiting.summary.id).await.unwrap().depends_on.len(), 2);

    let mut claimed = runner.claims(2).await;
    claimed.sort_by_key(|one| one.attempt.task_id);
    for assignment in &claimed {
        runner.succeeds(assignment).await.unwrap();
    }
    assert_eq!(state(&test.engine.get_task(&ada, waiting.summary.id).await.unwrap()).name(), "queued");
    test.engine.cancel_task(&ada, waiting.summary.id).await.unwrap();
    // it could be brought back, and would wait for them again
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(0, 0));
    test.engine.retry_task(&ada, waiting.summary.id).await.unwrap();
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    // what has succeeded needs nothing any more: the parent goes, and its old children stay for their time
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(1, 0));
    assert!(!is_there(&test, &ada, parent.summary.id).await);
    assert_eq!(test.engine.get_task(&ada, latest.summary.id).await.unwrap().depends_on, []);
    test.advance(TimeDelta::days(15));
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(3, 0));
    assert_eq!((rows(&pool, "task").await, rows(&pool, "task_dependency").await, rows(&pool, "event").await), (0, 0, 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_set_aside_waits_for_a_person(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let dead = test.create(&ada, domain::NewTask { queue_seconds: Some(1), ..checked("dead") }).await.summary.id;
    test.advance(TimeDelta::seconds(2));
    test.keep_time().await;
    test.advance(TimeDelta::days(1000));
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(0, 0));
    assert!(is_there(&test, &ada, dead).await);
    assert_eq!(forget(&test, Keep { dead: Some(TimeDelta::days(90)), ..TWO_WEEKS }).await, gone(1, 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_goes_within_an_hour_of_its_end(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    test.engine.cancel_task(&ada, task).await.unwrap();
    test.advance(TimeDelta::minutes(59));
    let at_once = Keep { ended: Some(TimeDelta::zero()), dead: None };
    assert_eq!(forget(&test, at_once).await, gone(0, 0));
    test.advance(TimeDelta::minutes(2));
    assert_eq!(forget(&test, at_once).await, gone(1, 0));
}

const TWO_STEPS: &str = "name: release\nrepository: /srv/app\nsteps:\n  - id: build\n    command: make\n  - id: test\n    needs: [build]\n    command: make test\n";

async fn begun(test: &TestEngine, ada: &Actor) -> RunView {
    test.engine.save_workflow(ada, SaveWorkflow { source: TWO_STEPS.into() }).await.unwrap();
    test.engine.start_run(ada, "release", NewRun::default()).await.unwrap()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_goes_as_a_whole(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let run = begun(&test, &ada).await;
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    test.advance(TimeDelta::days(20));
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(0, 0), "its second step still waits");
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    test.advance(TimeDelta::days(10));
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(0, 0), "its second step ended ten days ago");
    assert_eq!(test.engine.get_run(&ada, run.summary.id).await.unwrap().steps.len(), 2);
    test.advance(TimeDelta::days(5));
    // people see all of it or nothing, however long the deletion takes
    let first = test.engine.forget_some(TWO_WEEKS).await.unwrap();
    assert_eq!(first.runs, 1);
    assert!(test.engine.get_run(&ada, run.summary.id).await.is_err());
    assert!(test.engine.restart_run(&ada, run.summary.id, RestartRun { from: Some("test".into()) }).await.is_err());
    assert_eq!(test.engine.list_runs(&ada, RunFilter::default()).await.unwrap().items, []);
    assert_eq!(test.engine.list_workflows(&ada).await.unwrap()[0].last_run, None);
    test.engine.forget_all(TWO_WEEKS, |_| {}).await.unwrap();
    test.engine.forget_some(TWO_WEEKS).await.unwrap();
    for table in ["task", "workflow_step", "workflow_run"] {
        assert_eq!(rows(&pool, table).await, 0, "{table}");
    }
    assert_eq!(test.engine.get_workflow(&ada, "release", None).await.unwrap().version, 1, "the definition stays");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_later_run_took_over_stays_with_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let first = begun(&test, &ada).await;
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    test.engine.cancel_run(&ada, first.summary.id).await.unwrap();
    test.advance(TimeDelta::days(30));
    let again = test.engine.restart_run(&ada, first.summary.id, RestartRun { from: Some("test".into()) }).await.unwrap();
    assert_eq!(forget(&test, TWO_WEEKS).await, gone(0, 0), "the second run shows what the first one built");
    assert_eq!(test.engine.get_run(&ada, again.summary.id).await.unwrap().steps.len(), 2);
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    test.advance(TimeDelta::days(15));
    test.engine.forget_all(TWO_WEEKS, |_| {}).await.unwrap();
    test.engine.forget_some(TWO_WEEKS).await.unwrap();
    assert_eq!((rows(&pool, "task").await, rows(&pool, "workflow_run").await), (0, 0));
}

/// As many old cancelled tasks as that.
async fn old_tasks(test: &TestEngine, pool: &PgPool, ada: &Actor, count: i64) {
    let first = test.create(ada, checked("pattern")).await.summary.id;
    test.engine.cancel_task(ada, first).await.unwrap();
    sqlx::query(
        "insert into task select (jsonb_populate_record(task, jsonb_build_object('id', gen_random_uuid()))).* from task, generate_series(1, $2) where id = $1",
    )
    .bind(first.0)
    .bind(count - 1)
    .execute(pool)
    .await
    .unwrap();
    let told = "insert into event (workspace_id, task_id, number, actor, kind, payload, at)
                select workspace_id, id, 1, 'system', 'task_created', '{\"kind\": \"task_created\", \"state\": \"queued\"}', now()
                from task where id <> $1";
    sqlx::query(told).bind(first.0).execute(pool).await.unwrap();
    test.advance(TimeDelta::days(15));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn replicas_share_the_work(pool: PgPool) {
    let (one, other) = (TestEngine::new(&pool).await, TestEngine::new(&pool).await);
    let ada = one.owner().await;
    old_tasks(&one, &pool, &ada, 300).await;
    other.advance(TimeDelta::days(15));
    let (by_one, by_other) = tokio::join!(one.engine.forget_all(TWO_WEEKS, |_| {}), other.engine.forget_all(TWO_WEEKS, |_| {}));
    let (by_one, by_other) = (by_one.unwrap(), by_other.unwrap());
    assert_eq!(by_one.tasks + by_other.tasks, 300, "each task once: {by_one:?} {by_other:?}");
    assert_eq!((rows(&pool, "task").await, rows(&pool, "event").await), (0, 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_that_is_waited_for_meanwhile_is_not_deleted_from_under_the_other(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let mut parents: Vec<TaskView> = vec![];
    for number in 0..60 {
        parents.push(test.create(&ada, checked(&format!("parent {number}"))).await);
        runner.succeeds(&runner.claims_one().await).await.unwrap();
    }
    test.advance(TimeDelta::days(15));
    let (engine, eve) = (test.engine.clone(), ada.clone());
    let follow_up = async move {
        let mut children = vec![];
        for parent in &parents {
            let new = domain::NewTask { depends_on: vec![Dependency::from(parent.summary.id)], ..checked("child") };
            match engine.create_task(&eve, new).await {
                Ok(child) => children.push(child.summary.id),
                Err(engine::Error::Invalid(invalid)) => assert_eq!(invalid.errors[0].code, "not_found"),
                Err(error) => panic!("{error}"),
            }
        }
        children
    };
    let forget = async {
        for _ in 0..200 {
            test.engine.forget_some(TWO_WEEKS).await.unwrap();
        }
    };
    let (children, ()) = tokio::join!(follow_up, forget);
    for child in children {
        assert_eq!(test.engine.get_task(&ada, child).await.unwrap().depends_on.len(), 1, "what it came after is still there");
    }
}

/// A table that names tasks and is not deleted with them would stop the deletion at its foreign key.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn everything_that_names_a_task_or_a_run_is_known(pool: PgPool) {
    let named: Vec<String> = sqlx::query_scalar(
        "select distinct conrelid::regclass || ' → ' || confrelid::regclass from pg_constraint
         where contype = 'f' and confrelid in ('task'::regclass, 'attempt'::regclass, 'verification'::regclass, 'workflow_run'::regclass)
         order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let known = [
        "approval → attempt",
        "approval → task",
        "artifact → attempt",
        "attempt → task",
        "attempt_repository → attempt",
        "attempt_usage → attempt",
        "event → task",
        "finding → attempt",
        "landing → attempt",
        "landing → task",
        "log_chunk → task",
        "report_part → attempt",
        "session_event → attempt",
        "task → workflow_run",
        "task_dependency → task",
        "task_repository → task",
        "telling → attempt",
        "verification → attempt",
        "verification_check → verification",
        "verification_round → attempt",
        "workflow_run → workflow_run",
        "workflow_run_change → workflow_run",
        "workflow_step → task",
        "workflow_step → workflow_run",
    ];
    assert_eq!(named, known, "engine/src/retention/store.rs deletes what names a task");
}
