//! How many attempts a runner carries out at once, as it is set over REST, on its page and on the command line.

use std::fs;

use axum::body::Body;
use domain::Role;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{
    Answer, Client, TestApp,
    machine::{Machine, stderr, stdout},
};

use crate::runners::{Runner, Site, is_at_work, status};

/// One that has joined, and has never called.
async fn joins(owner: &Client) -> String {
    let token = owner.post("/api/v1/runner-tokens", &json!({})).await.json()["token"].clone();
    let join = json!({"token": token, "public_key": "A".repeat(43) + "=", "name": "box"});
    owner.post("/api/v1/runners", &join).await.json()["id"].as_str().unwrap().to_owned()
}

async fn patch(client: &Client, id: &str, body: &Value) -> Answer {
    client.send(Method::PATCH, &format!("/api/v1/runners/{id}"), Some("application/json"), Body::from(body.to_string())).await
}

/// How many it has, how many its machine says, and how many were set.
fn slots(runner: &Value) -> [&Value; 3] {
    ["slots", "slots_own", "slots_set"].map(|name| &runner[name])
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn slots_are_set_by_whoever_may_and_what_is_wrong_is_named(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (owner, member, stranger) = (app.script(Role::Admin).await, app.script(Role::Member).await, app.stranger(&pool).await);
    let id = joins(&owner).await;
    let more = json!({"slots": 8});
    for _ in 0..2 {
        let set = patch(&owner, &id, &more).await;
        assert_eq!((set.status, slots(&set.json())), (StatusCode::OK, [&json!(1), &json!(1), &json!(8)]), "it has not taken that yet");
    }
    let found = owner.get(&format!("/api/v1/runners/{id}")).await.json();
    assert_eq!(slots(&found), [&json!(1), &json!(1), &json!(8)]);
    let own = patch(&owner, &id, &json!({"slots": null})).await.json();
    assert_eq!(slots(&own), [&json!(1), &json!(1), &Value::Null]);
    for (wrong, named) in [
        (json!({"slots": 0}), "/slots out_of_range"),
        (json!({"slots": 1001}), "/slots out_of_range"),
        (json!({"slots": "many"}), "/slots malformed"),
        (json!({}), "/slots required"),
        (json!({"slots": 8, "name": "far"}), "/name unknown"),
    ] {
        assert_eq!(patch(&owner, &id, &wrong).await.problem(), ["422 /problems/invalid", named], "{wrong}");
    }
    assert_eq!(patch(&member, &id, &more).await.problem(), ["403 /problems/forbidden"]);
    assert_eq!(patch(&stranger, &id, &more).await.problem(), ["404 /problems/not-found"]);
    let log = owner.get(&format!("/api/v1/runners/{id}/log")).await.json();
    let told: Vec<_> = log["items"].as_array().unwrap().iter().rev().map(|entry| (&entry["what"], &entry["slots"])).collect();
    let expected = [(json!("joined"), Value::Null), (json!("slots_set"), json!(8)), (json!("slots_own"), Value::Null)];
    assert_eq!(told, expected.each_ref().map(|(what, slots)| (what, slots)));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_page_sets_slots_and_says_what_is_wrong_with_them_without_scripts(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let id = joins(&app.script(Role::Admin).await).await;
    let path = format!("/runners/{id}");
    let page = ada.get(&path).await.text;
    assert!(page.contains("1 to 1000. Empty for as many as its machine says: 1."), "{page}");
    let browser = ada.with("accept", "text/html").with("referer", &format!("http://muster.test{path}"));
    let set = browser.form("/_fn/change_runner", &[("id", &id), ("slots", "8")]).await;
    assert_eq!((set.status, set.header("location")), (StatusCode::FOUND, path.as_str()));
    let page = ada.get(&path).await.text;
    assert!(page.contains("8 were set, and it has 1, as its machine says."), "{page}");
    assert!(page.contains("set it to 8 slots"), "its log says so as well: {page}");
    for (wrong, said) in [("many", "Must be a whole number, or empty."), ("1001", "Must be 1 to 1000.")] {
        let refused = browser.form("/_fn/change_runner", &[("id", &id), ("slots", wrong)]).await;
        assert_eq!(refused.status, StatusCode::FOUND, "{}", refused.text);
        let back = refused.header("location").strip_prefix("http://muster.test").unwrap_or(refused.header("location")).to_owned();
        let page = ada.get(&back).await.text;
        assert!(page.contains(said), "{back}: {page}");
    }
    browser.form("/_fn/change_runner", &[("id", &id), ("slots", "")]).await;
    let page = ada.get(&path).await.text;
    assert!(!page.contains("were set, and it has"), "{page}");
}

#[test]
fn slots_that_are_set_hold_at_once_and_when_the_server_comes_again() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let runner = Runner::joins(site.join("far", &site.token(), &["--name", "far", "--paths", "--foreground", "--slots", "1"]));
    let set = |site: &Site<'_>, slots: &str| {
        let set = site.client().run(&["runner", "set", "far", "--slots", slots]);
        status(&set, 0);
        stdout(&set).trim_end_matches('\n').split_once('\t').unwrap().1.to_owned()
    };
    let signs = ["first", "second", "third"].map(|name| machine.sign(name));
    is_at_work(&site, &signs[0]);
    assert_eq!(set(&site, "2"), "2\t2\t1");
    // beside the first, and without a restart of its runner
    is_at_work(&site, &signs[1]);
    assert_eq!(set(&site, "own"), "1\t\t1");
    assert_eq!(site.runners()[0]["busy"], 2, "what is at work goes on");
    assert_eq!(set(&site, "3"), "3\t3\t1");
    let site = site.dies_and_comes_back(|| {});
    is_at_work(&site, &signs[2]);
    let shown = site.client().run(&["runner", "show", "far"]);
    assert!(stdout(&shown).contains("\nslots\t3\nslots_own\t1\nslots_set\t3\n"), "{}", stdout(&shown));
    let wrong = site.client().run(&["runner", "set", "far", "--slots", "0"]);
    status(&wrong, 2);
    assert!(stderr(&wrong).contains("must be a number from 1 to 1000, or own"), "{}", stderr(&wrong));
    status(&site.client().run(&["runner", "set", "nobody", "--slots", "2"]), 1);
    signs.iter().for_each(|sign| fs::write(sign, "").unwrap());
    drop(runner);
    site.server.stops();
}
