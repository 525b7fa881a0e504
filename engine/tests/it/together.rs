//! What a runner says at once: one transaction, and every message as if it had been said alone.

use domain::{
    ArtifactKind, AttemptKey, CheckStatus, NewTask, TaskId, TaskStateName,
    protocol::{Assignment, AttemptReport, Hello, NewArtifact, Said, ToRunner, ToServer, VERSION},
    task::{Dependency, On},
};
use engine::{
    Error,
    testing::{TestEngine, Words, report},
};
use sqlx::PgPool;

use crate::scenario::checked;

fn passed(assignment: &Assignment) -> Words {
    Words::Report(Box::new(report(assignment, CheckStatus::Passed)))
}

/// All that is said of an attempt that goes well.
fn life(assignment: &Assignment) -> Vec<(AttemptKey, Words)> {
    vec![(assignment.attempt, Words::Started), (assignment.attempt, Words::Verifying), (assignment.attempt, passed(assignment))]
}

async fn claimed(test: &TestEngine, ada: &domain::Actor, count: usize) -> (Vec<TaskId>, Vec<Assignment>) {
    let mut ids = vec![];
    for number in 0..count {
        ids.push(test.create(ada, NewTask { max_attempts: 1, ..checked(&format!("task {number}")) }).await.summary.id);
    }
    let claimed = test.runner("r1").await.claims(count).await;
    assert_eq!(claimed.iter().map(|one| one.attempt.task_id).collect::<Vec<_>>(), ids);
    (ids, claimed)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_whole_life_said_at_once_passes_every_state(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (ids, claimed) = claimed(&test, &ada, 2).await;
    let runner = test.runner("r1").await;
    for outcome in runner.says_together(&claimed.iter().flat_map(life).collect::<Vec<_>>()).await {
        outcome.unwrap();
    }
    let alone = test.create(&ada, checked("alone")).await.summary.id;
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    for id in ids {
        assert_eq!(test.timeline(&ada, id).await, test.timeline(&ada, alone).await, "as one that was told one by one");
        let numbers: Vec<_> = test.engine.task_events(&ada, id).await.unwrap().iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
        let view = test.engine.get_task(&ada, id).await.unwrap();
        let attempt = &view.attempt_list[0];
        assert_eq!((view.summary.state.name(), attempt.state), (TaskStateName::Succeeded, domain::AttemptState::Succeeded));
        assert_eq!((attempt.exit_code, attempt.base_commit.as_deref()), (Some(0), Some("0123456789abcdef")));
        assert!(attempt.started_at.is_some() && attempt.ended_at.is_some());
        assert_eq!(attempt.verification.as_ref().unwrap().checks.len(), 1);
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_stale_drops_out_and_hurts_nobody(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (ids, held) = claimed(&test, &ada, 3).await;
    let runner = test.runner("r1").await;
    // One is lost and taken by another runner meanwhile.
    runner.comes_back_without(held[1].attempt).await.unwrap();
    let again = test.runner("r2").await.claims_one().await;
    // The number is the fence, whatever else is right about an attempt.
    let forged = AttemptKey { number: held[2].attempt.number + 1, ..held[2].attempt };
    let said = [
        (held[0].attempt, Words::Started),
        (held[1].attempt, Words::Started),
        (forged, Words::Started),
        (again.attempt, Words::Started),
        (held[2].attempt, Words::Started),
        (held[2].attempt, Words::Started),
        (held[2].attempt, Words::Verifying),
        (held[2].attempt, passed(&held[2])),
        (held[2].attempt, passed(&held[2])),
        (held[0].attempt, Words::Verifying),
    ];
    let outcomes = runner.says_together(&said).await;
    let stale: Vec<_> = outcomes.iter().map(|one| matches!(one, Err(Error::StaleLease))).collect();
    assert_eq!(stale, [false, true, true, true, false, true, false, false, true, false], "{outcomes:?}");
    let states = [TaskStateName::Verifying, TaskStateName::Running, TaskStateName::Succeeded];
    for (id, expected) in ids.iter().zip(states) {
        assert_eq!(test.engine.task_state(&ada, *id).await.unwrap(), expected);
    }
    let ended = test.timeline(&ada, ids[2]).await.iter().filter(|line| *line == "Ended succeeded").count();
    assert_eq!(ended, 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_the_database_refuses_is_refused_alone(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (ids, held) = claimed(&test, &ada, 3).await;
    let mut said: Vec<_> = held.iter().flat_map(life).collect();
    let diff = NewArtifact { kind: ArtifactKind::Diff, name: "n".repeat(201), content: b"+hello\n".to_vec() };
    said[5].1 = Words::Report(Box::new(AttemptReport { artifacts: vec![diff], ..report(&held[1], CheckStatus::Passed) }));
    let outcomes = test.runner("r1").await.says_together(&said).await;
    for (place, outcome) in outcomes.iter().enumerate() {
        assert_eq!(matches!(outcome, Err(Error::Database(_))), place == 5, "{place}: {outcome:?}");
        assert_eq!(outcome.is_ok(), place != 5, "{place}: {outcome:?}");
    }
    for (id, expected) in ids.iter().zip([TaskStateName::Succeeded, TaskStateName::Verifying, TaskStateName::Succeeded]) {
        assert_eq!(test.engine.task_state(&ada, *id).await.unwrap(), expected);
        let numbers: Vec<_> = test.engine.task_events(&ada, *id).await.unwrap().iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn parents_that_end_together_are_each_counted(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (ids, held) = claimed(&test, &ada, 4).await;
    let after = |parents: &[TaskId], on: On| NewTask {
        depends_on: parents.iter().map(|id| Dependency { on: on.clone(), ..(*id).into() }).collect(),
        ..checked("after")
    };
    let given = |parent: TaskId| Dependency { feeds: [("code".to_owned(), "/exit_code".to_owned())].into(), ..parent.into() };
    let feeds = NewTask { depends_on: vec![given(ids[0]), ids[1].into()], ..checked("fed") };
    let new = [
        after(&ids[..3], On::Success),
        after(&ids, On::Success),
        after(&[ids[0], ids[3]], On::End),
        after(&ids[..2], On::Condition("result.exit_code == 0".into())),
        after(&ids[..2], On::Condition("result.exit_code != 0".into())),
        feeds,
    ];
    let mut children = vec![];
    for new in new {
        children.push(test.create(&ada, new).await.summary.id);
    }
    let below = NewTask { depends_on: vec![children[4].into()], ..checked("below") };
    children.push(test.create(&ada, below).await.summary.id);
    let said: Vec<_> = held[..3].iter().flat_map(life).collect();
    let runner = test.runner("r1").await;
    for outcome in runner.says_together(&said).await {
        outcome.unwrap();
    }
    let states = async || {
        let mut states = vec![];
        for id in &children {
            states.push(test.engine.task_state(&ada, *id).await.unwrap());
        }
        states
    };
    use TaskStateName::{Blocked, Queued, Skipped};
    assert_eq!(states().await, [Queued, Blocked, Blocked, Queued, Skipped, Queued, Skipped]);
    let waits: i32 = sqlx::query_scalar("select waiting_for from task where id = $1").bind(children[1].0).fetch_one(&pool).await.unwrap();
    assert_eq!(waits, 1);
    runner.fails(&held[3]).await.unwrap();
    assert_eq!(states().await, [Queued, Skipped, Queued, Queued, Skipped, Queued, Skipped]);
    let fed = runner.claims(10).await.into_iter().find(|one| one.title == "fed").unwrap();
    assert_eq!(fed.inputs.get("code"), Some(&serde_json::json!(0)));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_answers_in_the_order_in_which_it_was_told(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let (to_server, from_runner) = tokio::sync::mpsc::channel(16);
    let (to_runner, mut told) = tokio::sync::mpsc::channel(64);
    let serving = tokio::task::LocalSet::new();
    let engine = test.engine.clone();
    let served = serving.run_until(async {
        let hello = Hello {
            version: VERSION,
            runner_id: runner.session.id(),
            name: "r1".into(),
            slots: 2,
            capabilities: vec![],
            attempts: vec![],
            lost: vec![],
            proof: String::new(),
            no_sandbox: None,
            lands: false,
            backends: vec![],
            rooms: None,
            left_behind: None,
            takes_slots: false,
            keeps: vec![],
        };
        to_server.send(ToServer::Hello(hello)).await.unwrap();
        let link = tokio::task::spawn_local(engine::serve_runner(engine, engine::Entrance::Here, from_runner, to_runner));
        assert!(matches!(told.recv().await, Some(ToRunner::Opened { .. })));
        assert!(matches!(told.recv().await, Some(ToRunner::Welcome { .. })));
        test.dispatch().await;
        let assignment = loop {
            if let ToRunner::Assign { assignment } = told.recv().await.unwrap() {
                break *assignment;
            }
        };
        let attempt = assignment.attempt;
        let log =
            |offset: u64, text: &str| ToServer::Log { attempt, offset, stream: domain::LogStream::Stdout, bytes: text.as_bytes().to_vec() };
        let said = |sequence: u64, said: Said| ToServer::Said { attempt, sequence, said };
        let report = || Said::Report { log_end: 12, report: Box::new(report(&assignment, CheckStatus::Passed)) };
        let messages = [
            said(1, Said::Started { base_commit: "0123456789abcdef".into(), branch: "muster/one-1".into(), continues: None }),
            log(0, "first "),
            log(6, "second"),
            ToServer::Heartbeat { beat: 7, attempts: vec![attempt], left_behind: None },
            said(2, Said::Verifying),
            said(3, report()),
            log(12, "too late"),
            said(3, report()),
            said(4, report()),
        ];
        for message in messages {
            to_server.send(message).await.unwrap();
        }
        let mut answers = vec![];
        while answers.len() < 9 {
            answers.push(match told.recv().await.unwrap() {
                ToRunner::Stored { sequence, .. } => format!("stored {sequence}"),
                ToRunner::Logged { end, .. } => format!("logged {end}"),
                ToRunner::Renewed { beat, .. } => format!("renewed {beat}"),
                ToRunner::Stale { .. } => "stale".to_owned(),
                other => format!("{other:?}"),
            });
        }
        drop(to_server);
        link.await.unwrap().unwrap();
        answers
    });
    let answers = served.await;
    let expected = ["stored 1", "logged 6", "logged 12", "renewed 7", "stored 2", "stored 3", "stale", "stored 3", "stale"];
    assert_eq!(answers, expected);
    let log: String = test.engine.task_log(&ada, id, 0).await.unwrap().into_iter().map(|chunk| chunk.text).collect();
    assert_eq!(log, "first second");
    assert_eq!(test.engine.task_state(&ada, id).await.unwrap(), TaskStateName::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn runners_with_free_slots_are_given_work_in_turn(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    for number in 0..6 {
        test.create(&ada, checked(&format!("task {number}"))).await;
    }
    let (mut small, mut large) = (test.connected_runner("small", 2).await, test.connected_runner("large", 8).await);
    test.dispatch().await;
    let (small_told, large_told) = (small.told(), large.told());
    assert_eq!((small_told.len(), large_told.len()), (2, 4));
    for (told, runner) in [(small_told, &small.runner), (large_told, &large.runner)] {
        for message in told {
            let ToRunner::Assign { assignment } = message else { panic!("{message:?}") };
            runner.succeeds(&assignment).await.unwrap();
            let first = test.timeline(&ada, assignment.attempt.task_id).await.remove(1);
            assert!(first.contains(runner.session.name()), "{first}");
        }
    }
}
