//! What a runner has to say when it dies, and what the next life says of it. A runner dies here when all its tasks are dropped where they stand.

use std::{
    fs,
    future::ready,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    AttemptKey, FailureCode, LogStream, RunnerId, Work,
    protocol::{Assignment, Said, ToRunner, ToServer, VERSION},
};
use runner::{Link, NotLinked, RunnerError};
use tokio::{runtime::Runtime, sync::mpsc};
use uuid::Uuid;

use crate::harness::{Repository, Server, State, config, failure_code, outcome, said_about, until_away, without_a_sandbox};

/// One life, which ends in the middle of whatever it does; what it started runs on.
fn lives_and_dies(life: impl Future<Output = Server>) {
    let runtime = Runtime::new().unwrap();
    // its tasks must not be told to stop
    runtime.block_on(async { std::mem::forget(life.await) });
    runtime.shutdown_timeout(Duration::from_millis(100));
}

fn next_life(life: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(life);
}

/// Work that says that it has begun, and comes to its end when it is told to.
fn begins(repository: &Repository, state: &State) -> (Assignment, PathBuf) {
    let go = state.path().with_extension("go");
    let command = format!("echo begun; until test -e {}; do sleep 0.01; done; echo ended; echo made > made.txt", go.display());
    (without_a_sandbox(repository.command(&command)), go)
}

/// A life that dies with a last word that nobody has heard.
fn dies_unheard(state: &State, repository: &Repository) -> AttemptKey {
    let (assignment, go) = begins(repository, state);
    lives_and_dies(async {
        let server = Server::with(state).await;
        server.assign(&assignment).await;
        server.until_output(assignment.attempt, "begun").await;
        server.go_deaf();
        fs::write(&go, "").unwrap();
        server.until_a_report_is_unheard().await;
        server
    });
    assignment.attempt
}

/// Where the journal has it.
fn entry_of(state: &State, attempt: AttemptKey) -> PathBuf {
    state.path().join("journal").join(format!("{}.json", attempt.attempt_id))
}

/// Nothing is left of what was said about it, nor of the attempt itself.
async fn is_forgotten(server: &Server, attempt: AttemptKey) {
    server.until_the_journal_is_empty().await;
    until_away(&said_about(&server.state, attempt)).await;
}

/// The next life says all of it, once, to a server that has heard nothing of it.
async fn is_told_whole(state: &State, repository: &Repository, attempt: AttemptKey) {
    let server = Server::with(state).await;
    assert_eq!((server.held(), server.lost()), (vec![attempt], vec![]), "it is held, and not lost");
    let report = server.report(attempt).await;
    assert_eq!(outcome(&report), "completed");
    assert_eq!(repository.show(&report.branch.unwrap(), "made.txt").as_deref(), Some("made"));
    assert_eq!(server.output(attempt, LogStream::Stdout), "begun\nended\n");
    assert!(
        matches!(server.said(attempt)[..], [Said::Started { .. }, Said::Verifying, Said::Report { .. }]),
        "{:#?}",
        server.said(attempt)
    );
    is_forgotten(&server, attempt).await;
    server.stop().await;
    let third = Server::with(state).await;
    assert_eq!((third.held(), third.lost()), (vec![], vec![]), "it is told once");
    assert_eq!(outcome(&third.carry_out(&repository.command("true")).await), "completed");
}

#[test]
fn a_last_word_that_nobody_has_heard_is_said_by_the_next_life() {
    let (state, repository) = (State::new(), Repository::sample());
    let attempt = dies_unheard(&state, &repository);
    next_life(is_told_whole(&state, &repository, attempt));
}

#[test]
fn a_last_word_that_was_never_sent_is_said_by_the_next_life() {
    let (state, repository) = (State::new(), Repository::sample());
    let (assignment, go) = begins(&repository, &state);
    lives_and_dies(async {
        let server = Server::with(&state).await;
        server.assign(&assignment).await;
        server.until_output(assignment.attempt, "begun").await;
        server.go_away();
        fs::write(&go, "").unwrap();
        server.until_written(assignment.attempt, r#""what":"report""#).await;
        server
    });
    next_life(is_told_whole(&state, &repository, assignment.attempt));
}

#[test]
fn a_last_word_about_what_is_anothers_by_now_is_not_said() {
    let (state, repository) = (State::new(), Repository::sample());
    let attempt = dies_unheard(&state, &repository);
    next_life(async {
        let server = Server::that_took_back(&state, attempt).await;
        assert_eq!(server.held(), [attempt]);
        is_forgotten(&server, attempt).await;
        assert!(server.said(attempt).is_empty() && server.log(attempt).is_empty());
        let other = server.carry_out(&repository.command("true")).await;
        assert_eq!(outcome(&other), "completed", "the runner goes on");
    });
}

#[test]
fn what_was_said_in_the_middle_of_the_work_comes_before_it_is_given_up() {
    let (state, repository) = (State::new(), Repository::sample());
    let go = state.path().with_extension("go");
    let command = format!("echo begun; until test -e {}; do sleep 0.01; done; echo un\"heard\"; exec sleep 600", go.display());
    let assignment = without_a_sandbox(repository.command(&command));
    let attempt = assignment.attempt;
    lives_and_dies(async {
        let server = Server::with(&state).await;
        server.assign(&assignment).await;
        server.until_output(attempt, "begun").await;
        server.go_deaf();
        fs::write(&go, "").unwrap();
        server.until_written(attempt, "unheard").await;
        server
    });
    next_life(async {
        let server = Server::with(&state).await;
        server.until_lost(attempt).await;
        assert_eq!(server.output(attempt, LogStream::Stdout), "begun\nunheard\n");
        let about = |message: &&ToServer| matches!(message, ToServer::Said { .. } | ToServer::Log { .. });
        let heard = server.heard();
        assert!(matches!(heard.iter().rfind(about), Some(ToServer::Said { said: Said::GivenUp { .. }, .. })), "after everything else");
        is_forgotten(&server, attempt).await;
    });
}

#[test]
fn what_was_answered_and_not_forgotten_has_no_effect() {
    let (state, repository) = (State::new(), Repository::sample());
    let (assignment, go) = begins(&repository, &state);
    let kept = tempfile::tempdir().unwrap();
    let folders = ["journal", "outbox"];
    lives_and_dies(async {
        let server = Server::with(&state).await;
        server.assign(&assignment).await;
        server.until_output(assignment.attempt, "begun").await;
        server.fall_silent();
        fs::write(&go, "").unwrap();
        server.report(assignment.attempt).await;
        // as a runner leaves them that dies between the answer and what it does about it
        folders.iter().for_each(|name| copy(&server.state.join(name), &kept.path().join(name)));
        server.speak_again();
        server.cut();
        server.until_the_journal_is_empty().await;
        server
    });
    folders.iter().for_each(|name| copy(&kept.path().join(name), &state.path().join(name)));
    next_life(async {
        // as a server has it for which the attempt has ended
        let server = Server::that_took_back(&state, assignment.attempt).await;
        assert_eq!(server.held(), [assignment.attempt]);
        is_forgotten(&server, assignment.attempt).await;
        assert!(server.said(assignment.attempt).is_empty());
    });
}

#[test]
fn what_the_journal_has_forgotten_is_said_by_nobody() {
    let (state, repository) = (State::new(), Repository::sample());
    let attempt = dies_unheard(&state, &repository);
    fs::remove_file(entry_of(&state, attempt)).unwrap();
    next_life(async {
        let server = Server::with(&state).await;
        assert_eq!((server.held(), server.lost()), (vec![], vec![]));
        assert!(!said_about(&server.state, attempt).exists());
    });
}

#[test]
fn what_a_journal_that_cannot_be_read_may_know_of_stays() {
    let (state, repository) = (State::new(), Repository::sample());
    let attempt = dies_unheard(&state, &repository);
    fs::write(entry_of(&state, attempt), "{").unwrap();
    // the first of them sets the entry aside
    for _ in 0..2 {
        next_life(async {
            let server = Server::with(&state).await;
            assert_eq!((server.held(), server.lost()), (vec![], vec![]));
            assert!(said_about(&server.state, attempt).exists());
            server.stop().await;
        });
    }
}

#[test]
fn what_cannot_be_read_is_neither_held_nor_lost_and_stays() {
    let (state, repository) = (State::new(), Repository::sample());
    let attempt = dies_unheard(&state, &repository);
    let said = said_about(&state.path(), attempt);
    fs::remove_file(&said).unwrap();
    fs::create_dir(&said).unwrap();
    next_life(async {
        let server = Server::with(&state).await;
        assert_eq!((server.held(), server.lost()), (vec![], vec![]));
        assert!(said.exists() && server.journal() == 1, "for a life that can read it");
        assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed", "the runner goes on");
    });
}

#[test]
fn a_refusal_that_nobody_has_heard_is_said_by_the_next_life() {
    let (state, repository) = (State::new(), Repository::sample());
    // this runner has no agent
    let assignment = Assignment { work: Work::Prompt("Tidy up".into()), ..repository.command("") };
    let attempt = assignment.attempt;
    lives_and_dies(async {
        let server = Server::with(&state).await;
        server.go_deaf();
        server.assign(&assignment).await;
        server.until_a_report_is_unheard().await;
        server
    });
    next_life(async {
        let server = Server::with(&state).await;
        assert_eq!((server.held(), server.lost()), (vec![attempt], vec![]));
        assert_eq!(failure_code(&server.report(attempt).await), Some(FailureCode::BackendMissing));
        is_forgotten(&server, attempt).await;
    });
}

/// A machine leaves for good, over a link on which it hears what `answers` says.
async fn leaves(
    state: &State,
    patience: Duration,
    answers: impl Fn(&ToServer) -> Option<ToRunner>,
) -> (Result<(), RunnerError>, Vec<ToServer>) {
    let (to_server, mut from_runner) = mpsc::channel(64);
    let (to_runner, from_server) = mpsc::channel(64);
    let mut link = Some(Link { to_server, from_server });
    let dial = move || ready(link.take().ok_or_else(|| NotLinked("once is enough".into())));
    let server = async move {
        to_runner.send(ToRunner::Opened { nonce: String::new(), version: VERSION }).await.unwrap();
        let mut heard = vec![];
        while let Some(message) = from_runner.recv().await {
            if let Some(answer) = answers(&message) {
                // it may have gone meanwhile
                let _ = to_runner.send(answer).await;
            }
            heard.push(message);
        }
        heard
    };
    tokio::join!(runner::leave(config(state.path()), dial, patience), server)
}

#[test]
fn a_machine_that_leaves_is_given_nothing_and_does_not_wait_for_answers_for_ever() {
    let (state, repository) = (State::new(), Repository::sample());
    let attempt = dies_unheard(&state, &repository);
    next_life(async {
        let answers = |message: &ToServer| match message {
            ToServer::Hello(_) => Some(ToRunner::Welcome {
                runner_id: RunnerId(Uuid::now_v7()),
                heartbeat_seconds: 1,
                lease_seconds: 120,
                heard: vec![],
                stale: vec![],
                cancel: vec![],
                tell: vec![],
            }),
            ToServer::Leave => Some(ToRunner::Left),
            _ => None,
        };
        let (left, heard) = leaves(&state, Duration::from_secs(6), answers).await;
        left.unwrap();
        let Some(ToServer::Hello(hello)) = heard.first() else { panic!("{heard:#?}") };
        assert_eq!((&hello.attempts[..], hello.slots), (&[attempt][..], 1), "what it has left takes all its slots");
        assert!(heard.iter().any(|message| matches!(message, ToServer::Said { said: Said::Report { .. }, .. })), "{heard:#?}");
        assert!(matches!(heard.last(), Some(ToServer::Leave)), "{heard:#?}");
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
