//! The page of a long session: a part at a time, and the latest of it at once.

use domain::{AgentTerms, AttemptKey, Backend, NewTask, SessionEvent, SessionEventKind, TaskId, Timestamp};
use engine::testing::{TestRunner, Words};
use sqlx::PgPool;
use tests::{Client, TestApp};

/// More than are shown at once, and more than one part behind the first.
const EVENTS: i64 = 1200;

/// A task that an agent works on, and somebody who looks at its session.
struct Site {
    _app: TestApp,
    ada: Client,
    runner: TestRunner,
    task: TaskId,
    attempt: AttemptKey,
}

impl Site {
    async fn at_work(pool: &PgPool) -> Self {
        let app = TestApp::new(pool).await;
        let owner = app.owner().await;
        let ada = app.signed_in().await;
        let agent = AgentTerms { backend: Some(Backend::ClaudeCode), ..AgentTerms::default() };
        let new = NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..NewTask::command("Tidy up", "/srv/app", "x") };
        let task = app.test.create(&owner, new).await.summary.id;
        let runner = app.test.runner_with("able", &["claude-code"]).await;
        let attempt = runner.claims_one().await.attempt;
        runner.starts(attempt).await.unwrap();
        Self { _app: app, ada, runner, task, attempt }
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_latest_of_a_long_session_is_a_link_away(pool: PgPool) {
    let Site { ada, runner, task, attempt, .. } = Site::at_work(&pool).await;
    let says =
        |number| SessionEvent { number, at: Timestamp::UNIX_EPOCH, kind: SessionEventKind::Message { text: format!("word {number}") } };
    let said = Words::Session((1..=EVENTS).map(says).collect());
    runner.says_together(&[(attempt, said)]).await.pop().unwrap().unwrap();

    let page = async |more: &str| ada.get(&format!("/tasks/{task}?view=session&attempt=1{more}")).await.text;
    let first = page("").await;
    assert!(first.contains(">word 1<") && !first.contains(&format!(">word {EVENTS}<")));
    assert!(first.contains("as far as it is shown") && first.contains("Go to the latest 100"));
    let after = EVENTS - 100;
    assert!(first.contains(&format!("&amp;after={after}\"")), "its address");
    let latest = page(&format!("&after={after}")).await;
    assert!(latest.contains(&format!(">word {EVENTS}<")) && !latest.contains(&format!(">word {after}<")));
    assert!(latest.contains("as far as it is shown"), "what came before counts to no total here");
    assert!(latest.contains("From the beginning") && !latest.contains("Go to the latest"));
}

/// Its agent tells the cost with the end of the turn, and has said who it is long before.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_step_on_a_later_page_is_not_said_to_have_no_price(pool: PgPool) {
    let Site { ada, runner, task, attempt, .. } = Site::at_work(&pool).await;
    let model = Some("opus".to_owned());
    let kinds = [
        SessionEventKind::Started { backend: Backend::ClaudeCode, version: None, model: model.clone(), session: None },
        SessionEventKind::Message { text: "I look.".into() },
        SessionEventKind::Usage { model, input: 1234, cached: 0, cache_written: 0, output: 5, cost: None, is_part: false },
    ];
    let events = (1..).zip(kinds).map(|(number, kind)| SessionEvent { number, at: Timestamp::UNIX_EPOCH, kind }).collect();
    runner.says_together(&[(attempt, Words::Session(events))]).await.pop().unwrap().unwrap();
    for more in ["", "&after=1"] {
        let page = ada.get(&format!("/tasks/{task}?view=session&attempt=1{more}")).await.text;
        assert!(page.contains("1,234 in, 5 out") && !page.contains("price unknown"), "{more}: {page}");
    }
}
