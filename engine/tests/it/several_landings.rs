//! Each repository of a task lands by itself, and their pull requests name each other.

use chrono::TimeDelta;
use domain::{
    CheckStatus, Land, Landing, LandingState, NewTask, PullRequest, TaskId, TaskStateName,
    landing::{TELLS_MAX, TRIES_MAX},
    protocol::{AttemptReport, Landed, LandingOrder},
    repository::SEVERAL,
    task::{NewRepository, RepositoryResult},
};
use engine::testing::report;
use sqlx::PgPool;

use crate::{
    landing::{COMMIT, Scene, landed, troubled},
    scenario::{checked, state},
};

fn request(number: i64, name: &str) -> PullRequest {
    PullRequest { number, url: format!("https://example.org/{name}/pull/{number}") }
}

/// A task that has succeeded and changed something in all of its three repositories.
async fn done_in_three(scene: &mut Scene, land: Land) -> TaskId {
    done_beside(scene, land, &["https://example.org/api.git#next", "https://example.org/web.git"]).await
}

/// The same with these beside the first, of which there are two at most.
async fn done_beside(scene: &mut Scene, land: Land, others: &[&str]) -> TaskId {
    scene.runner = scene.test.connected_runner_with("r1", 9, &[SEVERAL]).await;
    let repositories = others.iter().map(|text| NewRepository::parse(text)).collect();
    let new = NewTask { land, repositories, repository: "https://example.org/a.git".into(), ..checked("Tidy up") };
    let id = scene.test.create(&scene.ada, new).await.summary.id;
    let (runner, assignment) = (&scene.runner.runner, scene.runner.runner.claims_one().await);
    runner.starts(assignment.attempt).await.unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    let result = |(folder, commit): (&str, &str)| RepositoryResult {
        folder: folder.into(),
        base_commit: "0123456789abcdef".into(),
        branch: Some("muster/test-1".into()),
        commit: Some(commit.into()),
    };
    let repositories = [("api", "a111111111"), ("web", "b222222222")].into_iter().take(others.len()).map(result).collect();
    runner.reports(assignment.attempt, AttemptReport { repositories, ..report(&assignment, CheckStatus::Passed) }).await.unwrap();
    id
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn each_repository_lands_by_itself_and_their_pull_requests_name_each_other(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = done_in_three(&mut scene, Land::PullRequest).await;
    let told = scene.told().await;
    let of = |order: &LandingOrder| {
        (order.position, order.repository.clone(), order.commit.clone(), order.pull_request.as_ref().unwrap().base.clone())
    };
    let expected = [
        (0, "https://example.org/a.git".to_owned(), COMMIT.to_owned(), None),
        (1, "https://example.org/api.git".to_owned(), "a111111111".to_owned(), Some("next".to_owned())),
        (2, "https://example.org/web.git".to_owned(), "b222222222".to_owned(), None),
    ];
    assert_eq!(told.iter().map(of).collect::<Vec<_>>(), expected);
    assert!(body(&told[0]).contains("**Belongs together with**\n\n- ` api `: on its way\n- ` web `: on its way"), "{}", body(&told[0]));

    // one fails for good, and the others do not wait for it
    for (order, name) in [(&told[0], "a"), (&told[1], "api")] {
        let done = Landed { pull_request: Some(request(i64::from(order.position) + 1, name)), ..landed(order) };
        scene.runner.runner.has_landed(&done).await.unwrap();
    }
    assert_eq!(scene.told().await, [], "what they say is brought up to date once all have ended");
    scene.runner.runner.has_landed(&troubled(&told[2], None)).await.unwrap();
    let task = scene.test.engine.get_task(&scene.ada, id).await.unwrap();
    assert_eq!((state(&task), task.landing.unwrap().state), (TaskStateName::Succeeded, LandingState::Landed));
    let states = |landings: &[Landing]| landings.iter().map(|one| (one.folder.clone().unwrap(), one.state)).collect::<Vec<_>>();
    assert_eq!(states(&task.more_landings), [("api".to_owned(), LandingState::Landed), ("web".to_owned(), LandingState::Failed)]);

    let mut anew = scene.told().await;
    assert_eq!(anew.iter().map(|order| (order.position, order.says_anew)).collect::<Vec<_>>(), [(0, true), (1, true)]);
    assert!(body(&anew[0]).contains("- ` api `: <https://example.org/api/pull/2>\n- ` web `: not landed"), "{}", body(&anew[0]));
    assert!(body(&anew[1]).contains("- ` a `: <https://example.org/a/pull/1>"), "{}", body(&anew[1]));
    // it is said, or open no more
    scene.runner.runner.has_landed(&Landed { remote: None, ..landed(&anew[0]) }).await.unwrap();
    // something is in the way: what has landed has landed
    let mut order = anew.remove(1);
    for _ in 1..TRIES_MAX {
        scene.runner.runner.has_landed(&troubled(&order, Some(5))).await.unwrap();
        assert_eq!(scene.told().await, [], "not at once");
        scene.test.advance(TimeDelta::hours(1));
        order = scene.is_told().await;
        assert_eq!((order.position, order.says_anew), (1, true));
    }
    scene.runner.runner.has_landed(&troubled(&order, Some(5))).await.unwrap();
    scene.test.advance(TimeDelta::hours(1));
    assert_eq!(scene.told().await, [], "nor for ever");

    // only what has not landed is tried again, and then all of them name it
    let view = scene.asks(id, Land::PullRequest).await.unwrap();
    assert_eq!(view.landing.unwrap().state, LandingState::Landed);
    let again = scene.is_told().await;
    assert_eq!((again.position, again.number, again.says_anew), (2, 2, false));
    let done = Landed { pull_request: Some(request(3, "web")), ..landed(&again) };
    scene.runner.runner.has_landed(&done).await.unwrap();
    let anew = scene.told().await;
    assert_eq!(anew.iter().map(|order| (order.position, order.says_anew)).collect::<Vec<_>>(), [(0, true), (1, true), (2, true)]);
    assert!(body(&anew[0]).contains("- ` web `: <https://example.org/web/pull/3>"), "{}", body(&anew[0]));
    let said = scene.test.timeline(&scene.ada, id).await;
    assert!(said.iter().any(|line| line == "Attempt 1, web: its pull request is https://example.org/web/pull/3"), "{said:?}");
}

fn body(order: &LandingOrder) -> &str {
    &order.pull_request.as_ref().unwrap().body
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_pull_request_says_for_ever_that_another_is_on_its_way(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = done_beside(&mut scene, Land::PullRequest, &["https://example.org/api.git"]).await;
    // the first with a pull request and the other not at all, and once more after both were pushed alone
    for _ in 0..2 {
        let told = scene.told().await;
        assert_eq!(told.iter().map(|order| (order.position, order.says_anew)).collect::<Vec<_>>(), [(0, false), (1, false)]);
        assert!(body(&told[0]).contains("- ` api `: on its way"), "{}", body(&told[0]));
        let done = Landed { pull_request: Some(request(1, "a")), ..landed(&told[0]) };
        scene.runner.runner.has_landed(&done).await.unwrap();
        assert_eq!(scene.told().await, []);
        scene.runner.runner.has_landed(&troubled(&told[1], None)).await.unwrap();
        let anew = scene.is_told().await;
        assert_eq!((anew.position, anew.says_anew), (0, true));
        assert!(body(&anew).contains("- ` api `: not landed"), "{}", body(&anew));
        scene.runner.runner.has_landed(&Landed { remote: None, ..landed(&anew) }).await.unwrap();

        scene.asks(id, Land::Push).await.unwrap();
        for order in scene.told().await {
            scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
        }
        assert_eq!(scene.told().await, [], "what is pushed alone says nothing");
        scene.asks(id, Land::PullRequest).await.unwrap();
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_said_while_another_is_tried_again_is_said_once_more(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = done_beside(&mut scene, Land::PullRequest, &["https://example.org/api.git"]).await;
    let told = scene.told().await;
    let done = Landed { pull_request: Some(request(1, "a")), ..landed(&told[0]) };
    scene.runner.runner.has_landed(&done).await.unwrap();
    scene.runner.runner.has_landed(&troubled(&told[1], None)).await.unwrap();
    let earlier = scene.is_told().await;
    assert!(earlier.says_anew && body(&earlier).contains("- ` api `: not landed"), "{earlier:?}");
    scene.runner.runner.has_landed(&troubled(&earlier, Some(5))).await.unwrap();

    // before its forge answers, somebody asks for the other again
    scene.asks(id, Land::PullRequest).await.unwrap();
    scene.test.advance(TimeDelta::hours(1));
    let told = scene.told().await;
    assert_eq!(told.iter().map(|order| (order.position, order.says_anew)).collect::<Vec<_>>(), [(0, true), (1, false)]);
    assert!(body(&told[0]).contains("- ` api `: on its way"), "{}", body(&told[0]));
    scene.runner.runner.has_landed(&Landed { remote: None, ..landed(&told[0]) }).await.unwrap();
    scene.runner.runner.has_landed(&troubled(&told[1], None)).await.unwrap();
    let anew = scene.is_told().await;
    assert_eq!((anew.position, anew.says_anew), (0, true));
    assert!(body(&anew).contains("- ` api `: not landed"), "{}", body(&anew));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_said_of_an_earlier_text_is_no_answer_to_a_later_one(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = done_beside(&mut scene, Land::PullRequest, &["https://example.org/api.git"]).await;
    let told = scene.told().await;
    let done = Landed { pull_request: Some(request(1, "a")), ..landed(&told[0]) };
    scene.runner.runner.has_landed(&done).await.unwrap();
    scene.runner.runner.has_landed(&troubled(&told[1], None)).await.unwrap();
    let earlier = scene.is_told().await;
    assert!(earlier.says_anew && earlier.number > told[0].number, "its runner knows one from the other: {earlier:?}");

    // while it is at that, the other lands after all
    scene.asks(id, Land::PullRequest).await.unwrap();
    let other = scene.is_told().await;
    let done = Landed { pull_request: Some(request(2, "api")), ..landed(&other) };
    scene.runner.runner.has_landed(&done).await.unwrap();
    scene.runner.runner.has_landed(&Landed { remote: None, ..landed(&earlier) }).await.unwrap();
    let anew = scene.told().await;
    assert_eq!(anew.iter().map(|order| (order.position, order.says_anew)).collect::<Vec<_>>(), [(0, true), (1, true)]);
    assert!(anew[0].number > earlier.number && body(&anew[0]).contains("- ` api `: <https://example.org/api/pull/2>"), "{:?}", anew[0]);
    scene.runner.runner.has_landed(&Landed { remote: None, ..landed(&anew[0]) }).await.unwrap();
    scene.runner.runner.has_landed(&Landed { remote: None, ..landed(&anew[1]) }).await.unwrap();
    scene.test.advance(TimeDelta::hours(1));
    assert_eq!(scene.told().await, [], "it is said");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_text_that_its_runner_never_answers_is_given_up(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = done_in_three(&mut scene, Land::PullRequest).await;
    for order in scene.told().await {
        let done = Landed { pull_request: Some(request(i64::from(order.position) + 1, "a")), ..landed(&order) };
        scene.runner.runner.has_landed(&done).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(scene.told().await.len(), 3, "told, and told again");
        scene.test.advance(TimeDelta::seconds(61));
    }
    sqlx::query("update landing set tells = $1").bind(TELLS_MAX).execute(&pool).await.unwrap();
    for _ in 0..2 {
        assert_eq!(scene.told().await, []);
        scene.test.advance(TimeDelta::hours(1));
    }
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Landed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_knows_one_repository_of_a_task_lands_no_other(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = done_in_three(&mut scene, Land::Push).await;
    scene.runner = scene.test.connected_runner("r1", 9).await;
    let order = scene.is_told().await;
    assert_eq!(order.position, 0);
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    let task = scene.test.engine.get_task(&scene.ada, id).await.unwrap();
    for landing in &task.more_landings {
        let trouble = landing.trouble.as_ref().unwrap();
        assert_eq!((landing.state, trouble.advice.contains("Update Muster")), (LandingState::Failed, true), "{trouble:?}");
    }
}
