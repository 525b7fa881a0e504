//! What agents say: kept as it comes, in its order, for those of the workspace alone.

use domain::{
    Actor, AgentTerms, AttemptKey, Backend, Finding, FindingKind, NewTask, SessionEvent, SessionEventKind as Event, TaskId, TaskStateName,
    Work,
    protocol::Assignment,
    session::{EVENT_MAX, EVENTS_MAX, SessionEnd},
};
use engine::{
    Error,
    testing::{TestEngine, TestRunner, Words},
};
use sqlx::PgPool;

use crate::scenario::checked;

fn prompt(title: &str) -> NewTask {
    let agent = AgentTerms {
        backend: Some(Backend::ClaudeCode),
        model: Some("opus".into()),
        max_turns: Some(30),
        max_cost_cents: Some(250),
        max_verification_retries: Some(1),
        ..AgentTerms::default()
    };
    NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked(title) }
}

fn message(number: i64, text: &str) -> SessionEvent {
    let at = "2026-11-28T10:00:00Z".parse().unwrap();
    SessionEvent { number, at, kind: Event::Message { text: text.into() } }
}

async fn says(runner: &TestRunner, attempt: AttemptKey, events: Vec<SessionEvent>) -> engine::Result<()> {
    runner.says_together(&[(attempt, Words::Session(events))]).await.pop().unwrap()
}

/// The one task there is, with a runner that has its agent.
async fn begun(test: &TestEngine, ada: &Actor) -> (TaskId, TestRunner, Assignment) {
    let id = test.create(ada, prompt("one")).await.summary.id;
    let runner = test.runner_with("able", &["claude-code"]).await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    (id, runner, assignment)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_prompt_goes_to_a_runner_with_its_agent_and_says_how(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, prompt("one")).await;
    assert_eq!(task.capabilities, ["claude-code"]);
    assert_eq!(task.unmet_capabilities, ["claude-code"]);
    assert!(test.runner("plain").await.claims(1).await.is_empty(), "it has no agent");
    let runner = test.runner_with("able", &["claude-code"]).await;
    let assignment = runner.claims_one().await;
    assert_eq!(assignment.work, Work::Prompt("Tidy up".into()));
    assert_eq!(assignment.agent, prompt("one").agent);
    assert_eq!(test.engine.get_task(&ada, task.summary.id).await.unwrap().agent, prompt("one").agent);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_prompt_for_an_agent_of_a_manifest_goes_to_a_runner_that_has_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let agent = AgentTerms { backend: Some(Backend::parse("acp:goose").unwrap()), ..AgentTerms::default() };
    let task = test.create(&ada, NewTask { agent: agent.clone(), ..prompt("one") }).await;
    assert_eq!((&task.capabilities, &task.unmet_capabilities), (&vec!["acp:goose".to_owned()], &vec!["acp:goose".to_owned()]));
    assert!(test.runner_with("other", &["claude-code", "own:goose"]).await.claims(1).await.is_empty(), "it has another of that name");
    let runner = test.runner_with("able", &["acp:goose"]).await;
    assert_eq!(runner.claims_one().await.agent, agent);
    let stored = test.engine.get_task(&ada, task.summary.id).await.unwrap();
    assert_eq!((stored.agent, stored.unmet_capabilities), (agent, vec![]));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_session_is_read_in_its_order_and_from_anywhere(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = test.create(&ada, prompt("one")).await.summary.id;
    let runner = test.runner_with("able", &["claude-code"]).await;
    assert!(test.engine.session(&ada, id, None, 0).await.unwrap().events.is_empty(), "no attempt has begun");
    let attempt = runner.claims_one().await.attempt;
    runner.starts(attempt).await.unwrap();
    for first in (1..=600).step_by(100) {
        says(&runner, attempt, (first..first + 100).map(|number| message(number, "again")).collect()).await.unwrap();
    }
    let part = test.engine.session(&ada, id, Some(1), 0).await.unwrap();
    assert_eq!((part.events.len(), part.more, part.events[0].number), (500, true, 1));
    let rest = test.engine.session(&ada, id, None, 500).await.unwrap();
    assert_eq!((rest.events.len(), rest.more, rest.events[0].number), (100, false, 501));
    assert_eq!(rest.events[0], message(501, "again"));
    let attempts = test.engine.get_task(&ada, id).await.unwrap().attempt_list;
    assert_eq!(attempts[0].session_events, 600);
    let not_there = test.engine.session(&ada, id, Some(2), 0).await;
    assert!(matches!(not_there, Err(Error::NotFound { .. })), "{not_there:?}");
    assert!(matches!(test.engine.session(&ada, id, None, -1).await, Err(Error::Invalid(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_later_part_of_a_session_says_whose_it_is(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let begins = Event::Started { backend: Backend::ClaudeCode, version: None, model: None, session: None };
    let first = message(1, "before it begins");
    let second = SessionEvent { kind: begins, ..message(2, "") };
    says(&runner, assignment.attempt, vec![first, second, message(3, "I look.")]).await.unwrap();
    let whose = async |after| test.engine.session(&ada, id, None, after).await.unwrap().backend;
    assert_eq!([whose(0).await, whose(1).await], [None, None], "the events say it themselves");
    assert_eq!([whose(2).await, whose(3).await], [Some(Backend::ClaudeCode), Some(Backend::ClaudeCode)]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_session_is_nobody_elses(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let attempt = assignment.attempt;
    says(&runner, attempt, vec![message(1, "between us")]).await.unwrap();
    let stranger = test.stranger().await;
    assert!(matches!(test.engine.session(&stranger, id, None, 0).await, Err(Error::NotFound { .. })));
    let other = test.runner_with("other", &["claude-code"]).await;
    assert!(matches!(says(&other, attempt, vec![message(2, "not mine")]).await, Err(Error::StaleLease)));
    assert_eq!(test.engine.session(&ada, id, None, 0).await.unwrap().events.len(), 1);
}

/// Before it runs and after it has ended there is no session to speak in.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn only_work_that_runs_has_something_to_say(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = test.create(&ada, prompt("one")).await.summary.id;
    let runner = test.runner_with("able", &["claude-code"]).await;
    let assignment = runner.claims_one().await;
    let attempt = assignment.attempt;
    assert!(says(&runner, attempt, vec![message(1, "too early")]).await.is_err());
    runner.starts(attempt).await.unwrap();
    let ended = Event::Ended { how: SessionEnd::Completed, turns: Some(2), cost_micros: Some(1305) };
    let last = SessionEvent { kind: ended, ..message(1, "") };
    says(&runner, attempt, vec![last.clone()]).await.unwrap();
    runner.verifies(attempt).await.unwrap();
    assert!(says(&runner, attempt, vec![message(2, "too late")]).await.is_err());
    runner.reports(attempt, engine::testing::report(&assignment, domain::CheckStatus::Passed)).await.unwrap();
    assert!(says(&runner, attempt, vec![message(2, "far too late")]).await.is_err());
    assert_eq!(test.engine.session(&ada, id, None, 0).await.unwrap().events, [last]);
    assert_eq!(test.engine.get_task(&ada, id).await.unwrap().summary.state.name(), TaskStateName::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_no_database_takes_is_kept_as_it_can_be(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let attempt = assignment.attempt;
    says(&runner, attempt, vec![message(1, "a\0b"), message(2, &"x".repeat(EVENT_MAX))]).await.unwrap();
    for bad in [message(0, "no number"), message(EVENTS_MAX, "far ahead"), message(1, "the same number again")] {
        assert!(says(&runner, attempt, vec![bad]).await.is_err());
    }
    let events = test.engine.session(&ada, id, None, 0).await.unwrap().events;
    assert_eq!(events[0], message(1, "a\u{fffd}b"));
    assert!(matches!(&events[1].kind, Event::Error { message } if message.contains("is left out")), "{events:#?}");
    let failure = domain::Failure::new(domain::FailureCode::CommandFailed, "no\0");
    let outcome = domain::protocol::WorkOutcome::Failed { failure };
    let usual = engine::testing::report(&assignment, domain::CheckStatus::Passed);
    let report = domain::protocol::AttemptReport { outcome, verification: None, ..usual };
    runner.reports(attempt, report).await.unwrap();
    let task = test.engine.get_task(&ada, id).await.unwrap();
    assert_eq!(task.attempt_list[0].failure.as_ref().map(|failure| failure.message.as_str()), Some("no\u{fffd}"));
}

/// However long its events are, nobody has to read all of them at once, and no runner fills the disk.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_session_of_long_events_comes_in_parts_and_has_an_end(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let attempt = assignment.attempt;
    let long = "x".repeat(400 * 1024);
    for first in [1, 3, 5] {
        says(&runner, attempt, vec![message(first, &long), message(first + 1, &long)]).await.unwrap();
    }
    let mut seen = vec![];
    loop {
        let part = test.engine.session(&ada, id, None, seen.last().copied().unwrap_or(0)).await.unwrap();
        assert!(part.events.len() <= 2, "half a megabyte, and what it ends in");
        seen.extend(part.events.iter().map(|event| event.number));
        if !part.more {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    let mut number = 6;
    while says(&runner, attempt, vec![message(number + 1, &long)]).await.is_ok() {
        number += 1;
        assert!(number < 100, "32 MiB are enough for anybody");
    }
    assert_eq!(number, 32 * 1024 * 1024 / (400 * 1024 + 30));
}

/// What an agent is told about its checks, and what it does then, is one attempt.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_attempt_goes_on_after_checks_that_did_not_pass(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let attempt = assignment.attempt;
    let mut failed = engine::testing::report(&assignment, domain::CheckStatus::Failed).verification.unwrap();
    failed.checks[0].output = "no\0 such file".into();
    let again = async |round| runner.says_together(&[(attempt, Words::WorksAgain(round, failed.clone()))]).await.pop().unwrap();
    assert!(again(1).await.is_err(), "nothing was checked yet");
    runner.verifies(attempt).await.unwrap();
    again(1).await.unwrap();
    let task = test.engine.get_task(&ada, id).await.unwrap();
    assert_eq!((task.summary.state.name(), task.attempt_list[0].state), (TaskStateName::Running, domain::AttemptState::Running));
    says(&runner, attempt, vec![message(1, "I see")]).await.unwrap();
    runner.verifies(attempt).await.unwrap();
    assert!(again(1).await.is_err(), "a round is told once");
    runner.reports(attempt, engine::testing::report(&assignment, domain::CheckStatus::Passed)).await.unwrap();
    let task = test.engine.get_task(&ada, id).await.unwrap();
    assert_eq!((task.summary.state.name(), task.summary.attempts), (TaskStateName::Succeeded, 1));
    let rounds = &task.attempt_list[0].earlier_rounds;
    assert_eq!(rounds.iter().map(|round| round.passed()).collect::<Vec<_>>(), [0]);
    assert_eq!(rounds[0].checks[0].output, "no\u{fffd} such file");
    let events: Vec<_> = test.engine.task_events(&ada, id).await.unwrap().into_iter().map(|event| event.kind.sentence()).collect();
    assert!(events.contains(&"Attempt 1, round 1: 0 of 1 checks passed, the agent goes on".to_owned()), "{events:#?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_speaks_against_a_result_is_kept_beside_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    runner.verifies(assignment.attempt).await.unwrap();
    let found = Finding::new(FindingKind::TestsRemoved, "2 tests are gone: a.rs (2)");
    let nonsense = [Finding::new(FindingKind::NoChange, "a\0"), Finding::new(FindingKind::NoChange, " ")];
    let many = std::iter::repeat_n(Finding::new(FindingKind::NoToolCall, "x".repeat(5000)), 50);
    let findings: Vec<_> = [found.clone()].into_iter().chain(nonsense).chain(many).collect();
    let report = domain::protocol::AttemptReport { findings, ..engine::testing::report(&assignment, domain::CheckStatus::Passed) };
    runner.reports(assignment.attempt, report).await.unwrap();
    let task = test.engine.get_task(&ada, id).await.unwrap();
    assert_eq!(task.summary.state.name(), TaskStateName::Succeeded, "they do not decide");
    let kept = &task.attempt_list[0].findings;
    assert_eq!((kept.len(), &kept[0], kept[1].detail.as_str(), kept[2].detail.len()), (20, &found, "a\u{fffd}", 1000));
}

/// Before the attempt has ended it is what was used so far; of an agent that came to no end it is not all.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_an_attempt_has_used_is_told_with_it_and_its_judges_apart(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let attempt = assignment.attempt;
    let event = |number, kind| SessionEvent { kind, ..message(number, "") };
    let used = |model: &str, input| Event::Usage {
        model: Some(model.into()),
        input,
        cached: 10,
        cache_written: 0,
        output: 5,
        cost: None,
        is_part: false,
    };
    let ended = |cost| Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(cost) };
    let judge = |kind| Event::Judge { round: 1, check: 1, event: Box::new(kind) };
    let started = Event::Started { backend: Backend::ClaudeCode, version: None, model: Some("opus".into()), session: None };
    says(&runner, attempt, vec![event(1, started.clone()), event(2, used("opus", 100))]).await.unwrap();
    says(&runner, attempt, vec![event(3, used("haiku", 50)), event(4, ended(700)), event(5, used("opus", 1)), event(6, ended(900))])
        .await
        .unwrap();
    runner.verifies(attempt).await.unwrap();
    says(&runner, attempt, vec![event(7, judge(used("sonnet", 30))), event(8, judge(ended(20)))]).await.unwrap();
    says(&runner, attempt, vec![event(9, judge(used("sonnet", 3))), event(10, judge(ended(2)))]).await.unwrap();
    runner.reports(attempt, engine::testing::report(&assignment, domain::CheckStatus::Passed)).await.unwrap();
    let usage = test.engine.get_task(&ada, id).await.unwrap().attempt_list[0].usage.clone();
    let models = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let by_agent = domain::Usage {
        models: models(&["opus", "haiku"]),
        input: 151,
        cached: 30,
        output: 15,
        cost_micros: Some(900),
        steps: 3,
        told_steps: 3,
        unpriced: models(&["opus", "haiku"]),
        ..domain::Usage::default()
    };
    let by_judges = domain::Usage {
        models: models(&["sonnet"]),
        input: 33,
        cached: 20,
        output: 10,
        cost_micros: Some(22),
        steps: 2,
        told_steps: 2,
        unpriced: models(&["sonnet"]),
        ..domain::Usage::default()
    };
    assert_eq!(usage, domain::AttemptUsage { agent: Some(by_agent), judges: Some(by_judges) });

    let id = test.create(&ada, NewTask { max_attempts: 1, ..prompt("two") }).await.summary.id;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    says(&runner, assignment.attempt, vec![event(1, started), event(2, used("opus", 100))]).await.unwrap();
    let of = async || test.engine.get_task(&ada, id).await.unwrap().attempt_list[0].usage.agent.clone().unwrap();
    assert!(!of().await.is_incomplete, "it is at work");
    let outcome = domain::protocol::WorkOutcome::TimedOut { seconds: 60 };
    let usual = engine::testing::report(&assignment, domain::CheckStatus::Passed);
    let report = domain::protocol::AttemptReport { outcome, verification: None, ..usual };
    runner.reports(assignment.attempt, report).await.unwrap();
    assert!(of().await.is_incomplete, "its agent told no end");
}

/// However its words come together.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_judge_costs_is_unknown_until_it_has_told_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (id, runner, assignment) = begun(&test, &ada).await;
    let attempt = assignment.attempt;
    runner.verifies(attempt).await.unwrap();
    let used = || Event::Usage { model: None, input: 30, cached: 0, cache_written: 0, output: 5, cost: None, is_part: false };
    let ended = |cost_micros| Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros };
    let told = [
        (Event::Prompt { text: "Judge".into(), by: None }, None),
        (used(), None),
        (used(), None),
        (ended(None), None),
        (ended(Some(20)), Some(20)),
        (used(), Some(20)),
        (ended(Some(2)), Some(22)),
    ];
    for (number, (kind, cost)) in (1..).zip(told) {
        let event = Event::Judge { round: 1, check: 1, event: Box::new(kind) };
        says(&runner, attempt, vec![SessionEvent { kind: event, ..message(number, "") }]).await.unwrap();
        let usage = test.engine.get_task(&ada, id).await.unwrap().attempt_list[0].usage.judges.clone();
        assert_eq!(usage.and_then(|usage| usage.cost_micros), cost, "after event {number}");
    }
}
