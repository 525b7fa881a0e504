//! Runners of earlier versions of the protocol, in the very words that they use: they bring what they have to an end, and are given what they have
//! words for.

use domain::{
    Actor, AgentTerms, Ask, AttemptKey, Backend, NewTask, SessionEventKind, TaskId,
    protocol::{Assignment, Heard, OLDEST, Refusal, ToRunner, ToServer, VERSION},
    session::TellAgent,
};
use engine::{Error, testing::TestEngine};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    link::{FAR_AWAY, Link},
    scenario::checked,
};

fn said_by(words: Value) -> ToServer {
    serde_json::from_value(words).unwrap()
}

fn in_words(attempt: AttemptKey) -> Value {
    json!({"task_id": attempt.task_id.to_string(), "attempt_id": attempt.attempt_id.to_string(), "number": attempt.number})
}

/// As versions 6 and 7 say it.
fn hello(version: u32, attempts: &[AttemptKey]) -> ToServer {
    let attempts: Vec<_> = attempts.iter().map(|attempt| in_words(*attempt)).collect();
    said_by(json!({
        "type": "hello", "version": version, "runner_id": uuid::Uuid::from_u128(FAR_AWAY).to_string(), "name": "r1", "slots": 1,
        "capabilities": ["claude-code", "linux", "x86_64"], "attempts": attempts, "lost": [], "proof": "", "no_sandbox": null,
        "backends": [{"backend": "claude-code", "version": "2.0.1"}],
    }))
}

fn started(attempt: AttemptKey) -> ToServer {
    let said = json!({"what": "started", "base_commit": "0123456789abcdef", "branch": "muster/one-1"});
    said_by(json!({"type": "said", "attempt": in_words(attempt), "sequence": 1, "said": said}))
}

fn rest_of_a_life(assignment: &Assignment) -> [ToServer; 3] {
    let attempt = in_words(assignment.attempt);
    let check = json!({"spec": assignment.checks[0], "status": "passed", "output": "ok", "command": null, "duration_ms": 12});
    let verification = json!({"checks": [check], "started_at": "2026-11-20T09:00:00Z", "duration_ms": 34});
    let report = json!({
        "outcome": {"outcome": "completed"}, "exit_code": 0, "branch": "muster/one-1", "commit": "fedcba9876543210",
        "verification": verification, "artifacts": [{"kind": "diff", "name": "changes.diff", "content": "ZGlmZg=="}], "output": null,
    });
    [
        json!({"type": "log", "attempt": attempt, "offset": 0, "stream": "stdout", "bytes": "ZG9uZQo="}),
        json!({"type": "said", "attempt": attempt, "sequence": 2, "said": {"what": "verifying"}}),
        json!({"type": "said", "attempt": attempt, "sequence": 3, "said": {"what": "report", "log_end": 5, "report": report}}),
    ]
    .map(said_by)
}

async fn state(pool: &PgPool, id: TaskId) -> String {
    sqlx::query_scalar("select state from task where id = $1").bind(id.0).fetch_one(pool).await.unwrap()
}

/// A link over which a runner of this version is welcome with what it holds.
async fn welcome(test: &TestEngine, version: u32, attempts: &[AttemptKey]) -> (Link, ToRunner) {
    let mut link = Link::opened(test).await;
    let welcome = link.asks(hello(version, attempts)).await;
    (link, welcome)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_of_version_6_brings_what_it_has_to_an_end_and_is_given_the_next(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    link.asks(started(attempt)).await;
    link.breaks().await;
    let next = test.create(&ada, checked("next")).await.summary.id;

    let (mut link, told) = welcome(&test, 6, &[attempt]).await;
    match told {
        ToRunner::Welcome { heard, stale, .. } => {
            assert_eq!((heard, stale), (vec![Heard { attempt, sequence: 1, log: 0 }], vec![]));
        }
        other => panic!("{other:?}"),
    }
    let beat = said_by(json!({"type": "heartbeat", "beat": 1, "attempts": [in_words(attempt)]}));
    assert!(matches!(link.asks(beat).await, ToRunner::Renewed { beat: 1, .. }));
    let [log, verifying, report] = rest_of_a_life(&assignment);
    assert_eq!(link.asks(log).await, ToRunner::Logged { attempt, end: 5 });
    assert_eq!(link.asks(verifying).await, ToRunner::Stored { attempt, sequence: 2 });
    assert_eq!(link.asks(report).await, ToRunner::Stored { attempt, sequence: 3 });
    assert_eq!(state(&pool, id).await, "succeeded");

    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, next);
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn prompts_that_say_something_of_their_agent_wait_for_a_newer_runner_than_6(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, _) = welcome(&test, 6, &[]).await;
    let prompt = |agent: AgentTerms| NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked("prompted") };
    let asks = AgentTerms { ask: Some(Ask::Commands), ..AgentTerms::default() };
    let counts = AgentTerms { max_turns: Some(9), ..AgentTerms::default() };
    let named = AgentTerms { backend: Some(Backend::ClaudeCode), ask: Some(Ask::Commands), ..AgentTerms::default() };
    let mut waiting = vec![];
    for agent in [asks, counts, named] {
        waiting.push(test.create(&ada, prompt(agent)).await.summary.id);
    }
    test.dispatch().await;
    for id in &waiting {
        assert_eq!(state(&pool, *id).await, "queued", "it would close its link over it");
    }
    assert!(link.told.try_recv().is_err());
    let nobody = AgentTerms { ask: Some(Ask::Nothing), ..AgentTerms::default() };
    let plain = test.create(&ada, prompt(nobody)).await.summary.id;
    test.dispatch().await;
    let given = link.is_assigned().await;
    assert_eq!((given.attempt.task_id, given.agent), (plain, AgentTerms::default()), "it has no word for whom to ask");
    test.engine.cancel_task(&ada, plain).await.unwrap();
    link.breaks().await;

    let (mut link, _) = welcome(&test, VERSION, &[]).await;
    test.dispatch().await;
    assert!(waiting.contains(&link.is_assigned().await.attempt.task_id), "once it is updated");
    link.breaks().await;
}

/// It says nothing of which runners it is for, and of the agents of this one nobody would be asked.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_prompt_of_before_there_were_words_for_what_it_needs_is_not_begun_by_version_6_without_asking(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, _) = welcome(&test, 6, &[]).await;
    let prompt = |agent: AgentTerms| NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked("prompted") };
    let before = test.create(&ada, prompt(AgentTerms::default())).await.summary.id;
    let asks = AgentTerms { ask: Some(Ask::Commands), ..AgentTerms::default() };
    let id = test.create(&ada, prompt(asks)).await.summary.id;
    // as if it were one like the other, in whose line it stands then
    let like_the_other = "update task set capabilities = other.capabilities from task other where task.id = $1 and other.id = $2";
    sqlx::query(like_the_other).bind(id.0).bind(before.0).execute(&pool).await.unwrap();
    test.engine.cancel_task(&ada, before).await.unwrap();
    test.dispatch().await;
    assert!(link.told.try_recv().is_err());
    assert_eq!(state(&pool, id).await, "failed", "a newer runner does it once somebody retries it");
    link.breaks().await;
}

/// What is said to the agent of a task now.
async fn tell(test: &TestEngine, ada: &Actor, id: TaskId, text: &str) {
    test.engine.tell_agent(ada, id, TellAgent { text: text.into(), interrupt: false }).await.unwrap();
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_an_older_runner_cannot_hear_waits_for_a_newer(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    link.asks(started(attempt)).await;
    let kind = serde_json::to_value(SessionEventKind::Message { text: "Hm".into() }).unwrap();
    let mut event = json!({"number": 1, "at": "2026-11-28T10:00:00Z"});
    event.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    let said = json!({"what": "session", "events": [event]});
    link.asks(said_by(json!({"type": "said", "attempt": in_words(attempt), "sequence": 2, "said": said}))).await;
    link.breaks().await;

    tell(&test, &ada, id, "one").await;
    let (mut link, told) = welcome(&test, 6, &[attempt]).await;
    assert!(matches!(&told, ToRunner::Welcome { tell, .. } if tell.is_empty()), "{told:?}");
    tell(&test, &ada, id, "two").await;
    let beat = said_by(json!({"type": "heartbeat", "beat": 1, "attempts": [in_words(attempt)]}));
    let answer = link.asks(beat).await;
    assert!(matches!(&answer, ToRunner::Renewed { tell, .. } if tell.is_empty()), "nothing came before it: {answer:?}");
    link.breaks().await;

    let (link, told) = welcome(&test, VERSION, &[attempt]).await;
    assert!(matches!(&told, ToRunner::Welcome { tell, .. } if tell.len() == 2), "{told:?}");
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_older_than_that_or_newer_is_told_which_to_update(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    for version in [OLDEST - 1, VERSION + 1] {
        let mut link = Link::open(&test);
        assert!(matches!(link.hears().await, ToRunner::Opened { version: VERSION, .. }), "a newer runner says hello in this version");
        let ToRunner::Refused { why, message } = link.asks(hello(version, &[])).await else { panic!("version {version} is welcome") };
        assert_eq!(why, Refusal::Unfit);
        assert!(message.contains(&format!("speaks version {version} of the protocol, this server {OLDEST} to {VERSION}")), "{message}");
        assert!(matches!(link.served.await.unwrap(), Err(Error::Invalid(_))));
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_runner_of_version_7_has_for_prompts_is_told_by_its_agents(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, _) = welcome(&test, 7, &[]).await;
    let agent = AgentTerms { max_cost_cents: Some(100), max_turns: Some(9), ..AgentTerms::default() };
    let new = NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked("counted") };
    let task = test.create(&ada, new).await;
    assert_eq!((task.capabilities.len(), task.unmet_capabilities), (2, vec![]), "it knows no such words");
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.title, "counted");
}
