//! Requests that name themselves: sent again they are answered as the first time, and nothing happens twice.

use chrono::TimeDelta;
use domain::{Role, SessionEvent, SessionEventKind, Timestamp};
use engine::testing::Words;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Client, TestApp};

fn new_task(title: &str) -> Value {
    json!({"title": title, "repository": "/srv/app", "command": "make tidy"})
}

async fn titles(script: &Client) -> Vec<String> {
    let list = script.get("/api/v1/tasks").await.json();
    list["items"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap().to_owned()).collect()
}

/// A task with an agent at work, and what that asks: as a runner's words leave them.
async fn agent_that_asks(app: &TestApp, script: &Client, pool: &PgPool) -> (String, String) {
    let agent = json!({"backend": "claude-code", "ask": "commands"});
    let prompt = json!({"title": "Asks", "repository": "/srv/app", "prompt": "Tidy up", "agent": agent});
    let task = script.post("/api/v1/tasks", &prompt).await.json()["id"].as_str().unwrap().to_owned();
    let runner = app.test.runner_with("able", &["claude-code"]).await;
    let attempt = runner.claims_one().await.attempt;
    runner.starts(attempt).await.unwrap();
    let kind = SessionEventKind::Message { text: "I look around".into() };
    let said = Words::Session(vec![SessionEvent { number: 1, at: Timestamp::UNIX_EPOCH, kind }]);
    runner.says_together(&[(attempt, said)]).await.pop().unwrap().unwrap();
    let asks = "insert into approval (id, workspace_id, task_id, attempt_id, question, kind, tool, subject, input, backend, isolation, asked_at, deadline)
                select gen_random_uuid(), workspace_id, task_id, id, 1, 'command', 'Bash', 'ls', '{\"command\": \"ls\"}', 'claude-code', 'sandbox',
                       claimed_at, claimed_at + interval '30 minutes' from attempt where id = $1 returning id::text";
    (task, sqlx::query_scalar(asks).bind(attempt.attempt_id.0).fetch_one(pool).await.unwrap())
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_route_that_changes_something_answers_the_same_request_once(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    // before there is another task that its runner could take
    let (asking, question) = agent_that_asks(&app, &script, &pool).await;
    let task = async |title: &str| script.post("/api/v1/tasks", &new_task(title)).await.json()["id"].as_str().unwrap().to_owned();
    let (parent, child, ended) = (task("Parent").await, task("Child").await, task("Ended").await);
    script.post(&format!("/api/v1/tasks/{ended}/cancel"), &json!({})).await;
    let dead = task("Dead").await;
    sqlx::query(
        "update task set state = 'dead', queued_at = null, turn = null, ended_at = now(),
                         failure = '{\"code\": \"queue_expired\", \"message\": \"nobody took it\"}' where id = $1::uuid",
    )
    .bind(&dead)
    .execute(&pool)
    .await
    .unwrap();
    let done = task("Done").await;
    // as a runner leaves it that has saved something
    let steps = [
        "insert into runner (id, name, slots, created_at, last_seen_at) values ('00000000-0000-7000-8000-0000000000aa', 'played', 1, now(), now())",
        "insert into attempt (id, workspace_id, task_id, number, runner_id, state, claimed_at, lease_until, log_start)
         select gen_random_uuid(), workspace_id, id, 1, '00000000-0000-7000-8000-0000000000aa', 'verifying', now(), now(), 0 from task where id = $1::uuid",
        "update attempt set commit_id = '0123456789abcdef', branch = 'muster/x-1' where task_id = $1::uuid",
        "update attempt set state = 'succeeded', ended_at = now() where task_id = $1::uuid",
        "update task set state = 'running', queued_at = null, turn = null, attempts = 1 where id = $1::uuid",
        "update task set state = 'verifying' where id = $1::uuid",
        "update task set state = 'succeeded', ended_at = now() where id = $1::uuid",
    ];
    for (index, step) in steps.into_iter().enumerate() {
        let step = sqlx::query(step);
        let step = if index == 0 { step } else { step.bind(&done) };
        step.execute(&pool).await.unwrap();
    }
    let source = "name: gates\nrepository: /srv/app\nsteps:\n".to_owned()
        + "  - {id: first, title: A gate, approval: {}}\n  - {id: second, title: A gate, approval: {}}\n"
        + "  - {id: built, title: A gate, event: {name: built}}\n  - {id: never, title: A gate, event: {name: never}}\n";
    script.post("/api/v1/workflows", &json!({"source": source})).await;
    let run = script.post("/api/v1/workflows/gates/runs", &json!({})).await.json();
    let step = |key: &str| {
        let steps = run["steps"].as_array().unwrap();
        steps.iter().find(|step| step["key"] == key).unwrap()["task"].as_str().unwrap().to_owned()
    };
    let (run_id, first_gate, second_gate) = (run["id"].as_str().unwrap(), step("first"), step("second"));
    let cases = [
        ("/api/v1/workflows", json!({"source": source.replace("built", "made")}), StatusCode::CREATED),
        ("/api/v1/workflows/gates/runs", json!({"version": 1}), StatusCode::CREATED),
        (&*format!("/api/v1/runs/{run_id}/pause"), json!({}), StatusCode::OK),
        (&format!("/api/v1/runs/{run_id}/resume"), json!({}), StatusCode::OK),
        (&format!("/api/v1/runs/{run_id}/events"), json!({"name": "built"}), StatusCode::OK),
        (&format!("/api/v1/tasks/{first_gate}/approve"), json!({}), StatusCode::OK),
        (&format!("/api/v1/tasks/{second_gate}/reject"), json!({"comment": "not yet"}), StatusCode::OK),
        (
            &format!("/api/v1/runs/{run_id}/change"),
            json!({"source": "add: [{id: later, title: A gate, needs: [never], approval: {}}]"}),
            StatusCode::OK,
        ),
        (&format!("/api/v1/runs/{run_id}/cancel"), json!({}), StatusCode::OK),
        (&format!("/api/v1/runs/{run_id}/restart"), json!({}), StatusCode::CREATED),
        ("/api/v1/views", json!({"name": "Broken", "filter": {"state": "failed"}}), StatusCode::CREATED),
        ("/api/v1/tasks", new_task("Once"), StatusCode::CREATED),
        ("/api/v1/tasks/batch", json!({"tasks": [new_task("One"), new_task("Two")]}), StatusCode::CREATED),
        (&format!("/api/v1/tasks/{child}/dependencies"), json!({"depends_on": [parent]}), StatusCode::OK),
        (&format!("/api/v1/tasks/{ended}/retry"), json!({}), StatusCode::OK),
        (&format!("/api/v1/tasks/{dead}/discard"), json!({}), StatusCode::OK),
        (&format!("/api/v1/tasks/{done}/land"), json!({"how": "push"}), StatusCode::OK),
        (&format!("/api/v1/tasks/{ended}/pause"), json!({}), StatusCode::OK),
        (&format!("/api/v1/tasks/{ended}/resume"), json!({}), StatusCode::OK),
        ("/api/v1/tasks/bulk", json!({"act": "prioritise", "priority": "high", "ids": [ended]}), StatusCode::OK),
        ("/api/v1/queue/pause", json!({}), StatusCode::OK),
        ("/api/v1/queue/resume", json!({}), StatusCode::OK),
        (&format!("/api/v1/tasks/{child}/cancel"), json!({}), StatusCode::OK),
        (&format!("/api/v1/tasks/{asking}/session/messages"), json!({"text": "Look at the tests"}), StatusCode::OK),
        (&format!("/api/v1/approvals/{question}/answer"), json!({"decision": "allow"}), StatusCode::OK),
    ];
    let owner = app.script(Role::Owner).await;
    let token = owner.post("/api/v1/runner-tokens", &json!({})).await.json()["token"].clone();
    let join = json!({"token": token, "public_key": "A".repeat(43) + "=", "name": "box"});
    let runner = owner.post("/api/v1/runners", &join).await.json()["id"].as_str().unwrap().to_owned();
    let box_of_models = json!({"name": "box", "url": "http://gpu-box:11434"});
    let endpoint = owner.post("/api/v1/endpoints", &box_of_models).await.json()["id"].as_str().unwrap().to_owned();
    let pull = owner.post(&format!("/api/v1/endpoints/{endpoint}/pulls"), &json!({"model": "tiny"})).await.json();
    let pull = pull["id"].as_str().unwrap().to_owned();
    let owners = [
        ("/api/v1/workspace/isolation", json!({"isolation": "none"}), StatusCode::OK),
        ("/api/v1/workspace/auto-pull", json!({"auto_pull": true}), StatusCode::OK),
        ("/api/v1/approval-rules", json!({"kind": "command", "pattern": "ls *"}), StatusCode::CREATED),
        (&*format!("/api/v1/runners/{runner}/drain"), json!({}), StatusCode::OK),
        (&format!("/api/v1/runners/{runner}/resume"), json!({}), StatusCode::OK),
        ("/api/v1/endpoints", json!({"name": "another", "url": "http://another:11434"}), StatusCode::CREATED),
        (&format!("/api/v1/endpoints/{endpoint}/pulls"), json!({"model": "llama3"}), StatusCode::CREATED),
        (&format!("/api/v1/pulls/{pull}/cancel"), json!({}), StatusCode::OK),
    ];
    let cases: Vec<_> = cases.iter().map(|case| (&script, case)).chain(owners.iter().map(|case| (&owner, case))).collect();
    for (script, (path, body, status)) in &cases {
        let once = script.with("idempotency-key", &format!("key of {path}"));
        let first = once.post(path, body).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (*status, ""), "{path} {}", first.text);
        let again = once.post(path, body).await;
        assert_eq!((again.status, &again.text), (*status, &first.text), "{path}");
        assert_eq!((again.header("location"), again.header("content-type")), (first.header("location"), "application/json"), "{path}");
        assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
    }
    let created: Vec<_> = titles(&script).await.into_iter().filter(|title| title != "A gate").collect();
    assert_eq!(created, ["Two", "One", "Once", "Done", "Dead", "Ended", "Child", "Parent", "Asks"]);
    assert_eq!(script.get("/api/v1/runs").await.json()["items"].as_array().unwrap().len(), 3, "one before, one started, one started again");

    let ids = [&child, &ended, &dead, &done, run_id, &first_gate, &second_gate, &asking, &question, &runner, &endpoint, &pull];
    let general = |path: &str| ids.iter().fold(path.replace("/gates/", "/{name}/"), |path, id| path.replace(*id, "{id}"));
    let tested: Vec<_> = cases.iter().map(|(_, (path, ..))| general(path)).collect();
    let document = script.get("/api/openapi.json").await.json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // those that only look, at something too large for an address
        let looks = ["/api/v1/workflows/check", "/api/v1/tasks/preview"].contains(&path.as_str());
        // what names the version that it changes can happen to that version only once; what is put or deleted twice is as after the first time
        let once = ["get", "patch", "put", "delete"];
        // a secret is not kept to be told again; a machine joins once and is tried out once by itself (engine/tests/it/join.rs)
        let secrets = ["/api/v1/runner-tokens", "/api/v1/approvals/{id}/links"];
        let otherwise = secrets.contains(&path.as_str()) || ["/api/v1/runners", "/api/v1/runners/trial"].contains(&path.as_str());
        let changes = !looks && !otherwise && operations.as_object().unwrap().keys().any(|method| !once.contains(&method.as_str()));
        assert_eq!(changes, tested.contains(path), "{path} is in the list above exactly when it changes something");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_key_belongs_to_one_actor_one_route_and_one_body(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await.with("idempotency-key", "k");
    let first = script.post("/api/v1/tasks", &new_task("First")).await;
    assert_eq!(script.post("/api/v1/tasks", &new_task("Other")).await.problem(), ["422 /problems/invalid", "Idempotency-Key reused"]);
    let other = app.script(Role::Member).await.with("idempotency-key", "k");
    assert_eq!(other.post("/api/v1/tasks", &new_task("Theirs")).await.header("idempotency-replayed"), "");
    let cancel = format!("{}/cancel", first.header("location"));
    assert_eq!(script.post(&cancel, &json!({})).await.json()["state"], "cancelled", "another route is another request");
    assert_eq!(titles(&script).await, ["Theirs", "First"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_refused_is_looked_at_again(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await.with("idempotency-key", "k");
    let bad = json!({"title": "", "repository": "/srv/app", "command": "x"});
    for _ in 0..2 {
        assert_eq!(script.post("/api/v1/tasks", &bad).await.problem(), ["422 /problems/invalid", "/title required"]);
    }
    assert_eq!(script.post("/api/v1/tasks", &new_task("Good")).await.status, StatusCode::CREATED, "the key was not used up");
    let viewer = app.script(Role::Viewer).await.with("idempotency-key", "v");
    assert_eq!(viewer.post("/api/v1/tasks", &new_task("No")).await.problem(), ["403 /problems/forbidden"]);
    assert_eq!(app.nobody().with("idempotency-key", "n").post("/api/v1/tasks", &new_task("No")).await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_key_that_is_none_is_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await;
    for (key, code) in [("k".repeat(300), "out_of_range"), (String::new(), "out_of_range"), ("a\tb".into(), "malformed")] {
        let answer = script.with("idempotency-key", &key).post("/api/v1/tasks", &new_task("No")).await;
        assert_eq!(answer.problem(), ["400 /problems/bad-request".to_owned(), format!("Idempotency-Key {code}")], "{key:?}");
    }
    assert_eq!(titles(&script).await, Vec::<String>::new());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn while_the_first_is_at_work_the_second_is_told_so(pool: PgPool) {
    let app = TestApp::with_real_time(&pool).await;
    let script = app.script(Role::Member).await;
    let parent = script.post("/api/v1/tasks", &new_task("Parent")).await.json()["id"].as_str().unwrap().to_owned();
    // what the first request has to wait for in the middle of its transaction
    let mut hold = pool.begin().await.unwrap();
    sqlx::query("select from task where id = $1::uuid for update").bind(&parent).execute(&mut *hold).await.unwrap();
    let mut body = new_task("Once");
    body["depends_on"] = json!([parent]);
    let once = script.with("idempotency-key", "k");
    let second = async {
        let waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {
            tokio::task::yield_now().await;
        }
        assert_eq!(once.post("/api/v1/tasks", &body).await.problem(), ["409 /problems/conflict"]);
        hold.rollback().await.unwrap();
    };
    let (first, ()) = tokio::join!(once.post("/api/v1/tasks", &body), second);
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = once.post("/api/v1/tasks", &body).await;
    assert_eq!((again.status, again.text), (StatusCode::CREATED, first.text));
    assert_eq!(titles(&script).await, ["Once", "Parent"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_many_at_once_one_takes_effect(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let once = app.script(Role::Member).await.with("idempotency-key", "k");
    let (path, body) = ("/api/v1/tasks", new_task("Once"));
    let answers = futures::future::join_all((0..8).map(|_| once.post(path, &body))).await;
    let mut created = answers.iter().filter(|answer| answer.status == StatusCode::CREATED);
    let first = created.next().unwrap();
    assert!(created.all(|answer| answer.text == first.text));
    let refused = answers.iter().filter(|answer| answer.status != StatusCode::CREATED);
    assert!(refused.clone().all(|answer| answer.status == StatusCode::CONFLICT));
    assert_eq!(titles(&once).await, ["Once"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn after_a_day_a_key_is_free_again(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let script = app.script(Role::Member).await.with("idempotency-key", "k");
    script.post("/api/v1/tasks", &new_task("Yesterday")).await;
    app.test.advance(TimeDelta::hours(23));
    assert_eq!(script.post("/api/v1/tasks", &new_task("Yesterday")).await.header("idempotency-replayed"), "true");
    assert_eq!(app.test.engine.delete_expired_answers().await.unwrap(), 0);
    app.test.advance(TimeDelta::hours(1));
    assert_eq!(script.post("/api/v1/tasks", &new_task("Today")).await.status, StatusCode::CREATED);
    app.test.advance(TimeDelta::hours(24));
    assert_eq!(app.test.engine.delete_expired_answers().await.unwrap(), 1);
    assert_eq!(titles(&script).await, ["Today", "Yesterday"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn many_at_once_are_each_answered_with_their_own(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let scripts = [app.script(Role::Member).await, app.stranger(&pool).await, app.script(Role::Member).await];
    let asked: Vec<_> = (0..30)
        .map(|number| (scripts[number % 3].with("idempotency-key", &format!("key {number}")), new_task(&format!("Task {number}"))))
        .collect();
    let send = async || futures::future::join_all(asked.iter().map(|(once, body)| once.post("/api/v1/tasks", body))).await;
    let (first, again) = (send().await, send().await);
    for (((once, body), first), again) in asked.iter().zip(&first).zip(&again) {
        assert_eq!((first.status, &first.json()["title"]), (StatusCode::CREATED, &body["title"]), "{}", first.text);
        assert_eq!((again.status, &again.text, again.header("idempotency-replayed")), (StatusCode::CREATED, &first.text, "true"));
        assert_eq!(once.get(first.header("location")).await.json(), first.json());
    }
    for (script, count) in scripts.iter().zip([20, 10, 20]) {
        assert_eq!(titles(script).await.len(), count);
    }
}
