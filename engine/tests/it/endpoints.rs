//! Endpoints: what is seen of them, and what they pull.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, EndpointId, Permission, PullId, Role, UserId, WorkspaceId,
    endpoint::{
        CHECK_SECONDS, EndpointDetail, EndpointHealth, EndpointLook, EndpointModel, Looked, ModelState, NewEndpoint, NewPull, PULLS_MAX,
        PullState,
        pull::{PullEnd, PullProgress},
    },
    protocol::{ToRunner, ToServer},
    runner::{HostReading, reading::STALE_AFTER_SECONDS},
};
use engine::{Error, HeldPull, PULL_FALLS, PULL_HELD, PULL_LASTS, PULL_WAITS, testing::TestEngine};
use sqlx::PgPool;

use crate::{
    far::{Link, Machine},
    scenario::refused,
};

fn member(of: &Actor) -> Actor {
    Actor::new(of.workspace_id, ActorKind::User { id: UserId(uuid::Uuid::from_u128(7)), role: Role::Member })
}

pub fn has(models: &[(&str, ModelState)]) -> Looked {
    let model = |(name, state): &(&str, ModelState)| EndpointModel {
        name: (*name).to_owned(),
        state: *state,
        size: 1 << 30,
        quantization: None,
        parameters: None,
        vram: None,
    };
    Looked::Answers { version: Some("0.9.1".into()), models: models.iter().map(model).collect() }
}

pub fn warm() -> Looked {
    has(&[("llama3:latest", ModelState::Warm)])
}

pub fn refuses() -> Looked {
    Looked::Fails { why: "Connection refused".into() }
}

/// Whoever looks at more than one of them at a time.
const MANY: usize = 50;

fn reading(looked: Option<Looked>) -> ToServer {
    reading_of(looked, true)
}

pub fn reading_of(looked: Option<Looked>, is_said: bool) -> ToServer {
    let look = looked.map(|looked| Box::new(EndpointLook { url: "http://127.0.0.1:11434".into(), is_said, looked }));
    ToServer::Reading { reading: Box::new(HostReading::default()), endpoint: look, age_seconds: 0, optional: true }
}

/// The models that its endpoint, which its settings name, is to pull, as the answer says. A second later than whatever was before.
pub async fn sees(test: &TestEngine, link: &mut Link, looked: Looked) -> Vec<(PullId, String)> {
    test.advance(TimeDelta::seconds(1));
    link.to_server.send(reading(Some(looked))).await.unwrap();
    wanted(link).await
}

pub async fn wanted(link: &mut Link) -> Vec<(PullId, String)> {
    match link.told.recv().await {
        Some(ToRunner::Pulls { wanted, optional: true }) => wanted.into_iter().map(|one| (one.id, one.model)).collect(),
        other => panic!("{other:?}"),
    }
}

pub async fn only(test: &TestEngine, actor: &Actor) -> EndpointDetail {
    let all = test.engine.list_endpoints(actor).await.unwrap();
    assert_eq!(all.len(), 1);
    let detail = test.engine.find_endpoint(actor, all[0].id).await.unwrap();
    assert_eq!(detail.endpoint, all[0], "on its page as in the list");
    detail
}

pub async fn registered(test: &TestEngine, ada: &Actor, name: &str) -> EndpointId {
    let new = NewEndpoint { name: name.into(), url: format!("http://{name}:11434"), machine_of: None };
    test.engine.register_endpoint(ada, new).await.unwrap().id
}

/// Of those that the server looks at.
async fn health(test: &TestEngine, ada: &Actor, id: EndpointId) -> EndpointHealth {
    test.engine.find_endpoint(ada, id).await.unwrap().endpoint.health
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_finds_is_healthy_unhealthy_within_one_look_and_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, runner, mut link) = Link::joined(&test, &ada).await;
    sees(&test, &mut link, has(&[("tiny:1b", ModelState::Cold), ("llama3:latest", ModelState::Warm)])).await;
    let found = only(&test, &ada).await;
    let EndpointDetail { endpoint: found, models, .. } = found;
    assert_eq!((found.name.as_str(), found.runner_id, found.health), ("Ollama of box", Some(runner), EndpointHealth::Healthy));
    assert_eq!((found.model_count, found.warm_count, found.is_confirmed), (2, 1, true));
    assert_eq!(
        models.iter().map(|model| (model.name.as_str(), model.state.name())).collect::<Vec<_>>(),
        [("llama3:latest", "warm"), ("tiny:1b", "cold")]
    );

    test.advance(TimeDelta::seconds(10));
    sees(&test, &mut link, refuses()).await;
    let EndpointDetail { endpoint: gone, models, .. } = only(&test, &ada).await;
    assert_eq!((gone.id, gone.health, gone.why.as_deref()), (found.id, EndpointHealth::Unhealthy, Some("Connection refused")));
    let since = gone.unhealthy_since;
    assert!(since.is_some() && models.len() == 2, "what it had is told as it was");
    test.advance(TimeDelta::seconds(10));
    sees(&test, &mut link, refuses()).await;
    assert_eq!(only(&test, &ada).await.endpoint.unhealthy_since, since, "since the first time");

    test.advance(TimeDelta::seconds(10));
    sees(&test, &mut link, warm()).await;
    let EndpointDetail { endpoint: back, models, .. } = only(&test, &ada).await;
    assert_eq!((back.health, back.why, back.unhealthy_since, models.len()), (EndpointHealth::Healthy, None, None, 1));

    // a runner that was begun anew while nothing is there
    test.advance(TimeDelta::seconds(10));
    link.to_server.send(reading(None)).await.unwrap();
    link.beats(&[]).await;
    let nothing = only(&test, &ada).await.endpoint;
    assert_eq!((nothing.health, nothing.why.as_deref()), (EndpointHealth::Unhealthy, Some("its runner finds nothing where it was")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_nobody_has_looked_at_lately_is_stale_and_kept_over_a_restart(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    sees(&test, &mut link, warm()).await;
    let again = TestEngine::new(&pool).await;
    assert_eq!(only(&again, &ada).await.endpoint.health, EndpointHealth::Healthy);
    test.advance(TimeDelta::seconds(STALE_AFTER_SECONDS));
    assert_eq!(only(&test, &ada).await.endpoint.health, EndpointHealth::Healthy);
    test.advance(TimeDelta::seconds(1));
    assert_eq!(only(&test, &ada).await.endpoint.health, EndpointHealth::Stale);
    let choice = test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap();
    assert_eq!(choice.chosen, None, "{choice:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_older_link_says_nothing_of_the_endpoint(pool: PgPool) {
    let (one, other) = (TestEngine::new(&pool).await, TestEngine::new(&pool).await);
    let ada = one.owner().await;
    let (machine, id, older) = Link::joined(&one, &ada).await;
    let mut newer = Link::of(&other, &machine, id).await;
    sees(&other, &mut newer, warm()).await;
    older.to_server.send(reading(Some(refuses()))).await.unwrap();
    drop(older.to_server);
    let mut told = older.told;
    while told.recv().await.is_some() {}
    assert_eq!(only(&one, &ada).await.endpoint.health, EndpointHealth::Healthy);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_registered_is_due_every_ten_seconds_for_one_server_alone(pool: PgPool) {
    let (test, other) = (TestEngine::new(&pool).await, TestEngine::new(&pool).await);
    let ada = test.owner().await;
    let id = registered(&test, &ada, "box").await;
    assert_eq!(health(&test, &ada, id).await, EndpointHealth::Unknown);
    assert_eq!(test.engine.due_endpoints(MANY).await.unwrap(), [(id, "http://box:11434".to_owned())]);
    assert_eq!(other.engine.due_endpoints(MANY).await.unwrap(), []);
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    assert_eq!(health(&test, &ada, id).await, EndpointHealth::Healthy);
    test.advance(TimeDelta::seconds(CHECK_SECONDS - 1));
    assert_eq!(test.engine.due_endpoints(MANY).await.unwrap(), []);
    test.advance(TimeDelta::seconds(1));
    assert_eq!(test.engine.due_endpoints(MANY).await.unwrap().len(), 1);
    test.engine.endpoint_looked(id, refuses()).await.unwrap();
    assert_eq!(health(&test, &ada, id).await, EndpointHealth::Unhealthy);
    test.advance(TimeDelta::seconds(CHECK_SECONDS));
    assert_eq!(test.engine.due_endpoints(MANY).await.unwrap().len(), 1);
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    assert_eq!(health(&test, &ada, id).await, EndpointHealth::Healthy, "and back within one look");
    test.engine.remove_endpoint(&ada, id).await.unwrap();
    test.advance(TimeDelta::seconds(CHECK_SECONDS));
    assert_eq!(test.engine.due_endpoints(MANY).await.unwrap(), [], "nobody asks what was removed");
    assert_eq!(test.engine.list_endpoints(&ada).await.unwrap(), []);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_has_not_answered_for_long_is_asked_as_often_as_any_other_and_after_them(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (silent, answers) = (registered(&test, &ada, "silent").await, registered(&test, &ada, "answers").await);
    for _ in 0..30 * 6 {
        let due = test.engine.due_endpoints(MANY).await.unwrap();
        assert_eq!(due.len(), 2, "each is due in each cycle");
        for (id, _) in due {
            test.engine.endpoint_looked(id, if id == silent { refuses() } else { warm() }).await.unwrap();
        }
        test.advance(TimeDelta::seconds(CHECK_SECONDS));
    }
    for first in [answers, silent] {
        let due = test.engine.due_endpoints(1).await.unwrap();
        assert_eq!(due.first().map(|(id, _)| *id), Some(first), "it keeps none of the others waiting");
    }
    test.engine.endpoint_looked(silent, warm()).await.unwrap();
    assert_eq!(health(&test, &ada, silent).await, EndpointHealth::Healthy, "it is back within one cycle");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_may_do_what_with_endpoints(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (bob, stranger) = (member(&ada), test.stranger().await);
    let new = |name: &str, url: &str| NewEndpoint { name: name.into(), url: url.into(), machine_of: None };
    let forbidden = |error: Error| matches!(error, Error::Forbidden(domain::Forbidden(Permission::ManageEndpoints)));
    assert!(forbidden(test.engine.register_endpoint(&bob, new("box", "http://box")).await.unwrap_err()));
    let id = registered(&test, &ada, "box").await;
    assert_eq!(refused(test.engine.register_endpoint(&ada, new("box", "http://other")).await), ["/name taken"]);
    assert_eq!(refused(test.engine.register_endpoint(&ada, new("other", "http://box:11434/")).await), ["/url taken"]);
    assert_eq!(refused(test.engine.register_endpoint(&ada, new("other", "http://169.254.169.254/latest")).await), ["/url refused"]);
    assert_eq!(refused(test.engine.register_endpoint(&ada, new("other", "http://box:5432")).await), ["/url refused"]);
    let of_nobody = NewEndpoint { machine_of: Some(domain::RunnerId(uuid::Uuid::from_u128(9))), ..new("other", "http://other") };
    assert_eq!(refused(test.engine.register_endpoint(&ada, of_nobody).await), ["/machine_of unknown"]);
    assert!(forbidden(test.engine.remove_endpoint(&bob, id).await.unwrap_err()));
    let pull = || NewPull { model: "llama3".into() };
    assert!(forbidden(test.engine.pull_model(&bob, id, pull()).await.unwrap_err()));
    assert_eq!(test.engine.find_endpoint(&bob, id).await.unwrap().endpoint.registered_by.as_deref(), Some("Ada"), "everybody sees them");

    // of another workspace it is like one that does not exist
    assert_eq!(test.engine.list_endpoints(&stranger).await.unwrap(), []);
    assert!(matches!(test.engine.find_endpoint(&stranger, id).await, Err(Error::NotFound { .. })));
    assert!(matches!(test.engine.remove_endpoint(&stranger, id).await, Err(Error::NotFound { .. })));
    assert!(matches!(test.engine.pull_model(&stranger, id, pull()).await, Err(Error::NotFound { .. })));
    let theirs = test.engine.pull_model(&ada, id, pull()).await.unwrap().id;
    assert!(matches!(test.engine.cancel_pull(&stranger, theirs).await, Err(Error::NotFound { .. })));
    assert!(test.engine.choose_endpoint(&stranger, "llama3".into()).await.unwrap().considered.is_empty());

    let (_, _, mut link) = Link::joined(&test, &ada).await;
    sees(&test, &mut link, warm()).await;
    let found = test.engine.list_endpoints(&ada).await.unwrap().into_iter().find(|one| one.runner_id.is_some()).unwrap();
    assert!(matches!(test.engine.remove_endpoint(&ada, found.id).await, Err(Error::Conflict(_))), "it goes with its runner");
    test.engine.remove_runner(&ada, found.runner_id.unwrap()).await.unwrap();
    assert_eq!(only(&test, &ada).await.endpoint.id, id);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_pulls_what_is_wanted_and_tells_how_far_that_is(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    assert_eq!(sees(&test, &mut link, warm()).await, []);
    let endpoint = only(&test, &ada).await.endpoint.id;
    let new = || NewPull { model: "tiny:1b".into() };
    let pull = test.engine.pull_model(&ada, endpoint, new()).await.unwrap();
    let expected = [(pull.id, "tiny:1b".to_owned())];
    assert_eq!(wanted(&mut link).await, expected, "it is told at once");
    assert_eq!(sees(&test, &mut link, warm()).await, expected, "and with every reading");
    assert!(matches!(test.engine.pull_model(&ada, endpoint, new()).await, Err(Error::Conflict(_))), "one of a model at a time");
    let same = NewPull { model: "registry.ollama.ai/library/tiny:1b".into() };
    assert!(matches!(test.engine.pull_model(&ada, endpoint, same).await, Err(Error::Conflict(_))), "however it is written");

    let says = async |link: &mut Link, progress: PullProgress| {
        link.to_server.send(ToServer::Pulling { pull: pull.id, progress, optional: true }).await.unwrap();
        link.beats(&[]).await;
        only(&test, &ada).await.pulls.remove(0)
    };
    let half = PullProgress { status: "pulling a1".into(), completed: 50, total: 100, end: None };
    let told = says(&mut link, half.clone()).await;
    assert_eq!((told.state, told.percent(), told.status.as_deref()), (PullState::Pulling, Some(50), Some("pulling a1")));
    let told = says(&mut link, PullProgress { completed: 100, end: Some(PullEnd::Done), ..half.clone() }).await;
    assert_eq!((told.state, told.percent()), (PullState::Done, Some(100)));
    assert!(told.ended_at.is_some());
    assert_eq!(sees(&test, &mut link, warm()).await, [], "nobody wants it any more");
    let late = says(&mut link, PullProgress { end: Some(PullEnd::Failed { why: "late".into() }), ..half }).await;
    assert_eq!(late.state, PullState::Done, "what has ended stays as it is");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_that_is_left_off_is_not_wanted_any_more(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    sees(&test, &mut link, warm()).await;
    let endpoint = only(&test, &ada).await.endpoint.id;
    let pull = test.engine.pull_model(&ada, endpoint, NewPull { model: "tiny".into() }).await.unwrap();
    assert_eq!(wanted(&mut link).await.len(), 1);
    assert_eq!(test.engine.cancel_pull(&ada, pull.id).await.unwrap().state, PullState::Cancelled);
    assert_eq!(wanted(&mut link).await, [], "its runner is told at once");
    assert!(matches!(test.engine.cancel_pull(&ada, pull.id).await, Err(Error::Conflict(_))));
    let again = test.engine.pull_model(&ada, endpoint, NewPull { model: "tiny".into() }).await.unwrap();
    assert_ne!(again.id, pull.id);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_says_nothing_of_the_pulls_of_others(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut one) = Link::joined(&test, &ada).await;
    sees(&test, &mut one, warm()).await;
    let endpoint = only(&test, &ada).await.endpoint.id;
    let pull = test.engine.pull_model(&ada, endpoint, NewPull { model: "tiny".into() }).await.unwrap();
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "other").await.id;
    let mut other = Link::of(&test, &machine, id).await;
    assert_eq!(sees(&test, &mut other, warm()).await, []);
    let done = PullProgress { end: Some(PullEnd::Done), ..PullProgress::default() };
    other.to_server.send(ToServer::Pulling { pull: pull.id, progress: done, optional: true }).await.unwrap();
    other.beats(&[]).await;
    let told = test.engine.find_endpoint(&ada, endpoint).await.unwrap().pulls.remove(0);
    assert_eq!(told.state, PullState::Waiting);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_registered_endpoint_pulls_one_server_is_at_until_it_is_gone(pool: PgPool) {
    let (test, other) = (TestEngine::new(&pool).await, TestEngine::new(&pool).await);
    let ada = test.owner().await;
    let id = registered(&test, &ada, "box").await;
    let pull = test.engine.pull_model(&ada, id, NewPull { model: "tiny".into() }).await.unwrap();
    assert_eq!(test.engine.take_pulls(MANY, &[]).await.unwrap(), [], "nobody has looked whether it answers");
    test.engine.endpoint_looked(id, refuses()).await.unwrap();
    assert_eq!(test.engine.take_pulls(MANY, &[]).await.unwrap(), [], "it does not answer");
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    let taken = test.engine.take_pulls(MANY, &[]).await.unwrap();
    assert_eq!((taken[0].id, taken[0].model.as_str(), taken[0].url.as_str()), (pull.id, "tiny:latest", "http://box:11434"));
    assert_eq!(other.engine.take_pulls(MANY, &[]).await.unwrap(), []);
    test.advance(PULL_HELD - TimeDelta::seconds(1));
    other.advance(PULL_HELD - TimeDelta::seconds(1));
    let half = PullProgress { status: "pulling".into(), completed: 1, total: 2, end: None };
    assert!(test.engine.pull_has_come(&taken[0], half).await.unwrap(), "it is wanted");
    other.advance(TimeDelta::seconds(1));
    assert_eq!(other.engine.take_pulls(MANY, &[]).await.unwrap(), [], "whoever is at it has said so");
    other.advance(PULL_HELD);
    let taken_over = other.engine.take_pulls(MANY, &[]).await.unwrap();
    assert_eq!(taken_over.len(), 1, "and then no more");
    let end = PullProgress { end: Some(PullEnd::Failed { why: "late".into() }), ..PullProgress::default() };
    assert!(!test.engine.pull_has_come(&taken[0], end).await.unwrap(), "from whom it was taken says nothing any more");
    assert!(other.engine.pull_has_come(&taken_over[0], PullProgress::default()).await.unwrap());
    test.engine.cancel_pull(&ada, pull.id).await.unwrap();
    assert!(!other.engine.pull_has_come(&taken_over[0], PullProgress::default()).await.unwrap(), "nobody wants it");
    test.advance(TimeDelta::days(31));
    assert_eq!(test.engine.tidy_endpoints().await.unwrap(), 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_nobody_pulls_within_an_hour_fails_and_what_was_removed_is_deleted_in_the_end(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = registered(&test, &ada, "box").await;
    test.engine.pull_model(&ada, id, NewPull { model: "tiny".into() }).await.unwrap();
    test.advance(PULL_WAITS);
    test.engine.tidy_endpoints().await.unwrap();
    assert_eq!(only(&test, &ada).await.pulls[0].state, PullState::Waiting);
    test.advance(TimeDelta::seconds(1));
    test.engine.tidy_endpoints().await.unwrap();
    let failed = only(&test, &ada).await.pulls.remove(0);
    assert_eq!(failed.state, PullState::Failed);
    assert!(failed.why.unwrap().starts_with("nobody was at it for an hour"));

    test.engine.remove_endpoint(&ada, id).await.unwrap();
    assert_eq!(test.engine.tidy_endpoints().await.unwrap(), 0);
    test.advance(TimeDelta::days(31));
    assert_eq!(test.engine.tidy_endpoints().await.unwrap(), 2, "the pull, and the endpoint that nothing names then");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_for_others_at_an_endpoint_that_answers_goes_on_waiting(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = registered(&test, &ada, "box").await;
    test.engine.pull_model(&ada, id, NewPull { model: "tiny".into() }).await.unwrap();
    let state = async || {
        test.engine.tidy_endpoints().await.unwrap();
        only(&test, &ada).await.pulls[0].state
    };
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    test.advance(PULL_WAITS * 3);
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    assert_eq!(state().await, PullState::Waiting, "it is in line, and somebody will be at it");
    test.engine.endpoint_looked(id, refuses()).await.unwrap();
    test.advance(PULL_WAITS);
    test.engine.endpoint_looked(id, refuses()).await.unwrap();
    assert_eq!(state().await, PullState::Waiting, "an hour is counted from when it answered last");
    test.advance(TimeDelta::seconds(1));
    assert_eq!(state().await, PullState::Failed);
}

/// A pull that one server has taken, of an endpoint that answers.
async fn taken(test: &TestEngine, ada: &Actor) -> HeldPull {
    let id = registered(test, ada, "box").await;
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    test.engine.pull_model(ada, id, NewPull { model: "tiny".into() }).await.unwrap();
    let held = test.engine.take_pulls(MANY, &[]).await.unwrap().remove(0);
    assert_eq!(held.endpoint, id);
    held
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_that_is_taken_again_and_again_and_comes_no_further_fails(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let first = taken(&test, &ada).await;
    let at = |completed| PullProgress { status: "pulling a1".into(), completed, total: 100, end: None };
    // whoever is at it goes away, and it is begun anew
    let again = async || {
        test.advance(PULL_HELD * 2);
        test.engine.endpoint_looked(first.endpoint, warm()).await.unwrap();
        let held = test.engine.take_pulls(MANY, &[]).await.unwrap().remove(0);
        assert!(test.engine.pull_has_come(&held, at(50)).await.unwrap());
        test.engine.tidy_endpoints().await.unwrap();
        only(&test, &ada).await.pulls.remove(0)
    };
    // the first of these came further, and no other
    for _ in 0..=PULL_WAITS.num_minutes() {
        assert_eq!(again().await.state, PullState::Pulling);
    }
    let failed = again().await;
    assert_eq!(
        (failed.state, failed.why.as_deref()),
        (PullState::Failed, Some("it has come no further for an hour; another pull goes on from there"))
    );
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_that_comes_to_the_same_point_again_and_again_fails(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let first = taken(&test, &ada).await;
    // from the beginning to there, where it breaks off; a minute after the one before
    let comes_to = async |most: u64| {
        test.advance(PULL_HELD * 2);
        test.engine.endpoint_looked(first.endpoint, warm()).await.unwrap();
        let held = test.engine.take_pulls(MANY, &[]).await.unwrap().remove(0);
        for completed in [0, most / 2, most] {
            let progress = PullProgress { status: "pulling a1".into(), completed, total: 1000, end: None };
            assert!(test.engine.pull_has_come(&held, progress).await.unwrap());
        }
        test.engine.tidy_endpoints().await.unwrap();
        only(&test, &ada).await.pulls.remove(0)
    };
    let minutes = PULL_WAITS.num_minutes().unsigned_abs();
    let furthest = 100 + 2 * minutes;
    for most in 100..=furthest {
        assert_eq!(comes_to(most).await.state, PullState::Pulling, "each comes further than the one before: {most}");
    }
    // so often catching up is coming further, and then an hour is waited
    for _ in 1..PULL_FALLS {
        assert_eq!(comes_to(furthest).await.state, PullState::Pulling);
    }
    for minute in 1..=minutes {
        assert_eq!(comes_to(furthest).await.state, PullState::Pulling, "{minute}");
    }
    let failed = comes_to(furthest).await;
    assert_eq!(failed.state, PullState::Failed);
    assert!(failed.why.unwrap().starts_with("it was begun again and again, and has come no further than before for an hour"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_begun_and_is_in_line_again_has_not_failed_and_is_taken_first(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (other, id) = (registered(&test, &ada, "other").await, registered(&test, &ada, "box").await);
    for (endpoint, model) in [(other, "early"), (id, "first"), (id, "second"), (id, "third")] {
        test.engine.pull_model(&ada, endpoint, NewPull { model: model.into() }).await.unwrap();
        test.advance(TimeDelta::seconds(1));
    }
    let takes = async |at_work: &[WorkspaceId]| {
        let mut taken = test.engine.take_pulls(MANY, at_work).await.unwrap();
        taken.sort_by_key(|held| held.model.clone());
        taken
    };
    let models = |taken: &[HeldPull]| taken.iter().map(|held| held.model.clone()).collect::<Vec<_>>();
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    assert_eq!(models(&takes(&[]).await), ["first:latest", "second:latest"]);
    // their server begins anew, and they are held for a while
    let third = takes(&[]).await.remove(0);
    assert_eq!(third.model, "third:latest");
    let at = |completed| PullProgress { status: "pulling a1".into(), completed, total: 100, end: None };
    for completed in 1..=8 {
        test.advance(PULL_WAITS / 6);
        for endpoint in [other, id] {
            test.engine.endpoint_looked(endpoint, warm()).await.unwrap();
        }
        assert!(test.engine.pull_has_come(&third, at(completed)).await.unwrap());
        test.engine.tidy_endpoints().await.unwrap();
    }
    let states = async || {
        let pulls = test.engine.find_endpoint(&ada, id).await.unwrap().pulls;
        pulls.into_iter().map(|pull| pull.state).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [PullState::Pulling; 3], "they only wait for it");

    let again = takes(&[ada.workspace_id]).await;
    assert_eq!(models(&again), ["first:latest"], "before what was asked for earlier and is not begun");
    test.advance(TimeDelta::minutes(4));
    assert!(test.engine.pull_has_come(&again[0], at(0)).await.unwrap() && test.engine.pull_has_come(&third, at(9)).await.unwrap());
    test.engine.tidy_endpoints().await.unwrap();
    assert_eq!(states().await, [PullState::Pulling; 3], "its hour is a new one");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_pull_lasts_longer_than_a_day_whoever_takes_it_up(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let held = taken(&test, &ada).await;
    for completed in 1..=24 {
        test.advance(PULL_LASTS / 24);
        assert!(test.engine.pull_has_come(&held, PullProgress { completed, total: 100, ..PullProgress::default() }).await.unwrap());
        test.engine.tidy_endpoints().await.unwrap();
        assert_eq!(only(&test, &ada).await.pulls[0].state, PullState::Pulling, "{completed}");
    }
    test.advance(TimeDelta::seconds(1));
    test.engine.tidy_endpoints().await.unwrap();
    let failed = only(&test, &ada).await.pulls.remove(0);
    assert_eq!(
        (failed.state, failed.why.as_deref()),
        (PullState::Failed, Some("it was not done within a day; another pull goes on from there"))
    );
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn workspaces_take_turns_at_pulls_and_none_has_more_than_half(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, stranger) = (test.owner().await, test.stranger().await);
    let (ours, theirs) = (registered(&test, &ada, "ours").await, registered(&test, &stranger, "theirs").await);
    for id in [ours, theirs] {
        test.engine.endpoint_looked(id, warm()).await.unwrap();
    }
    for number in 0..4 {
        test.engine.pull_model(&ada, ours, NewPull { model: format!("m{number}:1b") }).await.unwrap();
        test.advance(TimeDelta::seconds(1));
    }
    test.engine.pull_model(&stranger, theirs, NewPull { model: "tiny:1b".into() }).await.unwrap();
    let models = |taken: &[HeldPull]| {
        let mut models: Vec<_> = taken.iter().map(|pull| pull.model.clone()).collect();
        models.sort();
        models
    };
    assert_eq!(models(&test.engine.take_pulls(2, &[]).await.unwrap()), ["m0:1b", "tiny:1b"], "whoever came late is among the first");
    let one_at_work = [ada.workspace_id];
    assert_eq!(models(&test.engine.take_pulls(3, &one_at_work).await.unwrap()), ["m1:1b"]);
    let two_at_work = [ada.workspace_id; 2];
    assert_eq!(test.engine.take_pulls(2, &two_at_work).await.unwrap(), [], "the other half is for others");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_pulls_of_a_runner_that_is_removed_are_cancelled(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, runner, mut link) = Link::joined(&test, &ada).await;
    sees(&test, &mut link, warm()).await;
    let endpoint = only(&test, &ada).await.endpoint.id;
    let pull = test.engine.pull_model(&ada, endpoint, NewPull { model: "tiny".into() }).await.unwrap();
    test.engine.remove_runner(&ada, runner).await.unwrap();
    assert!(matches!(test.engine.cancel_pull(&ada, pull.id).await, Err(Error::Conflict(why)) if why.contains("cancelled")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_workspace_has_more_than_ten_pulls_open_wherever_they_are(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (one, other) = (registered(&test, &ada, "one").await, registered(&test, &ada, "other").await);
    let pull = async |endpoint, number: i64| test.engine.pull_model(&ada, endpoint, NewPull { model: format!("m{number}") }).await;
    for number in 0..PULLS_MAX {
        pull(one, number).await.unwrap();
    }
    for endpoint in [one, other] {
        assert!(matches!(pull(endpoint, PULLS_MAX).await, Err(Error::Conflict(why)) if why.starts_with("10 models are being pulled")));
    }
    let first = test.engine.find_endpoint(&ada, one).await.unwrap().pulls.remove(0);
    test.engine.cancel_pull(&ada, first.id).await.unwrap();
    pull(other, PULLS_MAX).await.unwrap();
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn workspaces_take_turns_at_being_looked_for(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, stranger) = (test.owner().await, test.stranger().await);
    for number in 0..5 {
        registered(&test, &ada, &format!("of-ada-{number}")).await;
    }
    test.advance(TimeDelta::seconds(1));
    let theirs = registered(&test, &stranger, "theirs").await;
    let due = test.engine.due_endpoints(2).await.unwrap();
    assert!(due.len() == 2 && due.iter().any(|(id, _)| *id == theirs), "{due:?}");
    assert_eq!(test.engine.due_endpoints(MANY).await.unwrap().len(), 4, "and the others with the next room");
}
