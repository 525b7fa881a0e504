//! Prices of models from the outside: by the API, the command line and the pages, and what sessions and tasks then say that they have cost.

use axum::body::Body;
use domain::{Role, SessionEvent, SessionEventKind as Event};
use engine::testing::Words;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{
    Answer, Client, TestApp,
    machine::{Client as CommandLine, Machine, Server, stderr, stdout},
};

async fn put(client: &Client, model: &str, price: &Value) -> Answer {
    client.send(Method::PUT, &format!("/api/v1/model-prices/{model}"), Some("application/json"), Body::from(price.to_string())).await
}

async fn delete(client: &Client, model: &str) -> Answer {
    client.send(Method::DELETE, &format!("/api/v1/model-prices/{model}"), None, Body::empty()).await
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_price_is_set_told_and_removed_over_the_api(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (admin, viewer) = (app.script(Role::Admin).await, app.script(Role::Viewer).await);
    assert_eq!(viewer.get("/api/v1/model-prices").await.json(), json!({"prices": [], "unpriced": []}), "Muster brings none along");
    let price = json!({"input_micros": 3_000_000, "output_micros": 15_000_000, "cache_read_micros": 300_000});
    let set = put(&admin, "acme%2Flarge:1b", &price).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let set = set.json();
    assert_eq!((&set["model"], &set["set_by"], &set["valid_until"]), (&json!("acme/large:1b"), &json!("script (API key)"), &Value::Null));
    assert_eq!((&set["input_micros"], &set["cache_write_micros"]), (&json!(3_000_000), &Value::Null));
    assert_eq!(viewer.get("/api/v1/model-prices").await.json()["prices"], json!([set]));
    assert_eq!(viewer.get("/api/v1/model-prices/acme%2Flarge:1b").await.json(), json!([set]));
    for (body, fields) in [
        (
            json!({"input_micros": -1, "output_micros": 20_000_000_000_i64}),
            vec!["/input_micros out_of_range", "/output_micros out_of_range"],
        ),
        (json!({"input_micros": 1}), vec!["/output_micros required"]),
        (json!({"input_micros": 0.5, "output_micros": 1}), vec!["/input_micros malformed"]),
        (json!({"input_micros": 1, "output_micros": 1, "currency": "EUR"}), vec!["/currency unknown"]),
    ] {
        let expected: Vec<_> = std::iter::once("422 /problems/invalid").chain(fields).collect();
        assert_eq!(put(&admin, "small", &body).await.problem(), expected, "{body}");
    }
    let member = app.script(Role::Member).await;
    assert_eq!(put(&member, "small", &price).await.problem(), ["403 /problems/forbidden"]);
    assert_eq!(delete(&member, "acme%2Flarge:1b").await.problem(), ["403 /problems/forbidden"]);
    let stranger = app.stranger(&pool).await;
    assert_eq!(stranger.get("/api/v1/model-prices/acme%2Flarge:1b").await.problem(), ["404 /problems/not-found"]);
    assert_eq!(delete(&admin, "acme%2Flarge:1b").await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&admin, "acme%2Flarge:1b").await.problem(), ["404 /problems/not-found"]);
    let history = viewer.get("/api/v1/model-prices/acme%2Flarge:1b").await.json();
    assert_eq!((history.as_array().unwrap().len(), &history[0]["ended_by"]), (1, &json!("script (API key)")), "what it cost stays known");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_session_says_what_each_step_has_cost_and_what_nobody_knows(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let admin = app.script(Role::Admin).await;
    let ada = app.ada().await.with("accept", "text/html");
    put(&admin, "small", &json!({"input_micros": 1_000_000, "output_micros": 2_000_000})).await;
    let runner = app.test.runner_with("able", &["codex"]).await;
    let new = json!({"title": "One", "repository": "/srv/app", "prompt": "Tidy up", "agent": {"backend": "codex"}});
    let id = admin.post("/api/v1/tasks", &new).await.json()["id"].as_str().unwrap().to_owned();
    let attempt = runner.claims_one().await.attempt;
    runner.starts(attempt).await.unwrap();
    let answer = |model: &str| {
        let model = Some(model.to_owned());
        Event::Usage { model, input: 1000, cached: 0, cache_written: 0, output: 100, cost: None, is_part: false }
    };
    let says = |text: &str| Event::Message { text: text.into() };
    let at = "2026-11-28T10:00:00Z".parse().unwrap();
    let kinds = [says("I look."), answer("small"), says("I write."), answer("large")];
    let events = (1..).zip(kinds).map(|(number, kind)| SessionEvent { number, at, kind }).collect();
    runner.says_together(&[(attempt, Words::Session(events))]).await.pop().unwrap().unwrap();

    let told = admin.get(&format!("/api/v1/tasks/{id}/session")).await.json();
    assert_eq!(told["events"][1]["cost"], json!({"micros": 1200, "source": "workspace"}));
    assert_eq!(told["events"][3]["cost"], Value::Null);
    let task = admin.get(&format!("/api/v1/tasks/{id}")).await.json();
    let usage = &task["attempt_list"][0]["usage"]["agent"];
    assert_eq!((&usage["priced_micros"], &usage["priced_steps"], &usage["steps"]), (&json!(1200), &json!(1), &json!(2)));
    let page = ada.get(&format!("/tasks/{id}?view=session")).await.text;
    for words in ["1,000 in, 100 out", "$0.0012 at the workspace's price", "price unknown", "(1 of 2 steps priced)"] {
        assert!(page.contains(words), "{words}: {page}");
    }

    let prices = ada.get("/endpoints").await.text;
    for words in ["$1 in, $2 out", "large", "1 attempt used it"] {
        assert!(prices.contains(words), "{words}: {prices}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_page_sets_and_removes_prices_without_scripts(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await.with("accept", "text/html");
    assert!(ada.get("/endpoints").await.text.contains("No model has a price"));
    let price = [("model", "acme/large"), ("input", "3"), ("output", "$15"), ("cache_read", "0.3"), ("cache_write", "")];
    let set = ada.form("/_fn/set_model_price", &price).await;
    assert_eq!((set.status, set.header("location")), (StatusCode::FOUND, "/endpoints"), "{}", set.text);
    let page = ada.get("/endpoints").await.text;
    assert!(page.contains("acme/large") && page.contains("$3 in, $15 out, $0.30 from a cache"), "{page}");
    let from_there = ada.with("referer", "http://muster.test/endpoints");
    for (input, cache_read, said) in [
        ("three", "", "Input must be dollars for a million tokens, such as 3 or 0.075."),
        ("-1", "", "Input must be dollars for a million tokens, such as 3 or 0.075."),
        ("3", "20000", "Input from a cache is more than $10000 for a million tokens."),
    ] {
        let wrong = [("model", "acme/large"), ("input", input), ("output", "15"), ("cache_read", cache_read), ("cache_write", "")];
        let refused = from_there.form("/_fn/set_model_price", &wrong).await;
        assert_eq!(refused.status, StatusCode::FOUND, "{}", refused.text);
        let back = refused.header("location").strip_prefix("http://muster.test").unwrap_or(refused.header("location")).to_owned();
        let page = ada.get(&back).await.text;
        assert!(page.contains(said) && !page.contains("Input_micros"), "{back}: {page}");
        let (before, _) = page.split_once("Set a price…").unwrap();
        let (_, form) = before.rsplit_once("<details").unwrap();
        assert!(form.split_once('>').unwrap().0.contains("open"), "what is to be mended is at hand: {form}");
    }
    let removed = ada.form("/_fn/remove_model_price", &[("model", "acme/large")]).await;
    assert_eq!((removed.status, removed.header("location")), (StatusCode::FOUND, "/endpoints"), "{}", removed.text);
    assert!(ada.get("/endpoints").await.text.contains("No model has a price"));
}

/// With a server of the command line's own tests.
pub fn are_set_in_dollars(machine: &Machine, server: &Server) {
    let admin = CommandLine { machine, url: &server.url, key: machine.creates_key("admin") };
    let set = admin.run(&["price", "set", "acme/large", "--input", "3", "--output", "15", "--cache-read", "0.3"]);
    assert_eq!((set.status.code(), stdout(&set).as_str()), (Some(0), "acme/large\n"), "{}", stderr(&set));
    let list = stdout(&admin.run(&["price", "list"]));
    let fields: Vec<_> = list.trim_end().split('\t').collect();
    assert_eq!(fields[..6], ["price", "acme/large", "3000000", "15000000", "300000", ""], "{list}");
    let json: Value = serde_json::from_str(&stdout(&admin.run(&["price", "list", "--json"]))).unwrap();
    assert_eq!(json["prices"][0]["model"], "acme/large");
    let member = CommandLine { machine, url: &server.url, key: machine.creates_key("member") };
    assert_eq!(member.run(&["price", "remove", "acme/large"]).status.code(), Some(4), "only admins may");
    assert_eq!(admin.run(&["price", "remove", "acme/large"]).status.code(), Some(0));
    assert_eq!(stdout(&admin.run(&["price", "list"])), "");
    let again = admin.run(&["price", "remove", "acme/large"]);
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    assert_eq!(admin.run(&["price", "set", " ", "--input", "3", "--output", "15"]).status.code(), Some(2), "before anybody is asked");
}
