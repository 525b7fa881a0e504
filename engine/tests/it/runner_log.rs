//! What has happened to a runner is kept, with how long what ended with it had lasted, and told a page at a time.

use chrono::TimeDelta;
use domain::{
    Actor, NewTask, RunnerId,
    protocol::ToServer,
    runner::{ACCEPT_SECONDS, END_SECONDS, RunnerLogFilter, RunnerNews},
};
use engine::{Error, Keep, Retention, Service, testing::TestEngine};
use sqlx::PgPool;

use crate::{
    far::{Link, Machine},
    scenario::checked,
    stuck::{Scene, seconds},
};

/// From the earliest on, each with the seconds that what it ended had lasted.
async fn told(test: &TestEngine, actor: &Actor, id: RunnerId) -> Vec<(RunnerNews, Option<i64>)> {
    let all = test.engine.runner_log(actor, id, &RunnerLogFilter::default()).await.unwrap();
    assert_eq!(all.next_cursor, None);
    all.items.into_iter().rev().map(|entry| (entry.what, entry.lasted_ms.map(|ms| ms / 1000))).collect()
}

fn ada() -> String {
    "Ada".to_owned()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_happens_to_a_runner_is_told_with_how_long_it_lasted(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (owner, eve) = (test.owner().await, test.stranger().await);
    let machine = Machine::new();
    let id = machine.joins(&test, &owner, "box").await.id;
    test.advance(TimeDelta::seconds(20));
    let mut link = Link::of(&test, &machine, id).await;
    for draining in [true, true, false, false] {
        match draining {
            true => test.engine.drain_runner(&owner, id).await.unwrap(),
            false => test.engine.resume_runner(&owner, id).await.unwrap(),
        };
        test.advance(TimeDelta::seconds(10));
        link.beats(&[]).await;
    }
    link.to_server.send(ToServer::Heartbeat { beat: 2, attempts: vec![], left_behind: Some("process 4711".into()) }).await.unwrap();
    link.hears().await.unwrap();
    test.advance(TimeDelta::seconds(10));
    // as something comes and goes there all the time
    for (beat, process) in [(3, 4712), (4, 4713)] {
        let left_behind = Some(format!("process {process}"));
        link.to_server.send(ToServer::Heartbeat { beat, attempts: vec![], left_behind }).await.unwrap();
        link.hears().await.unwrap();
    }
    let now = test.engine.find_runner(&owner, id).await.unwrap().runner.left_behind;
    assert_eq!(now.as_deref(), Some("process 4713"));
    link.to_server.send(ToServer::Heartbeat { beat: 5, attempts: vec![], left_behind: Some(String::new()) }).await.unwrap();
    link.hears().await.unwrap();
    link.to_server.send(ToServer::Stops { ended: vec![], optional: true }).await.unwrap();
    link.beats_nothing_more().await;
    test.advance(TimeDelta::hours(2));
    let link = Link::of(&test, &machine, id).await;
    let expected = [
        (RunnerNews::Joined { by: ada() }, None),
        (RunnerNews::Drained { by: ada() }, None),
        (RunnerNews::Resumed { by: ada() }, Some(20)),
        (RunnerNews::LeftBehind { rest: "process 4711".into() }, None),
        (RunnerNews::Cleared, Some(10)),
        (RunnerNews::Stopped, None),
        (RunnerNews::Back, Some(7200)),
    ];
    assert_eq!(told(&test, &owner, id).await, expected);
    assert!(matches!(test.engine.runner_log(&eve, id, &RunnerLogFilter::default()).await, Err(Error::NotFound { .. })));

    // a page at a time, and what comes meanwhile shifts nothing
    let part = async |cursor: Option<String>| {
        let filter = RunnerLogFilter { cursor, limit: Some(3) };
        test.engine.runner_log(&owner, id, &filter).await.unwrap()
    };
    let mut page = part(None).await;
    test.engine.drain_runner(&owner, id).await.unwrap();
    let mut all = page.items;
    while let Some(cursor) = page.next_cursor {
        page = part(Some(cursor)).await;
        all.append(&mut page.items);
    }
    assert_eq!(all.into_iter().rev().map(|entry| entry.what).collect::<Vec<_>>(), expected.map(|(what, _)| what));
    let wrong = RunnerLogFilter { cursor: Some("x".into()), limit: None };
    assert!(matches!(test.engine.runner_log(&owner, id, &wrong).await, Err(Error::Invalid(_))));
    drop(link);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_did_not_take_its_workspace_alone_is_told(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (owner, eve) = (test.owner().await, test.stranger().await);
    let (_, id, mut link) = Link::joined(&test, &owner).await;
    let new = NewTask { repository: "https://example.org/a.git".into(), ..checked("Tidy up") };
    let task_id = test.create(&owner, new).await.summary.id;
    test.dispatch().await;
    link.is_assigned().await;
    for _ in 0..ACCEPT_SECONDS / 10 {
        test.advance(TimeDelta::seconds(10));
        link.beats(&[]).await;
    }
    let not_taken = RunnerNews::NotTaken { task_id, task: Some("Tidy up".into()), attempt: 1 };
    assert_eq!(told(&test, &owner, id).await.last(), Some(&(not_taken, Some(ACCEPT_SECONDS))));

    // of one that works for every workspace each sees its own and what is everybody's
    let everybodys = "update runner set workspace_id = null, public_key = null, joined_by = null";
    sqlx::query(everybodys).execute(&pool).await.unwrap();
    let seen: Vec<_> = told(&test, &eve, id).await.into_iter().map(|(what, _)| what).collect();
    assert!(matches!(seen[..], [RunnerNews::Joined { .. }]), "{seen:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_did_not_end_when_it_was_asked_to_is_told_once(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    let not_ended = async || {
        let all = told(&scene.test, &scene.ada, scene.runner.runner.session.id()).await;
        all.into_iter().filter(|(what, _)| matches!(what, RunnerNews::NotEnded { .. })).collect::<Vec<_>>()
    };
    scene.test.engine.cancel_task(&scene.ada, scene.task).await.unwrap();
    scene.is_overseen_after(seconds(10)).await;
    assert!(not_ended().await.is_empty(), "it has time for it");
    for time in [END_SECONDS, 10] {
        assert_eq!(scene.is_overseen_after(seconds(time)).await, (false, false));
        let expected = RunnerNews::NotEnded { task_id: scene.task, task: Some("one".into()), attempt: 1 };
        assert_eq!(not_ended().await, [(expected, Some(i64::from(END_SECONDS)))]);
    }
}

/// Of two servers the newer one may have a word that the older one does not know.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_later_version_has_noted_hides_nothing_of_what_was_before(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let owner = test.owner().await;
    let id = Machine::new().joins(&test, &owner, "box").await.id;
    sqlx::query("alter table runner_log drop constraint runner_log_kind_check").execute(&pool).await.unwrap();
    let later = "insert into runner_log (runner_id, at, kind) select $1, now(), 'repainted' from generate_series(1, 3)";
    sqlx::query(later).bind(id.0).execute(&pool).await.unwrap();
    let mut seen = vec![];
    let mut filter = RunnerLogFilter { cursor: None, limit: Some(2) };
    loop {
        let page = test.engine.runner_log(&owner, id, &filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|entry| entry.what));
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [RunnerNews::Joined { by: ada() }]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_happened_long_ago_is_not_kept(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let owner = test.owner().await;
    let (_, id, _link) = Link::joined(&test, &owner).await;
    test.advance(TimeDelta::days(89));
    test.engine.drain_runner(&owner, id).await.unwrap();
    let forgets = async || {
        // also where nothing that has ended is ever deleted
        Retention(Keep::default()).tick(&test.engine).await.unwrap();
        told(&test, &owner, id).await.into_iter().map(|(what, _)| what).collect::<Vec<_>>()
    };
    assert_eq!(forgets().await, [RunnerNews::Joined { by: ada() }, RunnerNews::Drained { by: ada() }]);
    test.advance(TimeDelta::days(2));
    assert_eq!(forgets().await, [RunnerNews::Drained { by: ada() }], "also of one that never was away");
}
