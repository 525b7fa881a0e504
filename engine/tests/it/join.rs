//! How a machine becomes a runner, what it may be given, and how it stops being one.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, NewTask, Permission, Priority, Role, RunnerId,
    protocol::{Hello, ToRunner, ToServer, VERSION},
    runner::{JoinRunner, JoinedRunner, NewTrial, RUNNERS_LISTED, RunnerFilter, own_word},
};
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::{
    far::{Link, Machine, is_refused},
    scenario::checked,
};

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_token_works_once_for_an_hour_and_for_one_machine(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (first, second) = (Machine::new(), Machine::new());
    let token = test.engine.create_runner_token(&ada).await.unwrap().token;
    let joined = test.engine.join_runner(first.asks(&token, "box")).await.unwrap();
    assert_eq!(joined.name, "box");
    let again = test.engine.join_runner(first.asks(&token, "another name")).await.unwrap();
    assert_eq!(again, joined, "its answer may have been lost");
    let refused = |result: engine::Result<JoinedRunner>| assert!(matches!(result, Err(Error::Unauthorized(_))), "{result:?}");
    refused(test.engine.join_runner(second.asks(&token, "box")).await);
    refused(test.engine.join_runner(second.asks("mst_join_never", "box")).await);
    let late = test.engine.create_runner_token(&ada).await.unwrap().token;
    test.advance(TimeDelta::hours(1));
    refused(test.engine.join_runner(second.asks(&late, "box")).await);
    let stored: Vec<u8> = sqlx::query_scalar("select hash from runner_token limit 1").fetch_one(&pool).await.unwrap();
    assert_eq!(stored.len(), 32, "only its hash is stored");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_those_who_use_a_token_at_once_one_joins(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let token = test.engine.create_runner_token(&ada).await.unwrap().token;
    let machines: Vec<_> = (0..8).map(|_| Machine::new()).collect();
    let joins = machines.iter().map(|machine| test.engine.join_runner(machine.asks(&token, "box")));
    let joined = futures::future::join_all(joins).await;
    assert_eq!(joined.iter().filter(|one| one.is_ok()).count(), 1, "{joined:#?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn names_are_told_apart_in_their_workspace(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let first = Machine::new().joins(&test, &ada, "box").await;
    let second = Machine::new().joins(&test, &ada, "box").await;
    let elsewhere = Machine::new().joins(&test, &eve, "box").await;
    assert_eq!((first.name.as_str(), elsewhere.name.as_str()), ("box", "box"));
    assert_eq!(second.name, format!("box {}", second.id.short()));
    let seen: Vec<_> = test.engine.list_runners(&eve, RunnerFilter::default()).await.unwrap().into_iter().map(|runner| runner.id).collect();
    assert_eq!(seen, [elsewhere.id], "a workspace sees its own runners alone");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_name_is_picked_when_none_is_given(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let joins = async || {
        let token = test.engine.create_runner_token(&ada).await.unwrap().token;
        test.engine.join_runner(JoinRunner { name: None, ..Machine::new().asks(&token, "") }).await.unwrap()
    };
    let (first, second) = (joins().await, joins().await);
    assert_eq!((first.name.as_str(), second.name), ("runner", format!("runner {}", second.id.short())));
    let token = test.engine.create_runner_token(&ada).await.unwrap().token;
    assert!(matches!(test.engine.join_runner(Machine::new().asks(&token, " ")).await, Err(Error::Invalid(_))), "a name of nothing is none");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_list_of_runners_goes_on_behind_its_last(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    // two of one name: of the workspace, and of the installation
    let many = "insert into runner (id, workspace_id, name, slots, created_at, last_seen_at)
                select gen_random_uuid(), case when number % 2 = 0 then $1 end, 'r' || lpad((number / 2)::text, 4, '0'), 1, now(), now()
                from generate_series(1, 401) as number";
    sqlx::query(many).bind(ada.workspace_id.0).execute(&pool).await.unwrap();
    let (mut seen, mut lengths) = (vec![], vec![]);
    let mut filter = RunnerFilter::default();
    loop {
        let listed = test.engine.list_runners(&ada, filter).await.unwrap();
        lengths.push(listed.len());
        filter.after = listed.last().map(|runner| runner.id);
        seen.extend(listed.into_iter().map(|runner| (runner.name, runner.id)));
        if lengths.last() < Some(&RUNNERS_LISTED) {
            break;
        }
    }
    assert_eq!(lengths, [RUNNERS_LISTED, RUNNERS_LISTED, 1]);
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(seen, sorted, "each once, by name");
    let unknown = RunnerFilter { after: Some(RunnerId(uuid::Uuid::from_u128(7))) };
    assert!(matches!(test.engine.list_runners(&ada, unknown).await, Err(Error::Invalid(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_may_not_add_runners_is_told_so(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let joined = Machine::new().joins(&test, &ada, "box").await;
    let member = Actor::new(ada.workspace_id, ActorKind::ApiKey { id: domain::ApiKeyId(uuid::Uuid::from_u128(1)), role: Role::Member });
    let forbidden = |error: Error| matches!(error, Error::Forbidden(domain::Forbidden(Permission::ManageRunners)));
    assert!(forbidden(test.engine.create_runner_token(&member).await.err().unwrap()));
    assert!(forbidden(test.engine.remove_runner(&member, joined.id).await.err().unwrap()));
    let eve = test.stranger().await;
    assert!(matches!(test.engine.remove_runner(&eve, joined.id).await, Err(Error::NotFound { .. })), "nobody removes another's");
    let local = test.runner("here").await;
    assert!(matches!(test.engine.remove_runner(&ada, local.session.id()).await, Err(Error::NotFound { .. })), "nor the installation's");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn only_who_has_the_key_is_the_runner(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, other) = (Machine::new(), Machine::new());
    let joined = machine.joins(&test, &ada, "box").await;
    let other_id = other.joins(&test, &ada, "other").await.id;
    let (mut link, nonce) = Link::open(&test).await;
    assert!(is_refused(&link.says_hello(joined.id, String::new()).await), "without a proof");
    let (mut link, nonce_of_another_link) = Link::open(&test).await;
    assert!(is_refused(&link.says_hello(joined.id, machine.proves(&nonce, joined.id)).await), "with the proof of another link");
    let (mut link, nonce) = Link::open(&test).await;
    assert!(is_refused(&link.says_hello(joined.id, other.proves(&nonce, joined.id)).await), "with another key");
    let (mut link, nonce) = Link::open(&test).await;
    assert!(is_refused(&link.says_hello(joined.id, machine.proves(&nonce, other_id)).await), "for another runner");
    assert_ne!(nonce, nonce_of_another_link);
    let (mut link, _) = Link::open(&test).await;
    let local = test.runner("here").await.session.id();
    assert!(is_refused(&link.says_hello(local, String::new()).await), "nobody comes from outside as the server's own runner");
    let (mut link, nonce) = Link::open(&test).await;
    let welcome = link.says_hello(joined.id, machine.proves(&nonce, joined.id)).await;
    assert!(matches!(welcome, Some(ToRunner::Welcome { .. })), "{welcome:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_joined_runner_is_given_its_workspaces_tasks_alone_and_no_paths(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let machine = Machine::new();
    let joined = machine.joins(&test, &ada, "box").await;
    let (mut link, nonce) = Link::open(&test).await;
    link.says_hello(joined.id, machine.proves(&nonce, joined.id)).await;
    test.create(&eve, NewTask { repository: "https://example.org/eve.git".into(), ..checked("another's") }).await;
    test.create(&ada, NewTask { repository: "/srv/app".into(), ..checked("a path") }).await;
    test.dispatch().await;
    assert!(link.told.try_recv().is_err(), "there is nothing for it");
    let own = test.create(&ada, NewTask { repository: "https://example.org/app.git".into(), ..checked("its own") }).await;
    test.dispatch().await;
    match link.told.recv().await {
        Some(ToRunner::Assign { assignment }) => assert_eq!(assignment.attempt.task_id, own.summary.id),
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_removed_runner_is_gone_at_once_and_for_good(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let machine = Machine::new();
    let joined = machine.joins(&test, &ada, "box").await;
    let (mut link, nonce) = Link::open(&test).await;
    link.says_hello(joined.id, machine.proves(&nonce, joined.id)).await;
    test.engine.remove_runner(&ada, joined.id).await.unwrap();
    assert!(link.told.recv().await.is_none(), "its link is closed");
    let (mut link, nonce) = Link::open(&test).await;
    assert!(is_refused(&link.says_hello(joined.id, machine.proves(&nonce, joined.id)).await));
    assert!(test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap().is_empty());
    let next = Machine::new().joins(&test, &ada, "box").await;
    assert_eq!(next.name, "box", "its name is free");
}

/// The machine that has joined with a token, as who it may try itself out.
async fn joins_and_acts(test: &TestEngine, ada: &Actor, machine: &Machine, name: &str) -> (RunnerId, Actor, String) {
    let token = test.engine.create_runner_token(ada).await.unwrap().token;
    assert!(test.engine.actor_of_key(&token).await.unwrap().is_none(), "a token that nobody has used is nobody's");
    let id = test.engine.join_runner(machine.asks(&token, name)).await.unwrap().id;
    let actor = test.engine.actor_of_key(&token).await.unwrap().unwrap();
    assert_eq!(actor.kind, ActorKind::Runner { id });
    (id, actor, token)
}

fn trial() -> NewTrial {
    NewTrial { repository: "/home/box/trial".into() }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_machine_that_joins_tries_itself_out_and_does_nothing_else(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let machine = Machine::new();
    let (id, actor, token) = joins_and_acts(&test, &ada, &machine, "box").await;
    assert!(matches!(test.engine.runner_trial(&actor).await, Err(Error::NotFound { .. })));
    assert!(matches!(test.engine.try_runner(&ada, trial()).await, Err(Error::Forbidden(_))), "only the machine itself");
    assert!(matches!(test.engine.list_runners(&actor, RunnerFilter::default()).await, Err(Error::Forbidden(_))));
    assert!(matches!(test.engine.create_task(&actor, checked("another")).await, Err(Error::Forbidden(_))));
    assert!(matches!(test.engine.identity(&actor).await, Err(Error::Forbidden(_))));
    let elsewhere = NewTrial { repository: "https://example.org/app.git".into() };
    assert!(matches!(test.engine.try_runner(&actor, elsewhere).await, Err(Error::Invalid(_))));
    let tried = test.engine.try_runner(&actor, trial()).await.unwrap();
    assert_eq!(tried.created_by, "box");
    assert_eq!(test.engine.try_runner(&actor, trial()).await.unwrap().summary.id, tried.summary.id, "it is on its way");

    // a runner of the installation has everything but this one's word
    let mut local = test.connected_runner("here", 4).await;
    test.dispatch().await;
    assert!(local.told().is_empty());
    let mut link = Link::of(&test, &machine, id).await;
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    assert_eq!(assignment.attempt.task_id, tried.summary.id);
    assert_eq!(assignment.repository, "/home/box/trial", "which is a path of its own");
    test.engine.cancel_task(&ada, tried.summary.id).await.unwrap();
    test.advance(TimeDelta::minutes(59));
    assert!(test.engine.actor_of_key(&token).await.unwrap().is_some());
    test.advance(TimeDelta::minutes(1));
    assert!(test.engine.actor_of_key(&token).await.unwrap().is_none(), "a token lasts an hour");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_trial_that_did_not_go_well_is_followed_by_another(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let machine = Machine::new();
    let (_, actor, token) = joins_and_acts(&test, &ada, &machine, "box").await;
    let first = test.engine.try_runner(&actor, trial()).await.unwrap().summary.id;
    test.engine.cancel_task(&ada, first).await.unwrap();
    let second = test.engine.try_runner(&actor, trial()).await.unwrap().summary.id;
    assert_ne!(first, second);
    let ActorKind::Runner { id } = actor.kind else { unreachable!() };
    let mut link = Link::of(&test, &machine, id).await;
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    link.carries_out(&assignment).await;
    assert_eq!(test.engine.try_runner(&actor, trial()).await.unwrap().summary.id, second, "one that went well is enough");
    assert_eq!(test.engine.runner_trial(&actor).await.unwrap().summary.id, second);
    test.engine.remove_runner(&ada, id).await.unwrap();
    assert!(test.engine.actor_of_key(&token).await.unwrap().is_none(), "its key is dead, and its token with it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_for_one_runner_is_given_to_no_other(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (first, second) = (Machine::new(), Machine::new());
    let (one, other) = (first.joins(&test, &ada, "one").await.id, second.joins(&test, &ada, "other").await.id);
    let (mut link, mut other_link) = (Link::of(&test, &first, one).await, Link::of(&test, &second, other).await);
    let new = NewTask { repository: "https://example.org/a.git".into(), capabilities: vec![own_word(other)], ..checked("for the other") };
    let id = test.create(&ada, new).await.summary.id;
    test.dispatch().await;
    assert_eq!(other_link.is_assigned().await.attempt.task_id, id);
    assert!(link.told.try_recv().is_err());
    let (mut link, nonce) = Link::open(&test).await;
    let proof = first.proves(&nonce, one);
    let hello = Hello {
        version: VERSION,
        runner_id: one,
        name: "one".into(),
        slots: 1,
        capabilities: vec![own_word(other)],
        attempts: vec![],
        lost: vec![],
        proof,
        no_sandbox: None,
        lands: false,
        backends: vec![],
        rooms: None,
        left_behind: None,
        takes_slots: false,
        keeps: vec![],
    };
    link.to_server.send(ToServer::Hello(hello)).await.unwrap();
    assert!(is_refused(&link.told.recv().await), "nobody says of himself that he is another");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_leaves_is_none_any_more(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    link.to_server.send(ToServer::Leave).await.unwrap();
    assert_eq!(link.told.recv().await, Some(ToRunner::Left));
    assert!(link.told.recv().await.is_none(), "and the link is closed");
    let (mut link, nonce) = Link::open(&test).await;
    assert!(is_refused(&link.says_hello(id, machine.proves(&nonce, id)).await));
    assert!(test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap().is_empty());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_whose_runner_has_gone_to_another_server_is_given_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, mut link) = Link::joined(&test, &ada).await;
    // what the other server writes when the runner comes to it
    sqlx::query("update runner set ticket = nextval('runner_ticket') where id = $1").bind(id.0).execute(&pool).await.unwrap();
    let task = test.create(&ada, NewTask { repository: "https://example.org/a.git".into(), ..checked("one") }).await.summary.id;
    test.dispatch().await;
    assert_eq!(link.told.recv().await, None, "this link is over");
    let standing: (String, i32) =
        sqlx::query_as("select state, losses from task where id = $1").bind(task.0).fetch_one(&pool).await.unwrap();
    assert_eq!(standing, ("queued".into(), 0), "and nobody is charged");
    test.dispatch().await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), domain::TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_machine_that_comes_with_another_token_is_the_runner_that_it_was(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let machine = Machine::new();
    let joined = machine.joins(&test, &ada, "box").await;
    assert_eq!(machine.joins(&test, &ada, "box").await, joined, "the answer to the first was lost");
    let token = test.engine.create_runner_token(&eve).await.unwrap().token;
    let refused = test.engine.join_runner(machine.asks(&token, "box")).await;
    assert!(matches!(&refused, Err(Error::Invalid(invalid)) if invalid.errors[0].pointer == "/public_key"), "{refused:?}");
    test.engine.remove_runner(&ada, joined.id).await.unwrap();
    let again = test.engine.join_runner(machine.asks(&token, "box")).await.unwrap();
    assert_ne!(again.id, joined.id, "one that was removed comes as another");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_whose_runner_has_a_newer_one_elsewhere_ends_with_its_heartbeat_and_the_runner_lives(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    sqlx::query("update runner set ticket = nextval('runner_ticket') where id = $1").bind(id.0).execute(&pool).await.unwrap();
    link.to_server.send(ToServer::Heartbeat { beat: 1, attempts: vec![], left_behind: None }).await.unwrap();
    assert_eq!(link.told.recv().await, None, "it is not refused for good");
    Link::of(&test, &machine, id).await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_no_runner_elsewhere_can_read_ends_and_is_not_given_again(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    let nested: serde_json::Value = serde_json::from_str(&("[".repeat(125) + &"]".repeat(125))).unwrap();
    let new = NewTask {
        repository: "https://example.org/a.git".into(),
        inputs: [("deep".to_owned(), nested)].into_iter().collect(),
        ..checked("deep")
    };
    let deep = test.create(&ada, new).await.summary.id;
    test.dispatch().await;
    assert!(link.told.try_recv().is_err());
    let view = test.engine.get_task(&ada, deep).await.unwrap();
    assert_eq!(view.summary.state.failure().map(|failure| failure.code), Some(domain::FailureCode::TaskUnreadable));
    let good = test.create(&ada, NewTask { repository: "https://example.org/a.git".into(), ..checked("good") }).await.summary.id;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, good, "the slot is free");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_makes_room_where_the_urgent_task_could_not_go(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    let elsewhere = |title: &str, priority| NewTask { repository: "https://example.org/a.git".into(), priority, ..checked(title) };
    let low = test.create(&ada, elsewhere("low", Priority::Low)).await.summary.id;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, low);
    test.create(&ada, NewTask { repository: "/srv/app".into(), ..elsewhere("a path", Priority::Urgent) }).await;
    test.advance(TimeDelta::minutes(10));
    test.keep_time().await;
    assert!(link.told.try_recv().is_err(), "this runner takes no paths");
    test.create(&ada, elsewhere("urgent", Priority::Urgent)).await;
    test.advance(TimeDelta::minutes(10));
    test.keep_time().await;
    assert!(matches!(link.told.recv().await, Some(ToRunner::Cancel { attempt }) if attempt.task_id == low));
}
