//! What has happened to a runner, on its page and over REST, a page at a time.

use chrono::TimeDelta;
use domain::{Role, runner::log::LOG_SHOWN};
use http::StatusCode;
use sqlx::PgPool;
use tests::TestApp;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_has_happened_to_a_runner_is_read_a_page_at_a_time(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (ada, viewer) = (app.ada().await, app.script(Role::Viewer).await);
    let runner = app.test.connected_runner("r1", 1).await;
    let id = runner.runner.session.id();
    let page = async |query: &str| ada.get(&format!("/runners/{id}{query}")).await.text;
    assert!(page("").await.contains("Nothing yet: that it was away"));
    for _ in 0..=LOG_SHOWN {
        app.test.advance(TimeDelta::minutes(5));
        runner.runner.is_idle().await.unwrap();
    }
    let first = page("").await;
    assert_eq!(first.matches("Back, after it was not there").count(), LOG_SHOWN as usize);
    let cursor = first.split("?cursor=").nth(1).unwrap().split('#').next().unwrap();
    let second = page(&format!("?cursor={cursor}")).await;
    assert_eq!(second.matches("Back, after it was not there").count(), 1);
    assert!(second.contains("Newest"));
    // going on in one list keeps the place in the other, whatever that is
    assert!(page(&format!("?cursor={cursor}&stood=x")).await.contains("href=\"?stood=x#log\""));

    let log = async |query: &str| viewer.get(&format!("/api/v1/runners/{id}/log{query}")).await;
    let answer = log("?limit=200").await.json();
    let all = answer["items"].as_array().unwrap();
    assert_eq!((all.len(), &answer["next_cursor"]), (LOG_SHOWN as usize + 1, &serde_json::Value::Null));
    // it is offline after 45 s
    assert_eq!((&all[0]["what"], &all[0]["lasted_ms"]), (&"back".into(), &(255 * 1000).into()));
    assert_eq!(log("?limit=0").await.problem(), ["422 /problems/invalid", "/limit out_of_range"]);
    assert_eq!(log("?cursor=x").await.problem(), ["422 /problems/invalid", "/cursor malformed"]);
    let nobody = viewer.get("/api/v1/runners/019a0000-0000-7000-8000-000000000000/log").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
}
