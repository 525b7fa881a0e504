//! What has passed its checks lands, and nothing else: told to its runner until that has said what came of it.

use chrono::TimeDelta;
use domain::{
    Actor, CheckKind, CheckSpec, CheckStatus, Land, LandTask, Landing, LandingState, NewTask, PullRequest, SessionEvent, SessionEventKind,
    TaskId, TaskStateName,
    landing::{TELLS_MAX, TRIES_MAX},
    protocol::{AttemptReport, Credentials, Landed, LandingOrder, Trouble},
    session::SessionEnd,
};
use engine::{
    Error,
    testing::{ConnectedRunner, TestEngine, Words, report},
};
use sqlx::PgPool;

use crate::{
    far::Link,
    scenario::{checked, state},
};

pub const COMMIT: &str = "fedcba9876543210";

pub struct Scene {
    pub test: TestEngine,
    pub ada: Actor,
    pub runner: ConnectedRunner,
}

impl Scene {
    pub async fn new(pool: &PgPool) -> Self {
        let test = TestEngine::new(pool).await;
        let (ada, runner) = (test.owner().await, test.connected_runner("r1", 9).await);
        Self { test, ada, runner }
    }

    /// A task that has succeeded.
    async fn done(&self, land: Land) -> TaskId {
        let new = NewTask { land, repository: "https://example.org/a.git".into(), ..checked("Tidy up") };
        let id = self.test.create(&self.ada, new).await.summary.id;
        self.runner.runner.succeeds(&self.runner.runner.claims_one().await).await.unwrap();
        id
    }

    pub async fn landing(&self, id: TaskId) -> Option<Landing> {
        let task = self.test.engine.get_task(&self.ada, id).await.unwrap();
        assert!(task.landing.is_none() || state(&task) == TaskStateName::Succeeded, "whatever comes of it, the task stays what it is");
        task.landing
    }

    /// Those of first repositories come first.
    pub async fn told(&mut self) -> Vec<LandingOrder> {
        self.test.land().await;
        let mut told = self.runner.told_to_land();
        told.sort_by_key(|order| order.position);
        told
    }

    /// What it is told, of which there is one.
    pub async fn is_told(&mut self) -> LandingOrder {
        let mut told = self.told().await;
        assert_eq!(told.len(), 1);
        told.remove(0)
    }

    pub async fn asks(&self, id: TaskId, how: Land) -> engine::Result<domain::TaskView> {
        self.test.engine.land_task(&self.ada, id, LandTask { how }).await
    }
}

pub fn landed(order: &LandingOrder) -> Landed {
    let remote = Some(order.repository.clone());
    Landed { attempt: order.attempt, number: order.number, position: order.position, remote, pull_request: None, trouble: None }
}

pub fn troubled(order: &LandingOrder, again_in: Option<u32>) -> Landed {
    let trouble = Trouble { message: "the network\0is down".into(), advice: "Mend it.".into(), again_in };
    Landed { remote: None, trouble: Some(trouble), ..landed(order) }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn it_is_told_until_its_runner_has_said_what_came_of_it(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::Push).await;
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Waiting);
    let order = scene.is_told().await;
    let expected = ("https://example.org/a.git", COMMIT, "muster/test-1", "muster/test-1", 1, None, None);
    let LandingOrder { repository, commit, saved_on, branch, number, left_at, pull_request, .. } = &order;
    assert_eq!(
        (repository.as_str(), commit.as_str(), saved_on.as_str(), branch.as_str(), *number, left_at.as_ref(), pull_request.as_ref()),
        expected
    );
    assert_eq!(scene.told().await, [], "it is at it");
    scene.test.advance(TimeDelta::seconds(61));
    assert_eq!(scene.is_told().await, order, "it may not have heard it");
    scene.runner.runner.asks_what_is_to_land();
    assert_eq!(scene.is_told().await, order, "a runner that comes back is told at once");
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    let before = scene.landing(id).await.unwrap();
    assert_eq!((before.state, before.remote.as_deref(), before.attempt), (LandingState::Landed, Some("https://example.org/a.git"), 1));
    let late = troubled(&order, None);
    scene.runner.runner.has_landed(&late).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap(), before, "what comes twice counts once");
    scene.test.advance(TimeDelta::hours(1));
    assert_eq!(scene.told().await, []);
    let said = scene.test.timeline(&scene.ada, id).await;
    assert_eq!(said[said.len() - 2..], ["Attempt 1: its branch is to be pushed", "Attempt 1: its branch is pushed"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whom_nobody_has_told_is_not_said_to_be_told(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let one = scene.done(Land::Push).await;
    // its queue is full: a link that stands still
    for _ in 0..100 {
        scene.runner.runner.asks_what_is_to_land();
        scene.test.land().await;
    }
    let other = scene.done(Land::Push).await;
    scene.test.land().await;
    assert!(scene.landing(one).await.unwrap().told_at.is_some());
    let tells =
        async || sqlx::query_scalar::<_, i32>("select tells from landing order by asked_at, task_id").fetch_all(&pool).await.unwrap();
    assert_eq!((scene.landing(other).await.unwrap().told_at, tells().await), (None, vec![1, 0]));
    let before = scene.runner.told_to_land();
    assert!(before.len() == 100 && before.iter().all(|order| order.attempt.task_id == one));
    scene.test.advance(TimeDelta::seconds(61));
    let told: Vec<_> = scene.told().await.iter().map(|order| order.attempt.task_id).collect();
    assert_eq!((told.len(), tells().await), (2, vec![2, 1]));
    assert!(scene.landing(other).await.unwrap().told_at.is_some());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_nobody_can_be_told_of_fails_and_says_so(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::PullRequest).await;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(id.0).execute(&pool).await.unwrap();
    assert_eq!(scene.told().await, []);
    let landing: (String, String) = sqlx::query_as("select state, message from landing").fetch_one(&pool).await.unwrap();
    assert!(landing.0 == "failed" && landing.1.starts_with("its runner cannot be told what is to land: "), "{landing:?}");
    scene.test.advance(TimeDelta::hours(1));
    assert_eq!(scene.told().await, []);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_the_database_refuses_for_a_moment_fails_no_landing(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::PullRequest).await;
    let order = scene.is_told().await;
    // what is read of it for the text of its pull request is refused, with no word of whether that will be so again
    sqlx::query("alter table session_event rename to elsewhere").execute(&pool).await.unwrap();
    scene.test.advance(TimeDelta::seconds(61));
    assert_eq!(scene.told().await, []);
    sqlx::query("alter table elsewhere rename to session_event").execute(&pool).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Waiting);
    scene.test.advance(TimeDelta::seconds(61));
    scene.is_told().await;
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Landed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_the_database_refuses_each_time_is_given_up_and_may_have_landed(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::PullRequest).await;
    let order = scene.is_told().await;
    sqlx::query("alter table session_event rename to elsewhere").execute(&pool).await.unwrap();
    let stands = async || sqlx::query_as::<_, (String, i32)>("select state, tries from landing").fetch_one(&pool).await.unwrap();
    for _ in 0..=TRIES_MAX {
        scene.runner.runner.asks_what_is_to_land();
        assert_eq!(scene.told().await, []);
    }
    assert_eq!(stands().await, ("waiting".into(), 0), "a link that flaps takes none of its tries");
    for tries in 1..=TRIES_MAX {
        scene.test.advance(TimeDelta::hours(2));
        assert_eq!(scene.told().await, []);
        let state = if tries < TRIES_MAX { "waiting" } else { "failed" };
        assert_eq!(stands().await, (state.into(), tries));
    }
    sqlx::query("alter table elsewhere rename to session_event").execute(&pool).await.unwrap();
    scene.test.advance(TimeDelta::hours(2));
    assert_eq!(scene.told().await, [], "not for ever");
    let trouble = scene.landing(id).await.unwrap().trouble.unwrap();
    assert_eq!(trouble.message, "its runner cannot be told what is to land: the database refused a statement");
    let said = scene.test.timeline(&scene.ada, id).await;
    assert_eq!(said.last().unwrap(), &format!("Attempt 1: not landed: {}", trouble.message));
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Landed, "its runner was at it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_told_and_cannot_be_told_again_may_have_landed(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::PullRequest).await;
    let order = scene.is_told().await;
    sqlx::query(r#"update task set checks = '[{"kind": "no such kind"}]' where id = $1"#).bind(id.0).execute(&pool).await.unwrap();
    scene.test.advance(TimeDelta::seconds(61));
    assert_eq!(scene.told().await, []);
    let state = async || sqlx::query_scalar::<_, String>("select state from landing").fetch_one(&pool).await.unwrap();
    assert_eq!(state().await, "failed");
    scene.runner.runner.has_landed(&troubled(&order, Some(60))).await.unwrap();
    assert_eq!(state().await, "failed");
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    assert_eq!(state().await, "landed", "its runner was at it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_servers_runner_has_for_another_workspace_what_was_put_there_for_it(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let eve = scene.test.stranger().await;
    scene.done(Land::Push).await;
    assert_eq!(scene.is_told().await.credentials, Credentials::Machine, "whoever runs the server has all of it");
    let elsewhere = NewTask { land: Land::Push, repository: "https://example.org/a.git".into(), ..checked("Tidy up") };
    scene.test.create(&eve, elsewhere.clone()).await;
    let assignment = scene.runner.runner.claims_one().await;
    let own = Credentials::Workspace { slug: format!("w-{}", eve.workspace_id.short()) };
    assert_eq!(assignment.credentials, own, "it reads with them");
    scene.runner.runner.succeeds(&assignment).await.unwrap();
    assert_eq!(scene.is_told().await.credentials, own, "and pushes with them");

    // a machine that has joined is its workspace's, with all that is on it
    let Scene { test, runner, .. } = scene;
    drop(runner);
    let (_, _, mut link) = Link::joined(&test, &eve).await;
    test.create(&eve, elsewhere).await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.credentials, Credentials::Machine);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn another_life_of_the_server_tells_what_the_last_one_was_to_tell(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let id = scene.done(Land::Push).await;
    let Scene { ada, .. } = scene;
    let test = TestEngine::new(&pool).await;
    let runner = test.connected_runner("r1", 9).await;
    let mut scene = Scene { test, ada, runner };
    let order = scene.is_told().await;
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Landed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_lands_that_has_not_passed(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let checks = ["one", "two"].map(|name| CheckSpec::new(CheckKind::FileExists, Some(name.into())));
    let new = |title: &str| NewTask { land: Land::PullRequest, max_attempts: 1, checks: checks.to_vec(), ..checked(title) };
    let ends = async |scene: &Scene, title: &str, how: &dyn Fn(&mut AttemptReport)| {
        let id = scene.test.create(&scene.ada, new(title)).await.summary.id;
        let (runner, assignment) = (&scene.runner.runner, scene.runner.runner.claims_one().await);
        runner.starts(assignment.attempt).await.unwrap();
        runner.verifies(assignment.attempt).await.unwrap();
        let mut said = report(&assignment, CheckStatus::Passed);
        how(&mut said);
        runner.reports(assignment.attempt, said).await.unwrap();
        let task = scene.test.engine.get_task(&scene.ada, id).await.unwrap();
        (id, state(&task), task.landing)
    };
    let check = |said: &mut AttemptReport, index: usize| said.verification.as_mut().unwrap().checks[index].status = CheckStatus::Failed;
    let (_, failed, none) = ends(&scene, "failed", &|said| [0, 1].into_iter().for_each(|index| check(said, index))).await;
    assert_eq!((failed, none), (TaskStateName::Failed, None));
    let (partial, state, none) = ends(&scene, "partial", &|said| check(said, 1)).await;
    assert_eq!((state, none), (TaskStateName::Partial, None));
    let (unchanged, state, none) = ends(&scene, "unchanged", &|said| said.commit = None).await;
    assert_eq!((state, none), (TaskStateName::Succeeded, None));
    let (_, state, none) = ends(&scene, "odd", &|said| said.commit = Some("--force".into())).await;
    assert_eq!((state, none), (TaskStateName::Succeeded, None));
    scene.done(Land::None).await;
    assert_eq!(scene.told().await, []);
    for (id, why) in [(partial, "only a result that has passed"), (unchanged, "it has changed nothing")] {
        let Err(Error::Conflict(said)) = scene.asks(id, Land::Push).await else { panic!("{id} is taken") };
        assert!(said.contains(why), "{said}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_trouble_that_may_pass_is_tried_again_and_others_by_hand(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::Push).await;
    let order = scene.is_told().await;
    scene.runner.runner.has_landed(&troubled(&order, Some(300))).await.unwrap();
    let landing = scene.landing(id).await.unwrap();
    assert_eq!((landing.state, landing.trouble.unwrap().message.as_str()), (LandingState::Waiting, "the network\u{fffd}is down"));
    assert_eq!(landing.again_at.unwrap() - landing.asked_at, TimeDelta::seconds(300));
    scene.runner.runner.asks_what_is_to_land();
    scene.test.advance(TimeDelta::seconds(299));
    assert_eq!(scene.told().await, [], "a forge that asks to be left alone is");
    for _ in 1..TRIES_MAX {
        scene.test.advance(TimeDelta::hours(2));
        let order = scene.is_told().await;
        assert_eq!(order.number, 1);
        let at_it = scene.landing(id).await.unwrap();
        assert!(at_it.told_at.is_some() && at_it.again_at.is_none() && at_it.trouble.is_some(), "{at_it:?}");
        scene.runner.runner.asks_what_is_to_land();
        assert_eq!(scene.is_told().await, order, "it is told at once over its next link, whatever went wrong before");
        scene.runner.runner.has_landed(&troubled(&order, Some(300))).await.unwrap();
    }
    let landing = scene.landing(id).await.unwrap();
    assert_eq!((landing.state, landing.again_at, landing.told_at), (LandingState::Failed, None, None), "not for ever");
    scene.test.advance(TimeDelta::hours(3));
    assert_eq!(scene.told().await, []);

    scene.asks(id, Land::Push).await.unwrap();
    let again = scene.is_told().await;
    assert_eq!(again.number, 2);
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    let stranger = scene.test.runner("r2").await;
    stranger.has_landed(&landed(&again)).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Waiting, "a word about the time before, and somebody else's");
    scene.runner.runner.has_landed(&troubled(&again, Some(7201))).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Failed, "longer than anybody waits");
    scene.asks(id, Land::Push).await.unwrap();
    let again = scene.is_told().await;
    scene.runner.runner.has_landed(&troubled(&again, None)).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Failed, "somebody has to do something first");
}

/// Of which the runner was told for as long as anybody is, and has said nothing; with what it was told.
async fn given_up(pool: &PgPool) -> (Scene, TaskId, LandingOrder) {
    let mut scene = Scene::new(pool).await;
    let id = scene.done(Land::Push).await;
    let order = scene.is_told().await;
    sqlx::query("update landing set tells = $1").bind(TELLS_MAX).execute(pool).await.unwrap();
    scene.test.advance(TimeDelta::seconds(61));
    assert_eq!(scene.told().await, []);
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Failed);
    (scene, id, order)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_has_landed_after_all_has_landed(pool: PgPool) {
    let (scene, id, order) = given_up(&pool).await;
    let says = async |said: Landed| {
        scene.runner.runner.has_landed(&said).await.unwrap();
        scene.landing(id).await.unwrap()
    };
    assert_eq!(says(troubled(&order, Some(60))).await.state, LandingState::Failed, "a trouble changes nothing");
    let other = Landed { number: order.number + 1, ..landed(&order) };
    assert_eq!(says(other).await.state, LandingState::Failed, "another time is another");
    let now = says(landed(&order)).await;
    assert_eq!((now.state, now.trouble), (LandingState::Landed, None));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_says_after_it_has_said_that_it_failed_counts_no_more(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::Push).await;
    let order = scene.is_told().await;
    scene.runner.runner.has_landed(&troubled(&order, None)).await.unwrap();
    scene.runner.runner.has_landed(&landed(&order)).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().state, LandingState::Failed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_that_flaps_gives_no_landing_up(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::Push).await;
    scene.is_told().await;
    let tells = async || sqlx::query_scalar::<_, i32>("select tells from landing").fetch_one(&pool).await.unwrap();
    for _ in 0..TELLS_MAX + 60 {
        scene.runner = scene.test.connected_runner("r1", 9).await;
        scene.test.advance(TimeDelta::milliseconds(100));
        scene.is_told().await;
    }
    assert_eq!((tells().await, scene.landing(id).await.unwrap().state), (1, LandingState::Waiting));
    scene.test.advance(TimeDelta::seconds(61));
    scene.runner = scene.test.connected_runner("r1", 9).await;
    scene.is_told().await;
    assert_eq!(tells().await, 2, "a minute counts once");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pull_request_says_what_was_proven_and_is_kept_up_to_date(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let new = NewTask {
        land: Land::PullRequest,
        command: None,
        prompt: Some("Tidy up, @team\n```\n# now".into()),
        success_criteria: vec!["It is tidy".into()],
        base_ref: Some("next".into()),
        ..checked("Tidy up")
    };
    let id = scene.test.create(&scene.ada, new).await.summary.id;
    let (runner, assignment) = (&scene.runner.runner, scene.runner.runner.claims_one().await);
    runner.starts(assignment.attempt).await.unwrap();
    let event = |number, kind| SessionEvent { number, at: domain::Timestamp::UNIX_EPOCH, kind };
    let used =
        event(1, SessionEventKind::Usage { model: None, input: 1200, cached: 0, cache_written: 0, output: 34, cost: None, is_part: false });
    let ended = event(2, SessionEventKind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(50_000) });
    runner.says_together(&[(assignment.attempt, Words::Session(vec![used, ended]))]).await.pop().unwrap().unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    let judge = |number, kind| event(number, SessionEventKind::Judge { round: 1, check: 1, event: Box::new(kind) });
    let judge_used =
        judge(3, SessionEventKind::Usage { model: None, input: 300, cached: 0, cache_written: 0, output: 6, cost: None, is_part: true });
    let judge_ended = judge(4, SessionEventKind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(10_000) });
    runner.says_together(&[(assignment.attempt, Words::Session(vec![judge_used, judge_ended]))]).await.pop().unwrap().unwrap();
    runner.reports(assignment.attempt, report(&assignment, CheckStatus::Passed)).await.unwrap();

    let order = scene.is_told().await;
    let wanted = order.pull_request.clone().unwrap();
    assert_eq!((wanted.title.as_str(), wanted.base.as_deref()), ("Tidy up", Some("next")));
    let hash = scene.test.engine.get_task(&scene.ada, id).await.unwrap().attempt_list[0].report_hash.clone().unwrap();
    let expected = format!(
        "**Asked for**\n\n````text\nTidy up, @team\n```\n# now\n````\n\n**Counts as done**\n\n```text\nIt is tidy\n```\n\n\
         **Checks**: 1 of 1 passed, run by Muster after the work had ended\n\n| Check | Result | Took |\n|---|---|---|\n\
         | Command succeeds ` make test ` | passed | 0.0 s |\n\n**Used**: at least 1500 tokens in, 40 out; $0.06 as the agent counts it\n\n\
         [Muster task {short}](http://muster.test/tasks/{id}), attempt 1 · \
         [Report](http://muster.test/tasks/{id}?view=checks&attempt=1), SHA-256 `{hash}`\n",
        short = id.short()
    );
    assert_eq!(wanted.body, expected);

    let request = PullRequest { number: 12, url: "https://example.org/a/pull/12".into() };
    let done = Landed { pull_request: Some(request.clone()), ..landed(&order) };
    scene.runner.runner.has_landed(&done).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().pull_request, Some(request.clone()));
    // as a later attempt's would be: the branch of the pull request stays the branch
    sqlx::query("update attempt set branch = 'muster/test-2', commit_id = '0123456789abcdef'").execute(&pool).await.unwrap();
    scene.asks(id, Land::PullRequest).await.unwrap();
    let again = scene.is_told().await;
    let said = (again.branch.as_str(), again.saved_on.as_str(), again.commit.as_str(), again.left_at.as_deref());
    assert_eq!(said, ("muster/test-1", "muster/test-2", "0123456789abcdef", Some(COMMIT)));
    let evil = PullRequest { number: 13, url: "javascript:alert(1)".into() };
    scene.runner.runner.has_landed(&Landed { pull_request: Some(evil), ..landed(&again) }).await.unwrap();
    assert_eq!(scene.landing(id).await.unwrap().pull_request, Some(request), "what leads nowhere is left out");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_cannot_land_is_not_waited_for(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let id = scene.done(Land::Push).await;
    scene.runner = scene.test.connected_older_runner("r1").await;
    assert_eq!(scene.told().await, []);
    let landing = scene.landing(id).await.unwrap();
    assert_eq!(landing.state, LandingState::Failed);
    assert!(landing.trouble.unwrap().advice.contains("Update Muster"));
    scene.asks(id, Land::Push).await.unwrap();
    scene.runner = scene.test.connected_runner("r1", 9).await;
    scene.is_told().await;

    let other = scene.done(Land::Push).await;
    sqlx::query("update runner set removed_at = now()").execute(&pool).await.unwrap();
    scene.told().await;
    let landing = scene.landing(other).await.unwrap();
    assert_eq!((landing.state, landing.trouble.unwrap().message.contains("was removed")), (LandingState::Failed, true));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn only_who_may_change_tasks_lands_them_and_only_their_own(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let id = scene.done(Land::None).await;
    assert_eq!(scene.landing(id).await, None);
    let stranger = scene.test.stranger().await;
    let refused = scene.test.engine.land_task(&stranger, id, LandTask { how: Land::Push }).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    assert!(matches!(scene.asks(id, Land::None).await, Err(Error::Invalid(_))));
    let viewer = domain::ActorKind::User { id: domain::UserId(uuid::Uuid::nil()), role: domain::Role::Viewer };
    let viewer = Actor::new(scene.ada.workspace_id, viewer);
    assert!(matches!(scene.test.engine.land_task(&viewer, id, LandTask { how: Land::Push }).await, Err(Error::Forbidden(_))));
    let view = scene.asks(id, Land::PullRequest).await.unwrap();
    let landing = view.landing.unwrap();
    assert_eq!((landing.how, landing.asked_by.as_str(), landing.runner.as_str()), (Land::PullRequest, "Ada", "r1"));
}
