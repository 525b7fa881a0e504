use std::pin::pin;

use chrono::TimeDelta;
use domain::{
    AgentTerms, AttemptKey, CheckStatus, FailureCode, NewTask, Priority, RunnerId, TaskStateName,
    protocol::{Assignment, AttemptReport, Hello, ToRunner, ToServer, VERSION},
};
use engine::{
    Clock, Entrance, Error, Rescuer, Service,
    testing::{TestEngine, TestRunner, cancel_what_waits, report},
};
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::scenario::{checked, state};

/// Past the grace that every runner has after the server's start.
fn after_the_grace() -> TimeDelta {
    TimeDelta::seconds(200)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_most_urgent_goes_first_and_among_equals_the_oldest(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    for (title, priority) in
        [("n1", Priority::Normal), ("l1", Priority::Low), ("n2", Priority::Normal), ("u1", Priority::Urgent), ("h1", Priority::High)]
    {
        test.create(&ada, NewTask { priority, ..checked(title) }).await;
        test.advance(TimeDelta::seconds(1));
    }
    let runner = test.runner("r1").await;
    let mut order = vec![];
    for _ in 0..5 {
        order.push(runner.claims_one().await.title);
    }
    assert_eq!(order, ["u1", "h1", "n1", "n2", "l1"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn many_claimers_take_every_task_once(pool: PgPool) {
    let test = TestEngine::with_clock(&pool, Clock::Database).await;
    let ada = test.owner().await;
    for number in 0..60 {
        test.create(&ada, checked(&format!("task {number}"))).await;
    }
    let (one, two, three) = (test.runner("r1").await, test.runner("r2").await, test.runner("r3").await);
    let drain = async |runner: &TestRunner| {
        let mut taken = vec![];
        loop {
            let some = runner.claims(3).await;
            if some.is_empty() {
                return taken;
            }
            taken.extend(some.into_iter().map(|assignment| assignment.attempt.task_id));
        }
    };
    let (a, b, c) = tokio::join!(drain(&one), drain(&two), drain(&three));
    let mut all = [a, b, c].concat();
    all.sort();
    let claimed = all.len();
    all.dedup();
    assert_eq!((claimed, all.len()), (60, 60));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_lost_the_task_can_write_nothing_more_about_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let (first, second) = (test.runner("r1").await, test.runner("r2").await);
    let lost = first.claims_one().await;
    first.starts(lost.attempt).await.unwrap();
    test.advance(after_the_grace());
    test.rescue().await;
    let held = second.claims_one().await;
    assert_eq!(held.attempt.number, 2);

    let refused = |result: engine::Result<()>| assert!(matches!(result, Err(Error::StaleLease)), "{result:?}");
    refused(first.logs(lost.attempt, 0, "late").await);
    refused(first.verifies(lost.attempt).await);
    refused(first.reports(lost.attempt, report(&lost, CheckStatus::Passed)).await);
    assert_eq!(first.renews(lost.attempt).await.unwrap(), (false, false));
    // Nor with the number of the attempt that holds it, which was given to another runner.
    refused(first.starts(held.attempt).await);
    refused(first.reports(held.attempt, report(&held, CheckStatus::Passed)).await);
    refused(first.logs(held.attempt, 0, "forged").await);
    second.succeeds(&held).await.unwrap();
    refused(second.reports(held.attempt, report(&held, CheckStatus::Failed)).await);
    assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_silent_runner_loses_its_task_after_the_lease_and_not_before(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    test.advance(after_the_grace());
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await.attempt;
    runner.starts(attempt).await.unwrap();
    let now = async || state(&test.engine.get_task(&ada, task).await.unwrap());
    test.advance(TimeDelta::seconds(119));
    test.rescue().await;
    assert_eq!(now().await, TaskStateName::Running);
    assert_eq!(runner.renews(attempt).await.unwrap(), (true, false));
    test.advance(TimeDelta::seconds(119));
    test.rescue().await;
    assert_eq!(now().await, TaskStateName::Running, "renewed in between");
    test.advance(TimeDelta::seconds(2));
    // Late, but nobody has taken the task back: what it says still counts.
    runner.logs(attempt, 0, "still here").await.unwrap();
    test.rescue().await;
    assert_eq!(now().await, TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_heartbeat_that_arrives_while_the_rescuer_is_on_its_way_wins(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await.attempt;
    test.advance(after_the_grace());
    // Found expired; before it is taken back, it is renewed.
    assert_eq!(runner.renews(attempt).await.unwrap(), (true, false));
    test.take_back(attempt).await;
    assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Running);
    test.advance(after_the_grace());
    test.take_back(attempt).await;
    assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn after_an_outage_every_runner_has_one_lease_to_be_heard(pool: PgPool) {
    let before = TestEngine::new(&pool).await;
    let ada = before.owner().await;
    let task = before.create(&ada, checked("one")).await.summary.id;
    let runner = before.runner("r1").await;
    let attempt = runner.claims_one().await.attempt;
    // The server was away for an hour; a new one starts on the same database.
    let clock = Clock::manual("2026-11-20T10:00:00Z".parse().unwrap());
    let after = TestEngine::with_clock(&pool, clock).await;
    after.rescue().await;
    assert_eq!(state(&after.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Running);
    let runner = after.runner("r1").await;
    assert_eq!(runner.renews(attempt).await.unwrap(), (true, false));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn after_a_sleep_every_runner_has_one_lease_to_be_heard(pool: PgPool) {
    is_heard_after_a_sleep(&pool, true).await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_could_not_look_before_a_sleep_knows_of_it_as_well(pool: PgPool) {
    is_heard_after_a_sleep(&pool, false).await;
}

/// Without a look before it: the database had not answered.
async fn is_heard_after_a_sleep(pool: &PgPool, has_looked: bool) {
    let test = TestEngine::new(pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    test.advance(after_the_grace());
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await.attempt;
    let mut rescuer = Rescuer::default();
    if has_looked {
        rescuer.tick(&test.engine).await.unwrap();
    }
    // The whole machine slept for an hour: nobody could say anything, and nobody could have heard it.
    test.advance(TimeDelta::hours(1));
    rescuer.tick(&test.engine).await.unwrap();
    assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Running);
    assert_eq!(runner.renews(attempt).await.unwrap(), (true, false));
    // From then on it is as always.
    for _ in 0..5 {
        test.advance(TimeDelta::seconds(59));
        rescuer.tick(&test.engine).await.unwrap();
    }
    assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_slot_is_free_again_when_its_attempt_ended_without_a_word(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    test.advance(after_the_grace());
    let mut connected = test.connected_runner("r1", 1).await;
    test.dispatch().await;
    assert_eq!(connected.told().len(), 1);
    connected.runner.is_idle().await.unwrap();
    test.create(&ada, checked("two")).await;
    test.dispatch().await;
    assert_eq!(connected.told().len(), 0, "the first is on its way");
    // The database was away for a lease: the runner has given the attempt up, and the rescuer takes it back.
    test.advance(TimeDelta::seconds(121));
    test.rescue().await;
    assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Queued);
    connected.runner.is_idle().await.unwrap();
    test.dispatch().await;
    assert_eq!(connected.told().len(), 1, "the runner is not full");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_that_loses_its_runner_three_times_is_set_aside(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("poison")).await.summary.id;
    let runner = test.runner("r1").await;
    for expected in [TaskStateName::Queued, TaskStateName::Queued, TaskStateName::Dead] {
        let attempt = runner.claims_one().await.attempt;
        runner.comes_back_without(attempt).await.unwrap();
        runner.comes_back_without(attempt).await.unwrap();
        assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), expected);
    }
    assert_eq!(state(&test.engine.retry_task(&ada, task).await.unwrap()), TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_is_stopped_gives_its_tasks_back_and_nobody_is_charged(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    for _ in 0..4 {
        let attempt = runner.claims_one().await.attempt;
        runner.starts(attempt).await.unwrap();
        assert_eq!(test.engine.give_back(&runner.session).await.unwrap(), 1);
        // What its next life says about the same attempt comes too late to count.
        runner.comes_back_without(attempt).await.unwrap();
        assert_eq!(state(&test.engine.get_task(&ada, task).await.unwrap()), TaskStateName::Queued);
    }
    assert_eq!(test.engine.give_back(&runner.session).await.unwrap(), 0);
}

/// The failure a task ends with when its only attempt is reported like this.
async fn failure_of(
    test: &TestEngine,
    ada: &domain::Actor,
    make: impl Fn(&Assignment) -> AttemptReport,
    verify: bool,
) -> (TaskStateName, FailureCode) {
    let task = test.create(ada, NewTask { max_attempts: 1, ..checked("one") }).await.summary.id;
    let runner = test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    if verify {
        runner.verifies(assignment.attempt).await.unwrap();
    }
    runner.reports(assignment.attempt, make(&assignment)).await.unwrap();
    let task = test.engine.get_task(ada, task).await.unwrap();
    (state(&task), task.summary.state.failure().expect("it failed").code)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn success_needs_exactly_the_checks_of_the_task(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let passed = |assignment: &Assignment| report(assignment, CheckStatus::Passed);
    let failed = (TaskStateName::Failed, FailureCode::RunnerFault);
    assert_eq!(failure_of(&test, &ada, |one| AttemptReport { verification: None, ..passed(one) }, true).await, failed);
    assert_eq!(failure_of(&test, &ada, passed, false).await, failed, "without ever verifying");
    let without_checks = |one: &Assignment| {
        let mut report = passed(one);
        report.verification.as_mut().unwrap().checks.clear();
        report
    };
    assert_eq!(failure_of(&test, &ada, without_checks, true).await, failed);
    let with_an_easier_check = |one: &Assignment| {
        let mut report = passed(one);
        report.verification.as_mut().unwrap().checks[0].spec.target = Some("true".into());
        report
    };
    assert_eq!(failure_of(&test, &ada, with_an_easier_check, true).await, failed);
    let timed_out = |one: &Assignment| report(one, CheckStatus::TimedOut);
    assert_eq!(failure_of(&test, &ada, timed_out, true).await, (TaskStateName::Failed, FailureCode::ChecksFailed));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn some_passed_checks_make_a_partial_result(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut new = NewTask { max_attempts: 1, ..checked("half") };
    new.checks.push(domain::CheckSpec::new(domain::CheckKind::GitClean, None));
    let task = test.create(&ada, new).await.summary.id;
    let runner = test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    let mut half = report(&assignment, CheckStatus::Passed);
    half.verification.as_mut().unwrap().checks[1].status = CheckStatus::Failed;
    runner.reports(assignment.attempt, half).await.unwrap();
    let task = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!((state(&task), task.summary.checks_passed), (TaskStateName::Partial, Some(1)));
    assert_eq!(task.summary.state.reason().as_deref(), Some("1 of 2 checks failed: git_clean"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_row_that_cannot_be_read_fails_alone(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let poisoned = test.create(&ada, checked("poisoned")).await.summary.id;
    let waits = NewTask { depends_on: vec![poisoned.into()], ..checked("waits for it") };
    let waits = test.create(&ada, waits).await.summary.id;
    test.create(&ada, checked("healthy")).await;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(poisoned.0).execute(&pool).await.unwrap();
    let runner = test.runner("r1").await;
    let claimed = runner.claims(5).await;
    assert_eq!(claimed.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(), ["healthy"]);
    let poisoned = sqlx::query_scalar::<_, String>("select failure ->> 'code' from task where id = $1").bind(poisoned.0);
    assert_eq!(poisoned.fetch_one(&pool).await.unwrap(), FailureCode::TaskUnreadable.name());
    assert_eq!(test.engine.task_state(&ada, waits).await.unwrap(), TaskStateName::Skipped, "nobody waits for ever");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_for_an_agent_of_another_version_is_read_and_given_to_nobody(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let agent = AgentTerms { max_turns: Some(3), ..AgentTerms::default() };
    let task = test.create(&ada, NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked("later") }).await.summary.id;
    sqlx::query(r#"update task set agent = agent || '{"backend": "later:one"}' where id = $1"#).bind(task.0).execute(&pool).await.unwrap();
    let shown = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!((shown.agent.backend, shown.agent.max_turns), (None, Some(3)));
    assert_eq!(test.runner("r1").await.claims(5).await, [], "never to another agent");
    let failed = test.engine.get_task(&ada, task).await.unwrap();
    let failure = failed.summary.state.failure().unwrap();
    assert_eq!(failure.code, FailureCode::TaskUnreadable);
    assert!(failure.message.contains("its agent is “later:one”"), "{}", failure.message);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_ref_that_no_branch_can_have_is_the_task_s_own_failure(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let task = test.create(&ada, checked("from nowhere")).await.summary.id;
    // as an input of a step may fill it
    sqlx::query("update task set base_ref = '${{ start }}', inputs = '{\"start\": \"--upload-pack=x\"}' where id = $1")
        .bind(task.0)
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(runner.claims(1).await, []);
    let task = test.engine.get_task(&ada, task).await.unwrap();
    let failure = task.summary.state.failure().unwrap();
    assert_eq!((state(&task), failure.code), (TaskStateName::Failed, FailureCode::RefMalformed));
    assert!(failure.message.starts_with("“--upload-pack=x”, from which it was to start, "), "{}", failure.message);
    assert_eq!(task.attempt_list[0].failure.as_ref(), Some(failure));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_an_attempt_left_is_kept_with_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    let diff =
        domain::protocol::NewArtifact { kind: domain::ArtifactKind::Diff, name: "changes.diff".into(), content: b"+hello\n".to_vec() };
    runner.reports(assignment.attempt, AttemptReport { artifacts: vec![diff], ..report(&assignment, CheckStatus::Passed) }).await.unwrap();
    let view = test.engine.get_task(&ada, task).await.unwrap();
    let attempt = &view.attempt_list[0];
    assert_eq!(
        (attempt.branch.as_deref(), attempt.commit.as_deref(), attempt.exit_code),
        (Some("muster/test-1"), Some("fedcba9876543210"), Some(0))
    );
    let artifact = &attempt.artifacts[0];
    let (found, content) = test.engine.artifact(&ada, artifact.id).await.unwrap();
    assert_eq!((&found, content.as_slice(), found.size), (artifact, b"+hello\n".as_slice(), 7));
    let diffs = async |attempt| {
        let diffs = test.engine.task_diffs(&ada, task, attempt).await.unwrap();
        diffs.into_iter().map(|(artifact, text)| (artifact.name, text)).collect::<Vec<_>>()
    };
    assert_eq!(diffs(1).await, [("changes.diff".to_owned(), "+hello\n".to_owned())]);
    assert_eq!(diffs(2).await, []);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn two_runners_of_one_name_are_two(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let ids = [1, 2].map(|number| domain::RunnerId(uuid::Uuid::from_u128(number)));
    let first = test.engine.register_runner(ids[0], 1, "vm (local)", 2, &[]).await.unwrap();
    let second = test.engine.register_runner(ids[1], 2, "vm (local)", 2, &[]).await.unwrap();
    assert_eq!((first.name(), second.name()), ("vm (local)", "vm (local) 00000002"));
    assert_eq!(test.engine.register_runner(ids[1], 3, "vm (local)", 4, &[]).await.unwrap().name(), second.name(), "and stay who they are");
    let task = test.create(&ada, checked("held by one")).await;
    let runner = test.playing(first);
    let held = runner.claims_one().await;
    assert_eq!(test.engine.give_back(&second).await.unwrap(), 0, "the other one has nothing to give back");
    runner.succeeds(&held).await.unwrap();
    assert_eq!(state(&test.engine.get_task(&ada, task.summary.id).await.unwrap()), TaskStateName::Succeeded);
}

fn hello(runner_id: RunnerId, lost: Vec<AttemptKey>) -> ToServer {
    let (name, capabilities, attempts) = ("r1".to_owned(), vec![], vec![]);
    ToServer::Hello(Hello {
        version: VERSION,
        runner_id,
        name,
        slots: 2,
        capabilities,
        attempts,
        lost,
        proof: String::new(),
        no_sandbox: None,
        lands: false,
        backends: vec![],
        rooms: None,
        left_behind: None,
        takes_slots: false,
        keeps: vec![],
    })
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_comes_while_the_database_does_not_answer_is_welcome_once_it_does(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let runner = test.runner("r1").await;
    let mut busy = pool.begin().await.unwrap();
    sqlx::query("lock table runner").execute(&mut *busy).await.unwrap();
    let (to_server, from_runner) = mpsc::channel(4);
    let (to_runner, mut told) = mpsc::channel(4);
    to_server.send(hello(runner.session.id(), vec![])).await.unwrap();
    let mut serving = pin!(engine::serve_runner(test.engine.clone(), Entrance::Here, from_runner, to_runner));
    let does_not_answer = async { while !cancel_what_waits(&pool).await {} };
    tokio::select! {
        _ = &mut serving => panic!("it was sent away"),
        () = does_not_answer => busy.rollback().await.unwrap(),
    }
    tokio::select! {
        _ = &mut serving => panic!("it was sent away after its first try"),
        first = told.recv() => assert!(matches!(first, Some(ToRunner::Opened { .. })), "{first:?}"),
    }
    tokio::select! {
        _ = &mut serving => panic!("it was sent away after its first try"),
        second = told.recv() => assert!(matches!(second, Some(ToRunner::Welcome { .. })), "{second:?}"),
    }
    drop(to_server);
    serving.await.unwrap();
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_begins_anew_never_began_what_it_does_not_know(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    for title in ["written down", "never begun"] {
        test.create(&ada, checked(title)).await;
    }
    let held = runner.claims(2).await;
    let (to_server, from_runner) = mpsc::channel(4);
    let (to_runner, _told) = mpsc::channel(4);
    to_server.send(hello(runner.session.id(), vec![held[0].attempt])).await.unwrap();
    drop(to_server);
    engine::serve_runner(test.engine.clone(), Entrance::Here, from_runner, to_runner).await.unwrap();
    for (assignment, losses) in held.iter().zip([1, 0]) {
        let task = test.engine.get_task(&ada, assignment.attempt.task_id).await.unwrap();
        let charged: i32 =
            sqlx::query_scalar("select losses from task where id = $1").bind(task.summary.id.0).fetch_one(&pool).await.unwrap();
        assert_eq!((state(&task), charged), (TaskStateName::Queued, losses), "{}", assignment.title);
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_report_has_the_hash_of_what_can_be_read_of_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let held = runner.claims_one().await;
    runner.starts(held.attempt).await.unwrap();
    runner.verifies(held.attempt).await.unwrap();
    let mut said = report(&held, CheckStatus::Passed);
    let verification = said.verification.as_mut().unwrap();
    verification.started_at += TimeDelta::nanoseconds(123_456_789);
    verification.checks[0].output = "\u{1f980} a\0b\x1b[31m\r\n".into();
    runner.reports(held.attempt, said).await.unwrap();
    let attempt = test.engine.get_task(&ada, task).await.unwrap().attempt_list.remove(0);
    let (read, hash) = (attempt.verification.unwrap(), attempt.report_hash.unwrap());
    assert_eq!(read.hash(), hash);
    sqlx::query("update verification_check set output = 'all was well'").execute(&pool).await.unwrap();
    let changed = test.engine.get_task(&ada, task).await.unwrap().attempt_list.remove(0);
    assert_ne!(changed.verification.unwrap().hash(), hash, "what is changed afterwards does not fit any more");
    assert_eq!(changed.report_hash, Some(hash));
}
