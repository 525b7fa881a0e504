//! Workflows and runs, step by step, with a runner that the test plays.

mod several;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{
    Actor, TaskId, TaskStateName, WorkflowRunId,
    protocol::{Assignment, AttemptReport},
    task::Inputs,
    workflow::{CheckWorkflow, GateAnswer, GateEvent, NewRun, RestartRun, RunFilter, RunState, RunView, SaveWorkflow},
};
use engine::{
    Error,
    testing::{TestEngine, TestRunner, report},
};
use serde_json::{Value, json};
use sqlx::PgPool;

pub struct World {
    pub test: TestEngine,
    pub ada: Actor,
    pub runner: TestRunner,
}

impl World {
    pub async fn new(pool: &PgPool) -> Self {
        let test = TestEngine::new(pool).await;
        let ada = test.owner().await;
        let runner = test.runner("ci").await;
        Self { test, ada, runner }
    }

    pub async fn saved(&self, source: &str) -> String {
        let new = SaveWorkflow { source: source.into() };
        self.test.engine.save_workflow(&self.ada, new).await.expect("the definition is accepted").name
    }

    /// Saves it and begins a run.
    pub async fn begun(&self, source: &str, parameters: Value) -> RunView {
        let name = self.saved(source).await;
        let parameters: Inputs = serde_json::from_value(parameters).expect("an object");
        self.test.engine.start_run(&self.ada, &name, NewRun { parameters, ..NewRun::default() }).await.expect("the run begins")
    }

    pub async fn look(&self, run: &RunView) -> RunView {
        self.test.engine.get_run(&self.ada, run.summary.id).await.expect("the run is there")
    }

    /// `key state` of every step.
    pub async fn states(&self, run: &RunView) -> Vec<String> {
        let steps = self.look(run).await.steps;
        steps.into_iter().map(|step| format!("{} {}", step.key, step.state.name())).collect()
    }

    pub async fn state(&self, run: &RunView) -> RunState {
        self.look(run).await.summary.state
    }

    pub async fn step(&self, run: &RunView, key: &str) -> TaskId {
        self.look(run).await.steps.iter().find(|step| step.key == key).unwrap_or_else(|| panic!("no step {key}")).task
    }

    /// Takes what is queued and carries it to a good end, again and again, with this output for each title.
    pub async fn all_succeed(&self, outputs: &[(&str, Value)]) {
        loop {
            let claimed = self.runner.claims(100).await;
            if claimed.is_empty() {
                return;
            }
            for assignment in claimed {
                let output = outputs.iter().find(|(title, _)| *title == assignment.title).map(|(_, output)| output.clone());
                self.succeeds_with(&assignment, output).await;
            }
        }
    }

    pub async fn succeeds_with(&self, assignment: &Assignment, output: Option<Value>) {
        self.runner.starts(assignment.attempt).await.unwrap();
        self.runner.verifies(assignment.attempt).await.unwrap();
        let passed = report(assignment, domain::CheckStatus::Passed);
        self.runner.reports(assignment.attempt, AttemptReport { output, ..passed }).await.unwrap();
    }
}

pub const RELEASE: &str = "
name: release
title: Release ${{ version }}
parameters:
  version: {}
repository: /srv/app
steps:
  - {id: build, command: make, max_attempts: 1}
  - {id: test, needs: [build], command: make test, title: Test, max_attempts: 1}
  - {id: tidy, needs: [{step: test, on: end}], command: make clean}
  - {id: approve, needs: [test], approval: {message: 'Ship ${{ version }}?'}}
  - {id: ship, needs: [approve], prompt: 'Ship ${{ version }} of ${{ file }}', inputs: {file: {from: build, pointer: /output/file}}}
";

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_takes_its_steps_in_their_order(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1.2"})).await;
    assert_eq!(run.summary.title, "Release 1.2");
    assert_eq!(world.states(&run).await, ["build queued", "test blocked", "tidy blocked", "approve blocked", "ship blocked"]);
    let build = world.runner.claims_one().await;
    assert_eq!(build.inputs, BTreeMap::from([("version".into(), json!("1.2"))]));
    world.succeeds_with(&build, Some(json!({"file": "app.tar"}))).await;
    world.all_succeed(&[]).await;
    assert_eq!(world.states(&run).await, ["build succeeded", "test succeeded", "tidy succeeded", "approve blocked", "ship blocked"]);
    assert_eq!(world.state(&run).await, RunState::Waiting);
    let gate = world.step(&run, "approve").await;
    let passed = world.test.engine.approve_task(&world.ada, gate, GateAnswer { comment: Some("go".into()) }).await.unwrap();
    assert!(!passed.summary.is_unverified(), "nobody could have verified a gate");
    assert_eq!(world.test.timeline(&world.ada, gate).await.last().unwrap(), "Ended succeeded");
    let ship = world.runner.claims_one().await;
    assert_eq!(ship.work, domain::Work::Prompt("Ship 1.2 of app.tar".into()));
    world.succeeds_with(&ship, None).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_failure_skips_what_needs_it_and_says_the_way(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let build = world.runner.claims_one().await;
    world.runner.fails(&build).await.unwrap();
    // its end alone was enough for nobody here, as what asks for an end waits for a step that was skipped, which is one
    assert_eq!(world.states(&run).await, ["build failed", "test skipped", "tidy queued", "approve skipped", "ship skipped"]);
    let looked = world.look(&run).await;
    let reason = |key: &str| looked.steps.iter().find(|step| step.key == key).unwrap().reason.clone().unwrap();
    assert_eq!(reason("approve"), "it waits for “Test”, which was skipped, as “build” ended failed");
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Failed);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_gate_that_is_rejected_ends_what_waits_for_it(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let gate = world.step(&run, "approve").await;
    let early = world.test.engine.approve_task(&world.ada, gate, GateAnswer::default()).await;
    assert!(matches!(early, Err(Error::Conflict(_))), "{early:?}");
    world.all_succeed(&[]).await;
    let rejected = world.test.engine.reject_task(&world.ada, gate, GateAnswer { comment: Some("not today".into()) }).await.unwrap();
    assert_eq!(rejected.summary.state.reason().unwrap(), "rejected by Ada: not today");
    assert!(world.states(&run).await.contains(&"ship skipped".to_owned()));
    assert_eq!(world.state(&run).await, RunState::Failed);
    let twice = world.test.engine.approve_task(&world.ada, gate, GateAnswer::default()).await;
    assert!(matches!(twice, Err(Error::Conflict(_))));
    // a person thinks again: the gate is open again, and what it held up is brought back after it
    world.test.engine.retry_task(&world.ada, gate).await.unwrap();
    world.test.engine.approve_task(&world.ada, gate, GateAnswer::default()).await.unwrap();
    let ship = world.step(&run, "ship").await;
    world.test.engine.retry_task(&world.ada, ship).await.unwrap();
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn conditions_decide_on_results_and_inputs(pool: PgPool) {
    let source = "
name: conditional
repository: /srv/app
parameters: {deploy: {type: boolean}}
steps:
  - {id: measure, command: x}
  - {id: good, needs: [{step: measure, on: {condition: 'result.output.score > 0.5'}}], command: x}
  - {id: bad, needs: [{step: measure, on: {condition: 'result.output.score <= 0.5'}}], command: x}
  - {id: odd, needs: [{step: measure, on: {condition: 'result.output.nothing == 1'}}], command: x}
  - {id: deploy, needs: [good], when: inputs.deploy, command: x}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({"deploy": false})).await;
    world.all_succeed(&[("measure", json!({"score": 0.75}))]).await;
    assert_eq!(world.states(&run).await, ["measure succeeded", "good succeeded", "bad skipped", "odd skipped", "deploy skipped"]);
    assert_eq!(world.state(&run).await, RunState::Succeeded, "what was not needed is no failure");
    let looked = world.look(&run).await;
    let reason = |key: &str| looked.steps.iter().find(|step| step.key == key).unwrap().reason.clone().unwrap();
    assert!(reason("bad").contains("`result.output.score <= 0.5` is not true of it"), "{}", reason("bad"));
    assert!(reason("odd").contains("No such key"), "{}", reason("odd"));
    assert_eq!(reason("deploy"), "its condition `inputs.deploy` is not true");
}

fn stopped(assignment: &Assignment) -> AttemptReport {
    let outcome = domain::protocol::WorkOutcome::Cancelled;
    AttemptReport { outcome, verification: None, ..report(assignment, domain::CheckStatus::Passed) }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_workflow_runs_inside_another(pool: PgPool) {
    let world = World::new(&pool).await;
    world
        .saved(
            "
name: inner
repository: /srv/inner
parameters: {what: {}}
steps:
  - {id: one, command: x, title: 'One ${{ what }}'}
  - {id: two, needs: [one], command: x}
",
        )
        .await;
    let source = "
name: outer
repository: /srv/app
steps:
  - {id: first, command: x}
  - {id: sub, needs: [first], workflow: {name: inner}, inputs: {what: {from: first}}}
  - {id: gone, workflow: {name: nowhere}}
  - {id: last, inputs: {got: {from: sub, pointer: /output/two}}, command: x}
";
    let run = world.begun(source, json!({})).await;
    world.all_succeed(&[("first", json!("thing")), ("two", json!(7))]).await;
    assert_eq!(
        world.states(&run).await,
        ["first succeeded", "sub succeeded", "gone failed", "last succeeded", "sub/one succeeded", "sub/two succeeded"]
    );
    let looked = world.look(&run).await;
    assert_eq!(looked.steps.iter().find(|step| step.key == "sub/one").unwrap().title, "One thing");
    let last = world.test.engine.get_task(&world.ada, world.step(&run, "last").await).await.unwrap();
    assert_eq!(last.inputs.get("got"), Some(&json!(7)));
    // the steps inside are drawn between what comes before and the step itself
    let column = |key: &str| looked.drawing.nodes.iter().find(|node| node.key == key).unwrap().column;
    assert_eq!(["first", "sub/one", "sub/two", "sub", "last"].map(column), [0, 1, 2, 3, 4]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn gates_wait_for_time_and_for_what_happens_outside(pool: PgPool) {
    let source = "
name: patient
repository: /srv/app
steps:
  - {id: build, command: x}
  - {id: cool, needs: [build], wait: true, delay_seconds: 60}
  - {id: staged, needs: [build], event: {name: deployed}}
  - {id: later, needs: [cool], command: x, delay_seconds: 30}
  - {id: use, inputs: {url: {from: staged, pointer: /output/url}}, command: x}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({})).await;
    let engine = &world.test.engine;
    let event = |name: &str| GateEvent { name: name.into(), payload: json!({"url": "https://example.org"}) };
    assert!(
        matches!(engine.send_event(&world.ada, run.summary.id, event("deployed")).await, Err(Error::Conflict(_))),
        "nothing waits for it yet"
    );
    world.all_succeed(&[]).await;
    assert_eq!(world.states(&run).await, ["build succeeded", "cool scheduled", "staged blocked", "later blocked", "use blocked"]);
    engine.send_event(&world.ada, run.summary.id, event("deployed")).await.unwrap();
    let using = world.runner.claims_one().await;
    assert_eq!(using.inputs.get("url"), Some(&json!("https://example.org")));
    world.succeeds_with(&using, None).await;
    world.test.advance(TimeDelta::seconds(60));
    world.test.dispatch().await;
    assert_eq!(world.states(&run).await[3], "later scheduled");
    world.test.advance(TimeDelta::seconds(30));
    world.test.dispatch().await;
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_is_held_and_cancelled_as_a_whole(pool: PgPool) {
    let world = World::new(&pool).await;
    let engine = &world.test.engine;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let id = run.summary.id;
    let build = world.runner.claims_one().await;
    engine.pause_run(&world.ada, id).await.unwrap();
    world.succeeds_with(&build, None).await;
    assert!(world.runner.claims(10).await.is_empty(), "what ran came to its end, and nothing follows");
    assert!(matches!(engine.pause_run(&world.ada, id).await, Err(Error::Conflict(_))));
    engine.resume_run(&world.ada, id).await.unwrap();
    let test = world.runner.claims_one().await;
    assert_eq!(test.title, "Test");
    let cancelled = engine.cancel_run(&world.ada, id).await.unwrap();
    assert_eq!(cancelled.summary.counts.running, 1, "it ends when its runner has stopped it");
    world.runner.reports(test.attempt, stopped(&test)).await.unwrap();
    world.test.keep_time().await;
    let states = world.states(&run).await;
    assert_eq!(states, ["build succeeded", "test cancelled", "tidy cancelled", "approve cancelled", "ship skipped"]);
    assert_eq!(world.state(&run).await, RunState::Cancelled);
    assert!(matches!(engine.pause_run(&world.ada, id).await, Err(Error::Conflict(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_restart_takes_over_what_succeeded(pool: PgPool) {
    let world = World::new(&pool).await;
    let engine = &world.test.engine;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let restart = |from: Option<&str>| RestartRun { from: from.map(str::to_owned) };
    assert!(matches!(engine.restart_run(&world.ada, run.summary.id, restart(None)).await, Err(Error::Conflict(_))), "it goes on");
    let build = world.runner.claims_one().await;
    world.succeeds_with(&build, Some(json!({"file": "kept.tar"}))).await;
    let test = world.runner.claims_one().await;
    world.runner.fails(&test).await.unwrap();
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Failed);

    let again = engine.restart_run(&world.ada, run.summary.id, restart(None)).await.unwrap();
    assert_eq!(again.restart_of, Some(run.summary.id));
    let reused: Vec<_> = again.steps.iter().filter(|step| step.reused).map(|step| step.key.as_str()).collect();
    assert_eq!(reused, ["build", "tidy"]);
    world.all_succeed(&[]).await;
    let gate = world.step(&again, "approve").await;
    engine.approve_task(&world.ada, gate, GateAnswer::default()).await.unwrap();
    let ship = world.runner.claims_one().await;
    assert_eq!(ship.work, domain::Work::Prompt("Ship 1 of kept.tar".into()), "the output of the first run is there");
    world.succeeds_with(&ship, None).await;
    assert_eq!(world.state(&again).await, RunState::Succeeded);

    let from_test = engine.restart_run(&world.ada, again.summary.id, restart(Some("test"))).await.unwrap();
    let reused: Vec<_> = from_test.steps.iter().filter(|step| step.reused).map(|step| step.key.as_str()).collect();
    assert_eq!(reused, ["build"], "the test and all that waits for it are done again");
    assert!(engine.restart_run(&world.ada, again.summary.id, restart(Some("nothing"))).await.is_err());
    assert!(
        matches!(engine.restart_run(&world.ada, again.summary.id, restart(None)).await, Err(Error::Conflict(_))),
        "all of it succeeded"
    );
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_changed_text_is_a_new_version_and_runs_keep_theirs(pool: PgPool) {
    let world = World::new(&pool).await;
    let engine = &world.test.engine;
    let text = |command: &str| format!("{{name: x, repository: /srv/app, steps: [{{id: a, command: {command}}}]}}");
    let run = world.begun(&text("one"), json!({})).await;
    let save = async |command: &str| engine.save_workflow(&world.ada, SaveWorkflow { source: text(command) }).await.unwrap().version;
    assert_eq!([save("one").await, save("two").await, save("two").await], [1, 2, 2]);
    assert_eq!(engine.get_workflow(&world.ada, "x", Some(1)).await.unwrap().definition.steps[0].command.as_deref(), Some("one"));
    assert_eq!(world.look(&run).await.summary.version, 1);
    let listed = engine.list_workflows(&world.ada).await.unwrap();
    assert_eq!((listed[0].version, listed[0].steps), (2, 1));
    assert_eq!(listed[0].last_run.as_ref().unwrap().id, run.summary.id);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_definition_is_checked_as_a_whole(pool: PgPool) {
    let world = World::new(&pool).await;
    let check = async |source: &str| {
        let checked = world.test.engine.check_workflow(&world.ada, CheckWorkflow { source: source.into() }).await.unwrap();
        let errors: Vec<_> = checked.errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect();
        (checked.valid, errors, checked.drawing.map(|drawing| drawing.nodes.len()))
    };
    assert_eq!(check(RELEASE).await, (true, vec![], Some(5)));
    assert_eq!(
        check("{name: x, steps: [{id: a, command: y, when: 'result.a =='}, {id: b, command: x, needs: [{step: a, on: {condition: inputs.x}}]}]}").await,
        (false, vec!["/steps/0/when malformed".into(), "/steps/1/needs/0/on/condition malformed".into()], Some(2))
    );
    assert_eq!(check("{name: x, steps: [").await, (false, vec!["/source malformed".into()], None));
    assert!(!check("{name: x, steps: [{id: a, needs: [a], command: x}]}").await.0);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_thousand_steps_are_one_run(pool: PgPool) {
    let world = World::new(&pool).await;
    let steps: Vec<_> = (0..1000)
        .map(|n: usize| {
            let needs: Vec<_> = (n >= 10).then(|| format!("s{}", n - 10)).into_iter().collect();
            json!({"id": format!("s{n}"), "needs": needs, "command": "x"})
        })
        .collect();
    let source = json!({"name": "large", "repository": "/srv/app", "steps": steps}).to_string();
    let run = world.begun(&source, json!({})).await;
    assert_eq!((run.summary.counts.total, run.summary.counts.queued), (1000, 10));
    assert_eq!((run.drawing.columns, run.drawing.rows), (100, 10));
    world.test.engine.cancel_run(&world.ada, run.summary.id).await.unwrap();
    assert_eq!(world.state(&run).await, RunState::Cancelled);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn runs_are_listed_page_by_page(pool: PgPool) {
    let world = World::new(&pool).await;
    let engine = &world.test.engine;
    let mut ids: Vec<WorkflowRunId> = vec![];
    for n in 0..3 {
        let run = world.begun(&format!("{{name: w{}, repository: /srv/app, steps: [{{id: a, command: x}}]}}", n % 2), json!({})).await;
        ids.insert(0, run.summary.id);
    }
    let list = async |filter: RunFilter| {
        let page = engine.list_runs(&world.ada, filter).await.unwrap();
        (page.items.into_iter().map(|run| run.id).collect::<Vec<_>>(), page.next_cursor)
    };
    let (first, cursor) = list(RunFilter { limit: Some(2), ..RunFilter::default() }).await;
    assert_eq!(first, ids[..2]);
    assert_eq!(list(RunFilter { cursor, ..RunFilter::default() }).await, (ids[2..].to_vec(), None));
    assert_eq!(list(RunFilter { workflow: Some("w1".into()), ..RunFilter::default() }).await.0, [ids[1]]);
    assert_eq!(list(RunFilter { workflow: Some("none".into()), ..RunFilter::default() }).await.0, []);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_of_a_run_is_there_for_another_workspace(pool: PgPool) {
    let world = World::new(&pool).await;
    let engine = &world.test.engine;
    let stranger = world.test.stranger().await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    world.all_succeed(&[]).await;
    let gate = world.step(&run, "approve").await;
    let id = run.summary.id;
    let not_found = |result: Result<(), Error>| assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
    not_found(engine.get_workflow(&stranger, "release", None).await.map(drop));
    not_found(engine.start_run(&stranger, "release", NewRun::default()).await.map(drop));
    not_found(engine.get_run(&stranger, id).await.map(drop));
    not_found(engine.cancel_run(&stranger, id).await.map(drop));
    not_found(engine.pause_run(&stranger, id).await.map(drop));
    not_found(engine.restart_run(&stranger, id, RestartRun { from: None }).await.map(drop));
    not_found(engine.send_event(&stranger, id, GateEvent { name: "x".into(), payload: Value::Null }).await.map(drop));
    not_found(engine.approve_task(&stranger, gate, GateAnswer::default()).await.map(drop));
    assert_eq!(engine.list_workflows(&stranger).await.unwrap(), []);
    assert_eq!(engine.list_runs(&stranger, RunFilter::default()).await.unwrap().items, []);
    // a workflow inside another is looked for in the run's own workspace
    let save = SaveWorkflow { source: "{name: theirs, repository: /srv/x, steps: [{id: a, workflow: {name: release}}]}".into() };
    engine.save_workflow(&stranger, save).await.unwrap();
    let theirs = engine.start_run(&stranger, "theirs", NewRun::default()).await.unwrap();
    assert_eq!(theirs.steps[0].state, TaskStateName::Failed);
    assert_eq!(theirs.steps[0].reason.as_deref(), Some("there is no workflow “release”"));
}
