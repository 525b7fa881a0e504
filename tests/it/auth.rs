//! Signing in and out, and who may see what.

use domain::Role;
use engine::testing::PASSWORD;
use http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tests::TestApp;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn pages_send_whoever_is_not_signed_in_to_sign_in_and_back(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let answer = app.nobody().get("/tasks?state=failed&text=a+b").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/sign-in?next=/tasks%3Fstate%3Dfailed%26text%3Da%2Bb"));
    assert_eq!(app.ada().await.get("/tasks").await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn signing_in_and_out(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.owner().await;
    let browser = app.nobody().with("cookie", "muster=aaaaaaaaaaaaaaaaaaaaaa").with("accept", "text/html");
    let good = [("email", "ada@example.org"), ("password", PASSWORD), ("next", "/tasks?state=failed")];
    let answer = browser.form("/_fn/sign_in", &good).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, "/tasks?state=failed"));
    let set = answer.header("set-cookie").to_owned();
    for wanted in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(wanted), "{set}");
    }
    let cookie = answer.cookie().unwrap();
    assert_ne!(cookie, "muster=aaaaaaaaaaaaaaaaaaaaaa", "never the id that the browser brought along");
    let ada = app.nobody().with("cookie", &cookie);
    assert_eq!(ada.get("/api/v1/me").await.json()["user"]["name"], "Ada");

    let stored: String =
        sqlx::query_scalar("select string_agg(encode(id_hash, 'base64'), '') from session").fetch_one(&pool).await.unwrap();
    assert!(!stored.contains(cookie.trim_start_matches("muster=")), "the id itself is nowhere");

    let again = ada.form("/_fn/sign_in", &good).await.cookie().unwrap();
    assert_ne!(again, cookie, "a new id each time");
    assert_eq!(ada.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "and the old one is dead");
    let ada = app.nobody().with("cookie", &again);
    ada.form("/_fn/sign_out", &[]).await;
    assert_eq!(ada.get("/api/v1/me").await.problem(), ["401 /problems/unauthorized"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn by_https_the_cookie_never_leaves_it(pool: PgPool) {
    let app = TestApp::reached_by_https(&pool).await;
    app.owner().await;
    let good = [("email", "ada@example.org"), ("password", PASSWORD)];
    let answer = app.nobody().form("/_fn/sign_in", &good).await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("__Host-muster="), "{set}");
    for wanted in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(set.contains(wanted), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    let cookie = answer.cookie().unwrap();
    assert_eq!(app.nobody().with("cookie", &cookie).get("/api/v1/me").await.json()["user"]["name"], "Ada");
    let by_http = cookie.replace("__Host-muster", "muster");
    assert_eq!(app.nobody().with("cookie", &by_http).get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn after_signing_in_nobody_is_sent_elsewhere(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.owner().await;
    for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)", "\\\\evil"]
    {
        let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("next", elsewhere)];
        let answer = app.nobody().with("accept", "text/html").form("/_fn/sign_in", &fields).await;
        assert_eq!(answer.header("location"), "/", "{elsewhere}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_wrong_password_looks_like_an_unknown_address(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.owner().await;
    let wrong = app.nobody().form("/_fn/sign_in", &[("email", "ada@example.org"), ("password", "wrong")]).await;
    let unknown = app.nobody().form("/_fn/sign_in", &[("email", "eve@example.org"), ("password", PASSWORD)]).await;
    assert_eq!(wrong.problem(), ["401 /problems/unauthorized"]);
    assert_eq!((wrong.status, wrong.json()["detail"].clone()), (unknown.status, unknown.json()["detail"].clone()));
    assert_eq!(wrong.cookie(), None);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_first_owner_comes_by_the_link(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let token = app.test.engine.setup_token().await.unwrap().unwrap();
    let fields = |token: &'static str| [("token", token), ("name", "Grace"), ("email", "grace@example.org"), ("password", PASSWORD)];
    let page = app.nobody().get(&format!("/setup?token={token}")).await;
    assert!(page.status == StatusCode::OK && page.text.contains("name=\"password\""));
    assert_eq!(app.nobody().form("/_fn/create_owner", &fields("guess")).await.problem(), ["401 /problems/unauthorized"]);
    let token: &'static str = Box::leak(token.into_boxed_str());
    let made = app.nobody().form("/_fn/create_owner", &fields(token)).await;
    let grace = app.nobody().with("cookie", &made.cookie().expect("signed in at once"));
    assert_eq!(grace.get("/api/v1/me").await.json()["role"], "owner");
    assert_eq!(app.nobody().form("/_fn/create_owner", &fields(token)).await.status, StatusCode::CONFLICT);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn keys_open_the_api_and_bad_ones_say_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Viewer).await;
    assert_eq!(script.get("/api/v1/me").await.json()["role"], "viewer");
    let new = json!({"title": "t", "repository": "/r", "command": "true"});
    assert_eq!(script.post("/api/v1/tasks", &new).await.problem(), ["403 /problems/forbidden"]);
    for bad in ["Bearer mst_key_nonsense", "Bearer ", "Basic YTpi", "mst_key", "Bearer é"] {
        let Ok(value) = bad.parse::<http::HeaderValue>() else { continue };
        let answer = app.nobody().with("authorization", value.to_str().unwrap_or("x")).get("/api/v1/me").await;
        assert_eq!(answer.problem(), ["401 /problems/unauthorized"], "{bad}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(app.nobody().get("/api/v1/me").await.problem(), ["401 /problems/unauthorized"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_route_of_the_api_needs_credentials(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let document = app.nobody().get("/api/openapi.json").await.json();
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "01a1f914-724f-71f2-8061-72d06c3f9299");
        for method in methods.as_object().unwrap().keys() {
            let sent = method.to_uppercase().parse().unwrap();
            // a machine that joins has its credentials in what it says
            let joins = json!({"token": "mst_join_guessed", "public_key": "A".repeat(43) + "="});
            let body = if (method.as_str(), path.as_str()) == ("post", "/api/v1/runners") { joins } else { json!({}) };
            let answer = app.nobody().send(sent, &path, Some("application/json"), body.to_string().into()).await;
            assert_eq!(answer.problem(), ["401 /problems/unauthorized"], "{method} {path}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "the document was read");
}
