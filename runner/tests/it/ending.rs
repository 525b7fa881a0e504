//! However an attempt ends, nothing of it runs any more.

use std::time::Duration;

use domain::{CheckKind, CheckStatus, FailureCode, LogStream, protocol::Assignment};
use runner::Limits;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;

use crate::harness::{
    Repository, Server, State, check_output, checks, config, failure_code, is_alive, outcome, pids, short, statuses, without_a_sandbox,
};

/// A command that leaves processes of every kind behind, writes their numbers into `file`, and says `ready`.
fn family(file: &NamedTempFile) -> String {
    let file = file.path().display();
    let note = format!("echo $$ >> {file}");
    format!(
        "sh -c 'trap \"\" INT TERM; {note}; while :; do sleep 600; done' &
        setsid sh -c '{note}; exec sleep 600' &
        (setsid sh -c '{note}; exec sleep 600' &)
        (setsid env -i sh -c '{note}; exec sleep 600' &)
        sh -c '{note}; cd /; exec env -i sleep 600' &
        {note}
        until test $(wc -l < {file}) -eq 6; do sleep 0.01; done
        echo ready"
    )
}

fn assert_all_gone(file: &NamedTempFile) {
    let family = pids(file.path());
    assert_eq!(family.len(), 6);
    let left: Vec<_> = family.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert_eq!(left, Vec::<i32>::new(), "still alive");
}

#[tokio::test]
async fn a_timeout_ends_everything_and_keeps_the_work() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let file = NamedTempFile::new().unwrap();
    let mut assignment = without_a_sandbox(
        repository.command(&format!("trap '' INT TERM; echo half > half.txt; {}; while :; do sleep 600; done", family(&file))),
    );
    assignment.timeout_seconds = 4;
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "timed out after 4 s");
    assert_eq!(report.verification, None);
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), "ready\n");
    assert_all_gone(&file);
    assert_eq!(repository.show(&report.branch.unwrap(), "half.txt").as_deref(), Some("half"));
    assert!(!server.folder(assignment.attempt).exists());
}

#[tokio::test]
async fn a_cancel_lets_the_work_say_goodbye() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment =
        repository.command("trap 'echo goodbye; echo state > state.txt; exit 0' INT; echo ready; while :; do sleep 0.05; done");
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "ready").await;
    server.cancel(attempt).await;
    let report = server.report(attempt).await;
    assert_eq!(outcome(&report), "cancelled");
    assert_eq!(server.output(attempt, LogStream::Stdout), "ready\ngoodbye\n");
    assert_eq!(repository.show(&report.branch.unwrap(), "state.txt").as_deref(), Some("state"));
}

#[tokio::test]
async fn a_cancel_ends_everything_that_does_not_listen() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let file = NamedTempFile::new().unwrap();
    let assignment = without_a_sandbox(repository.command(&format!("trap '' INT TERM; {}; while :; do sleep 600; done", family(&file))));
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "ready").await;
    server.cancel(attempt).await;
    assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    assert_all_gone(&file);
}

#[tokio::test]
async fn what_is_left_in_the_background_is_gone_before_the_checks() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let file = NamedTempFile::new().unwrap();
    let mut assignment = without_a_sandbox(repository.command(&family(&file)));
    let alive = format!(
        "for pid in $(cat {}); do grep -qs '^State:.[^ZX]' /proc/$pid/status && echo $pid lives; done; true",
        file.path().display()
    );
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some(&alive))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    assert_eq!(statuses(&report), [CheckStatus::Passed]);
    assert_eq!(check_output(&report, 0), "");
    assert_all_gone(&file);
}

#[tokio::test]
async fn another_attempts_processes_are_left_alone() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let file = NamedTempFile::new().unwrap();
    let other = repository.command(&format!("echo $$ > {}; echo ready; exec sleep 600", file.path().display()));
    let other = server.assign(&other).await;
    server.until_output(other, "ready").await;
    let report = server.carry_out(&repository.command("setsid sleep 600 & true")).await;
    assert_eq!(outcome(&report), "completed");
    assert!(pids(file.path()).iter().all(|pid| is_alive(*pid)));
    server.cancel(other).await;
    assert_eq!(outcome(&server.report(other).await), "cancelled");
}

#[tokio::test]
async fn a_cancel_does_not_wait_for_what_is_fetched_for_another_attempt() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/a.git", listener.local_addr().unwrap());
    let elsewhere = || Assignment { repository: location.clone(), ..without_a_sandbox(repository.command("true")) };
    let first = server.assign(&elsewhere()).await;
    // it is connected, and nobody answers it
    let _silence = listener.accept().await.unwrap();
    let second = server.assign(&elsewhere()).await;
    server.cancel(second).await;
    assert_eq!(outcome(&server.report(second).await), "cancelled");
    assert!(!server.has_report(first));
    server.cancel(first).await;
    assert_eq!(outcome(&server.report(first).await), "cancelled");
}

#[tokio::test]
async fn all_that_is_fetched_for_an_attempt_has_one_time() {
    let (state, repository) = (State::new(), Repository::sample());
    let limits = Limits { begin: Duration::from_secs(1), ..short() };
    let server = Server::with_config(config(state.path()), limits).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/a.git", listener.local_addr().unwrap());
    // whoever connects is answered by nobody
    let elsewhere = || Assignment { repository: location.clone(), ..without_a_sandbox(repository.command("true")) };
    let first = server.assign(&elsewhere()).await;
    let second = server.assign(&elsewhere()).await;
    for attempt in [first, second] {
        let report = server.report(attempt).await;
        assert_eq!(failure_code(&report), Some(FailureCode::RepositoryUnreachable), "{}", outcome(&report));
        assert!(outcome(&report).contains("what is to be fetched for it took longer than"), "{}", outcome(&report));
        assert!(!server.folder(attempt).exists());
    }
}

#[tokio::test]
async fn a_cancel_before_the_work_begins_is_a_cancel() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("echo begun; sleep 600");
    let attempt = server.assign(&assignment).await;
    server.cancel(attempt).await;
    let report = server.report(attempt).await;
    assert_eq!(outcome(&report), "cancelled");
    assert_eq!(server.output(attempt, LogStream::Stdout), "");
    assert!(!server.folder(attempt).exists());
}
