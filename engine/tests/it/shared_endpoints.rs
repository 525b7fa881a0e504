//! An endpoint that serves every workspace, as that on the server's own machine: who may fill its disk, and what workspaces do to each other there.

use chrono::TimeDelta;
use domain::{
    Actor, Backend, EndpointId, TaskStateName,
    attempt::NoEndpoint,
    endpoint::{EndpointLook, ModelState, NewEndpoint, NewPull, PULLS_MAX, PullState},
    protocol::{ToRunner, ToServer},
    runner::HostReading,
};
use engine::{
    Error, SharedPulls,
    testing::{TestEngine, TestRunner},
};
use sqlx::PgPool;

use crate::{endpoint_choice::asks, endpoints::has, link::Link, scenario::state};

/// What the runner on the server's machine has found there, and that runner, which has OpenCode.
async fn scene(test: &TestEngine, ada: &Actor, models: &[(&str, ModelState)]) -> (EndpointId, TestRunner) {
    let (mut link, ..) = Link::welcome(test, 1, &[]).await;
    test.advance(TimeDelta::seconds(1));
    let look = EndpointLook { url: "http://127.0.0.1:11434".into(), is_said: true, looked: has(models) };
    let reading =
        ToServer::Reading { reading: Box::new(HostReading::default()), endpoint: Some(Box::new(look)), age_seconds: 0, optional: true };
    assert!(matches!(link.asks(reading).await, ToRunner::Pulls { .. }));
    let found = test.engine.list_endpoints(ada).await.unwrap().into_iter().find(|one| one.runner_id.is_some()).unwrap();
    assert!(found.is_shared);
    // the same runner as the link's
    (found.id, test.runner_with("r1", &["opencode"]).await)
}

fn llama3() -> NewPull {
    NewPull { model: "llama3".into() }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whose_disk_is_everybodys_one_workspace_alone_does_not_fill(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (endpoint, _) = scene(&test, &ada, &[("other", ModelState::Warm)]).await;
    let pull = test.engine.pull_model(&ada, endpoint, llama3()).await.expect("there is nobody else");
    test.engine.cancel_pull(&ada, pull.id).await.unwrap();
    let stranger = test.stranger().await;
    for who in [&ada, &stranger] {
        let refused = test.engine.pull_model(who, endpoint, llama3()).await;
        assert!(matches!(&refused, Err(Error::Conflict(why)) if why.contains("MUSTER_SHARED_PULLS=allowed")), "{refused:?}");
    }
    let allowed = TestEngine::new(&pool).await;
    allowed.engine.set_shared_pulls(SharedPulls::Allowed);
    allowed.engine.pull_model(&stranger, endpoint, llama3()).await.expect("whoever runs the server lets them");
}

/// Which addresses lead to it from elsewhere nobody knows; these are known.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_registers_the_servers_own_machine_fills_its_disk_no_sooner(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let new = |name: &str, url: &str| NewEndpoint { name: name.into(), url: url.into(), machine_of: None };
    let here = test.engine.register_endpoint(&ada, new("here", "http://127.0.0.1:11434")).await.unwrap();
    test.engine.endpoint_looked(here.id, has(&[("other", ModelState::Warm)])).await.unwrap();
    let pull = test.engine.pull_model(&ada, here.id, llama3()).await.expect("there is nobody else");
    test.engine.cancel_pull(&ada, pull.id).await.unwrap();
    test.stranger().await;
    let refused = test.engine.pull_model(&ada, here.id, llama3()).await;
    assert!(matches!(&refused, Err(Error::Conflict(why)) if why.contains("MUSTER_SHARED_PULLS=allowed")), "{refused:?}");

    test.engine.set_auto_pull(&ada, true).await.unwrap();
    let runner = test.runner_with("able", &["opencode"]).await;
    test.create(&ada, asks("x", Backend::OpenCode)).await;
    assert_eq!(runner.claims_one().await.endpoint, None, "nor by itself");
    let elsewhere = test.engine.register_endpoint(&ada, new("elsewhere", "http://box:11434")).await.unwrap();
    test.engine.pull_model(&ada, elsewhere.id, llama3()).await.expect("that disk is another's");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_others_have_pulled_there_closes_nothing_to_this_workspace(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    test.engine.set_shared_pulls(SharedPulls::Allowed);
    let (ada, stranger) = (test.owner().await, test.stranger().await);
    let (endpoint, runner) = scene(&test, &ada, &[("other", ModelState::Warm)]).await;
    test.engine.set_auto_pull(&ada, true).await.unwrap();
    for number in 0..PULLS_MAX {
        test.engine.pull_model(&stranger, endpoint, NewPull { model: format!("m{number}") }).await.unwrap();
    }
    let more = test.engine.pull_model(&stranger, endpoint, NewPull { model: "more".into() }).await;
    assert!(matches!(&more, Err(Error::Conflict(why)) if why.contains("for this workspace")), "{more:?}");
    test.engine.pull_model(&ada, endpoint, NewPull { model: "tiny".into() }).await.expect("its own are few");
    let task = test.create(&ada, asks("x", Backend::OpenCode)).await.summary.id;
    assert!(runner.claims(1).await.is_empty());
    let awaited = test.engine.get_task(&ada, task).await.unwrap().awaited_pull.expect("it waits for none of theirs, which it does not see");
    assert_eq!(awaited.pull.model, "llama3:latest");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_task_lacks_is_not_pulled_there_by_itself_either(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (endpoint, runner) = scene(&test, &ada, &[("other", ModelState::Warm)]).await;
    test.engine.set_auto_pull(&ada, true).await.unwrap();
    test.stranger().await;
    let task = test.create(&ada, asks("x", Backend::OpenCode)).await.summary.id;
    assert_eq!(runner.claims_one().await.endpoint, None, "it begins as its runner's settings say");
    let attempt = test.engine.get_task(&ada, task).await.unwrap().attempt_list.pop().unwrap();
    let Some(NoEndpoint { reasons, .. }) = attempt.no_endpoint else { panic!("{attempt:?}") };
    assert!(reasons.len() == 2 && reasons[1].contains("MUSTER_SHARED_PULLS=allowed"), "{reasons:?}");
    assert!(test.engine.find_endpoint(&ada, endpoint).await.unwrap().pulls.is_empty());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_another_workspace_leaves_off_ends_no_task_of_this_one(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    test.engine.set_shared_pulls(SharedPulls::Allowed);
    let (ada, stranger) = (test.owner().await, test.stranger().await);
    let (endpoint, runner) = scene(&test, &ada, &[("other", ModelState::Warm)]).await;
    test.engine.set_auto_pull(&ada, true).await.unwrap();
    let theirs = test.engine.pull_model(&stranger, endpoint, llama3()).await.unwrap();
    let task = test.create(&ada, asks("x", Backend::OpenCode)).await.summary.id;
    assert!(runner.claims(1).await.is_empty(), "it waits for theirs");
    test.engine.cancel_pull(&stranger, theirs.id).await.unwrap();
    test.keep_time().await;
    assert!(runner.claims(1).await.is_empty());
    let view = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!(state(&view), TaskStateName::Queued, "{view:?}");
    let own = view.awaited_pull.expect("it waits for one of its own").pull;
    assert_eq!((own.state, own.id == theirs.id), (PullState::Waiting, false));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn attempts_of_other_workspaces_count_where_the_choice_is_made(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, stranger) = (test.owner().await, test.stranger().await);
    let (shared, runner) = scene(&test, &ada, &[("llama3", ModelState::Warm)]).await;
    test.create(&stranger, asks("theirs", Backend::OpenCode)).await;
    assert_eq!(runner.claims_one().await.endpoint.map(|chosen| chosen.id), Some(shared));
    let new = NewEndpoint { name: "own".into(), url: "http://own:11434".into(), machine_of: None };
    let own = test.engine.register_endpoint(&ada, new).await.unwrap().id;
    test.engine.endpoint_looked(own, has(&[("llama3", ModelState::Warm)])).await.unwrap();
    let told = test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap();
    let loads: Vec<_> = told.considered.iter().map(|one| (one.id, one.load)).collect();
    assert_eq!(loads, [(own, 50), (shared, 50)], "it is no business of this workspace how much others do there");
    assert!(told.considered[1].reasons[1].ends_with("no attempt works there, beside what other workspaces do"), "{told:?}");
    test.create(&ada, asks("x", Backend::OpenCode)).await;
    assert_eq!(runner.claims_one().await.endpoint.map(|chosen| chosen.id), Some(own), "as it is told");
}
