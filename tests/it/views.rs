//! Saved views and the board: over HTTP, and as pages that work without scripts.

use axum::body::Body;
use domain::Role;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Client, TestApp};

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> tests::Answer {
    client.send(method, path, Some("application/json"), Body::from(body.to_string())).await
}

fn names(answer: &tests::Answer) -> Vec<String> {
    answer.json().as_array().unwrap().iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_view_is_saved_changed_and_deleted(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let new = json!({"name": "Broken at night", "filter": {"state": "failed", "tag": "nightly", "priority": "low"}});
    let once = script.with("idempotency-key", "a view");
    let made = once.post("/api/v1/views", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let view = made.json();
    let path = format!("/api/v1/views/{}", view["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!((&view["shared"], &view["own"], &view["created_by"]), (&json!(false), &json!(true), &json!("script (API key)")));
    let again = once.post("/api/v1/views", &new).await;
    assert_eq!((again.header("idempotency-replayed"), again.json()["id"].clone()), ("true", view["id"].clone()));
    assert_eq!(names(&script.get("/api/v1/views").await), ["Broken at night"]);
    assert_eq!(script.post("/api/v1/views", &new).await.problem(), ["422 /problems/invalid", "/name taken"]);

    let renamed = send(&script, Method::PUT, &path, &json!({"name": "Broken", "filter": {"state": "dead"}, "shared": true})).await;
    assert_eq!((renamed.status, renamed.json()["filter"]["state"].clone()), (StatusCode::OK, json!("dead")));
    assert_eq!(send(&script, Method::DELETE, &path, &Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(send(&script, Method::DELETE, &path, &Value::Null).await.problem(), ["404 /problems/not-found"]);
    for (bad, expected) in [
        (json!({"name": ""}), "/name required"),
        (json!({"name": "x", "filter": {"tag": "Not one"}}), "/filter/tag malformed"),
        (json!({"name": "x", "filter": {"limit": 5}}), "/filter unexpected"),
        (json!({"name": "x", "private": true}), "/private unknown"),
    ] {
        assert_eq!(script.post("/api/v1/views", &bad).await.problem(), ["422 /problems/invalid", expected], "{bad}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn others_see_what_is_shared_and_change_it_only_as_admins(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (member, viewer, stranger) = (app.script(Role::Member).await, app.script(Role::Viewer).await, app.stranger(&pool).await);
    let save = async |who: &Client, name: &str, shared: bool| who.post("/api/v1/views", &json!({"name": name, "shared": shared})).await;
    let ours = save(&member, "Ours", true).await.json();
    let mine = save(&member, "Mine", false).await.json();
    assert_eq!(names(&viewer.get("/api/v1/views").await), ["Ours"]);
    assert_eq!(names(&stranger.get("/api/v1/views").await), Vec::<String>::new());
    assert_eq!(save(&viewer, "All", true).await.problem(), ["403 /problems/forbidden"]);
    let delete = async |who: &Client, view: &Value| {
        let answer = send(who, Method::DELETE, &format!("/api/v1/views/{}", view["id"].as_str().unwrap()), &Value::Null).await;
        answer.status.as_u16()
    };
    assert_eq!((delete(&viewer, &ours).await, delete(&viewer, &mine).await, delete(&stranger, &ours).await), (403, 404, 404));
    assert_eq!(delete(&app.script(Role::Admin).await, &ours).await, 204);
    assert_eq!(app.nobody().get("/api/v1/views").await.problem(), ["401 /problems/unauthorized"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn pages_show_and_save_views_without_scripts(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    let new =
        |title: &str, tag: &str| json!({"title": title, "repository": "/srv/app", "command": "make", "priority": "low", "tags": [tag]});
    for (title, tag) in [("Sweep the floor", "nightly"), ("Paint the wall", "daily")] {
        assert_eq!(script.post("/api/v1/tasks", &new(title, tag)).await.status, StatusCode::CREATED);
    }
    assert!(ada.get("/tasks?tag=nightly").await.text.contains("href=\"/views?tag=nightly\""), "what is looked for can be saved");
    let form = [("form[name]", "Nightly"), ("form[tag]", "nightly"), ("form[priority]", "low"), ("form[shared]", "on")];
    let saved = ada.with("accept", "text/html").form("/_fn/create_view", &form).await;
    assert_eq!(saved.status, StatusCode::FOUND, "{}", saved.text);
    let place = saved.header("location").to_owned();
    assert!(place.starts_with("/tasks?tag=nightly&priority=low&view="), "{place}");
    let list = ada.get(&place).await.text;
    assert!(list.contains("Sweep the floor") && !list.contains("Paint the wall"));
    assert!(list.contains(&format!("href=\"{}\" aria-current=\"true\"", place.replace('&', "&amp;"))), "the view is marked: {list}");
    let board = ada.get("/board?tag=nightly").await.text;
    assert!(board.contains("Sweep the floor") && !board.contains("Paint the wall"));
    assert_eq!(names(&script.get("/api/v1/views").await), ["Nightly"]);
    let taken = ada.with("accept", "text/html").with("referer", "http://muster.test/views?tag=daily").form("/_fn/create_view", &form).await;
    let back = taken.header("location").to_owned();
    assert!(back.starts_with("http://muster.test/views?tag=daily"), "{back}");
    let page = ada.get(back.trim_start_matches("http://muster.test")).await.text;
    assert!(page.contains("The name is taken by another view"), "{page}");
}
