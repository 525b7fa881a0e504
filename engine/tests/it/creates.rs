//! Creates that meet: stored together, answered one by one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use domain::{Actor, ActorKind, Idempotency, NewTask, Role, TaskView, Timestamp};
use engine::{Error, Result, testing::TestEngine};
use futures::future::join_all;
use sqlx::PgPool;

use crate::scenario::{checked, refused};

/// In this order, all before the first of them is at work.
async fn at_once(test: &TestEngine, asked: impl IntoIterator<Item = (&Actor, NewTask)>) -> Vec<Result<TaskView>> {
    join_all(asked.into_iter().map(|(actor, new)| test.engine.create_task(actor, new))).await
}

async fn key(test: &TestEngine, name: &str) -> Actor {
    let key = test.engine.create_key_here(name, Role::Member).await.unwrap();
    test.engine.actor_of_key(key.reveal()).await.unwrap().unwrap()
}

fn once(actor: &Actor, key: &str) -> Actor {
    let idempotency = Idempotency { key: key.into(), route: "POST /api/v1/tasks".into(), fingerprint: vec![7; 32], status: 201 };
    Actor { idempotency: Some(idempotency), ..actor.clone() }
}

/// Runs statements as the owner of the database, one after the other.
async fn database(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn titles(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select title from task order by title").fetch_all(pool).await.unwrap()
}

/// How many transactions have stored tasks.
async fn commits(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(distinct xid) from event where kind = 'task_created'").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn many_are_one_commit_and_each_has_its_own_answer(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, stranger) = (test.owner().await, test.stranger().await);
    let (ci, bot) = (key(&test, "ci").await, key(&test, "bot").await);
    let actors = [&ada, &ci, &stranger, &bot];
    let asked: Vec<_> = (0..60)
        .map(|number| {
            let repository = format!("/srv/app-{}", number % 3);
            (actors[number % 4], NewTask { repository, ..checked(&format!("Task {number:02}")) })
        })
        .collect();
    let answers = at_once(&test, asked.clone()).await;
    assert_eq!(commits(&pool).await, 2, "one for each workspace");

    let mut ids = BTreeSet::new();
    for ((actor, new), answer) in asked.iter().zip(answers) {
        let view = answer.unwrap();
        assert!(ids.insert(view.summary.id), "{} has an id of its own", new.title);
        assert_eq!((&view.summary.title, &view.summary.repository), (&new.title, &new.repository));
        assert_eq!(test.engine.get_task(actor, view.summary.id).await.unwrap(), view, "what was answered is what is stored");
        let events = test.engine.task_events(actor, view.summary.id).await.unwrap();
        assert_eq!(events.iter().map(|event| (event.number, event.actor.clone())).collect::<Vec<_>>(), [(1, actor.label())]);
    }
    let creators = sqlx::query_as::<_, (String, i64)>("select created_by, count(*) from task group by 1").fetch_all(&pool).await.unwrap();
    assert_eq!(creators.into_iter().collect::<BTreeMap<_, _>>(), actors.map(|actor| (actor.label(), 15)).into());
    let repositories: i64 = sqlx::query_scalar("select count(*) from repository").fetch_one(&pool).await.unwrap();
    assert_eq!(repositories, 6, "each place once in each workspace");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_wrong_with_one_is_said_to_it_alone(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let start = engine::testing::START.parse::<Timestamp>().unwrap();
    let late = NewTask { complete_by: Some(start - TimeDelta::hours(1)), repository: "/srv/late".into(), ..checked("late") };
    let viewer = Actor::new(ada.workspace_id, ActorKind::User { id: domain::UserId(uuid::Uuid::nil()), role: Role::Viewer });
    // what no check of ours foresees
    database(
        &pool,
        "create function refuse_title() returns trigger language plpgsql as
           $$begin raise exception 'not this one' using errcode = 'check_violation'; end$$;
         create trigger refuse_title before insert on task for each row when (new.title = 'cursed') execute function refuse_title()",
    )
    .await;
    let named: Vec<_> = (0..9).map(|number| once(&ada, &format!("key {number}"))).collect();
    let mut asked: Vec<_> = named.iter().zip(0..).map(|(actor, number)| (actor, checked(&format!("good {number}")))).collect();
    asked[4].1.title = "cursed".into();
    asked[6].1 = late;
    asked.push((&viewer, checked("not mine to ask")));
    let mut answers = at_once(&test, asked).await;
    assert!(matches!(answers.remove(9), Err(Error::Forbidden(_))));
    assert_eq!(refused(answers.remove(6)), ["/complete_by past"]);
    assert!(matches!(answers.remove(4), Err(Error::Database(_))));
    let good: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().summary.title).collect();
    assert_eq!(good, titles(&pool).await);
    assert_eq!(good.len(), 7);
    let places: Vec<String> = sqlx::query_scalar("select location from repository").fetch_all(&pool).await.unwrap();
    assert_eq!(places, ["/srv/app"], "nothing is left of what was refused");

    database(&pool, "drop trigger refuse_title on task").await;
    test.engine.create_task(&named[4], checked("mended")).await.expect("its key was not used up");
    assert!(matches!(test.engine.create_task(&named[3], checked("again")).await, Err(Error::Conflict(_))), "the others' keys were");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_one_request_that_comes_twice_at_once_one_takes_effect(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let ci = key(&test, "ci").await;
    let (adas, cis) = (once(&ada, "k"), once(&ci, "k"));
    let mut answers = at_once(&test, [(&adas, "first"), (&adas, "second"), (&cis, "theirs"), (&ada, "unnamed")].map(of_title)).await;
    assert_eq!(commits(&pool).await, 1);
    assert!(matches!(answers.remove(1), Err(Error::Conflict(_))), "the first of them is at work");
    let first = answers.remove(0).unwrap();
    assert!(answers.iter().all(Result::is_ok), "another actor's request is another one");
    assert_eq!(titles(&pool).await, ["first", "theirs", "unnamed"]);
    let kept = test.engine.earlier_answer(&ada, adas.idempotency.as_ref().unwrap()).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.body), (201, serde_json::to_vec(&first).unwrap()));
    let theirs = test.engine.earlier_answer(&ci, cis.idempotency.as_ref().unwrap()).await.unwrap().unwrap();
    assert!(String::from_utf8(theirs.body).unwrap().contains("theirs"), "each key has its own answer");

    test.advance(TimeDelta::hours(24));
    let again = at_once(&test, [(&adas, "next day"), (&cis, "theirs, next day")].map(of_title)).await;
    assert!(again.iter().all(Result::is_ok), "after a day a key is free");
}

fn of_title<'a>((actor, title): (&'a Actor, &'static str)) -> (&'a Actor, NewTask) {
    (actor, checked(title))
}

/// Every transaction that stores a task waits for whoever holds this lock, in the middle of it.
const WAIT_IN_THE_MIDDLE: &str = "create function wait_for_it() returns trigger language plpgsql as
                                    $$begin perform pg_advisory_xact_lock(42); return null; end$$;
                                  create trigger wait_for_it after insert on event for each statement execute function wait_for_it()";

/// The backend that waits in the middle.
async fn somebody_waits(pool: &PgPool) -> i32 {
    let waiting = "select pid from pg_locks where locktype = 'advisory' and objid = 42 and not granted
                   and database = (select oid from pg_database where datname = current_database())";
    loop {
        if let Some(pid) = sqlx::query_scalar(waiting).fetch_optional(pool).await.unwrap() {
            return pid;
        }
        tokio::task::yield_now().await;
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn when_the_database_goes_away_nothing_is_lost_and_nothing_is_there_twice(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    database(&pool, WAIT_IN_THE_MIDDLE).await;
    let mut hold = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(42)").execute(&mut *hold).await.unwrap();
    let actors: Vec<_> = (0..5).map(|number| once(&ada, &format!("key {number}"))).collect();
    let asked = || actors.iter().zip(0..).map(|(actor, number)| (actor, checked(&format!("Task {number}"))));
    let cut = async {
        let pid = somebody_waits(&pool).await;
        sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&pool).await.unwrap();
    };
    let (answers, ()) = tokio::join!(at_once(&test, asked()), cut);
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))), "{answers:?}");
    assert_eq!(titles(&pool).await, Vec::<String>::new());

    hold.rollback().await.unwrap();
    assert!(at_once(&test, asked()).await.iter().all(Result::is_ok), "the same requests again");
    assert!(at_once(&test, asked()).await.iter().all(|answer| matches!(answer, Err(Error::Conflict(_)))), "and once more");
    assert_eq!(titles(&pool).await, ["Task 0", "Task 1", "Task 2", "Task 3", "Task 4"]);
    assert_eq!(commits(&pool).await, 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_is_answered_before_the_commit(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    database(
        &pool,
        "create function fail_late() returns trigger language plpgsql as
           $$begin raise exception 'the disk is full' using errcode = 'disk_full'; end$$;
         create constraint trigger fail_late after insert on task deferrable initially deferred
           for each row when (new.title = 'last') execute function fail_late()",
    )
    .await;
    let answers = at_once(&test, ["first", "second", "last"].map(|title| (&ada, checked(title)))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))), "{answers:?}");
    assert_eq!(titles(&pool).await, Vec::<String>::new());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_goes_away_takes_nobody_along(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    database(&pool, WAIT_IN_THE_MIDDLE).await;
    let mut hold = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(42)").execute(&mut *hold).await.unwrap();
    let create = |title: &str| test.engine.create_task(&ada, checked(title));
    let (leaves, stays) = (Box::pin(create("leaves at work")), Box::pin(create("stays")));
    let mut stays = stays;
    tokio::select! {
        biased;
        _ = leaves => panic!("it waits"),
        _ = &mut stays => panic!("it waits"),
        _ = somebody_waits(&pool) => {}
    }
    // the first of them is gone by now; one more goes while it waits for its turn
    let mut never_begun = Box::pin(create("leaves before its turn"));
    assert!(futures::poll!(&mut never_begun).is_pending());
    drop(never_begun);
    hold.rollback().await.unwrap();
    let next = create("comes later");
    let (stays, next) = tokio::join!(stays, next);
    assert!(stays.is_ok() && next.is_ok());
    assert_eq!(titles(&pool).await, ["comes later", "leaves at work", "stays"], "carried through, or never begun");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn when_too_many_wait_the_next_is_told_to_come_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let answers = at_once(&test, (0..1030).map(|number| (&ada, checked(&format!("Task {number}"))))).await;
    let (stored, told): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(told.iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))));
    // on a slow machine some have waited too long as well
    assert!(told.len() >= 6 && stored.len() >= 128, "{} stored, {} told", stored.len(), told.len());
    assert_eq!(titles(&pool).await.len(), stored.len(), "whoever was told is not there");
    assert_eq!(commits(&pool).await, i64::try_from(stored.len().div_ceil(128)).unwrap(), "128 in each");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_for_another_task_goes_its_own_way(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let parent = test.create(&ada, checked("parent")).await;
    let child = NewTask { depends_on: vec![parent.summary.id.into()], ..checked("child") };
    let (first, second) = (once(&ada, "first"), once(&ada, "second"));
    let answers = at_once(&test, [(&first, child.clone()), (&ada, checked("other")), (&second, child)]).await;
    for answer in &answers {
        let view = answer.as_ref().unwrap();
        assert_eq!(test.engine.get_task(&ada, view.summary.id).await.unwrap(), *view);
        assert_eq!(test.engine.task_events(&ada, view.summary.id).await.unwrap()[0].actor, ada.label());
    }
    assert!(test.engine.earlier_answer(&ada, first.idempotency.as_ref().unwrap()).await.unwrap().is_some());
}
