//! What waits: holding it back, many at once, and waiting for an end.

use domain::{CheckStatus, Role};
use engine::testing::report;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Client, TestApp};

async fn create(script: &Client, title: &str, more: Value) -> String {
    let mut new = json!({"title": title, "repository": "/srv/app", "command": "make tidy"});
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = script.post("/api/v1/tasks", &new).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_is_held_and_let_go_on(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let id = create(&script, "Held", json!({})).await;
    let act = async |act: &str| script.post(&format!("/api/v1/tasks/{id}/{act}"), &json!({})).await;
    let paused = act("pause").await.json();
    assert_eq!((&paused["state"], &paused["paused"], &paused["paused_by"]), (&json!("queued"), &json!(true), &json!("script (API key)")));
    assert_eq!(act("resume").await.json()["paused"], json!(false));
    assert_eq!(act("resume").await.problem(), ["409 /problems/invalid-transition"]);
    assert_eq!(act("discard").await.problem(), ["409 /problems/invalid-transition"]);
    let viewer = app.script(Role::Viewer).await;
    for route in [&format!("/api/v1/tasks/{id}/pause"), "/api/v1/queue/pause"] {
        assert_eq!(viewer.post(route, &json!({})).await.problem(), ["403 /problems/forbidden"], "{route}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_queue_says_what_waits_and_can_be_paused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    create(&script, "First", json!({"priority": "urgent"})).await;
    create(&script, "Second", json!({})).await;
    let queue = script.get("/api/v1/queue").await.json();
    let lanes: Vec<_> = queue["lanes"].as_array().unwrap().iter().map(|lane| (lane["priority"].clone(), lane["waiting"].clone())).collect();
    assert_eq!(lanes, [("urgent", 1), ("high", 0), ("normal", 1), ("low", 0)].map(|(name, waiting)| (json!(name), json!(waiting))));
    let repository = &queue["repositories"][0];
    assert_eq!((&repository["location"], &repository["waiting"]), (&json!("/srv/app"), &json!(2)));
    let paused = script.post("/api/v1/queue/pause", &json!({"repository": repository["id"]})).await.json();
    assert_eq!(paused["repositories"][0]["paused_by"], "script (API key)");
    assert_eq!(paused["paused_by"], Value::Null, "one repository's queue, not all of it");
    let unknown = json!({"repository": "01a1f914-724f-71f2-8061-72d06c3f9299"});
    assert_eq!(script.post("/api/v1/queue/pause", &unknown).await.problem(), ["404 /problems/not-found"]);
    assert_eq!(script.post("/api/v1/queue/pause", &json!({"all": true})).await.problem(), ["422 /problems/invalid", "/all unknown"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn many_are_changed_at_once_after_a_preview(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    for title in ["One", "Two"] {
        create(&script, title, json!({"tags": ["nightly"]})).await;
    }
    create(&script, "Other", json!({})).await;
    let bulk = |more: Value| {
        let mut bulk = json!({"act": "cancel", "filter": {"tag": "nightly"}});
        bulk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bulk
    };
    let preview = script.post("/api/v1/tasks/bulk", &bulk(json!({"preview": true}))).await.json();
    assert_eq!(preview, json!({"matched": 2, "changed": 0, "passed_over": 0, "left": 0}));
    assert_eq!(script.post("/api/v1/tasks/bulk", &bulk(json!({"expected": 3}))).await.problem(), ["409 /problems/conflict"]);
    let done = script.post("/api/v1/tasks/bulk", &bulk(json!({"expected": 2}))).await.json();
    assert_eq!(done, json!({"matched": 2, "changed": 2, "passed_over": 0, "left": 0}));
    assert_eq!(script.get("/api/v1/tasks?tag=nightly&state=cancelled").await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(script.get("/api/v1/tasks?tag=Not%20one").await.problem(), ["422 /problems/invalid", "/tag malformed"]);
    assert_eq!(script.post("/api/v1/tasks/bulk", &json!({"act": "cancel"})).await.problem(), ["422 /problems/invalid", "/ids required"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_waits_for_an_end_is_answered_when_it_comes(pool: PgPool) {
    let app = TestApp::with_real_time(&pool).await;
    let script = app.script(Role::Member).await;
    let id = create(&script, "Waited for", json!({})).await;
    let path = format!("/api/v1/tasks/{id}?wait=25");
    let runner = app.test.runner("r1").await;
    let ends = async {
        let assignment = runner.claims_one().await;
        runner.starts(assignment.attempt).await.unwrap();
        runner.verifies(assignment.attempt).await.unwrap();
        runner.reports(assignment.attempt, report(&assignment, CheckStatus::Passed)).await.unwrap();
    };
    let (answer, ()) = futures::join!(script.get(&path), ends);
    assert_eq!(answer.json()["state"], "succeeded");
    assert_eq!(script.get(&path).await.json()["state"], "succeeded", "at once when it has ended");
    assert_eq!(script.get(&format!("/api/v1/tasks/{id}?wait=26")).await.problem(), ["422 /problems/invalid", "/wait out_of_range"]);
    let other = create(&script, "Goes on", json!({})).await;
    assert_eq!(script.get(&format!("/api/v1/tasks/{other}?wait=1")).await.json()["state"], "queued", "the time is over");
    app.stop.cancel();
    assert_eq!(script.get(&format!("/api/v1/tasks/{other}?wait=25")).await.json()["state"], "queued", "a server that stops answers");
}
