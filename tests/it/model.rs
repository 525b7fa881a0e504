//! What a task says about itself, over HTTP and on its pages: what it needs, how hard it is, how it waits, and why it failed.

use domain::{
    CheckStatus, Failure, FailureCode, Role,
    protocol::{AttemptReport, WorkOutcome},
};
use engine::testing::report;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Client, TestApp};

async fn create(script: &Client, more: Value) -> Value {
    let mut new = json!({"title": "Render it", "repository": "/srv/app", "prompt": "Refactor the renderer"});
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = script.post("/api/v1/tasks", &new).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_task_needs_is_said_wherever_it_waits(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    app.test.runner_with("r1", &["linux", "prompts"]).await;
    let task = create(&script, json!({"capabilities": ["linux", "gpu"]})).await;
    assert_eq!((&task["capabilities"], &task["unmet_capabilities"]), (&json!(["linux", "gpu", "prompts"]), &json!(["gpu"])));
    let queue = script.get("/api/v1/queue").await.json();
    assert_eq!(queue["unmet"], json!([{"capabilities": ["linux", "gpu", "prompts"], "unmet": ["gpu"], "waiting": 1}]));
    let overview = script.get("/api/v1/overview").await.json();
    assert_eq!(overview["runners"][0]["capabilities"], json!(["linux", "prompts"]));
    for path in [format!("/tasks/{}", task["id"].as_str().unwrap()), "/queue".into()] {
        let page = ada.get(&path).await;
        assert!(page.text.contains("No runner has gpu"), "{path}");
    }
    let new = json!({"title": "x", "repository": "/srv/app", "command": "x", "capabilities": ["gpu"]});
    let preview = script.post("/api/v1/tasks/preview", &new).await.json();
    assert_eq!(preview["unmet_capabilities"], json!(["gpu"]));
    assert!(preview["reasons"].as_array().unwrap().contains(&json!("no runner has gpu, which it needs")), "{preview}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn lists_tell_of_a_runner_that_takes_nothing_and_tasks_of_what_helps(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    app.test.runner_with("r1", &["linux", "prompts"]).await;
    let task = create(&script, json!({})).await;
    assert_eq!(task["runner_wait"], json!(null), "it is taken in a moment");
    let words = "Does not take what it is given";
    for path in ["/runners", "/"] {
        assert!(!ada.get(path).await.text.contains(words), "{path}");
    }
    sqlx::query("update runner set unresponsive_since = last_seen_at").execute(&pool).await.unwrap();
    for path in ["/runners", "/"] {
        assert!(ada.get(path).await.text.contains(words), "{path}");
    }
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    let wait = script.get(&format!("/api/v1{path}")).await.json()["runner_wait"].clone();
    assert_eq!(
        (&wait["code"], &wait["message"]),
        (&json!("unresponsive"), &json!("the one runner that could take it does not take what it is given"))
    );
    let page = ada.get(&path).await.text;
    assert!(
        page.contains("The one runner that could take it does not take what it is given") && page.contains("See the log on its machine"),
        "{page}"
    );
    let last = script.get("/api/v1/runners").await.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(script.get(&format!("/api/v1/runners?after={last}")).await.json(), json!([]));
    let unknown = script.get("/api/v1/runners?after=00000000-0000-7000-8000-000000000001").await.problem();
    assert_eq!(unknown, ["422 /problems/invalid", "/after not_found"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_tier_is_given_or_inferred_and_an_estimate_stands_beside_it(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    let task = create(&script, json!({"tier": "trivial", "estimate_seconds": 600})).await;
    let complexity = &task["complexity"];
    assert_eq!((&complexity["tier"], &complexity["source"], &complexity["given"]), (&json!("trivial"), &json!("given"), &json!("trivial")));
    assert_eq!((&complexity["inferred"]["tier"], &complexity["inferred"]["confidence"]), (&json!("complex"), &json!(0.7)));
    assert_eq!(complexity["inferred"]["signals"][3], json!({"kind": "keyword", "value": "refactor", "tier": "complex"}));
    assert_eq!(task["estimate_seconds"], 600);
    let id = task["id"].as_str().unwrap();
    let events = script.get(&format!("/api/v1/tasks/{id}/events")).await.json();
    assert_eq!((&events[1]["kind"], &events[1]["inferred"]), (&json!("complexity_disputed"), &json!("complex")));
    let page = ada.get(&format!("/tasks/{id}")).await.text;
    assert!(page.contains("as given; reads like complex") && page.contains("10m"), "{page}");
    let inferred = create(&script, json!({})).await;
    assert_eq!((&inferred["complexity"]["tier"], &inferred["complexity"]["source"]), (&json!("complex"), &json!("inferred")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_wrong_with_the_new_fields_is_said_at_their_place(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let many: Vec<_> = (0..21).map(|number| format!("c{number}")).collect();
    for (field, value, expected) in [
        ("capabilities", json!(["GPU"]), "/capabilities/0 malformed"),
        ("capabilities", json!(many), "/capabilities too_many"),
        ("tier", json!("hard"), "/tier malformed"),
        ("estimate_seconds", json!(0), "/estimate_seconds out_of_range"),
        ("estimate_seconds", json!(2_592_001), "/estimate_seconds out_of_range"),
        ("retry", json!({"by_class": {"luck": {}}}), "/retry/by_class/luck unknown"),
        ("retry", json!({"by_class": {"runner_lost": {"base_seconds": 0}}}), "/retry/by_class/runner_lost/base_seconds out_of_range"),
    ] {
        let mut new = json!({"title": "x", "repository": "/srv/app", "command": "x"});
        new[field] = value;
        assert_eq!(script.post("/api/v1/tasks", &new).await.problem(), ["422 /problems/invalid", expected], "{new}");
    }
    let step = "name: x\nrepository: /srv/app\nsteps:\n  - {id: ask, approval: {}, capabilities: [gpu], tier: complex}";
    let refused = script.post("/api/v1/workflows", &json!({"source": step})).await.problem();
    assert_eq!(refused, ["422 /problems/invalid", "/steps/0/capabilities unexpected", "/steps/0/tier unexpected"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_step_needs_what_its_task_needs(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let source = "name: x\nrepository: /srv/app\nsteps:\n  - {id: plain, command: x}\n  - {id: render, command: x, capabilities: [gpu], tier: complex, estimate_seconds: 60}";
    assert_eq!(script.post("/api/v1/workflows", &json!({"source": source})).await.status, StatusCode::CREATED);
    assert_eq!(script.post("/api/v1/workflows/x/runs", &json!({})).await.status, StatusCode::CREATED);
    let plain = app.test.runner("r1").await.claims(5).await;
    assert_eq!(plain.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(), ["plain"]);
    let render = app.test.runner_with("r2", &["gpu"]).await.claims_one().await;
    let task = script.get(&format!("/api/v1/tasks/{}", render.attempt.task_id)).await.json();
    assert_eq!((&task["step"], &task["capabilities"], &task["estimate_seconds"]), (&json!("render"), &json!(["gpu"]), &json!(60)));
    assert_eq!(task["complexity"]["source"], "given");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_failure_says_its_code_its_cause_and_what_to_do_next(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    let runner = app.test.runner("r1").await;
    let task = create(&script, json!({"max_attempts": 1, "retry": {"by_class": {"provider_limit": {"strategy": "none"}}}})).await;
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    let failure = Failure { retry_after_seconds: Some(90), ..Failure::new(FailureCode::ProviderLimit, "the agent was told to wait") };
    let outcome = WorkOutcome::Failed { failure };
    let sent = AttemptReport { outcome, verification: None, ..report(&assignment, CheckStatus::Passed) };
    runner.reports(assignment.attempt, sent).await.unwrap();
    let ended = script.get(&path).await.json();
    let explained = json!({
        "code": "provider_limit", "class": "provider_limit", "message": "the agent was told to wait", "retry_after_seconds": 90,
        "cause": FailureCode::ProviderLimit.cause(), "next": FailureCode::ProviderLimit.advice(),
    });
    assert_eq!((&ended["state"], &ended["failure"], &ended["attempt_list"][0]["failure"]), (&json!("failed"), &explained, &explained));
    let stored: Value = sqlx::query_scalar("select failure from task").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, json!({"code": "provider_limit", "message": "the agent was told to wait", "retry_after_seconds": 90}));
    let page = ada.get(&format!("/tasks/{}", task["id"].as_str().unwrap())).await.text;
    for text in [FailureCode::ProviderLimit.cause(), FailureCode::ProviderLimit.advice(), "provider_limit"] {
        assert!(page.contains(text), "{text}");
    }

    // what was set aside says so in the list of those
    create(&script, json!({"queue_seconds": 1})).await;
    app.test.advance(chrono::TimeDelta::seconds(2));
    app.test.keep_time().await;
    let page = ada.get("/dead").await.text;
    for text in [FailureCode::QueueExpired.cause(), FailureCode::QueueExpired.advice(), "queue_expired"] {
        assert!(page.contains(text), "{text}");
    }
    let dead = script.get("/api/v1/tasks?state=dead").await.json();
    assert_eq!(dead["items"][0]["failure"]["next"], FailureCode::QueueExpired.advice());
}
