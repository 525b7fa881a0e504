//! Runners of other versions of the protocol over a real socket, in the very words that they use. What the server says to one has to be in its
//! words as well: over a message that it does not know it closes its link, each time.

use domain::{
    CheckKind, CheckSpec, NewTask, TaskId, TaskStateName,
    protocol::{OLDEST, VERSION},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::runner_link::{Site, Socket, UNBOUNDED};

/// What version 6 has words for.
const WORDS: [&str; 12] =
    ["opened", "welcome", "refused", "assign", "cancel", "stored", "logged", "renewed", "stale", "not_understood", "left", "missing"];

/// A runner that has said hello, over the link that it has opened last.
struct Other {
    socket: Socket,
    /// Of a version that is still to come, which speaks this one: in all that it says there is something that this server does not know.
    says_more: bool,
}

impl Other {
    /// With what it holds, as versions 6 and 7 say it: without whatever came later. Its answer comes with it.
    async fn says_hello(site: &Site, version: u32, says_more: bool, attempts: &[&Value]) -> (Self, Value) {
        let mut other = Self { socket: site.opens().await, says_more };
        let opened = other.hears().await;
        assert_eq!(opened["version"], VERSION, "a newer runner says hello in this version");
        let hello = json!({
            "type": "hello", "version": version, "runner_id": site.runner.to_string(), "name": "box", "slots": 1,
            "capabilities": ["linux", "x86_64"], "attempts": attempts, "lost": [], "proof": site.proof(opened["nonce"].as_str().unwrap()),
            "no_sandbox": null, "backends": [{"backend": "claude-code", "version": "2.0.1"}],
        });
        let answer = other.asks(&hello).await;
        (other, answer)
    }

    async fn asks(&mut self, message: &Value) -> Value {
        if self.says_more {
            self.socket.says(r#"{"type":"gossip","of":{"version":9},"optional":true}"#).await;
        }
        let message = if self.says_more { with_more(message) } else { message.clone() };
        self.socket.says(&message.to_string()).await;
        self.hears().await
    }

    /// The next that it has words for. It leaves out what is said to be no loss.
    async fn hears(&mut self) -> Value {
        loop {
            let message: Value = serde_json::from_str(&self.socket.hears_text().await).unwrap();
            if WORDS.contains(&message["type"].as_str().unwrap()) {
                return message;
            }
            assert_eq!(message["optional"], true, "it closes its link over this: {message}");
        }
    }

    /// The one task that there is for it.
    async fn is_given(&mut self, site: &Site) -> (TaskId, Value) {
        let id = queued(site).await;
        site.app.test.dispatch().await;
        let message = self.hears().await;
        assert_eq!((&message["type"], &message["assignment"]["attempt"]["task_id"]), (&json!("assign"), &json!(id)));
        (id, message["assignment"].clone())
    }

    async fn begins(&mut self, attempt: &Value) {
        let said = json!({"what": "started", "base_commit": "0123456789abcdef", "branch": "muster/one-1"});
        let started = json!({"type": "said", "attempt": attempt, "sequence": 1, "said": said});
        assert_eq!(self.asks(&started).await, stored(attempt, 1));
    }

    /// All that comes after its beginning, and the server has stored it.
    async fn ends(&mut self, assignment: &Value) {
        let attempt = &assignment["attempt"];
        let beat = self.asks(&json!({"type": "heartbeat", "beat": 1, "attempts": [attempt]})).await;
        assert_eq!((&beat["beat"], &beat["stale"], &beat["cancel"]), (&json!(1), &json!([]), &json!([])), "{beat}");
        let log = json!({"type": "log", "attempt": attempt, "offset": 0, "stream": "stdout", "bytes": "ZG9uZQo="});
        assert_eq!(self.asks(&log).await, json!({"type": "logged", "attempt": attempt, "end": 5}));
        let verifying = json!({"type": "said", "attempt": attempt, "sequence": 2, "said": {"what": "verifying"}});
        assert_eq!(self.asks(&verifying).await, stored(attempt, 2));
        let check = json!({"spec": assignment["checks"][0], "status": "passed", "output": "ok", "command": null, "duration_ms": 12});
        let report = json!({
            "outcome": {"outcome": "completed"}, "exit_code": 0, "branch": "muster/one-1", "commit": "fedcba9876543210",
            "verification": {"checks": [check], "started_at": "2026-11-20T09:00:00Z", "duration_ms": 34},
            "artifacts": [{"kind": "diff", "name": "changes.diff", "content": "ZGlmZg=="}], "output": null, "findings": [],
        });
        let said = json!({"what": "report", "log_end": 5, "report": report});
        let reported = json!({"type": "said", "attempt": attempt, "sequence": 3, "said": said});
        assert_eq!(self.asks(&reported).await, stored(attempt, 3));
    }
}

fn stored(attempt: &Value, sequence: u64) -> Value {
    json!({"type": "stored", "attempt": attempt, "sequence": sequence})
}

/// The same, with more of everything but of a check, which is the task's own.
fn with_more(words: &Value) -> Value {
    match words {
        Value::Object(fields) => {
            let known = fields.iter().map(|(name, value)| (name.clone(), if name == "spec" { value.clone() } else { with_more(value) }));
            known.chain([("more".to_owned(), json!({"of": ["version 9"]}))]).collect()
        }
        Value::Array(all) => all.iter().map(with_more).collect(),
        other => other.clone(),
    }
}

/// A task with one check, for whoever is of its workspace.
async fn queued(site: &Site) -> TaskId {
    let checks = vec![CheckSpec::new(CheckKind::CommandSucceeds, Some("make test".into()))];
    let new = NewTask { checks, ..NewTask::command("one", "https://example.org/app.git", "make it so") };
    site.app.test.create(&site.ada, new).await.summary.id
}

async fn state(site: &Site, id: TaskId) -> TaskStateName {
    site.app.test.engine.task_state(&site.ada, id).await.unwrap()
}

/// What version 6 needs is there, and nothing is where it refuses what it does not know.
fn is_readable_by_6(assignment: &Value) {
    for needed in ["title", "work", "repository", "files", "success_criteria", "checks", "timeout_seconds", "tier", "failed_checks"] {
        assert!(!assignment[needed].is_null(), "it needs {needed}: {assignment}");
    }
    let agent = ["backend", "model", "max_turns", "max_cost_cents", "max_verification_retries"];
    let check = ["kind", "target", "required", "timeout_seconds"];
    for (part, known) in [(&assignment["agent"], &agent[..]), (&assignment["checks"][0], &check[..])] {
        let strange: Vec<_> = part.as_object().unwrap().keys().filter(|name| !known.contains(&name.as_str())).collect();
        assert!(strange.is_empty(), "it refuses {strange:?}: {assignment}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_of_the_oldest_version_brings_what_it_has_to_an_end_over_its_socket_and_is_given_the_next(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let (mut newer, _) = Other::says_hello(&site, VERSION, false, &[]).await;
    let (id, assignment) = newer.is_given(&site).await;
    newer.begins(&assignment["attempt"]).await;
    drop(newer);

    let (mut oldest, welcome) = Other::says_hello(&site, OLDEST, false, &[&assignment["attempt"]]).await;
    assert_eq!((&welcome["type"], &welcome["heard"][0]["sequence"], &welcome["stale"]), (&json!("welcome"), &json!(1), &json!([])));
    oldest.ends(&assignment).await;
    assert_eq!(state(&site, id).await, TaskStateName::Succeeded);
    let (next, assignment) = oldest.is_given(&site).await;
    is_readable_by_6(&assignment);
    oldest.begins(&assignment["attempt"]).await;
    oldest.ends(&assignment).await;
    assert_eq!(state(&site, next).await, TaskStateName::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_version_that_is_heard_does_all_of_its_work_and_so_does_one_that_says_more(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    for (version, says_more) in (OLDEST..=VERSION).map(|version| (version, false)).chain([(VERSION, true)]) {
        let (mut other, welcome) = Other::says_hello(&site, version, says_more, &[]).await;
        assert_eq!(welcome["type"], "welcome", "version {version}: {welcome}");
        let (id, assignment) = other.is_given(&site).await;
        is_readable_by_6(&assignment);
        other.begins(&assignment["attempt"]).await;
        other.ends(&assignment).await;
        assert_eq!(state(&site, id).await, TaskStateName::Succeeded, "version {version}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_is_older_than_the_oldest_is_told_over_its_socket_what_to_update(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let (older, refused) = Other::says_hello(&site, OLDEST - 1, false, &[]).await;
    assert_eq!((&refused["type"], &refused["why"]), (&json!("refused"), &json!("unfit")), "{refused}");
    let message = refused["message"].as_str().unwrap();
    let version = OLDEST - 1;
    let expected = format!(
        "runner box speaks version {version} of the protocol, this server {OLDEST} to {VERSION}; update whichever of the two is older"
    );
    assert!(message.contains(&expected), "{message}");
    assert_eq!(older.socket.closes_with().await, Some(1000));
}
