//! Workflows and their runs over HTTP.

use std::path::Path;

use domain::Role;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Client, TestApp};

const RELEASE: &str = "
name: release
title: Release ${{ version }}
repository: /srv/app
parameters:
  version: {}
  dry_run: {type: boolean, default: false}
steps:
  - id: build
    command: make
  - id: test
    needs: [build]
    matrix: {os: [linux, mac]}
    command: make test
  - id: ask
    needs: [test]
    approval: {message: 'Ship ${{ version }}?'}
  - id: ship
    needs: [ask]
    inputs:
      artifact: {from: build, pointer: /output/artifact}
    command: make ship
";

/// Nothing of it needs a runner.
const GATES: &str = "
name: gates
repository: /srv/app
steps:
  - id: ask
    approval: {message: Go on?}
  - id: built
    needs: [ask]
    event: {name: built}
";

async fn save(script: &Client, source: &str) -> Value {
    let answer = script.post("/api/v1/workflows", &json!({"source": source})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

/// Saves it and runs it with these parameters; the answer is the run.
async fn start(script: &Client, source: &str, parameters: Value) -> Value {
    let name = save(script, source).await["name"].as_str().unwrap().to_owned();
    let answer = script.post(&format!("/api/v1/workflows/{name}/runs"), &json!({"parameters": parameters})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let run = answer.json();
    assert_eq!(answer.header("location"), format!("/api/v1/runs/{}", run["id"].as_str().unwrap()));
    run
}

fn step<'a>(run: &'a Value, key: &str) -> &'a Value {
    run["steps"].as_array().unwrap().iter().find(|step| step["key"] == key).unwrap_or_else(|| panic!("no step {key}: {run}"))
}

fn path(run: &Value) -> String {
    format!("/api/v1/runs/{}", run["id"].as_str().unwrap())
}

fn task_path(run: &Value, key: &str) -> String {
    format!("/api/v1/tasks/{}", step(run, key)["task"].as_str().unwrap())
}

/// `key state` of every step.
fn states(run: &Value) -> Vec<String> {
    let steps = run["steps"].as_array().unwrap().iter();
    let mut states: Vec<_> = steps.map(|step| format!("{} {}", step["key"].as_str().unwrap(), step["state"].as_str().unwrap())).collect();
    states.sort();
    states
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_definition_is_checked_saved_and_shown(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let check = async |source: &str| script.post("/api/v1/workflows/check", &json!({"source": source})).await.json();
    let good = check(RELEASE).await;
    assert_eq!((&good["valid"], &good["errors"], &good["definition"]["name"]), (&json!(true), &json!([]), &json!("release")));
    assert_eq!(good["drawing"]["columns"], 4);
    assert_eq!(script.get("/api/v1/workflows").await.json(), json!([]), "nothing was stored");

    let saved = script.post("/api/v1/workflows", &json!({"source": RELEASE})).await;
    assert_eq!((saved.status, saved.header("location")), (StatusCode::CREATED, "/api/v1/workflows/release"));
    assert_eq!((&saved.json()["version"], &saved.json()["created_by"]), (&json!(1), &json!("script (API key)")));
    let changed = RELEASE.replace("make ship", "make publish");
    assert_eq!(save(&script, &changed).await["version"], 2);
    let newest = script.get("/api/v1/workflows/release").await.json();
    assert_eq!((&newest["version"], &newest["newest_version"], &newest["source"]), (&json!(2), &json!(2), &json!(changed)));
    let first = script.get("/api/v1/workflows/release?version=1").await.json();
    assert_eq!((&first["version"], &first["newest_version"], &first["source"]), (&json!(1), &json!(2), &json!(RELEASE)));
    let list = script.get("/api/v1/workflows").await.json();
    assert_eq!((&list[0]["name"], &list[0]["version"], &list[0]["steps"]), (&json!("release"), &json!(2), &json!(4)));

    for nowhere in ["/api/v1/workflows/nothing", "/api/v1/workflows/release?version=3", "/api/v1/workflows/check"] {
        assert_eq!(script.get(nowhere).await.problem(), ["404 /problems/not-found"], "{nowhere}");
    }
    save(&script, &RELEASE.replace("name: release", "name: check")).await;
    assert_eq!(script.get("/api/v1/workflows/check").await.json()["name"], "check", "the route of the same name is not in its way");
    assert_eq!(script.get("/api/v1/workflows/release?version=new").await.problem(), ["422 /problems/invalid", "/version malformed"]);
    let viewer = app.script(Role::Viewer).await;
    assert_eq!(viewer.post("/api/v1/workflows", &json!({"source": RELEASE})).await.problem(), ["403 /problems/forbidden"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_wrong_with_a_definition_is_said_with_its_place(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let steps = |steps: &str| format!("name: x\nrepository: /srv/app\nsteps:\n{steps}");
    for (source, expected) in [
        (steps("  - {id: a, command: x, needs: [b]}\n  - {id: b, command: x, needs: [a]}"), "/steps/0/needs cycle"),
        (steps("  - {id: a, command: x, needs: [nobody]}"), "/steps/0/needs/0 not_found"),
        (steps("  - {id: a}"), "/steps/0/command required"),
        (steps("  - {id: a, command: x}\n  - {id: a, command: x}"), "/steps/1/id duplicate"),
        (steps("  - {id: a, prompt: 'Release ${{ version }}'}"), "/steps/0/prompt unknown_input"),
    ] {
        let refused = script.post("/api/v1/workflows", &json!({"source": source})).await.problem();
        assert_eq!(refused[..2], ["422 /problems/invalid", expected], "{source}");
        let checked = script.post("/api/v1/workflows/check", &json!({"source": source})).await.json();
        let first = &checked["errors"][0];
        assert_eq!((&checked["valid"], first["pointer"].as_str()), (&json!(false), expected.split(' ').next()), "{source}");
    }
    // what cannot be read, and expressions that cannot be
    for source in
        ["steps: [", "", "7", "name: x\nsteps: 3", &steps("  - {id: a, command: x, when: 'inputs.('}"), &steps("  - {id: a, comand: x}")]
    {
        let refused = script.post("/api/v1/workflows", &json!({"source": source})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{source}: {}", refused.text);
        assert!(refused.problem().len() > 1, "{source}: {}", refused.text);
        assert_eq!(script.post("/api/v1/workflows/check", &json!({"source": source})).await.json()["valid"], false, "{source}");
    }
    assert_eq!(script.post("/api/v1/workflows", &json!({"text": RELEASE})).await.problem(), ["422 /problems/invalid", "/text unknown"]);
    assert_eq!(script.get("/api/v1/workflows").await.json(), json!([]), "nothing was stored");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_takes_its_parameters_and_goes_from_step_to_step(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    save(&script, RELEASE).await;
    let run = async |body: Value| script.post("/api/v1/workflows/release/runs", &body).await;
    for (parameters, expected) in [
        (json!({}), "/parameters/version required"),
        (json!({"version": 7}), "/parameters/version wrong_type"),
        (json!({"version": "1", "dry_run": "no"}), "/parameters/dry_run wrong_type"),
        (json!({"version": "1", "colour": "red"}), "/parameters/colour unknown"),
    ] {
        assert_eq!(run(json!({"parameters": parameters})).await.problem(), ["422 /problems/invalid", expected], "{parameters}");
    }
    assert_eq!(run(json!({"version": 9, "parameters": {"version": "1"}})).await.problem(), ["404 /problems/not-found"]);
    assert_eq!(run(json!({"params": {}})).await.problem(), ["422 /problems/invalid", "/params unknown"]);
    let unknown = script.post("/api/v1/workflows/nothing/runs", &json!({})).await;
    assert_eq!(unknown.problem(), ["404 /problems/not-found"]);

    let run = start(&script, RELEASE, json!({"version": "1.4.0"})).await;
    assert_eq!((&run["title"], &run["workflow"], &run["state"]), (&json!("Release 1.4.0"), &json!("release"), &json!("running")));
    assert_eq!(run["parameters"], json!({"version": "1.4.0", "dry_run": false}));
    assert_eq!(script.get(&path(&run)).await.json()["steps"], run["steps"]);
    let runner = app.test.runner("r1").await;
    let build = runner.claims_one().await;
    assert_eq!(build.inputs["version"], json!("1.4.0"));
    runner.starts(build.attempt).await.unwrap();
    runner.verifies(build.attempt).await.unwrap();
    let mut report = engine::testing::report(&build, domain::CheckStatus::Passed);
    report.output = Some(json!({"artifact": "app-1.4.0"}));
    runner.reports(build.attempt, report).await.unwrap();
    app.test.keep_time().await;
    for _ in ["linux", "mac"] {
        let test = runner.claims_one().await;
        assert!(["linux", "mac"].contains(&test.inputs["os"].as_str().unwrap()));
        runner.succeeds(&test).await.unwrap();
    }
    app.test.keep_time().await;
    let now = script.get(&path(&run)).await.json();
    assert_eq!((&now["state"], &step(&now, "ask")["open_gate"]["gate"]), (&json!("waiting"), &json!("approval")));
    assert_eq!(step(&now, "ask")["open_gate"]["message"], "Ship 1.4.0?");
    let approved = script.post(&format!("{}/approve", task_path(&run, "ask")), &json!({"comment": "go"})).await.json();
    assert_eq!((&approved["state"], &approved["step"], &approved["workflow_run"]), (&json!("succeeded"), &json!("ask"), &run["id"]));
    let ship = runner.claims_one().await;
    assert_eq!(ship.inputs["artifact"], json!("app-1.4.0"), "one step's output is the next one's input");
    runner.succeeds(&ship).await.unwrap();
    let ended = script.get(&path(&run)).await.json();
    assert_eq!((&ended["state"], &ended["counts"]["succeeded"]), (&json!("succeeded"), &ended["counts"]["total"]));
    let shown = script.get(&task_path(&run, "build")).await.json();
    assert_eq!(shown["output"], json!({"artifact": "app-1.4.0"}));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn gates_are_passed_once_and_only_when_they_wait(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let run = start(&script, GATES, json!({})).await;
    let answer = async |act: &str, key: &str| script.post(&format!("{}/{act}", task_path(&run, key)), &json!({})).await;
    let conflict = |problem: Vec<String>| assert!(problem[0].starts_with("409 "), "{problem:?}");
    let send = async |body: Value| script.post(&format!("{}/events", path(&run)), &body).await;
    conflict(send(json!({"name": "built"})).await.problem());
    conflict(answer("approve", "built").await.problem());
    let viewer = app.script(Role::Viewer).await;
    assert_eq!(viewer.post(&format!("{}/approve", task_path(&run, "ask")), &json!({})).await.problem(), ["403 /problems/forbidden"]);
    assert_eq!(answer("approve", "ask").await.json()["state"], "succeeded");
    conflict(answer("approve", "ask").await.problem());
    conflict(answer("reject", "ask").await.problem());
    conflict(send(json!({"name": "shipped"})).await.problem());
    assert_eq!(send(json!({"payload": {}})).await.problem(), ["422 /problems/invalid", "/name required"]);
    let ended = send(json!({"name": "built", "payload": {"address": "here"}})).await.json();
    assert_eq!((&ended["id"], &ended["state"]), (&run["id"], &json!("succeeded")));
    assert_eq!(script.get(&task_path(&run, "built")).await.json()["output"], json!({"address": "here"}));

    let task = script.post("/api/v1/tasks", &json!({"title": "No gate", "repository": "/srv/app", "command": "x"})).await;
    conflict(script.post(&format!("{}/approve", task.header("location")), &json!({})).await.problem());
    let unknown = "/api/v1/tasks/01a1f914-724f-71f2-8061-72d06c3f9299/approve";
    assert_eq!(script.post(unknown, &json!({})).await.problem(), ["404 /problems/not-found"]);
    let again = start(&script, GATES, json!({})).await;
    let rejected = script.post(&format!("{}/reject", task_path(&again, "ask")), &json!({"comment": "not on a Friday"})).await.json();
    assert_eq!((&rejected["state"], &rejected["failure"]["code"]), (&json!("failed"), &json!("rejected")));
    let run = script.get(&path(&again)).await.json();
    assert_eq!((&run["state"], states(&run)), (&json!("failed"), vec!["ask failed".to_owned(), "built skipped".into()]));
    assert!(step(&run, "ask")["reason"].as_str().unwrap().contains("not on a Friday"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_is_held_ended_and_started_again(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let run = start(&script, RELEASE, json!({"version": "1"})).await;
    let act = async |act: &str| script.post(&format!("{}/{act}", path(&run)), &json!({})).await;
    let paused = act("pause").await.json();
    assert_eq!((&paused["paused_by"], &step(&paused, "build")["paused"]), (&json!("script (API key)"), &json!(true)));
    let runner = app.test.runner("r1").await;
    assert_eq!(runner.claims(10).await.len(), 0);
    assert_eq!(act("resume").await.json()["paused_by"], Value::Null);
    assert_eq!(act("resume").await.status, StatusCode::CONFLICT);
    assert_eq!(act("restart").await.status, StatusCode::CONFLICT, "it has not ended");
    let build = runner.claims_one().await;
    let mut report = engine::testing::report(&build, domain::CheckStatus::Passed);
    report.output = Some(json!({"artifact": "app-1"}));
    runner.starts(build.attempt).await.unwrap();
    runner.verifies(build.attempt).await.unwrap();
    runner.reports(build.attempt, report).await.unwrap();
    app.test.keep_time().await;
    let cancelled = act("cancel").await.json();
    assert_eq!((&cancelled["state"], &step(&cancelled, "build")["state"]), (&json!("cancelled"), &json!("succeeded")));
    assert_eq!(act("cancel").await.json()["state"], "cancelled", "once more changes nothing");
    assert_eq!(runner.claims(10).await.len(), 0);

    let restart = async |body: Value| script.post(&format!("{}/restart", path(&run)), &body).await;
    let again = restart(json!({})).await;
    assert_eq!((again.status, again.header("location")), (StatusCode::CREATED, path(&again.json()).as_str()));
    let again = again.json();
    assert_eq!((&again["restart_of"], &again["parameters"]), (&run["id"], &run["parameters"]));
    assert_eq!((&step(&again, "build")["state"], &step(&again, "build")["reused"]), (&json!("succeeded"), &json!(true)));
    app.test.keep_time().await;
    assert_eq!(runner.claims(10).await.len(), 2, "the tests, and not the build");
    let from = restart(json!({"from": "build"})).await.json();
    assert_eq!((&step(&from, "build")["state"], &step(&from, "build")["reused"]), (&json!("queued"), &json!(false)));
    assert_eq!(restart(json!({"from": "nothing"})).await.problem(), ["422 /problems/invalid", "/from not_found"]);

    let runs = script.get("/api/v1/runs?workflow=release&limit=2").await.json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 2);
    let rest = script.get(&format!("/api/v1/runs?workflow=release&cursor={}", runs["next_cursor"].as_str().unwrap())).await.json();
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&run["id"], &Value::Null));
    assert_eq!(script.get("/api/v1/runs?workflow=other").await.json()["items"], json!([]));
    for (query, expected) in [("limit=0", "/limit out_of_range"), ("cursor=forged", "/cursor malformed"), ("sort=x", "/sort unknown")] {
        assert_eq!(script.get(&format!("/api/v1/runs?{query}")).await.problem(), ["422 /problems/invalid", expected], "{query}");
    }
    for act in ["cancel", "pause", "resume", "restart"] {
        let unknown = format!("/api/v1/runs/01a1f914-724f-71f2-8061-72d06c3f9299/{act}");
        assert_eq!(script.post(&unknown, &json!({})).await.problem(), ["404 /problems/not-found"], "{act}");
    }
    assert_eq!(script.get("/api/v1/runs/nonsense").await.problem(), ["404 /problems/not-found"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_waits_for_a_run_is_answered_when_it_ends(pool: PgPool) {
    let app = TestApp::with_real_time(&pool).await;
    let script = app.script(Role::Member).await;
    let run = start(&script, GATES, json!({})).await;
    let wait = format!("{}?wait=25", path(&run));
    let ends = async { script.post(&format!("{}/reject", task_path(&run, "ask")), &json!({})).await };
    let (answer, _) = futures::join!(script.get(&wait), ends);
    assert_eq!(answer.json()["state"], "failed");
    assert_eq!(script.get(&wait).await.json()["state"], "failed", "at once when it has ended");
    assert_eq!(script.get(&format!("{}?wait=26", path(&run))).await.problem(), ["422 /problems/invalid", "/wait out_of_range"]);
    let other = start(&script, GATES, json!({})).await;
    assert_eq!(script.get(&format!("{}?wait=1", path(&other))).await.json()["state"], "waiting", "the time is over");
    app.stop.cancel();
    assert_eq!(script.get(&format!("{}?wait=25", path(&other))).await.json()["state"], "waiting", "a server that stops answers");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn another_workspace_sees_nothing_of_it(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let run = start(&script, GATES, json!({})).await;
    let stranger = app.stranger(&pool).await;
    for address in [path(&run), task_path(&run, "ask"), "/api/v1/workflows/gates".into()] {
        assert_eq!(stranger.get(&address).await.problem(), ["404 /problems/not-found"], "{address}");
    }
    let acts = ["cancel", "pause", "resume", "restart"].map(|act| format!("{}/{act}", path(&run)));
    let answers = ["approve", "reject"].map(|act| format!("{}/{act}", task_path(&run, "ask")));
    for address in acts.into_iter().chain(answers).chain(["/api/v1/workflows/gates/runs".into()]) {
        assert_eq!(stranger.post(&address, &json!({})).await.problem(), ["404 /problems/not-found"], "{address}");
    }
    let event = stranger.post(&format!("{}/events", path(&run)), &json!({"name": "built"})).await;
    assert_eq!(event.problem(), ["404 /problems/not-found"]);
    assert_eq!(stranger.get("/api/v1/workflows").await.json(), json!([]));
    assert_eq!(stranger.get("/api/v1/runs").await.json()["items"], json!([]));
    assert_eq!(save(&stranger, GATES).await["version"], 1, "names are a workspace's own");
    assert_eq!(states(&script.get(&path(&run)).await.json()), ["ask blocked", "built blocked"]);
}

const CHANGE: &str = "
add: [{id: notes, needs: [build], prompt: Write the notes}]
rewire: [{step: ask, needs: [test, notes]}]
";

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_is_changed_while_it_runs(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let run = start(&script, RELEASE, json!({"version": "1"})).await;
    let change = async |body: Value| script.post(&format!("{}/change", path(&run)), &body).await;
    let preview = change(json!({"source": CHANGE, "preview": true})).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.text);
    let steps: Vec<_> = preview.json()["steps"].as_array().unwrap().iter().map(|step| format!("{} {}", step["how"], step["key"])).collect();
    assert_eq!(steps, ["\"added\" \"notes\"", "\"rewired\" \"ask\""]);
    assert_eq!(script.get(&path(&run)).await.json()["changes"], json!([]), "nothing was done");

    let once = async || {
        let request = script.with("idempotency-key", "change-1");
        request.post(&format!("{}/change", path(&run)), &json!({"source": CHANGE, "expected": 0})).await
    };
    let (first, again) = (once().await, once().await);
    assert_eq!((first.status, again.status, first.text == again.text), (StatusCode::OK, StatusCode::OK, true));
    let changed = script.get(&path(&run)).await.json();
    assert_eq!((&changed["changes"][0]["by"], &changed["changes"][0]["added"]), (&json!("script (API key)"), &json!(["notes"])));
    assert_eq!(changed["changes"].as_array().unwrap().len(), 1, "once is once");
    let graph = script.get(&format!("{}/definition", path(&run))).await.json();
    assert_eq!((&graph["changes"], &graph["open"]), (&json!(1), &json!(["build", "test", "ask", "ship", "notes"])));
    assert_eq!(graph["definition"]["steps"][2]["needs"][1]["step"], "notes");

    for (body, expected) in [
        (json!({"source": "remove: [build]"}), "/remove/0 needed"),
        (json!({"source": "add: ["}), "/source malformed"),
        (json!({"source": "remove: [nobody]"}), "/remove/0 not_found"),
    ] {
        assert_eq!(change(body).await.problem(), ["422 /problems/invalid", expected]);
    }
    assert_eq!(change(json!({"source": "remove: [ship]", "expected": 0})).await.problem(), ["409 /problems/conflict"]);
    let runner = app.test.runner("r1").await;
    assert_eq!(runner.claims(1).await.len(), 1);
    let begun = change(json!({"source": "rewire: [{step: build, needs: []}]\nremove: [build]"})).await;
    assert_eq!(begun.problem(), ["422 /problems/invalid", "/rewire/0/step duplicate"]);
    assert_eq!(
        change(json!({"source": "rewire: [{step: build, inputs: {x: {from: ship}}}]"})).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let viewer = app.script(Role::Viewer).await;
    let refused = viewer.post(&format!("{}/change", path(&run)), &json!({"source": CHANGE, "preview": true})).await;
    assert_eq!(refused.problem(), ["403 /problems/forbidden"]);
    let stranger = app.stranger(&pool).await;
    let theirs = stranger.post(&format!("{}/change", path(&run)), &json!({"source": CHANGE})).await;
    assert_eq!(theirs.problem(), ["404 /problems/not-found"]);
    assert_eq!(stranger.get(&format!("{}/definition", path(&run))).await.problem(), ["404 /problems/not-found"]);
}

/// The change that the manual shows, of the workflow that it shows first.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_change_of_the_manual_is_a_good_one(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let run = start(&script, &examples()[0], json!({"version": "1"})).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/workflows.md");
    let manual = std::fs::read_to_string(file).unwrap();
    let change = manual.split("```yaml change\n").nth(1).unwrap().split("```").next().unwrap();
    let changed = script.post(&format!("{}/change", path(&run)), &json!({"source": change})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let keys: Vec<_> = changed.json()["steps"].as_array().unwrap().iter().map(|step| step["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys, ["lint", "ship", "ask"]);
}

/// The examples of the manual, each made whole as the manual says: what has no name gets one.
fn examples() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/workflows.md");
    let manual = std::fs::read_to_string(file).unwrap();
    let blocks = manual.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| if block.starts_with("name:") { block.to_owned() } else { format!("name: example\n{block}") }).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_example_of_the_manual_is_a_good_definition(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let examples = examples();
    assert!(examples.len() > 8, "they were found");
    for source in examples {
        let checked = script.post("/api/v1/workflows/check", &json!({"source": source})).await.json();
        assert_eq!((&checked["valid"], &checked["errors"]), (&json!(true), &json!([])), "{source}");
    }
    let orchestration = json!({"orchestration_group": "tidy", "tasks": [
        {"task_identifier": "find", "execution_prompt": "Find it", "working_directory": "/srv/app"},
        {"task_identifier": "mend", "execution_prompt": "Mend it", "depends_on": ["find"]},
    ]});
    let saved = save(&script, &orchestration.to_string()).await;
    assert_eq!((&saved["name"], &saved["definition"]["steps"][1]["needs"][0]["step"]), (&json!("tidy"), &json!("find")));
}
