//! Models that tasks ask for and no endpoint has: who lets them be pulled by themselves, and what the tasks do meanwhile.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, AgentTerms, AttemptState, Backend, EndpointId, FailureCode, NewTask, Permission, Role, TaskId, TaskStateName,
    TaskView,
    attempt::NoEndpoint,
    endpoint::{
        CHECK_SECONDS, Looked, ModelState, NewPull, PULLS_MAX, Pull, PullState,
        pull::{PullEnd, PullProgress},
    },
};
use engine::{
    Error,
    testing::{TestEngine, TestRunner},
};
use sqlx::PgPool;

use crate::{
    endpoint_choice::asks,
    endpoints::{has, registered},
    scenario::state,
};

/// Whoever takes more than one of them at a time.
const MANY: usize = 50;

/// An endpoint that answers and has another model, and a runner that has OpenCode, in a workspace that lets models be pulled by themselves.
async fn scene(pool: &PgPool) -> (TestEngine, Actor, EndpointId, TestRunner) {
    let test = TestEngine::new(pool).await;
    let ada = test.owner().await;
    let endpoint = lacking(&test, &ada, "box").await;
    let runner = test.runner_with("able", &["opencode"]).await;
    test.engine.set_auto_pull(&ada, true).await.unwrap();
    (test, ada, endpoint, runner)
}

async fn lacking(test: &TestEngine, ada: &Actor, name: &str) -> EndpointId {
    let endpoint = registered(test, ada, name).await;
    test.engine.endpoint_looked(endpoint, has(&[("other", ModelState::Warm)])).await.unwrap();
    endpoint
}

async fn asked(test: &TestEngine, ada: &Actor, title: &str) -> TaskId {
    test.create(ada, asks(title, Backend::OpenCode)).await.summary.id
}

/// It waits, and for which pull.
async fn awaited(test: &TestEngine, ada: &Actor, task: TaskId) -> Pull {
    let view = test.engine.get_task(ada, task).await.unwrap();
    let TaskView { summary, awaited_pull, .. } = &view;
    assert_eq!((state(&view), summary.awaits_model, summary.parked), (TaskStateName::Queued, true, false), "{view:?}");
    awaited_pull.clone().expect("it says for which").pull
}

/// Whoever is at the pulls says how far they have come.
async fn comes(test: &TestEngine, completed: u64, end: Option<PullEnd>) {
    for held in test.engine.take_pulls(MANY, &[]).await.unwrap() {
        let progress = PullProgress { status: "pulling".into(), completed, total: 4 << 30, end: end.clone() };
        assert!(test.engine.pull_has_come(&held, progress).await.unwrap());
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_waits_until_its_model_is_there_and_is_charged_nothing(pool: PgPool) {
    let (test, ada, endpoint, runner) = scene(&pool).await;
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty(), "it is given to nobody");
    let pull = awaited(&test, &ada, task).await;
    assert_eq!((pull.endpoint_id, pull.model.as_str(), pull.state), (endpoint, "llama3:latest", PullState::Waiting));
    let put_off = test.engine.get_task(&ada, task).await.unwrap().attempt_list.remove(0);
    let reasons = vec!["no endpoint has llama3".to_owned(), "it is pulled at box first".to_owned()];
    assert_eq!((put_off.state, put_off.failure), (AttemptState::Cancelled, None));
    assert_eq!(put_off.no_endpoint, Some(NoEndpoint { model: "llama3".into(), reasons }));

    comes(&test, 1 << 30, None).await;
    let words = test.engine.get_task(&ada, task).await.unwrap().awaited_pull.map(|awaited| awaited.in_words());
    assert_eq!(words.as_deref(), Some("box pulls llama3:latest: 25 % of 4.0 GiB"));
    test.keep_time().await;
    assert!(runner.claims(1).await.is_empty(), "nobody takes it meanwhile");

    test.advance(engine::PULL_HELD);
    comes(&test, 4 << 30, Some(PullEnd::Done)).await;
    test.keep_time().await;
    assert_eq!(awaited(&test, &ada, task).await.state, PullState::Done, "nobody has seen it there");
    test.engine.endpoint_looked(endpoint, has(&[("llama3:latest", ModelState::Cold)])).await.unwrap();
    test.keep_time().await;
    let begun = runner.claims_one().await;
    assert_eq!(begun.endpoint.map(|chosen| chosen.name).as_deref(), Some("box"));
    let (failures, losses, pull): (i32, i32, Option<uuid::Uuid>) =
        sqlx::query_as("select failures, losses, model_pull from task where id = $1").bind(task.0).fetch_one(&pool).await.unwrap();
    assert_eq!((begun.attempt.number, failures, losses, pull), (2, 0, 0, None));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_that_fails_ends_the_task_and_a_retry_begins_another_one(pool: PgPool) {
    let (test, ada, _, runner) = scene(&pool).await;
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty());
    let first = awaited(&test, &ada, task).await;
    comes(&test, 0, Some(PullEnd::Failed { why: "file does not exist".into() })).await;
    test.keep_time().await;
    assert!(runner.claims(1).await.is_empty());
    let failed = test.engine.get_task(&ada, task).await.unwrap();
    let failure = failed.summary.state.failure().unwrap();
    assert_eq!((state(&failed), failure.code), (TaskStateName::Failed, FailureCode::ModelUnavailable));
    assert_eq!(failure.message, "llama3 could not be pulled at box: file does not exist");

    test.engine.retry_task(&ada, task).await.unwrap();
    assert!(runner.claims(1).await.is_empty());
    assert_ne!(awaited(&test, &ada, task).await.id, first.id);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_that_fails_elsewhere_is_begun_once_where_it_can_be_had(pool: PgPool) {
    let (test, ada, box_, runner) = scene(&pool).await;
    let second = lacking(&test, &ada, "second").await;
    let task = asked(&test, &ada, "x").await;
    let fails_and_goes_away = async |at: EndpointId| {
        comes(&test, 0, Some(PullEnd::Failed { why: "no space left on device".into() })).await;
        test.engine.endpoint_looked(at, Looked::Fails { why: "Connection refused".into() }).await.unwrap();
        test.keep_time().await;
    };
    assert!(runner.claims(1).await.is_empty());
    let first = awaited(&test, &ada, task).await.endpoint_id;
    fails_and_goes_away(first).await;
    assert!(runner.claims(1).await.is_empty());
    let other = awaited(&test, &ada, task).await.endpoint_id;
    assert_eq!([first.min(other), first.max(other)], [box_.min(second), box_.max(second)], "where its runner can ask for it now");
    fails_and_goes_away(other).await;
    test.engine.endpoint_looked(first, has(&[("other", ModelState::Warm)])).await.unwrap();
    assert!(runner.claims(1).await.is_empty());
    let failed = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!(state(&failed), TaskStateName::Failed, "it has failed at both, and does not go back and forth");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_look_that_is_missed_after_a_pull_has_nothing_pulled_again(pool: PgPool) {
    let (test, ada, box_, runner) = scene(&pool).await;
    let second = lacking(&test, &ada, "second").await;
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty());
    let pull = awaited(&test, &ada, task).await;
    let at = pull.endpoint_id;
    comes(&test, 1, Some(PullEnd::Done)).await;
    let looked = async |looked| {
        test.advance(TimeDelta::seconds(CHECK_SECONDS));
        test.engine.endpoint_looked(at, looked).await.unwrap();
        test.keep_time().await;
    };
    let refuses = || Looked::Fails { why: "Connection refused".into() };
    looked(has(&[("llama3:latest", ModelState::Cold)])).await;
    // it is back in the queue, and missed before it is given out
    looked(refuses()).await;
    assert!(runner.claims(1).await.is_empty());
    assert_eq!(awaited(&test, &ada, task).await.id, pull.id, "that look may have been the only one");
    looked(refuses()).await;
    assert!(runner.claims(1).await.is_empty(), "it is out of sight until then");
    looked(has(&[("llama3:latest", ModelState::Cold)])).await;
    assert_eq!(runner.claims_one().await.endpoint.map(|chosen| chosen.id), Some(at));
    let mut begun = 0;
    for endpoint in [box_, second] {
        begun += test.engine.find_endpoint(&ada, endpoint).await.unwrap().pulls.len();
    }
    assert_eq!(begun, 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn where_it_does_not_answer_for_longer_its_model_is_pulled_elsewhere(pool: PgPool) {
    let (test, ada, box_, runner) = scene(&pool).await;
    let second = lacking(&test, &ada, "second").await;
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty());
    let pull = awaited(&test, &ada, task).await;
    let other = if pull.endpoint_id == box_ { second } else { box_ };
    comes(&test, 1, Some(PullEnd::Done)).await;
    for _ in 0..8 {
        test.advance(TimeDelta::seconds(CHECK_SECONDS));
        test.engine.endpoint_looked(pull.endpoint_id, Looked::Fails { why: "Connection refused".into() }).await.unwrap();
        test.keep_time().await;
    }
    test.engine.endpoint_looked(other, has(&[("other", ModelState::Warm)])).await.unwrap();
    assert!(runner.claims(1).await.is_empty());
    assert_eq!(awaited(&test, &ada, task).await.endpoint_id, other);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_that_somebody_leaves_off_ends_the_task(pool: PgPool) {
    let (test, ada, _, runner) = scene(&pool).await;
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty());
    let pull = awaited(&test, &ada, task).await;
    test.engine.cancel_pull(&ada, pull.id).await.unwrap();
    test.keep_time().await;
    assert!(runner.claims(1).await.is_empty());
    let failed = test.engine.get_task(&ada, task).await.unwrap();
    let message = failed.summary.state.failure().unwrap().message.clone();
    assert_eq!(message, "llama3 was being pulled at box, and somebody has left that off");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_model_is_pulled_at_one_endpoint_at_a_time_for_all_who_ask(pool: PgPool) {
    let (test, ada, first, runner) = scene(&pool).await;
    let second = lacking(&test, &ada, "second").await;
    let one = asked(&test, &ada, "one").await;
    let agent = AgentTerms { model: Some("llama3:latest".into()), ..asks("", Backend::OpenCode).agent };
    let other = test.create(&ada, NewTask { agent, ..asks("other", Backend::OpenCode) }).await.summary.id;
    assert!(runner.claims(2).await.is_empty());
    let third = asked(&test, &ada, "third").await;
    assert!(runner.claims(1).await.is_empty());
    let pull = awaited(&test, &ada, one).await.id;
    assert_eq!([awaited(&test, &ada, other).await.id, awaited(&test, &ada, third).await.id], [pull, pull]);
    let mut open = 0;
    for endpoint in [first, second] {
        open += test.engine.find_endpoint(&ada, endpoint).await.unwrap().pulls.len();
    }
    assert_eq!(open, 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_model_in_other_letters_is_the_one_that_was_pulled(pool: PgPool) {
    let (test, ada, endpoint, runner) = scene(&pool).await;
    let asked_as = async |model: &str| {
        let agent = AgentTerms { model: Some(model.into()), ..asks("", Backend::OpenCode).agent };
        test.create(&ada, NewTask { agent, ..asks(model, Backend::OpenCode) }).await.summary.id
    };
    let (one, other) = (asked_as("hf.co/me/x:q4_k_m").await, asked_as("HF.co/me/X:Q4_K_M").await);
    assert!(runner.claims(2).await.is_empty());
    let pull = awaited(&test, &ada, one).await;
    assert_eq!((pull.model.as_str(), awaited(&test, &ada, other).await.id), ("hf.co/me/x:q4_k_m", pull.id), "as it was asked for first");
    let twice = test.engine.pull_model(&ada, endpoint, NewPull { model: "hf.co/me/x:Q4_K_M".into() }).await;
    assert!(matches!(twice, Err(Error::Conflict(_))), "{twice:?}");
    comes(&test, 1, Some(PullEnd::Done)).await;
    test.engine.endpoint_looked(endpoint, has(&[("hf.co/me/X:Q4_K_M", ModelState::Cold)])).await.unwrap();
    test.keep_time().await;
    let begun = runner.claims(2).await;
    assert!(begun.len() == 2 && begun.iter().all(|one| one.endpoint.is_some()), "at once, as it is there: {begun:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn where_there_is_no_room_for_another_pull_one_of_those_before_is_waited_for(pool: PgPool) {
    let (test, ada, endpoint, runner) = scene(&pool).await;
    for number in 0..PULLS_MAX {
        test.engine.pull_model(&ada, endpoint, NewPull { model: format!("m{number}") }).await.unwrap();
        test.advance(TimeDelta::seconds(1));
    }
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty());
    let before = awaited(&test, &ada, task).await;
    assert_eq!(before.model, "m0:latest");
    test.engine.cancel_pull(&ada, before.id).await.unwrap();
    test.keep_time().await;
    assert!(runner.claims(1).await.is_empty());
    assert_eq!(awaited(&test, &ada, task).await.model, "llama3:latest", "that one came to nothing says nothing of it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_paused_while_it_waits_waits_on_once_it_is_resumed(pool: PgPool) {
    let (test, ada, _, runner) = scene(&pool).await;
    let task = asked(&test, &ada, "x").await;
    assert!(runner.claims(1).await.is_empty());
    let pull = awaited(&test, &ada, task).await;
    test.engine.pause_task(&ada, task).await.unwrap();
    test.engine.resume_task(&ada, task).await.unwrap();
    assert!(runner.claims(1).await.is_empty());
    assert_eq!(awaited(&test, &ada, task).await.id, pull.id);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn only_owners_let_models_be_pulled_by_themselves(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    for role in [Role::Admin, Role::Member, Role::Viewer] {
        let who = Actor::new(ada.workspace_id, ActorKind::ApiKey { id: domain::ApiKeyId(uuid::Uuid::from_u128(1)), role });
        let refused = test.engine.set_auto_pull(&who, true).await;
        assert!(matches!(refused, Err(Error::Forbidden(domain::Forbidden(Permission::AllowPulls)))), "{role:?}: {refused:?}");
    }
    test.engine.set_auto_pull(&eve, true).await.unwrap();
    assert!(!test.engine.identity(&ada).await.unwrap().workspace.auto_pull, "another workspace is another's");
    let said = test.engine.set_auto_pull(&ada, true).await.unwrap();
    assert_eq!((said.auto_pull, said.auto_pull_by.as_deref()), (true, Some(&*ada.label())));

    let endpoint = lacking(&test, &ada, "box").await;
    let runner = test.runner_with("able", &["opencode"]).await;
    test.engine.set_auto_pull(&ada, false).await.unwrap();
    asked(&test, &ada, "x").await;
    assert_eq!(runner.claims_one().await.endpoint, None, "it begins as its runner's settings say");
    assert!(test.engine.find_endpoint(&ada, endpoint).await.unwrap().pulls.is_empty());
}
