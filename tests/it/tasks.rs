//! Tasks over HTTP: REST and the functions behind the forms answer alike.

use domain::{Role, TaskId};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{EventReader, TestApp};

fn new_task() -> Value {
    json!({"title": "Tidy up", "repository": "/srv/app", "command": "make tidy", "checks": [{"kind": "git_clean"}]})
}

fn id_of(task: &Value) -> TaskId {
    task["id"].as_str().unwrap().parse().unwrap()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_over_the_api(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let created = script.post("/api/v1/tasks", &new_task()).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let task = created.json();
    assert_eq!(created.header("location"), format!("/api/v1/tasks/{}", task["id"].as_str().unwrap()));
    assert_eq!((task["state"].as_str(), task["created_by"].as_str()), (Some("queued"), Some("script (API key)")));
    let path = created.header("location").to_owned();
    assert_eq!(script.get(&path).await.json(), task);
    let list = script.get("/api/v1/tasks?state=queued&text=tidy&limit=1").await.json();
    assert_eq!(list["items"][0]["id"], task["id"]);
    let cancelled = script.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["state"], "cancelled");
    assert_eq!(script.post(&format!("{path}/cancel"), &json!({})).await.problem(), ["409 /problems/invalid-transition"]);
    assert_eq!(script.post(&format!("{path}/retry"), &json!({})).await.json()["state"], "queued");
    let kinds: Vec<_> =
        script.get(&format!("{path}/events")).await.json().as_array().unwrap().iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["task_created", "task_ended", "task_retried"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_wrong_is_said_field_by_field_and_nothing_is_stored(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let with = |name: &str, value: Value| {
        let mut task = new_task();
        task[name] = value;
        task
    };
    let beside_a_url = |urls: &[&str]| {
        let mut task = with("repository", json!("https://example.org/acme/app.git"));
        task["repositories"] = urls.iter().map(|url| json!({"url": url, "folder": "beside"})).collect();
        task
    };
    let unknown = "01a1f914-724f-71f2-8061-72d06c3f9299";
    for (body, expected) in [
        (with("nonsense", json!(1)), "/nonsense unknown"),
        (with("state", json!("succeeded")), "/state unknown"),
        (with("id", json!(unknown)), "/id unknown"),
        (with("title", json!(7)), "/title malformed"),
        (with("title", json!("x".repeat(201))), "/title too_long"),
        (with("title", json!("a\u{0}b")), "/title nul"),
        (with("priority", json!("whenever")), "/priority malformed"),
        (with("depends_on", json!([unknown])), "/depends_on/0 not_found"),
        (with("depends_on", json!(["x"])), "/depends_on/0 malformed"),
        (with("checks", json!([{"kind": "vibes"}])), "/checks/0/kind malformed"),
        (with("checks", json!([{"kind": "file_exists", "target": "../x"}])), "/checks/0/target outside"),
        (with("repository", json!("ext::sh -c id")), "/repository malformed"),
        (with("base_ref", json!("--upload-pack=x")), "/base_ref malformed"),
        (with("repositories", json!([{"url": "ext::sh -c id", "folder": "x"}])), "/repositories/0/url malformed"),
        (with("repositories", json!([{"url": "/srv/api"}, {"url": "/lib/api"}])), "/repositories/1/folder duplicate"),
        (with("repositories", json!([{"url": "/srv/api", "folder": "../x"}])), "/repositories/0/folder malformed"),
        (with("repositories", json!([{"url": "/srv/api", "branch": "main"}])), "/repositories/0/branch unknown"),
        (beside_a_url(&["/srv/api"]), "/repositories/0/url path_first"),
        (beside_a_url(&["git@Example.org:acme/app"]), "/repositories/0/url duplicate"),
        (with("timeout_seconds", json!(0)), "/timeout_seconds out_of_range"),
        (with("timeout_seconds", json!(-1)), "/timeout_seconds malformed"),
        (with("max_attempts", json!(9_007_199_254_740_993_u64)), "/max_attempts malformed"),
        (with("agent", json!({"backend": "goose"})), "/agent/backend malformed"),
        (with("agent", json!({"backend": "acp:Goose"})), "/agent/backend malformed"),
        (with("agent", json!({"backend": 7})), "/agent/backend malformed"),
        (json!([]), " malformed"),
    ] {
        let answer = script.post("/api/v1/tasks", &body).await;
        assert_eq!(answer.problem(), ["422 /problems/invalid", expected], "{body}");
    }
    assert_eq!(script.get("/api/v1/tasks").await.json(), json!({"items": [], "next_cursor": null}));
    for (query, expected) in [
        ("state=finished", "/state malformed"),
        ("limit=0", "/limit out_of_range"),
        ("limit=-1", "/limit malformed"),
        ("cursor=forged", "/cursor malformed"),
        ("sort=title", "/sort unknown"),
        ("limit=1&limit=2", "/limit duplicate"),
    ] {
        assert_eq!(script.get(&format!("/api/v1/tasks?{query}")).await.problem(), ["422 /problems/invalid", expected], "{query}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_prompt_can_be_for_an_agent_that_only_a_runner_knows(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let prompt = |agent: Value| json!({"title": "Tidy up", "repository": "/srv/app", "prompt": "Tidy up", "agent": agent});
    let task = script.post("/api/v1/tasks", &prompt(json!({"backend": "acp:goose", "ask": "commands"}))).await.json();
    assert_eq!((&task["agent"]["backend"], &task["capabilities"]), (&json!("acp:goose"), &json!(["acp:goose"])));
    let refused = script.post("/api/v1/tasks", &prompt(json!({"backend": "goose"}))).await.json();
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("must be claude-code, codex") && message.contains("acp: or own: with its name"), "{message}");
    for (agent, expected) in [
        (json!({"backend": "own:aider", "ask": "commands"}), "/agent/ask unexpected"),
        (json!({"backend": "own:aider", "max_turns": 3}), "/agent/max_turns unexpected"),
        (json!({"backend": "acp:goose", "max_cost_cents": 100}), "/agent/max_cost_cents unexpected"),
    ] {
        assert_eq!(script.post("/api/v1/tasks", &prompt(agent)).await.problem(), ["422 /problems/invalid", expected]);
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_api_and_the_pages_answer_alike(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    let id = script.post("/api/v1/tasks", &new_task()).await.json()["id"].as_str().unwrap().to_owned();
    script.post(&format!("/api/v1/tasks/{id}/cancel"), &json!({})).await;
    let unknown = "01a1f914-724f-71f2-8061-72d06c3f9299";
    for id in [id.as_str(), unknown] {
        let rest = script.post(&format!("/api/v1/tasks/{id}/cancel"), &json!({})).await;
        let page = ada.form("/_fn/cancel_task", &[("id", id)]).await;
        let comparable = |answer: &tests::Answer| {
            let mut document = answer.json();
            document["instance"] = Value::Null;
            (answer.status, answer.header("content-type").to_owned(), document)
        };
        assert_eq!(comparable(&rest), comparable(&page));
        assert_eq!(rest.problem(), page.problem());
    }
    let bad = ada.form("/_fn/cancel_task", &[("id", "nonsense")]).await;
    assert_eq!(bad.problem(), ["400 /problems/bad-request"]);
    assert_eq!(app.nobody().form("/_fn/cancel_task", &[("id", unknown)]).await.problem(), ["401 /problems/unauthorized"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_form_without_scripts_is_sent_back_to_its_page(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let id = app.script(Role::Member).await.post("/api/v1/tasks", &new_task()).await.json()["id"].as_str().unwrap().to_owned();
    let browser = ada.with("accept", "text/html").with("referer", &format!("http://muster.test/tasks/{id}"));
    let answer = browser.form("/_fn/cancel_task", &[("id", &id)]).await;
    assert_eq!(
        (answer.status, answer.header("location").trim_end_matches('?')),
        (StatusCode::FOUND, format!("http://muster.test/tasks/{id}").as_str())
    );
    let page = ada.get(&format!("/tasks/{id}")).await;
    assert!(page.text.contains("cancelled"), "the page shows it");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn pages_show_what_people_wrote_as_text(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await;
    let script = app.script(Role::Member).await;
    let hostile = "</title><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut task = new_task();
    task["title"] = json!(hostile);
    task["command"] = json!(hostile);
    let id = script.post("/api/v1/tasks", &task).await.json()["id"].as_str().unwrap().to_owned();
    for path in ["/".to_owned(), "/tasks".into(), format!("/tasks/{id}"), format!("/tasks?text={}", "%3Cscript%3Ealert(1)%3C/script%3E")] {
        let page = ada.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let raw = page.text.find("<script>alert(1)").or_else(|| page.text.find("<img src=x"));
        assert_eq!(raw.map(|at| &page.text[at.saturating_sub(60)..at + 20]), None, "{path}");
    }
    assert!(ada.get(&format!("/tasks/{id}")).await.text.contains("&lt;script&gt;alert(1)"));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_log_can_be_followed_from_any_byte_and_ends_with_its_task(pool: PgPool) {
    let app = TestApp::with_real_time(&pool).await;
    let script = app.script(Role::Member).await;
    let task = script.post("/api/v1/tasks", &new_task()).await.json();
    let path = format!("/api/v1/tasks/{}/log", task["id"].as_str().unwrap());
    let runner = app.test.runner("r1").await;
    let assignment = runner.claims_one().await;
    assert_eq!(assignment.attempt.task_id, id_of(&task));
    runner.logs(assignment.attempt, 0, "hello ").await.unwrap();
    let mut stream = EventReader::open(&script, &path).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.event.as_str(), first.id.as_str()), ("log", "6"));
    // The connection is lost; meanwhile the work goes on.
    drop(stream);
    runner.logs(assignment.attempt, 6, "world").await.unwrap();
    let mut stream = EventReader::open(&script.with("last-event-id", &first.id), &path).await;
    let text = |received: &tests::Received| serde_json::from_str::<Value>(&received.data).unwrap()["text"].as_str().unwrap().to_owned();
    assert_eq!(text(&stream.next().await.unwrap()), "world");
    runner.logs(assignment.attempt, 11, "!\n").await.unwrap();
    assert_eq!(text(&stream.next().await.unwrap()), "!\n");
    runner.succeeds(&assignment).await.unwrap();
    let end = stream.next().await.unwrap();
    assert_eq!((end.event.as_str(), end.id.as_str()), ("end", "13"));
    assert_eq!(stream.next().await, None, "and then it is over");

    let mut middle = EventReader::open(&script, &format!("{path}?offset=4")).await;
    assert_eq!(text(&middle.next().await.unwrap()), "o ");
    let raw = script.get(&path).await;
    assert_eq!((raw.text.as_str(), raw.header("content-type")), ("hello world!\n", "application/octet-stream"));
    assert!(raw.header("content-disposition").starts_with("attachment"));
    let accepts = script.with("accept", "text/event-stream");
    assert_eq!(accepts.with("last-event-id", "x").get(&path).await.problem(), ["400 /problems/bad-request"]);
    assert_eq!(accepts.get(&format!("{path}?offset=-1")).await.problem(), ["422 /problems/invalid", "/offset out_of_range"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn events_can_be_followed_from_where_one_left_off(pool: PgPool) {
    let mut app = TestApp::with_real_time(&pool).await;
    let script = app.script(Role::Member).await;
    app.test.tail().await;
    let mut stream = EventReader::open(&script, "/api/v1/events").await;
    script.post("/api/v1/tasks", &new_task()).await;
    let first = loop {
        tokio::select! {
            event = stream.next() => break event.unwrap(),
            () = app.test.tail() => {}
        }
    };
    assert_eq!(first.event, "event");
    assert_eq!(serde_json::from_str::<Value>(&first.data).unwrap()["kind"], "task_created");
    drop(stream);
    let second = script.post("/api/v1/tasks", &new_task()).await.json();
    let third = script.post("/api/v1/tasks", &new_task()).await.json();
    let mut stream = EventReader::open(&script.with("last-event-id", &first.id), "/api/v1/events").await;
    for expected in [second, third] {
        let received = loop {
            tokio::select! {
                event = stream.next() => break event.unwrap(),
                () = app.test.tail() => {}
            }
        };
        assert_eq!(serde_json::from_str::<Value>(&received.data).unwrap()["task_id"], expected["id"]);
    }
    let refused = script.with("accept", "text/event-stream").with("last-event-id", "nonsense").get("/api/v1/events").await;
    assert_eq!(refused.problem(), ["422 /problems/invalid", "/last_event_id malformed"]);
    app.stop.cancel();
    assert_eq!(stream.next().await, None, "streams end when the server stops");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_batch_is_stored_whole_or_not_at_all(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    let titled = |title: String| {
        let mut task = new_task();
        task["title"] = json!(title);
        task
    };
    let mut tasks: Vec<_> = (1..=1000).map(|number| titled(format!("Task {number}"))).collect();
    let created = script.post("/api/v1/tasks/batch", &json!({"tasks": tasks})).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let links = created.json();
    let names: Vec<_> = links.as_array().unwrap().iter().map(|link| link["title"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[999]), (1000, "Task 1", "Task 1000"));
    let overview = script.get("/api/v1/overview").await.json();
    let queued = overview["counts"].as_array().unwrap().iter().find(|count| count["state"] == "queued").unwrap()["tasks"].clone();
    assert_eq!(queued, 1000);

    // one that is wrong by itself, and one that names a task that is not there
    tasks.truncate(3);
    tasks[1]["timeout_seconds"] = json!(0);
    let refused = script.post("/api/v1/tasks/batch", &json!({"tasks": tasks})).await;
    assert_eq!(refused.problem(), ["422 /problems/invalid", "/tasks/1/timeout_seconds out_of_range"]);
    tasks[1] = titled("Orphan".into());
    tasks[1]["depends_on"] = json!(["01a1f914-724f-71f2-8061-72d06c3f9299"]);
    let refused = script.post("/api/v1/tasks/batch", &json!({"tasks": tasks})).await;
    assert_eq!(refused.problem(), ["422 /problems/invalid", "/tasks/1/depends_on/0 not_found"]);
    assert_eq!(script.post("/api/v1/tasks/batch", &json!({"tasks": []})).await.problem(), ["422 /problems/invalid", "/tasks out_of_range"]);
    let queued = script.get("/api/v1/overview").await.json()["counts"].clone();
    assert_eq!(queued, overview["counts"], "nothing of them was stored");
}
