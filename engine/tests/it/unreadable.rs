//! Of what cannot be read, and of what is refused each time, somebody sees to the end, and nobody else waits for it.

use chrono::TimeDelta;
use domain::{
    AgentTerms, Ask, AskedKind, CheckStatus, FailureCode, Isolation, NewTask, Priority, TaskId, TaskStateName, Timestamp,
    approval::Asked,
    check::VERIFICATION_TIMEOUT_SECONDS,
    runner::{END_SECONDS, LINGER_SECONDS, lease_seconds},
    task::Concurrency,
};
use engine::{
    Error, Overseer, Service, Timekeeper,
    testing::{TestEngine, Words, report},
};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    scenario::{checked, state},
    stuck::{Scene, seconds},
};

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_cannot_be_read_ends_also_with_a_runner_that_renews_it(pool: PgPool) {
    let shared = || Some(Concurrency { key: "staging".into(), limit: 1 });
    let agent = AgentTerms { ask: Some(Ask::Commands), answer_minutes: Some(10), ..AgentTerms::default() };
    let new =
        NewTask { command: None, prompt: Some("Tidy up".into()), agent, timeout_seconds: 60, concurrency: shared(), ..checked("one") };
    let mut scene = Scene::new(&pool, new).await;
    scene.runner.runner.starts(scene.held.attempt).await.unwrap();
    let asked = Asked::new(AskedKind::Command, "Bash", "make", &json!({"command": "make"})).unwrap();
    let words = Words::Asks(1, Isolation::Sandbox, asked);
    scene.runner.runner.says_together(&[(scene.held.attempt, words)]).await.pop().unwrap().unwrap();
    let waits = NewTask { depends_on: vec![scene.task.into()], ..checked("waits for it") };
    let waits = scene.test.create(&scene.ada, waits).await.summary.id;
    let also = scene.test.create(&scene.ada, NewTask { concurrency: shared(), ..checked("shares with it") }).await.summary.id;
    scene.test.dispatch().await;
    scene.runner.told();
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(scene.task.0).execute(&pool).await.unwrap();
    let in_vain = scene.runner.runner.reports(scene.held.attempt, report(&scene.held, CheckStatus::Passed)).await;
    assert!(in_vain.is_err(), "{in_vain:?}");

    scene.passes(TimeDelta::minutes(10)).await;
    scene.test.keep_time().await;
    let pending = scene.test.engine.pending_approvals(&scene.ada).await.unwrap();
    assert_eq!(pending, 0, "a question is closed at its deadline");
    assert_eq!(scene.is_overseen_after(seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS)).await, (true, true));
    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS)).await, (false, false));
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    let failure: (String, String) =
        sqlx::query_as("select state, failure ->> 'code' from task where id = $1").bind(scene.task.0).fetch_one(&pool).await.unwrap();
    assert_eq!(failure, ("failed".to_owned(), FailureCode::TaskUnreadable.name().to_owned()));
    let open: i64 = sqlx::query_scalar("select count(*) from attempt where ended_at is null").fetch_one(&pool).await.unwrap();
    assert_eq!(open, 0);
    assert_eq!(scene.test.engine.task_state(&scene.ada, waits).await.unwrap(), TaskStateName::Skipped, "nobody waits for ever");
    scene.runner.runner.is_idle().await.unwrap();
    scene.test.dispatch().await;
    assert_eq!(scene.test.engine.task_state(&scene.ada, also).await.unwrap(), TaskStateName::Running, "the key is free");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_cannot_be_read_is_nobody_elses_while_its_runner_is_at_work(pool: PgPool) {
    let shared = || Some(Concurrency { key: "staging".into(), limit: 1 });
    let over = Some("2026-11-20T09:10:00Z".parse().unwrap());
    let scene = Scene::new(&pool, NewTask { concurrency: shared(), complete_by: over, ..checked("one") }).await;
    scene.runner.runner.starts(scene.held.attempt).await.unwrap();
    let also = scene.test.create(&scene.ada, NewTask { concurrency: shared(), ..checked("shares with it") }).await.summary.id;
    scene.test.dispatch().await;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(scene.task.0).execute(&pool).await.unwrap();
    let ends_by = async || {
        let ends_by = sqlx::query_scalar::<_, Option<Timestamp>>("select ends_by from attempt where task_id = $1").bind(scene.task.0);
        ends_by.fetch_one(&pool).await.unwrap()
    };
    let states = async || {
        let state = async |id| scene.test.engine.task_state(&scene.ada, id).await.unwrap();
        (state(scene.task).await, state(also).await)
    };

    assert_eq!(scene.passes(seconds(420)).await, (true, false), "its deadline has passed, and nobody has looked");
    scene.test.keep_time().await;
    let by = ends_by().await;
    assert!(by.is_some());
    assert_eq!(scene.passes(seconds(60)).await, (true, true), "it is asked for");
    scene.test.keep_time().await;
    scene.test.dispatch().await;
    assert_eq!((states().await, ends_by().await), ((TaskStateName::Running, TaskStateName::Queued), by), "once, and the key is its own");

    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS)).await, (false, false));
    scene.test.keep_time().await;
    assert_eq!(states().await.0, TaskStateName::Running, "the rest of its lease is its runner's");
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    scene.runner.runner.is_idle().await.unwrap();
    scene.test.dispatch().await;
    assert_eq!(states().await, (TaskStateName::Failed, TaskStateName::Running));
    let failure: String =
        sqlx::query_scalar("select failure ->> 'code' from task where id = $1").bind(scene.task.0).fetch_one(&pool).await.unwrap();
    assert_eq!(failure, FailureCode::TaskUnreadable.name());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_cannot_be_read_keeps_nobody_else_waiting(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (later, over) = ("2026-11-20T09:01:00Z".parse().unwrap(), Some("2026-11-20T09:02:00Z".parse().unwrap()));
    let mut tasks = vec![];
    for new in [
        NewTask { run_at: Some(later), ..checked("due, poisoned") },
        NewTask { run_at: Some(later), ..checked("due") },
        NewTask { complete_by: over, ..checked("overdue, poisoned") },
        NewTask { complete_by: over, ..checked("overdue") },
    ] {
        tasks.push(test.create(&ada, new).await.summary.id);
    }
    for poisoned in [tasks[0], tasks[2]] {
        sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#)
            .bind(poisoned.0)
            .execute(&pool)
            .await
            .unwrap();
    }
    test.advance(TimeDelta::minutes(1));
    test.dispatch().await;
    let state = async |id| test.engine.task_state(&ada, id).await.unwrap();
    assert_eq!((state(tasks[0]).await, state(tasks[1]).await), (TaskStateName::Failed, TaskStateName::Queued));
    test.advance(TimeDelta::minutes(1));
    test.keep_time().await;
    assert_eq!((state(tasks[2]).await, state(tasks[3]).await), (TaskStateName::Failed, TaskStateName::Failed));
    let codes: Vec<String> =
        sqlx::query_scalar("select failure ->> 'code' from task where state = 'failed' order by id").fetch_all(&pool).await.unwrap();
    assert_eq!(codes, ["task_unreadable", "task_unreadable", "deadline_passed"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_and_cannot_be_read_holds_up_no_end(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    let waits = NewTask { depends_on: vec![scene.task.into()], ..checked("waits for it") };
    let waits = scene.test.create(&scene.ada, waits).await.summary.id;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(waits.0).execute(&pool).await.unwrap();
    sqlx::query("update task set losses = 2 where id = $1").bind(scene.task.0).execute(&pool).await.unwrap();
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    let state = async |id| scene.test.engine.task_state(&scene.ada, id).await.unwrap();
    assert_eq!((state(scene.task).await, state(waits).await), (TaskStateName::Running, TaskStateName::Failed));
    scene.test.rescue().await;
    assert_eq!(state(scene.task).await, TaskStateName::Dead);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_refused_each_time_hides_nobody(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let by = |time: &str| Some(format!("2026-11-20T{time}Z").parse().unwrap());
    for _ in 0..100 {
        test.create(&ada, NewTask { complete_by: by("09:02:00"), ..checked("refused") }).await;
    }
    let last = test.create(&ada, NewTask { complete_by: by("09:02:01"), ..checked("after them") }).await.summary.id;
    let refuse = "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$";
    sqlx::query(refuse).execute(&pool).await.unwrap();
    let trigger = "create trigger refuse before update on task for each row when (old.title = 'refused') execute function refuse()";
    sqlx::query(trigger).execute(&pool).await.unwrap();
    test.advance(TimeDelta::minutes(3));
    let mut keeper = Timekeeper::default();
    let mut failed = async || {
        keeper.tick(&test.engine).await.unwrap();
        sqlx::query_scalar::<_, i64>("select count(*) from task where state = 'failed'").fetch_one(&pool).await.unwrap()
    };
    assert_eq!(failed().await, 0);
    assert_eq!(failed().await, 1);
    assert_eq!(test.engine.task_state(&ada, last).await.unwrap(), TaskStateName::Failed);

    sqlx::query("drop trigger refuse on task").execute(&pool).await.unwrap();
    assert_eq!(failed().await, 1, "they are left alone");
    test.advance(seconds(61));
    assert_eq!(failed().await, 101, "and tried again");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_refused_each_time_keeps_no_other_attempt_with_its_runner(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    for _ in 0..101 {
        test.create(&ada, checked("refused")).await;
    }
    let held = runner.claims(101).await;
    assert_eq!(held.len(), 101);
    for one in &held {
        test.engine.cancel_task(&ada, one.attempt.task_id).await.unwrap();
    }
    let last = "update task set title = 'after them' where id = (select task_id from attempt order by id desc limit 1)";
    sqlx::query(last).execute(&pool).await.unwrap();
    let refuse = "create function refuse() returns trigger language plpgsql as $$ begin
                    if exists (select from task where id = old.task_id and title = 'refused') then raise exception 'no'; end if;
                    return new;
                  end $$";
    sqlx::query(refuse).execute(&pool).await.unwrap();
    let trigger = "create trigger refuse before update on attempt for each row execute function refuse()";
    let mut overseer = Overseer::default();
    let mut after = async |seconds: i64| {
        test.advance(TimeDelta::seconds(seconds));
        overseer.tick(&test.engine).await.unwrap();
        let counts = "select count(*) filter (where ends_by is not null), count(*) filter (where not renewable) from attempt";
        sqlx::query_as::<_, (i64, i64)>(counts).fetch_one(&pool).await.unwrap()
    };
    sqlx::query(trigger).execute(&pool).await.unwrap();
    assert_eq!(after(0).await, (0, 0));
    assert_eq!(after(0).await, (1, 0), "the one after them is asked to end");
    sqlx::query("drop trigger refuse on attempt").execute(&pool).await.unwrap();
    assert_eq!(after(59).await, (1, 0), "they are left alone");
    assert_eq!(after(2).await, (101, 0), "and tried again");

    // by now they were to have ended, and the last one at last
    let by_now =
        "update attempt set ends_by = attempt.claimed_at + case title when 'refused' then interval '0' else interval '1 second' end
                  from task where task.id = attempt.task_id";
    sqlx::query(by_now).execute(&pool).await.unwrap();
    sqlx::query(trigger).execute(&pool).await.unwrap();
    after(58).await;
    assert_eq!(after(1).await, (101, 0));
    assert_eq!(after(0).await, (101, 1), "its lease is renewed no more");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_cannot_make_room_keeps_nobody_urgent_waiting(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let _runner = test.connected_runner("r1", 2).await;
    for title in ["older low", "younger low"] {
        test.create(&ada, NewTask { priority: Priority::Low, ..checked(title) }).await;
        test.dispatch().await;
        test.advance(seconds(1));
    }
    test.create(&ada, NewTask { priority: Priority::Urgent, ..checked("urgent") }).await;
    test.dispatch().await;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where title = 'younger low'"#).execute(&pool).await.unwrap();
    test.advance(seconds(1));
    let mut keeper = Timekeeper::default();
    let mut making = async || {
        keeper.tick(&test.engine).await.unwrap();
        let making = "select title from task where stop ->> 'why' = 'pre_empt'";
        sqlx::query_scalar::<_, String>(making).fetch_all(&pool).await.unwrap()
    };
    assert_eq!(making().await, Vec::<String>::new(), "the youngest cannot");
    assert_eq!(making().await, ["older low"]);
    assert_eq!(making().await, ["older low"], "one makes room for one");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_is_renewed_in_the_last_moment_is_asked_first(pool: PgPool) {
    let over = Some("2026-11-20T09:10:00Z".parse().unwrap());
    let scene = Scene::new(&pool, NewTask { complete_by: over, ..checked("one") }).await;
    scene.runner.runner.starts(scene.held.attempt).await.unwrap();
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(scene.task.0).execute(&pool).await.unwrap();
    scene.test.advance(TimeDelta::minutes(30));
    let mut heartbeat = pool.begin().await.unwrap();
    let renew = "update attempt set lease_until = lease_until + interval '1 hour' where task_id = $1";
    sqlx::query(renew).bind(scene.task.0).execute(&mut *heartbeat).await.unwrap();
    let arrives = async {
        let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        heartbeat.commit().await.unwrap();
    };
    let mut keeper = Timekeeper::default();
    let (ticked, ()) = tokio::join!(keeper.tick(&scene.test.engine), arrives);
    ticked.unwrap();
    let attempt: (bool, bool) = sqlx::query_as("select ended_at is null, ends_by is not null from attempt").fetch_one(&pool).await.unwrap();
    assert_eq!(attempt, (true, true), "it is at work, and asked to end it");
    assert_eq!(scene.test.engine.task_state(&scene.ada, scene.task).await.unwrap(), TaskStateName::Running);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_there_is_no_time_for_is_passed_over_as_well(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let by = |time: &str| Some(format!("2026-11-20T{time}Z").parse().unwrap());
    let first = test.create(&ada, NewTask { complete_by: by("09:02:00"), ..checked("first") }).await.summary.id;
    test.create(&ada, NewTask { depends_on: vec![first.into()], ..checked("held") }).await;
    let other = test.create(&ada, NewTask { complete_by: by("09:02:01"), ..checked("other") }).await.summary.id;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where title = 'held'"#).execute(&pool).await.unwrap();
    // as of a row that somebody else does not let go of
    let hold = "create function hold() returns trigger language plpgsql as $$ begin raise exception using errcode = '55P03'; end $$";
    sqlx::query(hold).execute(&pool).await.unwrap();
    let trigger = "create trigger hold before update on task for each row when (old.title = 'held') execute function hold()";
    sqlx::query(trigger).execute(&pool).await.unwrap();
    test.advance(TimeDelta::minutes(3));
    let mut keeper = Timekeeper::default();
    let ticked = keeper.tick(&test.engine).await;
    assert!(matches!(&ticked, Err(Error::Unavailable(_))), "{ticked:?}");
    keeper.tick(&test.engine).await.unwrap();
    let state = async |id| test.engine.task_state(&ada, id).await.unwrap();
    assert_eq!((state(first).await, state(other).await), (TaskStateName::Queued, TaskStateName::Failed));

    sqlx::query("drop trigger hold on task").execute(&pool).await.unwrap();
    test.advance(seconds(61));
    keeper.tick(&test.engine).await.unwrap();
    keeper.tick(&test.engine).await.unwrap();
    assert_eq!(state(first).await, TaskStateName::Failed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_and_cannot_be_read_has_nobody_passed_over(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let over = Some("2026-11-20T09:02:00Z".parse().unwrap());
    let task = test.create(&ada, NewTask { complete_by: over, ..checked("one") }).await.summary.id;
    let waits = test.create(&ada, NewTask { depends_on: vec![task.into()], ..checked("waits for it") }).await.summary.id;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(waits.0).execute(&pool).await.unwrap();
    test.advance(TimeDelta::minutes(3));
    let mut keeper = Timekeeper::default();
    for expected in [TaskStateName::Queued, TaskStateName::Failed] {
        keeper.tick(&test.engine).await.unwrap();
        assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), expected);
    }
    assert_eq!(test.engine.task_state(&ada, waits).await.unwrap(), TaskStateName::Failed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_many_that_wait_the_one_that_cannot_be_read_is_found(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    for number in 0..60 {
        let waits = NewTask { depends_on: vec![scene.task.into()], ..checked(&format!("waits for it {number}")) };
        scene.test.create(&scene.ada, waits).await;
    }
    let last: TaskId = sqlx::query_scalar(
        r#"update task set checks = '[{"kind": "no such kind"}]' where id = (select id from task where state = 'blocked' order by id desc limit 1)
           returning id"#,
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    sqlx::query("update task set losses = 2 where id = $1").bind(scene.task.0).execute(&pool).await.unwrap();
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    assert_eq!(scene.test.engine.task_state(&scene.ada, last).await.unwrap(), TaskStateName::Failed);
    let blocked: i64 = sqlx::query_scalar("select count(*) from task where state = 'blocked'").fetch_one(&pool).await.unwrap();
    assert_eq!(blocked, 59, "the others are as they were");
    scene.test.rescue().await;
    assert_eq!(state(&scene.view().await), TaskStateName::Dead);
}
