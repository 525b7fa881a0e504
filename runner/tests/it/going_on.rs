//! What is kept of an attempt that was interrupted, and the next one, which goes on from there. The agents are played, and keep what was said in a
//! session where the real ones do.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    AgentTerms, AttemptId, AttemptKey, Backend, CheckKind, FailureCode, SessionEventKind as Event, TaskId,
    protocol::{Assignment, AttemptReport, Refusal, Said, ToRunner, ToServer, VERSION, WorkOutcome},
};
use runner::{AgentConfig, Link, NotLinked, RunnerConfig, RunnerError};
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    agents::{Agent, failure, prompt, session},
    harness::{Repository, Server, State, checks, config, short, until, until_away},
};

/// Does half of the work and is interrupted in this way, and does the rest when it is to go on.
fn interrupted(how: &str) -> String {
    format!(
        r#"session=$(printf '%s' "$arguments" | sed -E 's/.*--(session-id|resume) ([^ ]*).*/\2/')
memory="$CLAUDE_CONFIG_DIR/projects/$(pwd -P | sed 's/[^A-Za-z0-9]/-/g')/$session.jsonl"
case $arguments in
  *--resume*)
    grep -q "first words" "$memory" || exit 7
    case $prompt in *"was interrupted"*"as you left it"*) ;; *) exit 8 ;; esac
    [ "$(cat half.txt)" = half ] && [ ! -e README.md ] || exit 9
    echo made > made.txt ;;
  *)
    case $prompt in
      *"nobody has committed it"*) [ "$(cat half.txt)" = half ] && echo made > made.txt || exit 9 ;;
      *)
        mkdir -p "${{memory%/*}}"; echo "first words" > "$memory"
        echo half > half.txt; rm README.md
        {how} ;;
    esac ;;
esac
ends false"#
    )
}

const AT_WORK: &str = r#"say '{"type":"assistant","message":{"content":[{"type":"text","text":"I am at it."}]}}'; exec sleep 600"#;
const TOLD_TO_WAIT: &str =
    r#"say '{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"total_cost_usd":0.001}'; exit 1"#;

/// The next attempt at the task of an earlier one, which goes on from that.
fn next(assignment: &Assignment) -> Assignment {
    let earlier = assignment.attempt;
    let attempt = AttemptKey { attempt_id: AttemptId(Uuid::now_v7()), number: earlier.number + 1, ..earlier };
    Assignment { attempt, continues: Some(earlier), ..assignment.clone() }
}

async fn until_kept(server: &Server, attempt: AttemptKey) {
    let says = |message: &ToServer| matches!(message, ToServer::Keeps { attempts, .. } if attempts.contains(&attempt));
    server.until("what is kept", |heard| heard.iter().any(says)).await;
}

fn kept(state: &Path, attempt: AttemptKey) -> PathBuf {
    state.join("kept").join(attempt.attempt_id.to_string())
}

/// One life, which ends in the middle of whatever it does.
fn lives_and_dies(life: impl Future<Output = Server>) {
    let runtime = Runtime::new().unwrap();
    // its tasks must not be told to stop
    runtime.block_on(async { std::mem::forget(life.await) });
    runtime.shutdown_timeout(Duration::from_millis(100));
}

/// One life, which ends once the log of what it was given has this.
fn dies_at(life: impl Future<Output = Server>, assignment: &Assignment, text: &str) {
    lives_and_dies(async {
        let server = life.await;
        server.assign(assignment).await;
        server.until_log(assignment.attempt, text).await;
        server
    });
}

fn continues(server: &Server, assignment: &Assignment) -> Option<i32> {
    let said = server.said(assignment.attempt).into_iter();
    let mut started = said.filter_map(|said| if let Said::Started { continues, .. } = said { Some(continues) } else { None });
    let first = started.next().unwrap();
    assert_eq!(started.next(), None, "it begins once");
    first
}

/// What its session says is wrong.
fn errors(server: &Server, assignment: &Assignment) -> String {
    let events = session(server, assignment).into_iter();
    events.filter_map(|event| if let Event::Error { message } = event.kind { Some(message) } else { None }).collect()
}

/// All of it is in the result, on one commit above the one that both attempts have begun from.
fn is_whole(repository: &Repository, report: &AttemptReport) {
    let branch = report.branch.as_ref().unwrap();
    let file = |name| repository.show(branch, name);
    assert_eq!(
        [file("half.txt").as_deref(), file("made.txt").as_deref(), file("README.md").as_deref()],
        [Some("half"), Some("made"), None]
    );
    assert_eq!(repository.git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
}

/// Nothing of the earlier attempt is in it.
async fn begins_anew(server: &Server, repository: &Repository, next: &Assignment, why: &str) {
    server.carry_out(next).await;
    assert_eq!(continues(server, next), None);
    let said = errors(server, next);
    assert!(said.contains("this one begins anew") && said.contains(why), "{said}: {}", server.log(next.attempt));
    let branch = format!("muster/{}-{}", next.attempt.task_id.short(), next.attempt.number);
    assert_eq!(repository.show(&branch, "made.txt"), None);
}

#[test]
fn what_an_agent_did_when_its_runner_died_is_gone_on_from() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(AT_WORK));
    let assignment = prompt(&repository, "Tidy up");
    dies_at(agent.runs(&state), &assignment, "I am at it.");
    Runtime::new().unwrap().block_on(async {
        let server = agent.runs(&state).await;
        server.until_lost(assignment.attempt).await;
        until_kept(&server, assignment.attempt).await;
        assert_eq!(server.hellos().remove(0).keeps, [assignment.attempt], "before it is given anything");
        let next = next(&assignment);
        let report = server.carry_out(&next).await;
        assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(next.attempt));
        is_whole(&repository, &report);
        assert_eq!((continues(&server, &next), errors(&server, &next)), (Some(1), String::new()));
        let log = server.log(next.attempt);
        assert!(log.contains("Goes on from attempt 1, which was interrupted"), "{log}");
        until_away(&kept(&server.state, assignment.attempt)).await;
    });
}

#[test]
fn what_checks_have_left_is_nobodys_to_go_on_from() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted("ends false; exit 0"));
    let mut assignment = prompt(&repository, "Tidy up");
    let slow = (CheckKind::CommandSucceeds, Some("echo junk > junk.txt; exec sleep 600"));
    assignment.checks = checks(&[(CheckKind::FileExists, Some("half.txt")), slow]);
    dies_at(agent.runs(&state), &assignment, "Check 1 of 2");
    Runtime::new().unwrap().block_on(async {
        let server = agent.runs(&state).await;
        server.until_lost(assignment.attempt).await;
        assert_eq!(server.hellos().remove(0).keeps, []);
        let again = Assignment { checks: vec![], ..next(&assignment) };
        begins_anew(&server, &repository, &again, "nothing of it is kept on this runner any more").await;
    });
}

#[tokio::test]
async fn an_agent_that_was_told_to_wait_goes_on_with_limits_of_its_own() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(TOLD_TO_WAIT));
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.max_cost_cents = Some(5);
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure(&report.outcome), FailureCode::ProviderLimit);
    until_kept(&server, assignment.attempt).await;
    let next = next(&assignment);
    let report = server.carry_out(&next).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(next.attempt));
    is_whole(&repository, &report);
    let events = session(&server, &next);
    let cost = events.iter().find_map(|event| if let Event::Ended { cost_micros, .. } = event.kind { cost_micros } else { None });
    assert_eq!(cost, Some(300), "of what its session has cost, this attempt's part");
    assert_eq!(continues(&server, &next), Some(1));
}

#[tokio::test]
async fn a_program_of_another_version_begins_anew_and_says_so() {
    let (state, repository) = (State::new(), Repository::sample());
    let older = Agent::of_version("9.9.8", &interrupted(AT_WORK));
    let server = older.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    server.assign(&assignment).await;
    server.until_output(assignment.attempt, "I am at it.").await;
    // it is interrupted by a stop in order, as for an update
    server.stop().await;
    let agent = Agent::that("ends false");
    let server = agent.runs(&state).await;
    until_kept(&server, assignment.attempt).await;
    begins_anew(&server, &repository, &next(&assignment), "9.9.8, and 9.9.9 is here now").await;
}

#[tokio::test]
async fn where_the_repository_or_the_task_has_changed_it_begins_anew() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(TOLD_TO_WAIT));
    let server = agent.runs(&state).await;
    let interrupted = async |words: &str| {
        let assignment = prompt(&repository, words);
        server.carry_out(&assignment).await;
        until_kept(&server, assignment.attempt).await;
        assignment
    };
    let assignment = interrupted("Tidy up").await;
    let changed = Assignment { work: domain::Work::Prompt("Tidy up more".into()), ..next(&assignment) };
    begins_anew(&server, &repository, &changed, "asks for something else").await;
    let assignment = interrupted("Tidy up").await;
    let mut changed = next(&assignment);
    changed.agent.model = Some("sonnet".into());
    begins_anew(&server, &repository, &changed, "another model").await;
    let assignment = interrupted("Tidy up").await;
    repository.commit(&[("more.txt", "more")]);
    begins_anew(&server, &repository, &next(&assignment), "has moved").await;
    let assignment = interrupted("Tidy up").await;
    repository.git(&["branch", "--quiet", "-D", &format!("muster/{}-1", assignment.attempt.task_id.short())]);
    let next = next(&assignment);
    begins_anew(&server, &repository, &next, "is not on").await;
}

/// It would be in no result, as no index says any more that it is wanted.
#[tokio::test]
async fn what_git_ignores_and_an_agent_has_staged_all_the_same_is_not_lost_without_a_word() {
    let (state, repository) = (State::new(), Repository::sample());
    let stages = "[ ! -e run.log ] || exit 9; echo '*.log' > .gitignore; echo kept > run.log; git add --force run.log";
    let agent = Agent::that(&interrupted(&format!("{stages}; {TOLD_TO_WAIT}")));
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    server.carry_out(&assignment).await;
    until_kept(&server, assignment.attempt).await;
    let branch = |number| format!("muster/{}-{number}", assignment.attempt.task_id.short());
    assert_eq!(repository.show(&branch(1), "run.log").as_deref(), Some("kept"));
    let next = next(&assignment);
    begins_anew(&server, &repository, &next, "git ignores some of it").await;
    // in a worktree in which there is nothing of it
    assert_eq!(failure(&server.report(next.attempt).await.outcome), FailureCode::ProviderLimit);
    assert_eq!(repository.show(&branch(2), "run.log").as_deref(), Some("kept"), "what it staged itself");
}

#[tokio::test]
async fn what_is_kept_of_one_task_no_other_is_given() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(TOLD_TO_WAIT));
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    server.carry_out(&assignment).await;
    until_kept(&server, assignment.attempt).await;
    let mut other = next(&assignment);
    other.attempt.task_id = TaskId(Uuid::now_v7());
    begins_anew(&server, &repository, &other, "another task's").await;
    let next = next(&assignment);
    let report = server.carry_out(&next).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(next.attempt));
    is_whole(&repository, &report);
    let again = Assignment { attempt: AttemptKey { attempt_id: AttemptId(Uuid::now_v7()), number: 3, ..next.attempt }, ..next };
    begins_anew(&server, &repository, &again, "nothing of it is kept").await;
}

#[tokio::test]
async fn an_agent_that_does_not_go_on_in_the_session_begins_another_with_what_was_done() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(TOLD_TO_WAIT));
    let mut config = agent.config(&state);
    config.agents.environment.push(("REFUSES".into(), "1".into()));
    let server = Server::with_config(config, short()).await;
    let assignment = prompt(&repository, "Tidy up");
    server.carry_out(&assignment).await;
    until_kept(&server, assignment.attempt).await;
    let next = next(&assignment);
    let report = server.carry_out(&next).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(next.attempt));
    is_whole(&repository, &report);
    assert_eq!(continues(&server, &next), Some(1), "from its work");
    let said = errors(&server, &next);
    assert!(said.contains("another begins") && said.contains("No conversation found"), "{said}");
}

#[tokio::test]
async fn what_the_server_says_nobody_will_go_on_from_is_forgotten() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(TOLD_TO_WAIT));
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    let attempt = assignment.attempt;
    server.carry_out(&assignment).await;
    until_kept(&server, attempt).await;
    let place = kept(&server.state, attempt);
    until("its folder", || place.join("session").exists()).await;
    server.tell(ToRunner::Forget { attempts: vec![attempt], optional: true }).await;
    until_away(&place).await;
    server
        .until("that nothing is kept", |heard| {
            let last =
                heard.iter().rev().find_map(|message| if let ToServer::Keeps { attempts, .. } = message { Some(attempts) } else { None });
            last.is_some_and(Vec::is_empty)
        })
        .await;
}

#[tokio::test]
async fn a_machine_that_its_server_does_not_know_any_more_keeps_nothing() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(TOLD_TO_WAIT));
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    server.carry_out(&assignment).await;
    until_kept(&server, assignment.attempt).await;
    let place = kept(&server.state, assignment.attempt);
    server.stop().await;
    assert!(place.join("session").exists(), "a stop is not the end of it");
    let (to_server, mut from_runner) = mpsc::channel(1);
    let (to_runner, from_server) = mpsc::channel(1);
    let mut link = Some(Link { to_server, from_server });
    let dial = || std::future::ready(link.take().ok_or(NotLinked("once is enough".into())));
    let life = runner::run_with(agent.config(&state), short(), dial, CancellationToken::new());
    let refuses = async {
        to_runner.send(ToRunner::Opened { nonce: String::new(), version: VERSION }).await.unwrap();
        from_runner.recv().await;
        to_runner.send(ToRunner::Refused { why: Refusal::Unknown, message: "it was removed".into() }).await.unwrap();
    };
    let (ended, ()) = tokio::join!(life, refuses);
    assert!(matches!(ended, Err(RunnerError::Unknown(_))), "{ended:?}");
    assert!(!place.exists());
}

#[tokio::test]
async fn of_what_was_cancelled_or_has_failed_nothing_is_kept() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that(&interrupted(&format!("case $prompt in *fail*) exit 1 ;; esac; {AT_WORK}")));
    let server = agent.runs(&state).await;
    let failed = prompt(&repository, "fail");
    assert_eq!(failure(&server.carry_out(&failed).await.outcome), FailureCode::CommandFailed);
    let cancelled = prompt(&repository, "Tidy up");
    server.assign(&cancelled).await;
    server.until_output(cancelled.attempt, "I am at it.").await;
    server.cancel(cancelled.attempt).await;
    assert_eq!(server.report(cancelled.attempt).await.outcome, WorkOutcome::Cancelled);
    assert_eq!(fs::read_dir(server.state.join("kept")).unwrap().count(), 0);
}

/// Codex by its simple mode: it says itself what it calls its thread, once it has begun.
#[test]
fn a_thread_of_codex_is_gone_on_in_when_its_runner_died() {
    // it is given work in a sandbox alone
    if std::env::var_os("MUSTER_TEST_SANDBOX").is_none() {
        return;
    }
    let (state, repository, folder) = (State::new(), Repository::sample(), tempfile::tempdir().unwrap());
    let program = folder.path().join("codex");
    let script = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "codex-cli 0.169.0"; exit; fi
prompt=$(cat)
thread=0197c0de-0000-7000-8000-000000000001
rollout="$CODEX_HOME/sessions/2026/11/28/rollout-2026-11-28T05-00-00-$thread.jsonl"
begun='{"type":"thread.started","thread_id":"'$thread'"}'
case "$*" in
  *" resume $thread "*)
    grep -q "first words" "$rollout" && [ "$(cat half.txt)" = half ] || exit 7
    case $prompt in *"was interrupted"*) ;; *) exit 8 ;; esac
    echo made > made.txt; echo "$begun" ;;
  *)
    mkdir -p "${rollout%/*}"; echo "first words" > "$rollout"
    echo half > half.txt; rm README.md; echo "$begun"
    echo '{"type":"item.completed","item":{"id":"1","type":"agent_message","text":"I am at it."}}'
    exec sleep 600 ;;
esac
echo '{"type":"turn.completed","usage":{"input_tokens":5,"cached_input_tokens":0,"output_tokens":1}}'
"#;
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let agents = || AgentConfig { codex: Some(program.clone()), codex_is_simple: true, ..AgentConfig::default() };
    let runs = async || Server::with_config(RunnerConfig { agents: agents(), ..config(state.path()) }, short()).await;
    let agent = AgentTerms { backend: Some(Backend::Codex), ..AgentTerms::default() };
    let assignment = Assignment { agent, ..prompt(&repository, "Tidy up") };
    dies_at(runs(), &assignment, "I am at it.");
    Runtime::new().unwrap().block_on(async {
        let server = runs().await;
        server.until_lost(assignment.attempt).await;
        until_kept(&server, assignment.attempt).await;
        let next = next(&assignment);
        let report = server.carry_out(&next).await;
        assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(next.attempt));
        is_whole(&repository, &report);
    });
}
