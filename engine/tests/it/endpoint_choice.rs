//! At which endpoint an attempt's model is.

use chrono::TimeDelta;
use domain::{
    Actor, AgentTerms, Backend, BackendFound, NewTask, TaskId,
    attempt::{AttemptEndpoint, NoEndpoint},
    endpoint::{Looked, ModelFormat, ModelState, NewEndpoint},
    protocol::{Assignment, Hello, ToServer},
    runner::{
        HostReading,
        reading::{CpuReading, STALE_AFTER_SECONDS},
    },
};
use engine::testing::TestEngine;
use sqlx::PgPool;

use crate::{
    endpoints::{has, only, reading_of, refuses, registered, sees, wanted, warm},
    far::{Link, Machine},
    link,
    scenario::checked,
};

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_merely_found_is_given_no_prompt_until_its_runner_is_told_that_it_is_one(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    let looks = async |link: &mut Link, is_said| {
        test.advance(TimeDelta::seconds(1));
        link.to_server.send(reading_of(Some(warm()), is_said)).await.unwrap();
        wanted(link).await;
        test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap()
    };
    let found = looks(&mut link, false).await;
    assert_eq!(found.chosen, None);
    assert!(found.considered[0].reasons[0].starts_with("it was found, not confirmed"), "{found:?}");
    assert!(!only(&test, &ada).await.endpoint.is_confirmed);
    assert!(looks(&mut link, true).await.chosen.is_some());
    assert_eq!(looks(&mut link, false).await.chosen, None, "and what its settings say no more counts no more");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn how_busy_the_machine_of_a_registered_endpoint_is_counts(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut ids = vec![];
    for (name, percent) in [("one", 90), ("other", 5)] {
        let machine = Machine::new();
        let runner = machine.joins(&test, &ada, name).await.id;
        let mut link = Link::of(&test, &machine, runner).await;
        let cpu = CpuReading { percent, millicores: 4000, is_limited: false, load_percent: None };
        let reading = Box::new(HostReading { cpu: Some(cpu), ..HostReading::default() });
        link.to_server.send(ToServer::Reading { reading, endpoint: None, age_seconds: 0, optional: true }).await.unwrap();
        link.beats(&[]).await;
        let new = NewEndpoint { name: name.into(), url: format!("http://{name}:11434"), machine_of: Some(runner) };
        let endpoint = test.engine.register_endpoint(&ada, new).await.unwrap();
        assert_eq!((endpoint.machine_of, endpoint.busy_percent), (Some(runner), Some(percent)));
        test.engine.endpoint_looked(endpoint.id, warm()).await.unwrap();
        ids.push(endpoint.id);
    }
    let choice = test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap();
    assert_eq!(choice.considered.iter().map(|one| (one.id, one.load)).collect::<Vec<_>>(), [(ids[1], 5), (ids[0], 90)]);
    test.advance(TimeDelta::seconds(STALE_AFTER_SECONDS + 1));
    for id in &ids {
        test.engine.endpoint_looked(*id, warm()).await.unwrap();
    }
    let later = test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap();
    assert!(later.considered.iter().all(|one| one.load == 50), "what was read long ago says nothing: {later:?}");
}

/// A prompt for an agent with this model.
pub fn asks(title: &str, backend: Backend) -> NewTask {
    prompts(title, AgentTerms { backend: Some(backend), ..AgentTerms::default() })
}

fn prompts(title: &str, terms: AgentTerms) -> NewTask {
    let agent = AgentTerms { model: Some("llama3".into()), ..terms };
    NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked(title) }
}

async fn chosen_for(test: &TestEngine, ada: &Actor, task: TaskId) -> Option<AttemptEndpoint> {
    test.engine.get_task(ada, task).await.unwrap().attempt_list.pop().unwrap().endpoint
}

fn names(assignments: &[Assignment]) -> Vec<Option<&str>> {
    assignments.iter().map(|assignment| assignment.endpoint.as_ref().map(|endpoint| endpoint.name.as_str())).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn attempts_share_two_endpoints_towards_the_one_with_less_to_do(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (one, other) = (registered(&test, &ada, "one").await, registered(&test, &ada, "other").await);
    for id in [one, other] {
        test.engine.endpoint_looked(id, warm()).await.unwrap();
    }
    let runner = test.runner_with("able", &["opencode"]).await;
    for number in 0..4 {
        test.create(&ada, asks(&format!("task {number}"), Backend::OpenCode)).await;
    }
    let claimed = runner.claims(4).await;
    assert_eq!(names(&claimed), [Some("one"), Some("other"), Some("one"), Some("other")]);
    assert_eq!(claimed[0].endpoint.as_ref().unwrap().url, "http://one:11434");
    let kept = chosen_for(&test, &ada, claimed[1].attempt.task_id).await.unwrap();
    assert_eq!((kept.id, kept.name.as_str()), (other, "other"));
    assert!(kept.reasons[0] == "it has the model loaded" && kept.reasons[1].starts_with("load 50: "), "{kept:?}");
    assert_eq!(test.engine.find_endpoint(&ada, one).await.unwrap().endpoint.attempts, 2);

    // two of one's end, so that it has less to do
    for assignment in [&claimed[0], &claimed[2]] {
        runner.fails(assignment).await.unwrap();
    }
    for number in 4..6 {
        test.create(&ada, NewTask { repository: "/srv/another".into(), ..asks(&format!("task {number}"), Backend::OpenCode) }).await;
    }
    let claimed: Vec<_> = runner.claims(9).await.into_iter().filter(|assignment| assignment.repository == "/srv/another").collect();
    assert_eq!(names(&claimed), [Some("one"), Some("one")]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_known_twice_is_no_second_one_that_is_idle(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let machine = Machine::new();
    let on = machine.joins(&test, &ada, "gpu").await.id;
    let mut ids = vec![];
    for (name, machine_of) in [("twin", Some(on)), ("twin-again", Some(on)), ("other", None)] {
        let new = NewEndpoint { name: name.into(), url: format!("http://{name}:11434"), machine_of };
        let id = test.engine.register_endpoint(&ada, new).await.unwrap().id;
        test.engine.endpoint_looked(id, warm()).await.unwrap();
        ids.push(id);
    }
    let runner = test.runner_with("able", &["opencode"]).await;
    for number in 0..4 {
        test.create(&ada, asks(&format!("task {number}"), Backend::OpenCode)).await;
    }
    let given = names(&runner.claims(4).await).into_iter().map(|name| name.map(str::to_owned)).collect::<Vec<_>>();
    let of_other = given.iter().filter(|name| name.as_deref() == Some("other")).count();
    assert_eq!(of_other, 2, "the twins are one machine, and have half of the work together: {given:?}");
    let loads = test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap();
    assert!(loads.considered.iter().all(|one| one.load == 100), "as those count that are kept: {loads:?}");
    assert_eq!(test.engine.find_endpoint(&ada, ids[1]).await.unwrap().endpoint.attempts, 2);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_attempt_is_given_no_endpoint_that_does_not_answer_or_that_it_does_not_reach(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = registered(&test, &ada, "one").await;
    let runner = test.runner_with("able", &["opencode", "codex"]).await;
    let given = async |backend| {
        let task = test.create(&ada, asks("x", backend)).await.summary.id;
        let claimed = runner.claims_one().await;
        let kept = chosen_for(&test, &ada, task).await;
        assert_eq!(kept.map(|kept| kept.id), claimed.endpoint.as_ref().map(|endpoint| endpoint.id), "what is kept is what it is given");
        claimed.endpoint.map(|endpoint| endpoint.name)
    };
    assert_eq!(given(Backend::OpenCode).await, None, "nobody has looked at it");
    test.engine.endpoint_looked(id, refuses()).await.unwrap();
    assert_eq!(given(Backend::OpenCode).await, None);
    test.engine.endpoint_looked(id, has(&[("other", ModelState::Warm)])).await.unwrap();
    assert_eq!(given(Backend::OpenCode).await, None, "it does not have the model");
    let lacking = test.create(&ada, asks("lacking", Backend::OpenCode)).await.summary.id;
    runner.claims_one().await;
    let attempt = test.engine.get_task(&ada, lacking).await.unwrap().attempt_list.pop().unwrap();
    let expected = NoEndpoint { model: "llama3".into(), reasons: vec!["no endpoint has llama3".into()] };
    assert_eq!((attempt.endpoint, attempt.no_endpoint), (None, Some(expected)), "that it was missed is kept");
    test.engine.endpoint_looked(id, warm()).await.unwrap();
    assert_eq!(given(Backend::OpenCode).await.as_deref(), Some("one"));
    assert_eq!(given(Backend::Codex).await, None, "an older runner tells Codex of none");

    // what a runner has found is for its own machine, also when it is the better one
    test.engine.endpoint_looked(id, has(&[("llama3", ModelState::Cold)])).await.unwrap();
    let (_, _, mut link) = Link::joined(&test, &ada).await;
    sees(&test, &mut link, warm()).await;
    let choice = test.engine.choose_endpoint(&ada, "llama3".into()).await.unwrap();
    assert_eq!(choice.best().map(|best| best.name.as_str()), Some("Ollama of box"));
    assert_eq!(given(Backend::OpenCode).await.as_deref(), Some("one"));
}

/// As a runner says it that tells each of its agents of endpoints.
fn found(word: &str, endpoint_format: Option<ModelFormat>) -> BackendFound {
    BackendFound { backend: Backend::parse(word).unwrap(), version: "1".into(), is_simple: false, endpoint_format }
}

/// Over a link that has a slot for each of its tasks.
async fn able(test: &TestEngine, agents: Vec<BackendFound>) -> link::Link {
    let words = agents.iter().map(|found| found.backend.name().into_owned()).collect();
    link::Link::of_machine(test, |hello| Hello { slots: 20, capabilities: words, backends: agents, ..hello }).await
}

/// It has the model loaded, and says that it is of this version.
fn warm_at(version: &str) -> Looked {
    match warm() {
        Looked::Answers { models, .. } => Looked::Answers { version: Some(version.into()), models },
        fails => fails,
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn each_agent_is_given_an_endpoint_that_understands_it_or_the_reason_why_none(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = registered(&test, &ada, "one").await;
    let agents = ["claude-code", "codex", "gemini-cli"].map(|word| found(word, Backend::parse(word).unwrap().endpoint_format()));
    let goose = [found("acp:goose", Some(ModelFormat::OpenaiChat)), found("own:mine", None)];
    let mut link = able(&test, agents.into_iter().chain(goose).collect()).await;
    let mut given = async |word: &str| {
        let task = test.create(&ada, asks("x", Backend::parse(word).unwrap())).await.summary.id;
        test.dispatch().await;
        let formats = link.is_assigned().await.endpoint.map(|endpoint| endpoint.formats.len());
        let attempt = test.engine.get_task(&ada, task).await.unwrap().attempt_list.pop().unwrap();
        (formats, attempt.no_endpoint.map(|none| none.reasons).unwrap_or_default())
    };
    let too_old = |what: &str, since: &str, is: &str| {
        (None, vec![format!("one: {what} it speaks from Ollama {since} on, and it is {is}; it has the model loaded")])
    };
    for (version, claude, codex, spoken) in [
        ("0.9.1", too_old("Anthropic's Messages", "0.14.0", "0.9.1"), too_old("OpenAI's Responses", "0.13.4", "0.9.1"), 2),
        ("0.13.5", too_old("Anthropic's Messages", "0.14.0", "0.13.5"), (Some(3), vec![]), 3),
        ("0.14.0", (Some(4), vec![]), (Some(4), vec![]), 4),
    ] {
        test.engine.endpoint_looked(id, warm_at(version)).await.unwrap();
        assert_eq!([given("claude-code").await, given("codex").await], [claude, codex], "{version}");
        assert_eq!(given("acp:goose").await, (Some(spoken), vec![]), "its manifest says that it speaks what each understands: {version}");
        assert_eq!([given("gemini-cli").await, given("own:mine").await], [(None, vec![]), (None, vec![])], "{version}");
    }

    // the usual names of their models are their providers': no endpoint is missed, and nothing is pulled
    test.engine.endpoint_looked(id, has(&[("other", ModelState::Warm)])).await.unwrap();
    test.engine.set_auto_pull(&ada, true).await.unwrap();
    assert_eq!([given("claude-code").await, given("codex").await], [(None, vec![]), (None, vec![])]);
    assert!(test.engine.find_endpoint(&ada, id).await.unwrap().pulls.is_empty());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_prompt_that_names_no_agent_has_its_model_where_one_that_may_do_it_can_ask(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = registered(&test, &ada, "one").await;
    test.engine.endpoint_looked(id, warm_at("0.13.5")).await.unwrap();
    let all = ["claude-code", "codex", "gemini-cli", "opencode"].map(|word| found(word, Backend::parse(word).unwrap().endpoint_format()));
    let given = async |agents: &[BackendFound], terms: AgentTerms| {
        let mut link = able(&test, agents.to_vec()).await;
        let task = test.create(&ada, prompts("x", terms)).await.summary.id;
        test.dispatch().await;
        let endpoint = link.is_assigned().await.endpoint;
        // or it would be given out once more
        test.engine.cancel_task(&ada, task).await.unwrap();
        link.breaks().await;
        endpoint.map(|endpoint| endpoint.formats)
    };
    let spoken = [ModelFormat::OpenaiResponses, ModelFormat::OpenaiChat, ModelFormat::Ollama];
    assert_eq!(given(&all, AgentTerms::default()).await.as_deref(), Some(&spoken[..]), "its runner takes one of those that speak so");
    assert_eq!(given(&all[..1], AgentTerms::default()).await, None, "Claude Code alone could not ask it");
    assert_eq!(given(&all[2..3], AgentTerms::default()).await, None);
    let counted = AgentTerms { max_cost_cents: Some(100), ..AgentTerms::default() };
    assert_eq!(given(&all, counted).await, None, "who counts what it costs cannot ask it");
}
