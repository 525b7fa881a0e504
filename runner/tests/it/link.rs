//! Leases, answers, and a server that says something else or nothing.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use domain::{
    AttemptKey, LogStream,
    protocol::{Said, ToRunner, ToServer},
};
use runner::Limits;
use tempfile::NamedTempFile;

use crate::harness::{
    Repository, Server, State, Terms, config, is_alive, outcome, pids, short, until_gone, until_there, without_a_sandbox,
};

#[tokio::test]
async fn an_attempt_runs_on_while_its_link_is_away_and_is_told_over_the_next() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let (go_on, done) = (state.path().with_extension("go"), state.path().with_extension("done"));
    let command = format!(
        "echo begun; until test -e {}; do sleep 0.01; done; seq 1 40000; echo late > late.txt; touch {}",
        go_on.display(),
        done.display()
    );
    let attempt = server.assign(&without_a_sandbox(repository.command(&command))).await;
    server.until_output(attempt, "begun").await;
    server.go_away();
    std::fs::write(&go_on, "").unwrap();
    until_there(&done).await;
    assert!(!server.has_report(attempt));
    server.come_back();
    assert_eq!(outcome(&server.report(attempt).await), "completed");
    assert_eq!(server.output(attempt, LogStream::Stdout).lines().count(), 40_001, "nothing is missing and nothing is there twice");
    let hellos = server.hellos();
    assert_eq!(hellos.last().unwrap().attempts, [attempt], "the next hello names what is held");
    assert!(hellos.last().unwrap().lost.is_empty());
    server.until_the_journal_is_empty().await;
    assert_eq!(server.said(attempt).len(), 3, "{:#?}", server.said(attempt));
}

#[tokio::test]
async fn a_report_whose_answer_was_lost_is_answered_by_the_next_welcome() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = server.assign(&repository.command("echo begun; read line < /dev/zero")).await;
    server.until_output(attempt, "begun").await;
    server.fall_silent();
    server.cancel(attempt).await;
    server.report(attempt).await;
    assert_eq!(server.journal(), 1, "the journal keeps what is not answered");
    server.speak_again();
    server.cut();
    server.until_the_journal_is_empty().await;
    assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed", "the runner goes on");
}

#[tokio::test]
async fn a_report_that_nobody_heard_is_said_again() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = server.assign(&repository.command("echo begun; read line < /dev/zero")).await;
    server.until_output(attempt, "begun").await;
    server.go_deaf();
    server.cancel(attempt).await;
    server.until_a_report_is_unheard().await;
    server.hear_again();
    server.cut();
    assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    server.until_the_journal_is_empty().await;
    assert!(server.log(attempt).contains("Cancelled after"), "{}", server.log(attempt));
}

#[tokio::test]
async fn what_was_taken_away_while_the_link_was_away_ends_with_the_welcome() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let (attempt, file) = sleeps(&server, &repository).await;
    server.go_away();
    server.take_back(attempt);
    server.come_back();
    server.until_the_journal_is_empty().await;
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    assert!(!server.has_report(attempt));
}

#[tokio::test]
async fn a_stop_without_a_link_ends_the_work_and_the_next_life_tells_it_as_lost() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let (attempt, file) = sleeps(&server, &repository).await;
    server.go_away();
    server.stop().await;
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    Server::with(&state).await.until_lost(attempt).await;
}

#[tokio::test]
async fn an_attempt_that_is_taken_back_ends_in_silence_with_its_work_saved() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let (attempt, file) = sleeps(&server, &repository).await;
    // The next heartbeat is answered with it.
    server.take_back(attempt);
    server.until_the_journal_is_empty().await;
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    assert!(!server.folder(attempt).exists());
    assert!(!server.has_report(attempt));
    let branch = format!("muster/{}-1", attempt.task_id.short());
    assert_eq!(repository.show(&branch, "half.txt").as_deref(), Some("half"));
    let other = server.carry_out(&repository.command("true")).await;
    assert_eq!(outcome(&other), "completed", "the runner goes on");
}

#[tokio::test]
async fn a_server_that_falls_silent_for_a_lease_loses_the_attempts() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with_terms(config(state.path()), short(), Terms { lease_seconds: 2, ..Terms::default() }).await;
    let (attempt, file) = sleeps(&server, &repository).await;
    server.fall_silent();
    server.until("the attempt is given up", |heard| heard.iter().any(is_given_up)).await;
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    assert!(!server.has_report(attempt));
    assert!(server.left(attempt).contains("+half"), "{}", server.left(attempt));
    assert_eq!(server.journal(), 1, "a server that hears nothing is told by the next life");
    server.speak_again();
    server.cut();
    server.until_the_journal_is_empty().await;
}

#[tokio::test]
async fn work_that_heeds_nobody_is_gone_before_the_lease_of_a_silent_server_is_over() {
    let (state, repository) = (State::new(), Repository::sample());
    let terms = Terms { lease_seconds: 8, ..Terms::default() };
    let server = Server::with_terms(config(state.path()), asks_for_long(), terms).await;
    let (_, file) = heeds_nobody(&server, &repository).await;
    server.fall_silent();
    // what was answered was sent before
    let silent_since = Instant::now();
    until_gone(&pids(file.path())).await;
    let took = silent_since.elapsed();
    assert!(took < Duration::from_secs(8), "somebody else could have begun it: it took {took:?}");
}

#[tokio::test]
async fn what_is_being_asked_to_end_ends_at_once_when_it_is_anothers() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with_config(config(state.path()), asks_for_long()).await;
    let (attempt, file) = heeds_nobody(&server, &repository).await;
    server.cancel(attempt).await;
    server.take_back(attempt);
    server.until_the_journal_is_empty().await;
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    assert!(!server.has_report(attempt));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_talk_that_stands_still_keeps_no_runner_from_giving_up() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with_terms(config(state.path()), short(), Terms { lease_seconds: 2, ..Terms::default() }).await;
    let file = NamedTempFile::new().unwrap();
    let command = format!("echo $$ > {}; echo ready; exec sleep 600", file.path().display());
    let attempt = server.assign(&without_a_sandbox(repository.command(&command))).await;
    server.until_output(attempt, "ready").await;
    server.hold_up();
    until_gone(&pids(file.path())).await;
    server.let_go_on();
    server.until("the attempt is given up", |heard| heard.iter().any(is_given_up)).await;
}

/// The whole process stands still for longer than a lease of 2 s: the runner, its timers, and the server that the test plays.
fn stands_still() {
    let test = std::process::id();
    let stopped = Command::new("sh").args(["-c", &format!("kill -STOP {test}; sleep 4; kill -CONT {test}")]).status();
    assert!(stopped.unwrap().success());
}

/// Work that has been heard so far and says nothing more before this file is there, and the file.
async fn waits_for_a_sign(server: &Server, repository: &Repository, state: &State) -> (AttemptKey, std::path::PathBuf) {
    let go = state.path().with_extension("go");
    let command = format!("echo ready; until test -e {}; do sleep 0.01; done; seq 1 1000", go.display());
    let attempt = server.assign(&without_a_sandbox(repository.command(&command))).await;
    server.until_output(attempt, "ready").await;
    (attempt, go)
}

#[tokio::test]
async fn a_runner_that_stood_still_past_its_lease_says_nothing_of_what_is_anothers_by_now() {
    let (state, repository) = (State::new(), Repository::sample());
    let terms = Terms { lease_seconds: 2, ..Terms::default() };
    let server = Server::with_terms(config(state.path()), short(), terms).await;
    let (attempt, go) = waits_for_a_sign(&server, &repository, &state).await;
    let before = server.heard().len();
    server.take_back(attempt);
    std::fs::write(&go, "").unwrap();
    stands_still();
    server.until_the_journal_is_empty().await;
    let heard = server.heard();
    let of_none = |message: &ToServer| matches!(message, ToServer::Heartbeat { .. } | ToServer::Reading { .. });
    assert!(heard[before..].iter().all(of_none), "it said {:#?}", &heard[before..]);
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed", "the runner goes on");
}

#[tokio::test]
async fn a_runner_that_stood_still_past_its_lease_goes_on_with_what_is_its_own_still() {
    let (state, repository) = (State::new(), Repository::sample());
    let terms = Terms { lease_seconds: 2, ..Terms::default() };
    let server = Server::with_terms(config(state.path()), short(), terms).await;
    let (attempt, go) = waits_for_a_sign(&server, &repository, &state).await;
    let before = server.heard().len();
    std::fs::write(&go, "").unwrap();
    stands_still();
    assert_eq!(outcome(&server.report(attempt).await), "completed");
    let heard = server.heard();
    // how its machine is has nothing to do with that
    let first = heard[before..].iter().find(|message| !matches!(message, ToServer::Reading { .. }));
    assert!(matches!(first, Some(ToServer::Heartbeat { .. })), "it asks first");
    assert_eq!(server.output(attempt, LogStream::Stdout).lines().count(), 1001);
}

#[tokio::test]
async fn what_a_drained_runner_is_given_all_the_same_it_carries_out() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = server.assign(&repository.command("echo begun; read line < /dev/zero")).await;
    server.until_output(attempt, "begun").await;
    server.tell(ToRunner::Drain { on: true, optional: true }).await;
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed", "the server alone decides what it is given");
    server.cancel(attempt).await;
    assert_eq!(outcome(&server.report(attempt).await), "cancelled", "what it has goes on to its end");
    assert_eq!(server.hellos().len(), 1, "its link is left alone");
}

#[tokio::test]
async fn a_runner_says_what_it_does_not_have() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let (held, _file) = sleeps(&server, &repository).await;
    let ghost = repository.command("true").attempt;
    // the beat with this number was answered long ago
    let believed = vec![held, ghost];
    server.tell(ToRunner::Renewed { beat: 0, stale: vec![], cancel: vec![], tell: vec![], believed }).await;
    let lacks = |message: &ToServer| matches!(message, ToServer::Lacks { attempts, optional: true } if *attempts == [ghost]);
    server.until("what it lacks", |heard| heard.iter().any(lacks)).await;
    server.cancel(held).await;
    assert_eq!(outcome(&server.report(held).await), "cancelled", "what it has goes on");
}

#[tokio::test]
async fn an_attempt_that_is_assigned_twice_is_done_once() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("echo once");
    server.assign(&assignment).await;
    server.assign(&assignment).await;
    server.tell(ToRunner::Cancel { attempt: repository.command("").attempt }).await;
    assert_eq!(outcome(&server.report(assignment.attempt).await), "completed");
    server.carry_out(&repository.command("true")).await;
    let started = server.said(assignment.attempt).into_iter().filter(|said| matches!(said, Said::Started { .. }));
    assert_eq!(started.count(), 1);
}

#[tokio::test]
async fn the_first_heartbeat_does_not_wait_for_its_turn() {
    let (state, repository) = (State::new(), Repository::sample());
    let terms = Terms { heartbeat_seconds: 3600, lease_seconds: 7200 };
    let server = Server::with_terms(config(state.path()), short(), terms).await;
    for _ in 0..3 {
        assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed");
    }
}

#[tokio::test]
async fn no_work_begins_before_a_heartbeat_is_stored() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = repository.command("echo begun").attempt;
    server.take_back(attempt);
    server.assign(&domain::protocol::Assignment { attempt, ..repository.command("echo begun") }).await;
    let named = |message: &ToServer| matches!(message, ToServer::Heartbeat { attempts, .. } if attempts.contains(&attempt));
    server.until("a heartbeat with it", |heard| heard.iter().any(named)).await;
    let let_go = |heard: &[ToServer]| matches!(heard.last(), Some(beat @ ToServer::Heartbeat { .. }) if !named(beat));
    server.until("a heartbeat without it", let_go).await;
    assert_eq!(server.said(attempt), []);
}

#[tokio::test]
async fn what_is_not_in_the_journal_is_never_said_to_be_here() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let journal = state.path().join("journal");
    std::fs::remove_dir(&journal).unwrap();
    std::fs::write(&journal, "a file is no folder").unwrap();
    let attempt = server.assign(&repository.command("echo begun")).await;
    let is_rejected = |message: &ToServer| matches!(message, ToServer::Rejects { attempt: rejected, .. } if *rejected == attempt);
    server.until("what it does not take", |heard| heard.iter().any(is_rejected)).await;
    server.cut();
    server.until("the next hello", |heard| heard.iter().filter(|message| matches!(message, ToServer::Hello(_))).count() == 2).await;
    let names_it = |message: &ToServer| match message {
        ToServer::Hello(hello) => hello.attempts.contains(&attempt),
        ToServer::Heartbeat { attempts, .. } => attempts.contains(&attempt),
        _ => false,
    };
    assert!(!server.heard().iter().any(names_it), "{:#?}", server.heard());
}

/// Work that goes on for ever, and the file with the number of its process.
async fn sleeps(server: &Server, repository: &Repository) -> (AttemptKey, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    let command = format!("echo half > half.txt; echo $$ > {}; echo ready; exec sleep 600", file.path().display());
    let attempt = server.assign(&repository.command(&command)).await;
    server.until_output(attempt, "ready").await;
    (attempt, file)
}

/// As [`sleeps`], and it goes on whatever it is asked.
async fn heeds_nobody(server: &Server, repository: &Repository) -> (AttemptKey, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    let command = format!("trap '' INT TERM; echo $$ > {}; echo ready; while :; do sleep 1; done", file.path().display());
    let attempt = server.assign(&without_a_sandbox(repository.command(&command))).await;
    server.until_output(attempt, "ready").await;
    (attempt, file)
}

/// For longer than any test waits.
fn asks_for_long() -> Limits {
    Limits { interrupt: Duration::from_secs(3600), ..short() }
}

fn is_given_up(message: &ToServer) -> bool {
    matches!(message, ToServer::Said { said: Said::GivenUp { .. }, .. })
}
