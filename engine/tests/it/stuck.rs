//! What stays with a runner that gives signs of life comes to an end all the same, and never is a task with two.

use chrono::TimeDelta;
use domain::{
    Actor, AgentTerms, Ask, AskedKind, Attempt, AttemptState, CheckStatus, FailureCode, Isolation, Land, LandingState, NewTask, TaskId,
    TaskStateName, TaskView,
    agent::words::ASKS,
    approval::Asked,
    check::VERIFICATION_TIMEOUT_SECONDS,
    landing::TELLS_MAX,
    protocol::{Assignment, AttemptReport, ToRunner, WorkOutcome},
    repository::SEVERAL,
    runner::{BEGIN_BESIDE_SECONDS, BEGIN_SECONDS, END_SECONDS, LINGER_SECONDS, RunnerLogFilter, RunnerNews, lease_seconds},
    task::NewRepository,
};
use engine::{
    Overseer, Service,
    testing::{ConnectedRunner, TestEngine, Words, report},
};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    far::{Link, Machine},
    scenario::{checked, state},
};

/// Given to a runner with two slots, past the grace that every runner has after the server's start.
pub struct Scene {
    pub test: TestEngine,
    pub ada: Actor,
    pub runner: ConnectedRunner,
    pub task: TaskId,
    pub held: Assignment,
}

pub fn seconds(count: u32) -> TimeDelta {
    TimeDelta::seconds(count.into())
}

impl Scene {
    pub async fn new(pool: &PgPool, new: NewTask) -> Self {
        let test = TestEngine::new(pool).await;
        let ada = test.owner().await;
        test.advance(TimeDelta::seconds(200));
        let mut runner = test.connected_runner_with("r1", 2, &[SEVERAL, ASKS]).await;
        let task = test.create(&ada, new).await.summary.id;
        test.dispatch().await;
        let assigned = |told| if let ToRunner::Assign { assignment } = told { Some(*assignment) } else { None };
        let held = runner.told().into_iter().find_map(assigned).unwrap();
        Self { test, ada, runner, task, held }
    }

    /// At work, with a minute that it may take for it.
    pub async fn at_work(pool: &PgPool) -> Self {
        let scene = Self::new(pool, NewTask { timeout_seconds: 60, ..checked("one") }).await;
        scene.runner.runner.starts(scene.held.attempt).await.unwrap();
        scene
    }

    /// Time passes, in which the runner renews; whether it still holds its attempt, and is to end it.
    pub async fn passes(&self, mut time: TimeDelta) -> (bool, bool) {
        let beat = TimeDelta::seconds(60);
        while time > beat {
            self.test.advance(beat);
            assert!(self.runner.runner.renews(self.held.attempt).await.unwrap().0, "it renews");
            time -= beat;
        }
        self.test.advance(time);
        self.runner.runner.renews(self.held.attempt).await.unwrap()
    }

    /// As [`passes`](Self::passes), and then somebody looks.
    pub async fn is_overseen_after(&self, time: TimeDelta) -> (bool, bool) {
        self.passes(time).await;
        self.test.oversee().await;
        self.runner.runner.renews(self.held.attempt).await.unwrap()
    }

    pub async fn view(&self) -> TaskView {
        self.test.engine.get_task(&self.ada, self.task).await.unwrap()
    }

    async fn attempt(&self) -> Attempt {
        self.view().await.attempt_list.remove(0)
    }

    fn cancelled(&self) -> AttemptReport {
        AttemptReport { outcome: WorkOutcome::Cancelled, verification: None, ..report(&self.held, CheckStatus::Passed) }
    }

    /// Why it was lost.
    async fn failure(&self) -> (FailureCode, String) {
        let attempt = self.attempt().await;
        assert_eq!(attempt.state, AttemptState::Lost);
        let failure = attempt.failure.unwrap();
        (failure.code, failure.message)
    }

    /// How often its task has lost a runner, and has failed.
    async fn losses(&self, pool: &PgPool) -> (i32, i32) {
        sqlx::query_as("select losses, failures from task where id = $1").bind(self.task.0).fetch_one(pool).await.unwrap()
    }
}

fn stuck(message: &str) -> (FailureCode, String) {
    (FailureCode::RunnerStuck, message.to_owned())
}

const OVER_ITS_TIME: &str = "its runner had not ended it, and it may take 60 seconds";

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn work_that_goes_on_past_its_time_is_asked_for_and_then_taken_away(pool: PgPool) {
    let mut scene = Scene::at_work(&pool).await;
    let most = seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS);
    assert_eq!(
        scene.is_overseen_after(most - seconds(1)).await,
        (true, false),
        "its runner keeps the time, and may take some for the rest"
    );
    assert_eq!(scene.attempt().await.ends_by, None);
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (true, true));
    assert_eq!(scene.runner.told(), [ToRunner::Cancel { attempt: scene.held.attempt }], "at once");
    let by = scene.attempt().await.ends_by.unwrap();
    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS) - seconds(1)).await, (true, true), "as long as anybody has to end anything");
    let attempt = scene.attempt().await;
    assert_eq!((attempt.ends_by, attempt.taken_away), (Some(by), false), "once");

    assert_eq!(scene.is_overseen_after(seconds(1)).await, (false, false), "it is another's now, and the runner ends it");
    assert!(scene.attempt().await.taken_away, "and people see it");
    scene.test.rescue().await;
    assert_eq!(state(&scene.view().await), TaskStateName::Running, "nobody has it before the lease is over");
    scene.test.advance(seconds(lease_seconds()));
    assert_eq!(scene.runner.runner.renews(scene.held.attempt).await.unwrap(), (false, false));
    scene.test.rescue().await;
    assert_eq!(state(&scene.view().await), TaskStateName::Running, "nor with the end of it");
    scene.test.advance(seconds(1));
    scene.test.rescue().await;
    assert_eq!(state(&scene.view().await), TaskStateName::Queued);
    assert_eq!(scene.failure().await, stuck(OVER_ITS_TIME));
    assert_eq!(scene.losses(&pool).await, (1, 0));
    let said = scene.test.timeline(&scene.ada, scene.task).await;
    let asked = "Attempt 1: it goes on for longer than it may, its runner is asked to end it";
    assert_eq!(said.iter().filter(|line| *line == asked).count(), 1, "{said:?}");
    assert!(said.contains(&format!("Attempt 1 lost: {OVER_ITS_TIME}")), "{said:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_ended_when_it_is_asked_for_is_done_again_and_what_was_done_counts(pool: PgPool) {
    let most = seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS);
    let scene = Scene::at_work(&pool).await;
    scene.is_overseen_after(most).await;
    scene.runner.runner.reports(scene.held.attempt, scene.cancelled()).await.unwrap();
    assert_eq!((state(&scene.view().await), scene.losses(&pool).await), (TaskStateName::Queued, (1, 0)), "nobody has cancelled the task");
    assert_eq!(scene.failure().await, stuck(OVER_ITS_TIME));
    let attempt = scene.attempt().await;
    assert_eq!((attempt.ends_by, attempt.taken_away), (None, false), "it has ended");

    let next = scene.runner.runner.claims_one().await;
    let scene = Scene { held: next, ..scene };
    scene.runner.runner.starts(scene.held.attempt).await.unwrap();
    scene.is_overseen_after(most).await;
    scene.runner.runner.verifies(scene.held.attempt).await.unwrap();
    scene.runner.runner.reports(scene.held.attempt, report(&scene.held, CheckStatus::Passed)).await.unwrap();
    assert_eq!(state(&scene.view().await), TaskStateName::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whose_runner_does_not_say_that_it_has_it_is_lost_at_once(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.is_overseen_after(seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS)).await;
    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS)).await, (false, false));
    scene.runner.runner.comes_back_without(scene.held.attempt).await.unwrap();
    assert_eq!((state(&scene.view().await), scene.failure().await), (TaskStateName::Queued, stuck(OVER_ITS_TIME)));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_stuck_is_charged_also_when_its_runner_gives_it_back(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.is_overseen_after(seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS)).await;
    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS)).await, (false, false));
    assert_eq!(scene.test.engine.give_back(&scene.runner.runner.session).await.unwrap(), 1);
    assert_eq!((state(&scene.view().await), scene.failure().await), (TaskStateName::Queued, stuck(OVER_ITS_TIME)));
    assert_eq!(scene.losses(&pool).await, (1, 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whose_runner_opens_another_link_without_it_is_lost_as_well(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (machine, id, mut link) = Link::joined(&test, &ada).await;
    let task = test.create(&ada, NewTask { repository: "https://example.org/a.git".into(), ..checked("one") }).await.summary.id;
    test.dispatch().await;
    link.is_assigned().await;
    // it was named and not begun for too long
    sqlx::query("update attempt set ends_by = claimed_at, renewable = false").execute(&pool).await.unwrap();
    let _next = Link::of(&test, &machine, id).await;
    let view = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!((state(&view), view.attempt_list[0].state), (TaskStateName::Queued, AttemptState::Lost));
    assert_eq!(view.attempt_list[0].failure.as_ref().unwrap().code, FailureCode::RunnerStuck);
    let losses: i32 = sqlx::query_scalar("select losses from task").fetch_one(&pool).await.unwrap();
    assert_eq!(losses, 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_taken_away_is_not_renewed_by_what_is_said(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.is_overseen_after(seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS)).await;
    scene.is_overseen_after(seconds(END_SECONDS)).await;
    scene.test.advance(seconds(lease_seconds() / 2));
    scene.runner.runner.verifies(scene.held.attempt).await.unwrap();
    scene.test.advance(seconds(lease_seconds() / 2 + 1));
    scene.test.rescue().await;
    assert_eq!(state(&scene.view().await), TaskStateName::Queued);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn checks_without_an_end_are_asked_for_when_their_own_time_is_over(pool: PgPool) {
    let scene = Scene::new(&pool, NewTask { timeout_seconds: 36_000, ..checked("one") }).await;
    scene.runner.runner.starts(scene.held.attempt).await.unwrap();
    scene.passes(seconds(600)).await;
    scene.runner.runner.verifies(scene.held.attempt).await.unwrap();
    let most = seconds(VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS);
    assert_eq!(scene.is_overseen_after(most - seconds(1)).await, (true, false));
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (true, true), "however long the work may take");
    scene.is_overseen_after(seconds(END_SECONDS)).await;
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    assert_eq!(scene.failure().await, stuck("its runner had not come to an end with its checks, which may take 30 minutes"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_named_and_not_begun_does_not_stay_for_ever(pool: PgPool) {
    let scene = Scene::new(&pool, checked("one")).await;
    assert_eq!(scene.is_overseen_after(seconds(BEGIN_SECONDS) - seconds(1)).await, (true, false), "a large clone takes its time");
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (true, true));
    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS)).await, (false, false));
    scene.runner.runner.is_idle().await.unwrap();
    assert!(scene.test.engine.find_runner(&scene.ada, scene.runner.runner.session.id()).await.unwrap().runner.unresponsive_since.is_none());
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    assert_eq!(scene.failure().await, stuck("its runner took it and had not begun it 120 minutes later"));
    assert_eq!(scene.losses(&pool).await, (1, 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_fetches_several_repositories_has_more_time_to_begin(pool: PgPool) {
    let repositories = ["/srv/api", "/srv/web"].map(NewRepository::parse).into();
    let scene = Scene::new(&pool, NewTask { repositories, ..checked("one") }).await;
    let most = seconds(BEGIN_SECONDS + 2 * BEGIN_BESIDE_SECONDS);
    assert_eq!(scene.is_overseen_after(most - seconds(1)).await, (true, false));
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (true, true));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_that_is_stuck_three_times_is_set_aside(pool: PgPool) {
    let mut scene = Scene::at_work(&pool).await;
    for expected in [TaskStateName::Queued, TaskStateName::Queued, TaskStateName::Dead] {
        scene.is_overseen_after(seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS)).await;
        scene.runner.runner.reports(scene.held.attempt, scene.cancelled()).await.unwrap();
        assert_eq!(state(&scene.view().await), expected);
        if expected == TaskStateName::Queued {
            scene.held = scene.runner.runner.claims_one().await;
            scene.runner.runner.starts(scene.held.attempt).await.unwrap();
        }
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_cancel_that_is_not_heeded_is_carried_out_all_the_same(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.test.engine.cancel_task(&scene.ada, scene.task).await.unwrap();
    assert_eq!(scene.is_overseen_after(seconds(10)).await, (true, true));
    assert!(scene.attempt().await.ends_by.is_some());
    assert_eq!(scene.is_overseen_after(seconds(END_SECONDS) - seconds(1)).await, (true, true));
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (false, false));
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    assert_eq!(state(&scene.view().await), TaskStateName::Cancelled);
    assert_eq!(scene.failure().await, stuck("its runner did not end it when it was asked to"));
    assert_eq!(scene.losses(&pool).await, (0, 0));
    let said = scene.test.timeline(&scene.ada, scene.task).await;
    assert!(!said.iter().any(|line| line.contains("is asked to end it")), "it was asked for already: {said:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_cancel_that_is_heeded_is_a_cancel(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.test.engine.cancel_task(&scene.ada, scene.task).await.unwrap();
    scene.is_overseen_after(seconds(10)).await;
    scene.runner.runner.reports(scene.held.attempt, scene.cancelled()).await.unwrap();
    let attempt = scene.attempt().await;
    assert_eq!((state(&scene.view().await), attempt.state, attempt.failure), (TaskStateName::Cancelled, AttemptState::Cancelled, None));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_falls_silent_while_it_is_asked_is_lost_and_not_stuck(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.test.engine.pause_task(&scene.ada, scene.task).await.unwrap();
    scene.is_overseen_after(seconds(10)).await;
    scene.test.advance(seconds(lease_seconds() + 1));
    scene.test.rescue().await;
    assert_eq!((state(&scene.view().await), scene.failure().await.0), (TaskStateName::Queued, FailureCode::RunnerLost));
    assert_eq!(scene.losses(&pool).await, (0, 0), "it was paused");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_stuck_is_taken_away_after_as_long_as_the_settings_say(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    let said = 300;
    scene.test.engine.set_stuck_seconds(said);
    let most = seconds(60 + VERIFICATION_TIMEOUT_SECONDS + said);
    assert_eq!(scene.is_overseen_after(most - seconds(1)).await, (true, false));
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (true, true), "it is asked");
    assert_eq!(scene.is_overseen_after(seconds(said) - seconds(1)).await, (true, true));
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (false, false), "and then it is another's");
    let runner = scene.runner.runner.session.id();
    let log = scene.test.engine.runner_log(&scene.ada, runner, &RunnerLogFilter::default()).await.unwrap().items;
    let not_ended = log.iter().find(|entry| matches!(entry.what, RunnerNews::NotEnded { .. })).unwrap();
    assert_eq!(not_ended.lasted_ms, Some(i64::from(said) * 1000), "since it was asked");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_time_in_which_people_are_waited_for_does_not_count(pool: PgPool) {
    let agent = AgentTerms { ask: Some(Ask::Commands), answer_minutes: Some(300), ..AgentTerms::default() };
    let new = NewTask { command: None, prompt: Some("Tidy up".into()), agent, timeout_seconds: 60, ..checked("one") };
    let scene = Scene::new(&pool, new).await;
    scene.runner.runner.starts(scene.held.attempt).await.unwrap();
    let asks = async |question| {
        let asked = Asked::new(AskedKind::Command, "Bash", "make", &json!({"command": "make"})).unwrap();
        let words = Words::Asks(question, Isolation::Sandbox, asked);
        scene.runner.runner.says_together(&[(scene.held.attempt, words)]).await.pop().unwrap().unwrap();
    };
    // two at once are waited for once
    asks(1).await;
    asks(2).await;
    assert_eq!(scene.is_overseen_after(TimeDelta::minutes(300) - seconds(1)).await, (true, false), "the question has a deadline");
    scene.passes(seconds(1)).await;
    scene.test.keep_time().await;
    let most = seconds(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS);
    assert_eq!(scene.is_overseen_after(most - seconds(1)).await, (true, false));
    assert_eq!(scene.is_overseen_after(seconds(1)).await, (true, true));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_is_taken_away_while_nobody_could_be_heard(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    scene.test.engine.cancel_task(&scene.ada, scene.task).await.unwrap();
    scene.is_overseen_after(seconds(10)).await;
    // the server was away, and the report is with the runner
    scene.test.advance(seconds(END_SECONDS));
    let mut overseer = Overseer::default();
    overseer.tick(&scene.test.engine).await.unwrap();
    assert_eq!(scene.runner.runner.renews(scene.held.attempt).await.unwrap(), (true, true));
    for _ in 0..3 {
        scene.test.advance(seconds(50));
        overseer.tick(&scene.test.engine).await.unwrap();
    }
    assert_eq!(scene.runner.runner.renews(scene.held.attempt).await.unwrap(), (false, false), "one lease later it is as always");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_time_in_which_the_machine_slept_does_not_count(pool: PgPool) {
    let scene = Scene::at_work(&pool).await;
    let mut overseer = Overseer::default();
    overseer.tick(&scene.test.engine).await.unwrap();
    scene.test.advance(TimeDelta::hours(8));
    overseer.tick(&scene.test.engine).await.unwrap();
    assert_eq!(scene.runner.runner.renews(scene.held.attempt).await.unwrap(), (true, false));
    let step = 50;
    let mut told = (true, false);
    for _ in 0..=(60 + VERIFICATION_TIMEOUT_SECONDS + LINGER_SECONDS) / step {
        assert_eq!(told, (true, false));
        scene.test.advance(seconds(step));
        overseer.tick(&scene.test.engine).await.unwrap();
        told = scene.runner.runner.renews(scene.held.attempt).await.unwrap();
    }
    assert_eq!(told, (true, true), "all of its time once more, and then it is asked");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_names_in_vain_still_has_its_slot(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    test.advance(TimeDelta::seconds(200));
    let machine = Machine::new();
    let id = machine.joins(&test, &ada, "box").await.id;
    let mut link = Link::of_slots(&test, &machine, id, 2).await;
    let elsewhere = |title| NewTask { repository: "https://example.org/a.git".into(), ..checked(title) };
    test.create(&ada, elsewhere("one")).await;
    test.dispatch().await;
    let first = link.is_assigned().await.attempt;
    test.advance(seconds(lease_seconds() + 1));
    test.rescue().await;
    test.create(&ada, elsewhere("two")).await;
    let running =
        async || sqlx::query_scalar::<_, i64>("select count(*) from task where state = 'running'").fetch_one(&pool).await.unwrap();
    link.beats(&[first]).await;
    test.dispatch().await;
    assert_eq!(running().await, 1, "the other slot: it still ends what was taken from it");
    let second = link.is_assigned().await.attempt;
    let mut link = Link::comes_with(&test, &machine, id, 2, &[first, second]).await;
    test.dispatch().await;
    assert_eq!(running().await, 1, "also over a new link");
    link.beats(&[second]).await;
    test.dispatch().await;
    assert_eq!(running().await, 2);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_over_which_nothing_is_heard_is_ended(pool: PgPool) {
    let mut scene = Scene::at_work(&pool).await;
    scene.test.create(&scene.ada, checked("two")).await;
    scene.test.advance(seconds(lease_seconds()) - seconds(1));
    scene.test.oversee().await;
    scene.test.dispatch().await;
    assert_eq!(scene.runner.told().len(), 1, "it has a lease");
    scene.runner.has_stopped(&scene.held).await;
    scene.test.advance(seconds(1));
    scene.test.oversee().await;
    scene.test.create(&scene.ada, checked("three")).await;
    scene.test.dispatch().await;
    assert_eq!(scene.runner.told(), [], "nothing more is given over it");
    let mut back = scene.test.connected_runner("r1", 2).await;
    scene.test.oversee().await;
    scene.test.dispatch().await;
    assert_eq!(back.told().len(), 1, "its next link is another");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_landing_that_its_runner_never_answers_is_given_up(pool: PgPool) {
    let new = NewTask { land: Land::Push, repository: "https://example.org/a.git".into(), ..checked("one") };
    let mut scene = Scene::new(&pool, new).await;
    scene.runner.runner.succeeds(&scene.held).await.unwrap();
    for _ in 0..TELLS_MAX {
        scene.test.land().await;
        assert_eq!(scene.runner.told_to_land().len(), 1);
        scene.test.advance(seconds(61));
    }
    assert_eq!(scene.view().await.landing.unwrap().state, LandingState::Waiting);
    scene.test.land().await;
    assert_eq!(scene.runner.told_to_land(), []);
    let landing = scene.view().await.landing.unwrap();
    let trouble = landing.trouble.unwrap();
    assert_eq!(
        (landing.state, trouble.message.as_str()),
        (LandingState::Failed, "its runner was told 240 times, and has not said what came of it")
    );
    scene.test.engine.land_task(&scene.ada, scene.task, domain::LandTask { how: Land::Push }).await.unwrap();
    scene.test.land().await;
    assert_eq!(scene.runner.told_to_land().len(), 1, "it is tried anew when somebody asks for it");
}
