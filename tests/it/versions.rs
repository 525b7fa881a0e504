//! `ETag`, `If-None-Match` and `If-Match` over HTTP.

use axum::body::Body;
use domain::Role;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Answer, Client, EventReader, TestApp};

fn new_task() -> Value {
    json!({"title": "Tidy up", "repository": "/srv/app", "command": "make tidy"})
}

async fn patch(client: &Client, path: &str, body: &Value) -> Answer {
    client.send(Method::PATCH, path, Some("application/json"), Body::from(body.to_string())).await
}

async fn created(client: &Client) -> String {
    client.post("/api/v1/tasks", &new_task()).await.header("location").to_owned()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_is_changed_as_it_was_seen_or_not_at_all(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let path = created(&script).await;
    let seen = script.get(&path).await;
    let tag = seen.header("etag").to_owned();
    assert!(tag.starts_with("\"1-") && seen.json()["version"] == 1, "{tag}");

    let change = json!({"title": "Tidy everything up", "tags": ["web"]});
    assert_eq!(patch(&script, &path, &change).await.problem(), ["428 /problems/precondition-required"]);
    let bad = patch(&script.with("if-match", "1"), &path, &change).await;
    assert_eq!(bad.problem(), ["400 /problems/bad-request", "If-Match malformed"]);
    let edited = patch(&script.with("if-match", &tag), &path, &change).await;
    assert_eq!((edited.status, edited.json()["version"].as_i64()), (StatusCode::OK, Some(2)), "{}", edited.text);
    assert_eq!(edited.json()["title"], "Tidy everything up");
    assert_ne!(edited.header("etag"), tag);

    let slower = patch(&script.with("if-match", &tag), &path, &json!({"title": "Mine"})).await;
    assert_eq!(slower.problem(), ["412 /problems/changed"]);
    let said = slower.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("script (API key): Changed title “Tidy up” → “Tidy everything up”"), "{said}");
    let weak = patch(&script.with("if-match", &format!("W/{}", edited.header("etag"))), &path, &json!({"title": "Mine"})).await;
    assert_eq!(weak.problem(), ["412 /problems/changed"], "a weak tag matches nothing");
    for (body, expected) in [
        (json!({"command": "rm"}), "/command unknown"),
        (json!({"title": null}), "/title malformed"),
        (json!({"title": " "}), "/title required"),
        (json!({"complete_by": "2020-01-01T00:00:00Z"}), "/complete_by past"),
    ] {
        let refused = patch(&script.with("if-match", "*"), &path, &body).await;
        assert_eq!(refused.problem(), ["422 /problems/invalid", expected], "{body}");
    }
    let kinds = script.get(&format!("{path}/events")).await.json();
    let last = kinds.as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["kind"].as_str(), last["changes"][1]["to"].clone()), (Some("task_changed"), json!(["web"])));

    let viewer = app.script(Role::Viewer).await;
    assert_eq!(patch(&viewer.with("if-match", "*"), &path, &change).await.problem(), ["403 /problems/forbidden"]);
    let stranger = app.stranger(&pool).await;
    assert_eq!(patch(&stranger.with("if-match", "*"), &path, &change).await.problem(), ["404 /problems/not-found"]);
    assert_eq!(patch(&app.nobody().with("if-match", "*"), &path, &change).await.problem(), ["401 /problems/unauthorized"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_poller_is_told_when_nothing_has_changed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let path = created(&script).await;
    let tag = script.get(&path).await.header("etag").to_owned();
    let poll = async |tag: &str| script.with("if-none-match", tag).get(&path).await;
    let same = poll(&tag).await;
    assert_eq!((same.status, same.text.as_str(), same.header("etag")), (StatusCode::NOT_MODIFIED, "", tag.as_str()));
    assert_eq!(poll(&format!("\"0\", W/{tag}")).await.status, StatusCode::NOT_MODIFIED, "a proxy may weaken it");

    // output is no event, and yet it is seen
    let runner = app.test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    let running = poll(&tag).await;
    assert_eq!(running.status, StatusCode::OK);
    runner.logs(assignment.attempt, 0, "working\n").await.unwrap();
    let grown = poll(running.header("etag")).await;
    assert_eq!((grown.status, grown.json()["version"].clone()), (StatusCode::OK, running.json()["version"].clone()));
    let retitled = patch(&script.with("if-match", running.header("etag")), &path, &json!({"title": "Still as seen"})).await;
    assert_eq!(retitled.status, StatusCode::OK, "output that grows makes no change stale");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn acts_may_say_what_they_have_seen(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let path = created(&script).await;
    script.post(&format!("{path}/pause"), &json!({})).await;
    for act in ["cancel", "resume", "pause"] {
        let stale = script.with("if-match", "\"1\"").post(&format!("{path}/{act}"), &json!({})).await;
        assert_eq!(stale.problem(), ["412 /problems/changed"], "{act}");
    }
    let once = script.with("if-match", "\"2\"").with("idempotency-key", "k");
    let resumed = once.post(&format!("{path}/resume"), &json!({})).await;
    assert!(resumed.header("etag").starts_with("\"3-"), "{}", resumed.text);
    let again = once.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, "true"), "what was done is answered as it was");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_workflow_is_saved_on_what_was_seen(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let source = |command: &str| json!({"source": format!("name: release\nsteps:\n  - id: build\n    command: {command}\n")});
    script.post("/api/v1/workflows", &source("make")).await;
    let seen = script.get("/api/v1/workflows/release").await;
    let tag = seen.header("etag").to_owned();
    assert_eq!(script.with("if-none-match", &tag).get("/api/v1/workflows/release").await.status, StatusCode::NOT_MODIFIED);
    let saved = script.with("if-match", &tag).post("/api/v1/workflows", &source("make all")).await;
    assert_eq!((saved.status, saved.json()["version"].as_i64()), (StatusCode::CREATED, Some(2)));
    let slower = script.with("if-match", "\"1\"").post("/api/v1/workflows", &source("make none")).await;
    assert_eq!(slower.problem(), ["412 /problems/changed"]);
    assert!(slower.json()["detail"].as_str().unwrap().starts_with("script (API key) saved version 2 at "), "{}", slower.text);
    // version 0 is none: a new workflow takes nobody's name
    let taken = script.with("if-match", "\"0\"").post("/api/v1/workflows", &source("make none")).await;
    assert_eq!(taken.problem(), ["412 /problems/changed"]);
    let new = json!({"source": "name: other\nsteps:\n  - {id: build, command: make}\n"});
    assert_eq!(script.with("if-match", "*").post("/api/v1/workflows", &new).await.problem(), ["412 /problems/changed"], "nothing is there");
    assert_eq!(script.with("if-match", "\"0\"").post("/api/v1/workflows", &new).await.status, StatusCode::CREATED);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_edit_form_says_what_changed_and_keeps_what_was_typed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    let path = created(&script).await;
    let page = format!("/tasks/{}/edit", path.rsplit('/').next().unwrap());
    let html = ada.get(&page).await.text;
    let field = |name: &str| {
        let field = html.split("<input").find(|field| field.contains(&format!("name=\"form[{name}]\""))).unwrap_or_default();
        let value = field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        value.replace("&quot;", "\"").replace("&amp;", "&")
    };
    let (id, version, before) = (field("id"), field("version"), field("before"));
    assert_eq!(version, "1", "{html}");
    let terms: Value = serde_json::from_str(&before).unwrap();
    patch(&script.with("if-match", "*"), &path, &json!({"priority": "high"})).await;
    let mut fields = vec![("form[id]".to_owned(), id), ("form[version]".to_owned(), version), ("form[before]".to_owned(), before)];
    fields.extend(
        terms.as_object().unwrap().iter().map(|(name, value)| (format!("form[terms][{name}]"), value.as_str().unwrap().to_owned())),
    );
    fields.iter_mut().find(|(name, _)| name == "form[terms][title]").unwrap().1 = "Typed by Ada".to_owned();
    let post = async |fields: &[(String, String)]| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ada.with("accept", "text/html").with("referer", &format!("http://muster.test{page}")).form("/_fn/edit_task", &fields).await
    };
    let conflict = post(&fields).await;
    assert_eq!(conflict.status, StatusCode::FOUND, "{}", conflict.text);
    let back = ada.get(conflict.header("location")).await.text;
    assert!(back.contains("It has changed meanwhile") && back.contains("Changed priority normal → high"), "{back}");
    assert!(back.contains("value=\"Typed by Ada\"") && back.contains("value=\"2\""), "what was typed, on the version that is there now");
    let again = post(&[fields[..1].to_vec(), vec![("form[version]".into(), "2".into())], fields[2..].to_vec()].concat()).await;
    assert!(again.header("location").ends_with(page.trim_end_matches("/edit")), "{}", again.header("location"));
    let task = script.get(&path).await.json();
    assert_eq!((task["title"].as_str(), task["priority"].as_str()), (Some("Typed by Ada"), Some("high")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_stream_that_cannot_go_on_says_so_first(pool: PgPool) {
    let app = TestApp::with_real_time(&pool).await;
    let script = app.script(Role::Member).await;
    created(&script).await;
    let mut stream = EventReader::open(&script.with("last-event-id", "99999999-7"), "/api/v1/events").await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.event, "resync");
    assert_eq!(first.data, format!("{{\"cursor\":\"{}\"}}", first.id));
    let known = EventReader::open(&script.with("last-event-id", &first.id), "/api/v1/events").await;
    drop(known);
}
