//! Checks that are judged: who is given them, and that nothing passes because nobody has judged it.

use domain::{
    AttemptKey, Backend, CheckKind, CheckResult, CheckSpec, CheckStatus, FailureCode, JudgeTerms, NewTask, SessionEvent,
    SessionEventKind as Event, TaskStateName, VerificationReport,
    judgement::{JUDGES, Ruling},
    protocol::{Assignment, AttemptReport},
};
use engine::testing::{TestEngine, TestRunner, Words, judgement, report};
use sqlx::PgPool;

use crate::scenario::{checked, refused, state};

/// A task with a check that runs, and a review after it.
fn reviewed(title: &str) -> NewTask {
    let judge = JudgeTerms { at_least: Some(80), ..JudgeTerms::default() };
    let mut new = NewTask { max_attempts: 1, ..checked(title) };
    new.checks.push(CheckSpec { judge, ..CheckSpec::new(CheckKind::Review, None) });
    new
}

async fn able(test: &TestEngine) -> TestRunner {
    test.runner_with("able", &[JUDGES, "claude-code"]).await
}

async fn begins(runner: &TestRunner) -> Assignment {
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    assignment
}

fn with_review(assignment: &Assignment, change: impl FnOnce(&mut CheckResult)) -> AttemptReport {
    let mut report = report(assignment, CheckStatus::Passed);
    change(&mut report.verification.as_mut().unwrap().checks[1]);
    report
}

fn of_a_judge(number: i64, text: &str) -> SessionEvent {
    let event = Box::new(Event::Message { text: text.into() });
    SessionEvent { number, at: "2026-12-07T10:00:00Z".parse().unwrap(), kind: Event::Judge { round: 1, check: 2, event } }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_judged_goes_to_a_runner_that_has_judges(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, reviewed("one")).await;
    assert_eq!((task.capabilities.as_slice(), task.unmet_capabilities.as_slice()), (&[JUDGES.to_owned()][..], &[JUDGES.to_owned()][..]));
    // as an older one, which would not know what a review is
    assert!(test.runner_with("older", &["claude-code"]).await.claims(1).await.is_empty());
    let mut named = reviewed("two");
    named.checks[1].judge.backend = Some(Backend::ClaudeCode);
    test.create(&ada, named.clone()).await;
    let titles = async |runner: TestRunner| runner.claims(5).await.into_iter().map(|one| one.title).collect::<Vec<_>>();
    assert_eq!(titles(test.runner_with("another", &[JUDGES]).await).await, ["one"], "it has no Claude Code");
    assert_eq!(titles(able(&test).await).await, ["two"]);
    named.checks[1].judge.backend = Some(Backend::Codex);
    assert_eq!(refused(test.engine.create_task(&ada, named).await), ["/checks/1/judge/backend unexpected"]);
    let mut bad = reviewed("three");
    bad.checks[0].judge.at_least = Some(50);
    bad.checks.push(CheckSpec::new(CheckKind::Model, None));
    assert_eq!(refused(test.engine.create_task(&ada, bad).await), ["/checks/0/judge unexpected", "/checks/2/target required"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nothing_passes_because_nobody_has_judged_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = able(&test).await;
    let without = |status| move |check: &mut CheckResult| (check.status, check.judgement) = (status, None);
    let with = |status, ruling, confidence| {
        move |check: &mut CheckResult| {
            let mut judged = judgement(CheckStatus::Passed);
            let verdict = judged.verdict.as_mut().unwrap();
            (verdict.verdict, verdict.confidence) = (ruling, confidence);
            (check.status, check.judgement) = (status, Some(judged));
        }
    };
    type Change = Box<dyn FnOnce(&mut CheckResult)>;
    let (unjudged, unsound) = (FailureCode::ChecksFailed, FailureCode::RunnerFault);
    let cases: [(Change, FailureCode); 8] = [
        (Box::new(without(CheckStatus::Error)), unjudged),
        (Box::new(without(CheckStatus::Skipped)), unjudged),
        (Box::new(without(CheckStatus::TimedOut)), unjudged),
        (Box::new(with(CheckStatus::Failed, Ruling::Fail, 90)), unjudged),
        (Box::new(without(CheckStatus::Passed)), unsound),
        (Box::new(with(CheckStatus::Passed, Ruling::Fail, 100)), unsound),
        (Box::new(with(CheckStatus::Passed, Ruling::Pass, 79)), unsound),
        (Box::new(|check: &mut CheckResult| check.judgement.as_mut().unwrap().verdict = None), unsound),
    ];
    for (number, (change, code)) in cases.into_iter().enumerate() {
        let id = test.create(&ada, reviewed(&format!("case {number}"))).await.summary.id;
        let assignment = begins(&runner).await;
        runner.reports(assignment.attempt, with_review(&assignment, change)).await.unwrap();
        let task = test.engine.get_task(&ada, id).await.unwrap();
        assert!(matches!(state(&task), TaskStateName::Failed | TaskStateName::Partial), "case {number}: {:?}", state(&task));
        assert_eq!(task.summary.state.failure().map(|failure| failure.code), Some(code), "case {number}");
        assert_eq!(task.attempt_list[0].verification.is_some(), code == unjudged, "case {number}: what cannot be so is not shown");
    }
    let id = test.create(&ada, reviewed("judged")).await.summary.id;
    let assignment = begins(&runner).await;
    runner.reports(assignment.attempt, report(&assignment, CheckStatus::Passed)).await.unwrap();
    assert_eq!(state(&test.engine.get_task(&ada, id).await.unwrap()), TaskStateName::Succeeded);
}

/// One that need not pass is shown and does not decide.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn advice_does_not_decide_and_what_was_said_is_kept(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = able(&test).await;
    let mut new = reviewed("advised");
    new.checks[1].required = false;
    let id = test.create(&ada, new).await.summary.id;
    let assignment = begins(&runner).await;
    let fails = |check: &mut CheckResult| {
        check.status = CheckStatus::Failed;
        let mut judged = judgement(CheckStatus::Failed);
        judged.verdict.as_mut().unwrap().reasons = vec!["it breaks\0 b".into()];
        judged.input = u64::MAX;
        check.judgement = Some(judged);
    };
    let failed = with_review(&assignment, fails);
    let again = Words::WorksAgain(1, failed.verification.clone().unwrap());
    runner.says_together(&[(assignment.attempt, again)]).await.pop().unwrap().unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    runner.reports(assignment.attempt, failed).await.unwrap();
    let task = test.engine.get_task(&ada, id).await.unwrap();
    assert_eq!((state(&task), task.summary.checks_passed), (TaskStateName::Succeeded, Some(1)));
    let attempt = &task.attempt_list[0];
    for report in [&attempt.earlier_rounds[0], attempt.verification.as_ref().unwrap()] {
        let check = &report.checks[1];
        let judged = check.judgement.as_ref().unwrap();
        assert_eq!(judged.verdict.as_ref().unwrap().reasons, ["it breaks\u{fffd} b"]);
        assert_eq!((check.spec.judge.at_least, judged.judge()), (Some(80), "Claude Code 2.1.328 with opus".to_owned()));
    }
    // what is hashed is what is read again
    assert_eq!(attempt.report_hash, attempt.verification.as_ref().map(VerificationReport::hash));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_a_judge_does_is_told_while_the_work_is_looked_at(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = test.create(&ada, reviewed("one")).await.summary.id;
    let runner = able(&test).await;
    let attempt = runner.claims_one().await.attempt;
    let says = async |attempt: AttemptKey, events: Vec<SessionEvent>| {
        runner.says_together(&[(attempt, Words::Session(events))]).await.pop().unwrap()
    };
    let of_the_work = |number| SessionEvent { kind: Event::Message { text: "I work.".into() }, ..of_a_judge(number, "") };
    runner.starts(attempt).await.unwrap();
    assert!(says(attempt, vec![of_a_judge(1, "I judge before there is anything")]).await.is_err());
    says(attempt, vec![of_the_work(1)]).await.unwrap();
    runner.verifies(attempt).await.unwrap();
    assert!(says(attempt, vec![of_the_work(2)]).await.is_err());
    assert!(says(attempt, vec![of_a_judge(2, "both"), of_the_work(3)]).await.is_err());
    says(attempt, vec![of_a_judge(2, "I look."), of_a_judge(3, "Done.")]).await.unwrap();
    let events = test.engine.session(&ada, id, None, 0).await.unwrap().events;
    assert_eq!(events.iter().map(|event| event.kind.name()).collect::<Vec<_>>(), ["message", "judge", "judge"]);
    assert_eq!(events[2], of_a_judge(3, "Done."));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_nobody_was_asked_about_is_no_failure(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = able(&test).await;
    let id = test.create(&ada, NewTask { max_attempts: 2, ..reviewed("twice") }).await.summary.id;
    let assignment = begins(&runner).await;
    let mut failed = with_review(&assignment, |check| (check.status, check.judgement) = (CheckStatus::Skipped, None));
    failed.verification.as_mut().unwrap().checks[0].status = CheckStatus::Failed;
    runner.reports(assignment.attempt, failed).await.unwrap();
    let task = test.engine.get_task(&ada, id).await.unwrap();
    let failure = task.attempt_list[0].failure.clone().unwrap();
    assert_eq!(failure.message, "1 of 2 checks failed: command_succeeds make test");
    test.advance(chrono::TimeDelta::minutes(2));
    test.dispatch().await;
    let second = runner.claims_one().await;
    assert_eq!(second.failed_checks.iter().map(|check| check.spec.kind).collect::<Vec<_>>(), [CheckKind::CommandSucceeds]);
}
