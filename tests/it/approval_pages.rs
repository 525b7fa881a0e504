//! The page of approvals: what waits, a page at a time and the oldest first, what was answered, and what was typed and refused.

use domain::{
    AgentTerms, Ask, AskedKind, AttemptKey, Isolation, NewTask,
    approval::{Asked, MESSAGE_MAX, PATTERN_MAX},
    page::PAGE_LIMIT,
};
use engine::testing::{ConnectedRunner, Words};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Client, TestApp};

struct Scene {
    app: TestApp,
    ada: Client,
    runner: ConnectedRunner,
    attempt: AttemptKey,
}

impl Scene {
    async fn new(pool: &PgPool) -> Self {
        let app = TestApp::new(pool).await;
        let owner = app.owner().await;
        let ada = app.signed_in().await;
        let agent = AgentTerms { ask: Some(Ask::Commands), ..AgentTerms::default() };
        let new = NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..NewTask::command("Tidy up", "/srv/app", "x") };
        app.test.create(&owner, new).await;
        let runner = app.test.connected_runner("r1", 1).await;
        let attempt = runner.runner.claims_one().await.attempt;
        runner.runner.starts(attempt).await.unwrap();
        Self { app, ada, runner, attempt }
    }

    async fn asks(&self, number: i32) {
        let text = format!("echo number-{number:02}");
        let asked = Asked::new(AskedKind::Command, "Bash", &text, &json!({"command": text})).unwrap();
        let said = [(self.attempt, Words::Asks(number, Isolation::Sandbox, asked))];
        self.runner.runner.says_together(&said).await.pop().unwrap().unwrap();
    }

    async fn page(&self, query: &str) -> String {
        self.ada.get(&format!("/approvals{query}")).await.text
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let script = self.app.script(domain::Role::Member).await;
        script.get(&format!("/api/v1/approvals{query}")).await.json()["items"].as_array().unwrap().clone()
    }
}

fn subjects(questions: &[Value]) -> Vec<&str> {
    questions.iter().map(|one| one["subject"].as_str().unwrap()).collect()
}

/// The table, without what the page holds for its scripts.
fn answered(page: &str) -> &str {
    page.split("id=\"answered\"").nth(1).and_then(|rest| rest.split("</section>").next()).unwrap()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_waits_is_paged_from_the_oldest_on_and_what_was_answered_by_itself(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    // one that was answered, and then more that wait than there are on two pages
    let most = 2 * PAGE_LIMIT as i32 + 2;
    for number in 1..=most {
        scene.asks(number).await;
    }
    let oldest = scene.list("?oldest_first=true&limit=2").await;
    assert_eq!(subjects(&oldest), ["echo number-01", "echo number-02"]);
    let path = format!("/api/v1/approvals/{}/answer", oldest[0]["id"].as_str().unwrap());
    let script = scene.app.script(domain::Role::Member).await;
    assert_eq!(script.post(&path, &json!({"decision": "allow"})).await.status, StatusCode::OK);
    assert_eq!(subjects(&scene.list("?pending=false").await), ["echo number-01"]);
    assert_eq!(subjects(&scene.list("?pending=true&oldest_first=true&limit=1").await), ["echo number-02"]);
    assert_eq!(script.get("/api/v1/approvals?pending=true&state=denied").await.problem(), ["422 /problems/invalid", "/pending unexpected"]);

    let first = scene.page("").await;
    assert!(answered(&first).contains("echo number-01"), "however many wait");
    let at = |page: &str, number: i32| page.find(&format!(">echo number-{number:02}<"));
    assert!(at(&first, 2) < at(&first, 3) && at(&first, 2).is_some());
    let last_of_it = PAGE_LIMIT as i32 + 1;
    assert!(at(&first, last_of_it).is_some() && at(&first, last_of_it + 1).is_none());
    let mut pages = vec![first];
    while let Some((_, rest)) = pages[pages.len() - 1].split_once("/approvals?waiting=") {
        let cursor = rest.split('"').next().unwrap().to_owned();
        let next = scene.page(&format!("?waiting={cursor}")).await;
        pages.push(next);
    }
    assert_eq!(pages.len(), 3);
    for number in 2..=most {
        assert_eq!(pages.iter().filter(|page| at(page, number).is_some()).count(), 1, "{number}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_typed_and_refused_is_still_there_without_scripts(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    scene.asks(1).await;
    let question = scene.list("").await.remove(0);
    let (id, task) = (question["id"].as_str().unwrap(), question["task_id"].as_str().unwrap());
    let long = "y".repeat(MESSAGE_MAX + 1);
    let browser = scene.ada.with("accept", "text/html");
    let deny = [("id", id), ("form[decision]", "deny"), ("form[message]", long.as_str())];
    for (referer, begins) in [
        ("http://muster.test/approvals".to_owned(), "/approvals?draft=".to_owned()),
        (format!("http://muster.test/tasks/{task}"), format!("/tasks/{task}?draft=")),
        ("http://other.test/evil".to_owned(), "/approvals?draft=".to_owned()),
    ] {
        let refused = browser.with("referer", &referer).form("/_fn/answer_approval", &deny).await;
        assert_eq!(refused.status, StatusCode::FOUND);
        let location = refused.header("location").to_owned();
        assert!(location.starts_with(&begins), "{location}");
        let page = scene.ada.get(&location).await.text;
        assert!(page.contains(&format!(">{long}</textarea>")) && page.contains("That was not done"), "{referer}");
    }

    let always = [("id", id), ("form[decision]", "allow"), ("form[own_pattern]", "ec* number")];
    let refused = browser.form("/_fn/answer_approval", &always).await;
    let page = scene.ada.get(refused.header("location")).await.text;
    assert!(page.contains("value=\"ec* number\""), "{}", refused.header("location"));

    let too_long = "z".repeat(PATTERN_MAX + 1);
    let rule = [("kind", "edit"), ("pattern", too_long.as_str()), ("repository", "")];
    let refused = browser.form("/_fn/make_approval_rule", &rule).await;
    let page = scene.ada.get(refused.header("location")).await.text;
    assert!(
        page.contains(&format!("value=\"{too_long}\"")) && page.contains("<option value=\"edit\" selected"),
        "{}",
        refused.header("location")
    );
}
