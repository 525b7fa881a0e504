//! What a task needs its runner to have: no other is given it, and it stands in nobody's way.

use chrono::TimeDelta;
use domain::{
    AgentTerms, Ask, Backend, BackendFound, CheckStatus, Isolation, NewTask, Priority, TaskStateName,
    agent::words::{ASKS, COUNTS_MONEY, PROMPTS},
    protocol::{AttemptReport, Hello},
    queue::UnmetCapabilities,
    repository::{LFS, SEVERAL, SUBMODULES},
    runner::{OFFLINE_AFTER_SECONDS, Rooms, RunnerFilter},
    task::{NewRepository, RepositoryResult, TaskRepository},
};
use engine::{
    Error,
    testing::{TestEngine, TestRunner, report},
};
use sqlx::PgPool;

use crate::{
    far,
    link::Link,
    scenario::{checked, refused, state},
};

fn needs(title: &str, capabilities: &[&str]) -> NewTask {
    NewTask { capabilities: words(capabilities), ..checked(title) }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

async fn titles(runner: &TestRunner, most: usize) -> Vec<String> {
    let mut titles: Vec<_> = runner.claims(most).await.into_iter().map(|assignment| assignment.title).collect();
    titles.sort();
    titles
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_runner_is_given_what_needs_more_than_it_has(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    for task in [needs("anywhere", &[]), needs("gpu", &["gpu"]), needs("both", &["docker", "gpu"]), needs("tpu", &["tpu"])] {
        test.create(&ada, task).await;
    }
    let (plain, gpu) = (test.runner("r1").await, test.runner_with("r2", &["gpu", "linux"]).await);
    let all = test.runner_with("r3", &["linux", "docker", "gpu"]).await;
    assert_eq!(titles(&plain, 9).await, ["anywhere"]);
    assert_eq!(titles(&gpu, 9).await, ["gpu"]);
    assert_eq!(titles(&all, 9).await, ["both"]);
    assert_eq!(titles(&all, 9).await, Vec::<String>::new(), "nobody has a tpu");
    // it is what the runner said last that counts
    assert_eq!(titles(&test.runner_with("r3", &["tpu"]).await, 9).await, ["tpu"]);
}

fn prompt(title: &str, agent: AgentTerms) -> NewTask {
    NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked(title) }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_prompt_that_names_no_agent_waits_for_a_runner_that_takes_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let counted = AgentTerms { max_cost_cents: Some(100), ..AgentTerms::default() };
    let asking = AgentTerms { ask: Some(Ask::Commands), ..AgentTerms::default() };
    let any = test.create(&ada, prompt("for any", AgentTerms::default())).await;
    let expected = words(&[PROMPTS]);
    assert_eq!((&any.capabilities, &any.unmet_capabilities), (&expected, &expected));
    test.create(&ada, prompt("counted", counted)).await;
    test.create(&ada, prompt("asks", asking)).await;
    assert_eq!(titles(&test.runner_with("r1", &["linux"]).await, 9).await, Vec::<String>::new(), "it would fail there for good");
    assert_eq!(titles(&test.runner_with("r2", &[PROMPTS]).await, 9).await, ["for any"], "its command asks nobody and counts nothing");
    assert_eq!(titles(&test.runner_with("r3", &[PROMPTS, ASKS]).await, 9).await, ["asks"]);
    assert_eq!(titles(&test.runner_with("r4", &[PROMPTS, ASKS, COUNTS_MONEY]).await, 9).await, ["counted"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_agents_can_do_is_told_by_which_they_are(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let counted = AgentTerms { max_cost_cents: Some(100), ..AgentTerms::default() };
    let task = test.create(&ada, prompt("counted", counted)).await.summary.id;
    let with = |backends: &[Backend]| {
        let found =
            |backend: &Backend| BackendFound { backend: backend.clone(), version: "1".into(), is_simple: false, endpoint_format: None };
        let backends: Vec<_> = backends.iter().map(found).collect();
        // the word is what somebody has called something else
        move |hello: Hello| Hello { capabilities: words(&[COUNTS_MONEY]), backends, ..hello }
    };
    let link = Link::of_machine(&test, with(&[Backend::Codex])).await;
    test.dispatch().await;
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued, "it counts no money");
    assert_eq!(test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap()[0].capabilities, ["prompts", "asks", "counts-turns"]);
    link.breaks().await;
    let simple = BackendFound { backend: Backend::Codex, version: "1".into(), is_simple: true, endpoint_format: None };
    let link = Link::of_machine(&test, |hello| Hello { capabilities: words(&["linux"]), backends: vec![simple.clone()], ..hello }).await;
    let runner = test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap().remove(0);
    assert_eq!((runner.capabilities, runner.backends), (words(&["linux", PROMPTS]), vec![simple]), "it is told once, and counts nothing");
    link.breaks().await;
    let mut link = Link::of_machine(&test, with(&[Backend::Codex, Backend::ClaudeCode])).await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.title, "counted");
}

fn without_a_sandbox(may_be_left_out: bool) -> impl FnOnce(Hello) -> Hello {
    let rooms = Rooms {
        memory: None,
        processes: None,
        processors: None,
        file: None,
        by_kernel: false,
        network: "none".into(),
        agent_network: "open".into(),
        may_be_left_out,
    };
    move |hello| Hello { no_sandbox: Some("there is no bwrap".into()), rooms: Some(rooms), ..hello }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_machine_that_makes_no_sandbox_is_given_only_what_needs_none(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let waits = async || {
        test.dispatch().await;
        assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Queued);
    };
    let mut link = Link::of_machine(&test, without_a_sandbox(true)).await;
    waits().await;
    // others are not kept from it, nor is it from what comes next
    test.engine.set_isolation(&ada, Isolation::None).await.unwrap();
    test.dispatch().await;
    let assignment = link.is_assigned().await;
    assert_eq!((assignment.attempt.task_id, assignment.isolation), (task, Isolation::None));
    link.breaks().await;
    test.engine.set_isolation(&ada, Isolation::Sandbox).await.unwrap();
    let other = Link::of_machine(&test, without_a_sandbox(true)).await;
    waits().await;
    other.breaks().await;
    let strict = Link::of_machine(&test, without_a_sandbox(false)).await;
    test.engine.set_isolation(&ada, Isolation::None).await.unwrap();
    waits().await;
    strict.breaks().await;
    test.engine.set_isolation(&ada, Isolation::Sandbox).await.unwrap();
    let mut able = Link::of_machine(&test, |hello| hello).await;
    test.dispatch().await;
    assert_eq!(able.is_assigned().await.attempt.task_id, task);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_guest_is_given_to_no_shared_machine_that_makes_no_sandbox(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    for actor in [&ada, &eve] {
        test.engine.set_isolation(actor, Isolation::None).await.unwrap();
    }
    let guest = test.create(&eve, checked("a guest's")).await.summary.id;
    let mut link = Link::of_machine(&test, without_a_sandbox(true)).await;
    test.dispatch().await;
    assert_eq!(test.engine.task_state(&eve, guest).await.unwrap(), TaskStateName::Queued, "it would run in a sandbox alone");
    test.create(&ada, checked("its own")).await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.title, "its own");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn room_is_made_although_a_machine_without_sandboxes_is_free(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let _able = test.connected_runner("r2", 1).await;
    let low = test.create(&ada, NewTask { priority: Priority::Low, ..checked("low") }).await.summary.id;
    test.dispatch().await;
    let _unable = Link::of_machine(&test, without_a_sandbox(true)).await;
    test.create(&ada, NewTask { priority: Priority::Urgent, ..checked("urgent") }).await;
    test.advance(TimeDelta::seconds(2));
    test.keep_time().await;
    assert!(test.engine.get_task(&ada, low).await.unwrap().summary.state.stop().is_some());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_fetched_beside_the_files_is_told_to_a_runner_that_fetches_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, NewTask { submodules: true, lfs: true, ..checked("all of it") }).await;
    assert_eq!(task.capabilities, [SUBMODULES, LFS]);
    // an older one would leave it out
    assert!(test.runner("older").await.claims(1).await.is_empty());
    assert!(test.runner_with("without", &[SUBMODULES]).await.claims(1).await.is_empty());
    let assignment = test.runner_with("able", &[LFS, SUBMODULES]).await.claims_one().await;
    assert_eq!((assignment.submodules, assignment.lfs), (true, true));
    test.create(&ada, checked("as usual")).await;
    let assignment = test.runner("older").await.claims_one().await;
    assert_eq!((assignment.submodules, assignment.lfs), (false, false));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn several_repositories_are_told_to_a_runner_that_knows_that_there_can_be(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let beside = ["/srv/api#${{version}}", "web=https://example.org/site.git"].map(NewRepository::parse);
    let new = NewTask { repositories: beside.into(), inputs: [("version".into(), "v2".into())].into(), ..checked("all of them") };
    let task = test.create(&ada, new.clone()).await;
    assert_eq!(task.capabilities, [SEVERAL]);
    assert_eq!(test.engine.get_task(&ada, task.summary.id).await.unwrap().repositories, task.repositories);
    let known = test.engine.list_repositories(&ada).await.unwrap();
    assert!(["/srv/api", "https://example.org/site.git"].iter().all(|url| known.iter().any(|one| one.location == *url)), "{known:?}");
    // an older one would work on the first alone
    assert!(test.runner("older").await.claims(1).await.is_empty());
    let able = test.runner_with("able", &[SEVERAL]).await;
    let assignment = able.claims_one().await;
    let told: Vec<_> = assignment.repositories.iter().map(TaskRepository::text).collect();
    assert_eq!(told, ["/srv/api#v2", "web=https://example.org/site.git"]);

    let result = |folder: &str, commit: Option<&str>| RepositoryResult {
        folder: folder.into(),
        base_commit: "0123456789abcdef".into(),
        branch: commit.map(|_| "muster/test-1".into()),
        commit: commit.map(str::to_owned),
    };
    able.starts(assignment.attempt).await.unwrap();
    able.verifies(assignment.attempt).await.unwrap();
    // and of one that the task does not have
    let repositories = vec![result("api", Some("fedcba9876543210")), result("web", None), result("none", Some("fedcba9876543210"))];
    able.reports(assignment.attempt, AttemptReport { repositories, ..report(&assignment, CheckStatus::Passed) }).await.unwrap();
    let done = test.engine.get_task(&ada, task.summary.id).await.unwrap();
    assert_eq!(done.attempt_list[0].repositories, [result("api", Some("fedcba9876543210")), result("web", None)]);

    test.create(&ada, NewTask { inputs: [("version".into(), "-x".into())].into(), ..new }).await;
    assert!(able.claims(1).await.is_empty(), "what it was to start from cannot be");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_nobody_can_take_hides_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    // never served, so that it is always their turn
    let hopeless = test.stranger().await;
    test.create(&hopeless, needs("tpu", &["tpu"])).await;
    let other = test.stranger().await;
    for number in 0..30 {
        test.create(&ada, NewTask { priority: Priority::Urgent, ..needs(&format!("tpu {number}"), &["tpu"]) }).await;
        test.create(&ada, NewTask { repository: "/srv/another".into(), ..needs(&format!("tpu {number}"), &["tpu"]) }).await;
    }
    test.create(&ada, checked("behind them")).await;
    test.create(&ada, NewTask { repository: "/srv/third".into(), ..checked("in another repository") }).await;
    test.create(&other, checked("in another workspace")).await;
    let runner = test.runner_with("r1", &["linux"]).await;
    let mut taken = vec![];
    while let Some(assignment) = runner.claims(1).await.pop() {
        taken.push(assignment.title);
    }
    taken.sort();
    assert_eq!(taken, ["behind them", "in another repository", "in another workspace"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_that_no_runner_can_take_says_so(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let unmet = async |id| test.engine.get_task(&ada, id).await.unwrap().unmet_capabilities;
    let gpu = test.create(&ada, needs("gpu", &["gpu"])).await;
    assert_eq!(gpu.unmet_capabilities, ["gpu"], "there is no runner at all");
    let both = test.create(&ada, needs("both", &["docker", "gpu"])).await.summary.id;
    test.create(&ada, checked("anywhere")).await;
    let runner = test.runner_with("r1", &["gpu"]).await;
    assert_eq!((unmet(gpu.summary.id).await, unmet(both).await), (vec![], words(&["docker"])));
    test.runner_with("r2", &["docker"]).await;
    assert_eq!(unmet(both).await, ["docker", "gpu"], "each is there, and never together");
    let queue = test.engine.get_queue(&ada).await.unwrap();
    let kind =
        |capabilities: &[&str], unmet: &[&str]| UnmetCapabilities { capabilities: words(capabilities), unmet: words(unmet), waiting: 1 };
    assert_eq!(queue.unmet, [kind(&["docker", "gpu"], &["docker", "gpu"])]);

    let preview = test.engine.preview_task(&ada, needs("x", &["tpu"])).await.unwrap();
    assert_eq!(preview.unmet_capabilities, ["tpu"]);
    assert!(preview.reasons.contains(&"no runner has tpu, which it needs".to_owned()), "{:?}", preview.reasons);
    let preview = test.engine.preview_task(&ada, needs("x", &["gpu"])).await.unwrap();
    assert!(!preview.reasons.iter().any(|reason| reason.contains("which it needs")), "{:?}", preview.reasons);

    // a runner that is silent is not there
    test.advance(TimeDelta::seconds(OFFLINE_AFTER_SECONDS));
    assert_eq!(unmet(gpu.summary.id).await, ["gpu"]);
    assert_eq!(test.engine.get_queue(&ada).await.unwrap().unmet.len(), 2);
    test.playing(runner.session.clone()).renews(runner.claims_one().await.attempt).await.unwrap();
    assert_eq!(unmet(gpu.summary.id).await, Vec::<String>::new(), "it runs");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn capabilities_are_words_and_not_too_many(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let bad = needs("x", &["GPU", "a", "a"]);
    assert_eq!(refused(test.engine.create_task(&ada, bad).await), ["/capabilities/0 malformed", "/capabilities/2 duplicate"]);
    let id = domain::RunnerId(uuid::Uuid::from_u128(1));
    let refused = test.engine.register_runner(id, 1, "r1", 1, &words(&["Not one"])).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn room_is_made_only_where_it_helps(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let low = async |title: &str| test.create(&ada, NewTask { priority: Priority::Low, ..checked(title) }).await.summary.id;
    let urgent = async |title: &str, capabilities: &[&str]| {
        test.create(&ada, NewTask { priority: Priority::Urgent, ..needs(title, capabilities) }).await;
        test.advance(TimeDelta::seconds(2));
        test.keep_time().await;
    };
    let _gpu = test.connected_runner_with("r1", 1, &["gpu"]).await;
    let on_gpu = low("on the one with a gpu").await;
    test.dispatch().await;
    test.advance(TimeDelta::seconds(1));
    let _plain = test.connected_runner("r2", 1).await;
    let on_plain = low("the youngest").await;
    test.dispatch().await;
    let is_stopped = async |id| {
        let task = test.engine.get_task(&ada, id).await.unwrap();
        assert_eq!(state(&task), TaskStateName::Running);
        task.summary.state.stop().is_some()
    };
    urgent("for nobody", &["tpu"]).await;
    assert!(!is_stopped(on_plain).await && !is_stopped(on_gpu).await, "nothing would come of it");
    urgent("for the gpu", &["gpu"]).await;
    assert!(!is_stopped(on_plain).await && is_stopped(on_gpu).await, "behind one that nobody can take");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_that_nobody_takes_says_what_keeps_the_last_of_them_from_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let created = test.create(&ada, checked("waits")).await;
    let task = created.summary.id;
    let why = async || {
        let wait = test.engine.get_task(&ada, task).await.unwrap().runner_wait;
        let preview = test.engine.preview_task(&ada, checked("another")).await.unwrap();
        assert_eq!(preview.runner_wait, wait, "whoever asks before is told the same");
        assert!(wait.iter().all(|wait| preview.reasons.contains(&wait.message) && preview.reasons.contains(&wait.next)));
        wait.map(|wait| wait.code.name())
    };
    assert_eq!((created.runner_wait.map(|wait| wait.code.name()), why().await), (Some("no_runner"), Some("no_runner")));
    // its repository is a path, and this machine shares no disk
    let _far = far::Link::joined(&test, &ada).await;
    assert_eq!(why().await, Some("no_paths"));
    let link = Link::of_machine(&test, without_a_sandbox(true)).await;
    assert_eq!(why().await, Some("no_sandbox"));
    test.engine.set_isolation(&ada, Isolation::None).await.unwrap();
    assert_eq!(why().await, Some("no_sandbox"), "it is told what holds for guests, as it may be one");
    test.engine.set_isolation(&ada, Isolation::Sandbox).await.unwrap();
    link.breaks().await;

    let runner = test.connected_runner("r2", 1).await;
    let held = test.create(&ada, NewTask { priority: Priority::Urgent, ..checked("before it") }).await.summary.id;
    assert_eq!(why().await, None);
    test.dispatch().await;
    assert_eq!(why().await, Some("full"));
    let running = test.engine.get_task(&ada, held).await.unwrap();
    assert_eq!((state(&running), running.runner_wait), (TaskStateName::Running, None), "it waits for nobody");
    let silent = "update runner set unresponsive_since = last_seen_at where id = $1";
    sqlx::query(silent).bind(runner.runner.session.id().0).execute(&pool).await.unwrap();
    assert_eq!(why().await, Some("unresponsive"));
    test.engine.pause_task(&ada, task).await.unwrap();
    assert_eq!(test.engine.get_task(&ada, task).await.unwrap().runner_wait, None, "somebody holds it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_says_that_all_who_could_take_it_are_drained(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (_, id, _link) = far::Link::joined(&test, &ada).await;
    test.engine.drain_runner(&ada, id).await.unwrap();
    let needs = NewTask { repository: "https://example.org/a.git".into(), ..needs("x", &["linux"]) };
    let wait = test.create(&ada, needs).await.runner_wait.unwrap();
    let expected =
        "The one runner that could take it is drained. Let one take work again: `muster runner resume NAME`, or join another machine.";
    assert_eq!((wait.code.name(), wait.in_words().as_str()), ("drained", expected));
}
