//! Runs that are changed while they run.

use chrono::TimeDelta;
use domain::{
    TaskStateName,
    workflow::{ChangeOutcome, ChangeRun, Fate, GateAnswer, NewRun, RestartRun, RunState, RunView, SaveWorkflow},
};
use engine::Error;
use serde_json::json;
use sqlx::PgPool;

use crate::workflow::{RELEASE, World};

impl World {
    pub async fn changes(&self, run: &RunView, source: &str) -> Result<ChangeOutcome, Error> {
        self.test.engine.change_run(&self.ada, run.summary.id, ChangeRun { source: source.into(), ..ChangeRun::default() }).await
    }

    /// `pointer code` of everything that is wrong with a change.
    async fn refused(&self, run: &RunView, source: &str) -> Vec<String> {
        match self.changes(run, source).await {
            Err(Error::Invalid(invalid)) => invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect(),
            other => panic!("{source}: {other:?}"),
        }
    }

    async fn timeline_of(&self, run: &RunView, key: &str) -> Vec<String> {
        let task = self.step(run, key).await;
        self.test.timeline(&self.ada, task).await
    }
}

/// `how key before→after` of each.
fn said(outcome: &ChangeOutcome) -> Vec<String> {
    let state = |state: Option<TaskStateName>| state.map_or("-", TaskStateName::name);
    let one =
        |step: &domain::workflow::ChangedStep| format!("{} {} {}→{}", step.how.name(), step.key, state(step.before), step.after.name());
    outcome.steps.iter().map(one).collect()
}

const CHANGE: &str = "
add:
  - {id: lint, needs: [build], command: make lint, inputs: {file: {from: build, pointer: /output/file}}}
remove: [tidy]
rewire:
  - {step: ship, needs: [approve, lint]}
";

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn steps_are_added_removed_and_rewired_while_a_run_runs(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let build = world.runner.claims_one().await;
    let outcome = world.changes(&run, CHANGE).await.unwrap();
    assert_eq!(said(&outcome), ["added lint -→blocked", "removed tidy blocked→cancelled", "rewired ship blocked→blocked"]);
    let ship = &outcome.steps[2];
    assert_eq!((ship.needed.join(" "), ship.needs.join(" ")), ("approve build".into(), "approve lint build".into()));
    let change = &outcome.run.changes[0];
    assert_eq!((change.number, change.by.as_str(), change.source.as_str()), (1, "Ada", CHANGE));
    assert_eq!(
        (&change.added[..], &change.removed[..], &change.rewired[..]),
        (&["lint".into()][..], &["tidy".into()][..], &["ship".into()][..])
    );
    assert!(outcome.run.steps.iter().all(|step| step.removed == (step.key == "tidy")), "it stays visible as removed");
    assert_eq!(outcome.run.summary.counts.total, 5, "and counts for nothing");
    let column = |key: &str| outcome.run.drawing.nodes.iter().find(|node| node.key == key).unwrap().column;
    assert_eq!(["build", "lint", "test", "approve", "ship"].map(column), [0, 1, 1, 2, 3]);

    let lint = world.step(&run, "lint").await;
    let short = run.summary.id.short();
    assert_eq!(world.timeline_of(&run, "lint").await[1], format!("Added to run {short} while it ran"));
    assert_eq!(world.timeline_of(&run, "ship").await.last().unwrap(), &format!("Rewired: waits for {}", lint.short()));
    let removed = world.timeline_of(&run, "tidy").await;
    assert_eq!(removed[1..], [format!("Removed from run {short}"), "Ended cancelled".to_owned()]);

    world.succeeds_with(&build, Some(json!({"file": "app.tar"}))).await;
    let claimed = world.runner.claims(10).await;
    assert_eq!(claimed[0].title, "Test");
    assert_eq!((claimed[1].title.as_str(), claimed[1].inputs.get("file")), ("lint", Some(&json!("app.tar"))));
    world.succeeds_with(&claimed[0], None).await;
    let gate = world.step(&run, "approve").await;
    world.test.engine.approve_task(&world.ada, gate, GateAnswer::default()).await.unwrap();
    assert!(world.runner.claims(10).await.is_empty(), "it waits for the new step as well");
    world.succeeds_with(&claimed[1], None).await;
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded, "what was removed does not make it a cancelled one");
    let tidy = world.step(&run, "tidy").await;
    assert!(matches!(world.test.engine.retry_task(&world.ada, tidy).await, Err(Error::Conflict(_))), "what was removed stays removed");
}

const FAN: &str = "
name: fan
repository: /srv/app
parameters: {go: {type: boolean, default: false}}
steps:
  - {id: a, command: x, max_attempts: 1}
  - {id: b, command: x, max_attempts: 1}
  - {id: e, command: x, max_attempts: 1}
  - {id: two, needs: [a, b], command: x}
  - {id: three, needs: [a, b, e], command: x}
  - {id: maybe, needs: [a, b], when: inputs.go, command: x}
  - {id: after, needs: [maybe], command: x}
  - {id: ask, needs: [a, b], approval: {}}
  - {id: many, needs: [a, b], matrix: {n: [1, 2]}, command: x}
";

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_step_whose_last_open_need_goes_is_let_go_at_once(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(FAN, json!({})).await;
    let claimed = world.runner.claims(10).await;
    world.succeeds_with(&claimed[0], None).await;
    let change = "
rewire:
  - {step: two, needs: [a]}
  - {step: three, needs: [a, e]}
  - {step: maybe, needs: [a]}
  - {step: ask, needs: [a]}
  - {step: many, needs: [a]}
";
    let outcome = world.changes(&run, change).await.unwrap();
    let expected = [
        "rewired two blocked→queued",
        "rewired three blocked→blocked",
        "rewired maybe blocked→skipped",
        "rewired ask blocked→blocked",
        "rewired many blocked→blocked",
        "follows after blocked→skipped",
        "follows many[n=1] -→queued",
        "follows many[n=2] -→queued",
    ];
    assert_eq!(said(&outcome), expected);
    let gate = outcome.run.steps.iter().find(|step| step.key == "ask").unwrap();
    assert!(gate.open_gate.is_some());
    world.succeeds_with(&claimed[2], None).await;
    assert!(world.states(&run).await.contains(&"three queued".to_owned()), "its count was exact");
    world.runner.fails(&claimed[1]).await.unwrap();
    world.all_succeed(&[]).await;
    let states = world.states(&run).await;
    assert!(states.contains(&"two succeeded".to_owned()) && states.contains(&"many succeeded".to_owned()), "{states:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_queued_step_waits_again_and_takes_what_it_is_given_now(pool: PgPool) {
    let source = "
name: pass
repository: /srv/app
parameters: {file: {default: none}}
steps:
  - {id: a, command: x}
  - {id: b, command: x}
  - {id: use, inputs: {file: {from: a, pointer: /output/file}}, command: x}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({})).await;
    let claimed = world.runner.claims(10).await;
    world.succeeds_with(&claimed[0], Some(json!({"file": "of a"}))).await;
    assert!(world.states(&run).await.contains(&"use queued".to_owned()));
    let rewire = |inputs: &str, needs: &str| format!("rewire: [{{step: use, inputs: {{{inputs}}}, needs: [{needs}]}}]");
    let outcome = world.changes(&run, &rewire("", "b")).await.unwrap();
    assert_eq!(said(&outcome), ["rewired use queued→blocked"]);
    let task = world.step(&run, "use").await;
    let given = async || world.test.engine.get_task(&world.ada, task).await.unwrap().inputs["file"].clone();
    assert_eq!(given().await, json!("none"), "what it was given of the other is gone");
    assert_eq!(said(&world.changes(&run, &rewire("file: {from: a}", "")).await.unwrap()), ["rewired use blocked→queued"]);
    assert_eq!(given().await, json!({"file": "of a"}));
    world.changes(&run, &rewire("file: {from: b, pointer: /output}", "")).await.unwrap();
    world.succeeds_with(&claimed[1], Some(json!("of b"))).await;
    let using = world.runner.claims_one().await;
    assert_eq!(using.inputs.get("file"), Some(&json!("of b")));
    let released = world.timeline_of(&run, "use").await.into_iter().filter(|line| line.starts_with("Dependencies done")).count();
    assert_eq!(released, 3, "by a, by the change, and by b");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_has_begun_or_is_needed_is_refused_with_its_place(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(FAN, json!({})).await;
    let claimed = world.runner.claims(10).await;
    assert_eq!(world.refused(&run, "remove: [a]").await, ["/remove/0 needed"]);
    assert_eq!(world.refused(&run, "rewire: [{step: a, needs: [e]}]").await, ["/rewire/0/step begun"]);
    world.succeeds_with(&claimed[0], None).await;
    world.succeeds_with(&claimed[1], None).await;
    for begun in ["ask", "many"] {
        assert_eq!(world.refused(&run, &format!("remove: [{begun}]")).await, ["/remove/0 begun"], "{begun}");
        assert_eq!(world.refused(&run, &format!("rewire: [{{step: {begun}, needs: []}}]")).await, ["/rewire/0/step begun"], "{begun}");
    }
    for (source, expected) in [
        ("remove: [maybe, after]", vec!["/remove/0 begun", "/remove/1 begun"]),
        ("remove: ['many[n=1]', nobody]", vec!["/remove/0 not_found", "/remove/1 not_found"]),
        ("add: [{id: two, command: x}]", vec!["/add/0/id duplicate"]),
        ("add: [{id: odd, command: x, when: 'inputs.go =='}]", vec!["/add/0/when malformed"]),
        ("rewire: [{step: three, needs: [three]}]", vec!["/rewire/0/needs/0 cycle"]),
        (
            "add: [{id: x, needs: [three], command: x}]\nrewire: [{step: three, needs: [x]}]",
            vec!["/rewire/0/needs cycle", "/add/0/needs cycle"],
        ),
        ("add: [{id: x, needs: [maybe], command: x}]", vec!["/add/0/needs/0 ended"]),
        ("rewire: [{step: three, needs: [{step: a, on: {condition: result.state == 'failed'}}]}]", vec!["/rewire/0/needs/0 ended"]),
        ("# nothing", vec!["/source required"]),
        ("ad: []", vec!["/ad malformed"]),
    ] {
        assert_eq!(world.refused(&run, source).await, expected, "{source}");
    }
    assert_eq!(world.look(&run).await.changes, [], "nothing was done");
    // named with what they have, steps that have begun are in nobody's way
    let same = world.changes(&run, "rewire: [{step: ask, needs: [a, b]}, {step: three, needs: [a, b, e]}]").await.unwrap();
    assert_eq!((same.steps, same.run.changes), (vec![], vec![]));
    world.changes(&run, "remove: [three]").await.unwrap();
    assert_eq!(world.refused(&run, "remove: [three]").await, ["/remove/0 not_found"]);
    assert_eq!(world.refused(&run, "add: [{id: three, command: x}]").await, ["/add/0/id duplicate"], "its name is still in use");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_step_that_waits_for_its_time_can_only_be_removed(pool: PgPool) {
    let source = "
name: late
repository: /srv/app
steps:
  - {id: a, command: x}
  - {id: later, needs: [a], delay_seconds: 60, command: x}
  - {id: pause, needs: [a], wait: true, delay_seconds: 60}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({})).await;
    world.all_succeed(&[]).await;
    assert_eq!(world.refused(&run, "rewire: [{step: later, needs: []}]").await, ["/rewire/0/step begun"]);
    assert_eq!(world.refused(&run, "remove: [pause]").await, ["/remove/0 begun"]);
    assert_eq!(said(&world.changes(&run, "remove: [later]").await.unwrap()), ["removed later scheduled→cancelled"]);
    world.test.advance(TimeDelta::seconds(60));
    world.test.dispatch().await;
    assert!(world.runner.claims(10).await.is_empty());
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn removed_steps_that_wait_for_each_other_are_all_removed(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let outcome = world.changes(&run, "remove: [test, tidy, approve, ship]").await.unwrap();
    assert!(outcome.steps.iter().all(|step| step.how == Fate::Removed && step.after == TaskStateName::Cancelled), "{:?}", said(&outcome));
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
    let over = world.changes(&run, "add: [{id: more, command: x}]").await;
    assert!(matches!(over, Err(Error::Conflict(_))), "what has ended is not brought back: {over:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_preview_says_what_would_come_and_does_nothing(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let before = world.look(&run).await;
    let preview = ChangeRun { source: CHANGE.into(), preview: true, expected: None };
    let outcome = world.test.engine.change_run(&world.ada, run.summary.id, preview).await.unwrap();
    assert!(outcome.preview && outcome.run.steps.iter().any(|step| step.key == "lint"));
    assert_eq!(world.look(&run).await, before);
    assert_eq!(said(&world.changes(&run, CHANGE).await.unwrap()), said(&outcome), "and it comes as it was said");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_restart_takes_the_changed_graph(pool: PgPool) {
    let world = World::new(&pool).await;
    let engine = &world.test.engine;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    world.changes(&run, CHANGE).await.unwrap();
    let build = world.runner.claims_one().await;
    world.succeeds_with(&build, Some(json!({"file": "app.tar"}))).await;
    for assignment in world.runner.claims(10).await {
        world.runner.fails(&assignment).await.unwrap();
    }
    world.test.engine.cancel_run(&world.ada, run.summary.id).await.unwrap();
    assert!(matches!(world.changes(&run, "add: [{id: more, command: x}]").await, Err(Error::Conflict(_))), "it was cancelled");
    let again = engine.restart_run(&world.ada, run.summary.id, RestartRun { from: None }).await.unwrap();
    let keys: Vec<_> = again.steps.iter().map(|step| step.key.as_str()).collect();
    assert_eq!(keys, ["build", "test", "approve", "lint", "ship"]);
    let of_run = engine.run_definition(&world.ada, again.summary.id).await.unwrap();
    assert_eq!((of_run.changes, of_run.open.join(" ")), (0, "test approve lint ship".into()));
    // the workflow itself is what it was
    let started =
        engine.start_run(&world.ada, "release", NewRun { parameters: [("version".into(), json!("2"))].into(), ..NewRun::default() }).await;
    assert_eq!(started.unwrap().steps.len(), 5);
    world.changes(&again, "add: [{id: more, needs: [ship], command: x}]").await.unwrap();
    world.all_succeed(&[]).await;
    let gate = world.step(&again, "approve").await;
    engine.approve_task(&world.ada, gate, GateAnswer::default()).await.unwrap();
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&again).await, RunState::Succeeded);
    let third = engine.restart_run(&world.ada, again.summary.id, RestartRun { from: Some("more".into()) }).await.unwrap();
    assert_eq!(third.steps.iter().filter(|step| !step.reused).map(|step| step.key.as_str()).collect::<Vec<_>>(), ["more"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_change_of_what_others_have_changed_is_refused(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(RELEASE, json!({"version": "1"})).await;
    let at = |expected: i32, source: &str| ChangeRun { source: source.into(), preview: false, expected: Some(expected) };
    let change = async |ask: ChangeRun| world.test.engine.change_run(&world.ada, run.summary.id, ask).await;
    change(at(0, "remove: [tidy]")).await.unwrap();
    assert!(matches!(change(at(0, "remove: [ship]")).await, Err(Error::Conflict(_))));
    change(at(1, "remove: [ship]")).await.unwrap();
    let stranger = world.test.stranger().await;
    let theirs = world.test.engine.change_run(&stranger, run.summary.id, at(2, "remove: [test]")).await;
    assert!(matches!(theirs, Err(Error::NotFound { .. })), "{theirs:?}");
    assert!(matches!(world.test.engine.run_definition(&stranger, run.summary.id).await, Err(Error::NotFound { .. })));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn candidates_and_held_runs_are_changed_like_others(pool: PgPool) {
    let source = "
name: best
repository: /srv/app
steps:
  - {id: a, command: x}
  - {id: try, needs: [a], command: x, candidates: {count: 2}, max_attempts: 1}
  - {id: use, needs: [try], command: x}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({})).await;
    world.test.engine.pause_run(&world.ada, run.summary.id).await.unwrap();
    let outcome = world.changes(&run, "add: [{id: b, command: x}]\nrewire: [{step: try, needs: [b]}]").await.unwrap();
    assert!(outcome.run.steps.iter().find(|step| step.key == "b").unwrap().paused, "what is added to a run that is held is held");
    world.test.engine.resume_run(&world.ada, run.summary.id).await.unwrap();
    world.all_succeed(&[]).await;
    let states = world.states(&run).await;
    assert!(states.contains(&"use succeeded".to_owned()) && states.contains(&"try succeeded".to_owned()), "{states:?}");
    let save = SaveWorkflow { source: source.into() };
    assert_eq!(world.test.engine.save_workflow(&world.ada, save).await.unwrap().version, 1, "no version was made of it");
}
