//! Leases, answers, and a server that says something else or nothing.

use domain::protocol::{ToRunner, ToServer};
use tempfile::NamedTempFile;

use crate::harness::{Repository, Server, State, Terms, config, is_alive, outcome, pids, short};

#[tokio::test]
async fn a_report_waits_until_the_log_is_stored() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    server.hold_logs();
    let attempt = server.assign(&repository.command("echo working")).await;
    server.until_muster_says(attempt, "exit status 0").await;
    let beats = |heard: &[ToServer]| heard.iter().filter(|message| matches!(message, ToServer::Heartbeat { .. })).count();
    let so_far = beats(&server.heard());
    server.until("two more heartbeats", |heard| beats(heard) >= so_far + 2).await;
    assert!(!server.has_report(attempt));
    assert_eq!(server.journal(), 1, "the journal keeps what is not reported");
    server.release_logs().await;
    assert_eq!(outcome(&server.report(attempt).await), "completed");
    server.until_the_journal_is_empty().await;
}

#[tokio::test]
async fn an_attempt_that_is_taken_back_ends_in_silence_with_its_work_saved() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let file = NamedTempFile::new().unwrap();
    let command = format!("echo half > half.txt; echo $$ > {}; echo ready; exec sleep 600", file.path().display());
    let attempt = server.assign(&repository.command(&command)).await;
    server.until_output(attempt, "ready").await;
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
    let file = NamedTempFile::new().unwrap();
    let attempt = server.assign(&repository.command(&format!("echo $$ > {}; echo ready; exec sleep 600", file.path().display()))).await;
    server.until_output(attempt, "ready").await;
    server.fall_silent();
    server
        .until(
            "a heartbeat without the attempt",
            |heard| matches!(heard.last(), Some(ToServer::Heartbeat { attempts }) if attempts.is_empty()),
        )
        .await;
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    assert!(!server.has_report(attempt));
    assert_eq!(server.journal(), 1, "the next life says that it is lost");
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
    let started = |message: &&ToServer| matches!(message, ToServer::Started { attempt, .. } if *attempt == assignment.attempt);
    assert_eq!(server.heard().iter().filter(started).count(), 1);
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
    let named = |message: &ToServer| matches!(message, ToServer::Heartbeat { attempts } if attempts.contains(&attempt));
    server.until("a heartbeat with it", |heard| heard.iter().any(named)).await;
    let let_go = |heard: &[ToServer]| matches!(heard.last(), Some(beat @ ToServer::Heartbeat { .. }) if !named(beat));
    server.until("a heartbeat without it", let_go).await;
    let begun = |message: &ToServer| matches!(message, ToServer::Started { attempt: started, .. } if *started == attempt);
    assert!(!server.heard().iter().any(begun));
}
