//! What every request meets, whatever it asks for.

use axum::body::Body;
use domain::Role;
use engine::testing::cancel_what_waits;
use http::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use tests::TestApp;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn health_is_for_everybody(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let nobody = app.nobody();
    for (path, text) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let answer = nobody.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, text));
    }
    assert_eq!(nobody.get("/metrics").await.status, StatusCode::OK);
    app.stop.cancel();
    assert_eq!(nobody.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE, "not ready as soon as it stops");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_answer_carries_the_headers_that_protect(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    for path in ["/healthz", "/api/v1/tasks", "/nowhere", "/", "/sign-in", "/tasks"] {
        let answer = ada.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-request-id").len(), 32, "{path}");
    }
    let page = ada.get("/tasks").await;
    let policy = page.header("content-security-policy").to_owned();
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("pages have a nonce");
    assert!(!policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"), "{policy}");
    let scripts = page.text.matches("<script").count();
    assert!(scripts > 0 && page.text.matches(&format!("nonce=\"{nonce}\"")).count() >= scripts, "every script has it");
    assert!(!page.text.contains(" style=\""), "no inline styles");
    assert_ne!(ada.get("/tasks").await.header("content-security-policy"), policy, "a new one each time");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_page_that_cannot_be_had_at_the_moment_says_so_in_its_status(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let mut busy = pool.begin().await.unwrap();
    sqlx::query("lock table task").execute(&mut *busy).await.unwrap();
    for path in ["/", "/tasks", "/queue", "/board"] {
        let answer = tokio::select! {
            answer = ada.get(path) => answer,
            () = never_lets_wait(&pool) => unreachable!("it never ends"),
        };
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.text.contains("Not reachable at the moment"), "{path}: {}", answer.text);
    }
}

async fn never_lets_wait(pool: &PgPool) {
    loop {
        cancel_what_waits(pool).await;
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn another_site_cannot_send_requests_in_the_persons_name(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let fields = [("email", "ada@example.org"), ("password", "x")];
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example"), ("origin", "null")]
    {
        let evil = if name == "origin" { ada.with(name, value).with("sec-fetch-site", "") } else { ada.with(name, value) };
        for path in ["/_fn/sign_in", "/_fn/sign_out", "/_fn/create_task"] {
            let answer = evil.form(path, &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value} {path}");
        }
        let api = evil.post("/api/v1/tasks", &json!({})).await;
        assert_eq!(api.problem(), ["403 /problems/cross-site"], "{name}: {value}");
    }
    assert_eq!(ada.get("/api/v1/me").await.status, StatusCode::OK, "and nobody was signed out");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_not_there_is_said_in_the_form_that_was_asked_for(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    assert_eq!(script.get("/api/v1/nowhere").await.problem(), ["404 /problems/not-found"]);
    assert_eq!(script.get("/api/v1/tasks/not-an-id").await.problem(), ["404 /problems/not-found"]);
    assert_eq!(script.get("/api/v1/tasks/01a1f914-724f-71f2-8061-72d06c3f9299").await.problem(), ["404 /problems/not-found"]);
    let wrong_method = script.send(Method::DELETE, "/api/v1/tasks", None, Body::empty()).await;
    assert_eq!(wrong_method.problem(), ["405 /problems/method-not-allowed"]);
    assert!(wrong_method.header("allow").contains("POST"));
    let page = app.ada().await.get("/nowhere").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.header("content-type").starts_with("text/html"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn bodies_are_bounded_and_of_the_right_kind(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let huge = format!("{{\"title\": \"{}\"}}", "x".repeat(4_200_000));
    let answer = script.send(Method::POST, "/api/v1/tasks", Some("application/json"), Body::from(huge)).await;
    assert_eq!(answer.problem(), ["413 /problems/too-large"]);
    let long_form = script.with("content-length", "300000");
    let form =
        long_form.send(Method::POST, "/_fn/sign_in", Some("application/x-www-form-urlencoded"), Body::from("x".repeat(300_000))).await;
    assert_eq!(form.problem(), ["413 /problems/too-large"]);
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let answer = script.send(Method::POST, "/api/v1/tasks", kind, Body::from("{}")).await;
        assert_eq!(answer.problem(), ["415 /problems/unsupported-media-type"]);
    }
    for broken in ["{", "{} trailing", "[[[[", "{\"title\": 1e999}", "nul"] {
        let answer = script.send(Method::POST, "/api/v1/tasks", Some("application/json"), Body::from(broken)).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{broken}: {}", answer.text);
        assert!(!answer.problem().is_empty());
    }
    let deep = "[".repeat(100_000);
    let answer = script.send(Method::POST, "/api/v1/tasks", Some("application/json"), Body::from(deep)).await;
    assert!(answer.status.is_client_error());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_description_of_the_api_is_served_from_here(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let page = app.nobody().get("/api/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("//cdn") && !page.text.contains("https://"), "nothing comes from elsewhere");
    let document = app.nobody().get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    insta::assert_json_snapshot!("openapi", document);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_page_announces_the_parts_of_the_program_that_it_needs(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let links = |answer: &tests::Answer| -> Vec<String> {
        answer.headers.get_all("link").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let preload = |path: &str| format!("<{path}>; rel=preload; as=fetch; crossorigin=anonymous");
    assert_eq!(links(&ada.get("/tasks/new").await), [preload("/assets/shared.wasm"), preload("/assets/new.wasm")]);
    assert_eq!(links(&ada.get("/tasks").await), Vec::<String>::new());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_page_asks_once_for_what_it_shows(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let new = json!({"title": "Speaks", "repository": "/srv/app", "command": "make"});
    let task = app.script(Role::Member).await.post("/api/v1/tasks", &new).await.json();
    let runner = app.test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.logs(assignment.attempt, 0, "before\n").await.unwrap();
    // The browser goes on from the answer that travels with the page. A second one might be another: what came between would be lost,
    // or there twice.
    for (view, mark) in [("log", "\\\"begins_later\\\""), ("timeline", "\\\"task_created\\\"")] {
        let page = ada.get(&format!("/tasks/{}?view={view}", task["id"].as_str().unwrap())).await;
        assert_eq!(page.text.matches(mark).count(), 1, "{view}");
    }
}
