//! A runner that stops or dies, and the one that comes after it.

use std::{fs, time::Duration};

use domain::{
    AttemptKey,
    protocol::{Refusal, Said, ToRunner, ToServer, VERSION},
    repository::{LFS, SEVERAL, SUBMODULES},
};
use runner::{Limits, Link, NotLinked, RunnerConfig, RunnerError};
use tempfile::NamedTempFile;
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::harness::{PATIENCE, Repository, Server, State, config, is_alive, outcome, pids, short, without_a_sandbox};

/// All tasks of a life are dropped where they stand, as when its process is killed; what it started runs on.
fn dies(life: Runtime) {
    life.shutdown_timeout(Duration::from_millis(100));
}

#[test]
fn what_a_dead_runner_left_is_ended_saved_and_told_as_lost() {
    let (state, repository) = (State::new(), Repository::sample());
    let file = NamedTempFile::new().unwrap();
    let note = format!("echo $$ >> {}", file.path().display());
    let command = format!(
        "echo half > half.txt; (setsid env -i sh -c '{note}; exec sleep 600' &); setsid sh -c '{note}; exec sleep 600' &
        {note}; until test $(wc -l < {}) -eq 3; do sleep 0.01; done; echo ready; exec sleep 600",
        file.path().display()
    );
    let assignment = repository.command(&command);
    let attempt = assignment.attempt;
    let first = Runtime::new().unwrap();
    first.block_on(async {
        let server = Server::with(&state).await;
        server.assign(&assignment).await;
        server.until_output(attempt, "ready").await;
        // Its tasks must not be told to stop.
        std::mem::forget(server);
    });
    dies(first);
    assert!(pids(file.path()).iter().all(|pid| is_alive(*pid)), "the work outlives its runner");

    Runtime::new().unwrap().block_on(async {
        let server = Server::with(&state).await;
        assert_eq!((server.held(), server.lost()), (vec![attempt], vec![]), "what it has said comes first");
        server.until_lost(attempt).await;
        assert!(server.log(attempt).contains("ready\n"), "also to a server that has heard nothing of it");
        assert_eq!(pids(file.path()).into_iter().filter(|pid| is_alive(*pid)).count(), 0);
        assert!(!server.folder(attempt).exists());
        let branch = format!("muster/{}-1", attempt.task_id.short());
        assert_eq!(repository.show(&branch, "half.txt").as_deref(), Some("half"));
        assert!(server.left(attempt).contains("+half"), "a patch of it is with the server: {}", server.left(attempt));
        server.until_the_journal_is_empty().await;
        let again = server.carry_out(&repository.command("true")).await;
        assert_eq!(outcome(&again), "completed");
    });
}

#[tokio::test]
async fn the_head_of_a_mirror_leads_to_nothing_whoever_has_made_it() {
    let (state, repository) = (State::new(), Repository::sample());
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.commit(&[(".lfsconfig", "[lfs]\n\turl = https://forge.test/theirs\n")]);
    let chosen = repository.commit(&[("more.txt", "more")]);
    repository.commit(&[("last.txt", "last")]);
    // it is at no branch, so that a clone is at a commit
    repository.git(&["checkout", "--quiet", &chosen]);
    let server = Server::with(&state).await;
    assert_eq!(outcome(&server.carry_out(&repository.command("test -e more.txt -a ! -e last.txt")).await), "completed");
    let mirror = fs::read_dir(server.state.join("mirrors")).unwrap().next().unwrap().unwrap().path();
    let head = mirror.join("HEAD");
    assert_eq!(fs::read_to_string(&head).unwrap(), "ref: refs/heads/muster-nobody\n");
    server.stop().await;

    fs::write(&head, format!("{first}\n")).unwrap();
    let server = Server::with(&state).await;
    assert_eq!(fs::read_to_string(&head).unwrap(), "ref: refs/heads/muster-nobody\n", "an earlier version has made it");
    assert_eq!(outcome(&server.carry_out(&repository.command("test -e more.txt -a ! -e last.txt")).await), "completed");
}

#[tokio::test]
async fn a_runner_says_what_it_has() {
    let state = State::new();
    let config = RunnerConfig { capabilities: vec!["gpu".into(), std::env::consts::OS.into()], ..config(state.path()) };
    let server = Server::with_config(config, Limits::default()).await;
    let mut expected = vec![std::env::consts::ARCH, std::env::consts::OS, "gpu", SUBMODULES, SEVERAL];
    expected.sort_unstable();
    // whether there is git-lfs is a matter of the machine
    let said: Vec<_> = server.capabilities().into_iter().filter(|word| word != LFS).collect();
    assert_eq!(said, expected, "each once");
}

#[tokio::test]
async fn a_stop_ends_the_work_without_a_report_and_the_next_life_tells_it_as_lost() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let file = NamedTempFile::new().unwrap();
    let command =
        format!("trap '' INT; echo half > half.txt; echo $$ > {}; echo ready; while :; do sleep 0.05; done", file.path().display());
    let attempt = server.assign(&repository.command(&command)).await;
    server.until_output(attempt, "ready").await;
    let folder = server.folder(attempt);
    let heard = server.stop().await;
    assert!(!heard.iter().any(|message| matches!(message, ToServer::Said { said: Said::Report { .. }, .. })));
    let last = heard.iter().rev().find_map(|message| match message {
        ToServer::Log { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    assert_eq!(last.as_deref(), Some("The runner stops; the task will be started again\n"));
    assert!(pids(file.path()).iter().all(|pid| !is_alive(*pid)));
    assert!(!folder.exists());
    let branch = format!("muster/{}-1", attempt.task_id.short());
    assert_eq!(repository.show(&branch, "half.txt").as_deref(), Some("half"));

    let next = Server::with(&state).await;
    next.until_lost(attempt).await;
    next.until_the_journal_is_empty().await;
    next.stop().await;
    let third = Server::with(&state).await;
    assert_eq!((third.held(), third.lost()), (vec![], vec![]), "it is told once");
}

#[tokio::test]
async fn what_has_ended_while_a_runner_stops_is_named_to_the_end_and_never_missing() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with_config(config(state.path()), Limits { interrupt: PATIENCE, ..short() }).await;
    let go = state.path().with_extension("go");
    let slow = format!("trap '' INT; echo ready; until test -e {}; do sleep 0.05; done", go.display());
    let slow = server.assign(&without_a_sandbox(repository.command(&slow))).await;
    let quick = server.assign(&repository.command("echo ready; exec sleep 600")).await;
    for attempt in [slow, quick] {
        server.until_output(attempt, "ready").await;
    }
    server.ask_to_stop();
    server.until_muster_says(quick, "The runner stops").await;
    let beats = |heard: &[ToServer]| heard.iter().filter(|message| matches!(message, ToServer::Heartbeat { .. })).count();
    let before = server.heard().len();
    server.until("signs of life", |heard| beats(&heard[before..]) >= 3).await;
    std::fs::write(&go, "").unwrap();
    let heard = server.stop().await;
    assert!(!heard.iter().any(|message| matches!(message, ToServer::Lacks { .. })), "{heard:#?}");
    let names_both = |message: &ToServer| match message {
        ToServer::Heartbeat { attempts, .. } => [slow, quick].iter().all(|attempt| attempts.contains(attempt)),
        _ => true,
    };
    assert!(heard[before..].iter().all(names_both), "their leases are renewed: {heard:#?}");
    let next = Server::with(&state).await;
    next.until_lost(slow).await;
    next.until_lost(quick).await;
}

#[tokio::test]
async fn a_folder_has_one_runner() {
    let state = State::new();
    let server = Server::with(&state).await;
    let nobody = || std::future::ready(Err(NotLinked("it does not come to that".into())));
    let second = runner::run(config(state.path()), nobody, CancellationToken::new()).await;
    assert!(matches!(second, Err(RunnerError::InUse(_))), "{second:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_runner_that_is_refused_ends_and_says_why() {
    let state = State::new();
    let (to_server, mut from_runner) = mpsc::channel(1);
    let (to_runner, from_server) = mpsc::channel(1);
    let mut link = Some(Link { to_server, from_server });
    let dial = || std::future::ready(link.take().ok_or(NotLinked("once is enough".into())));
    let life = runner::run_with(config(state.path()), short(), dial, CancellationToken::new());
    let server = async {
        // whoever speaks a later version is spoken with in this one
        to_runner.send(ToRunner::Opened { nonce: String::new(), version: VERSION + 1 }).await.unwrap();
        let hello = from_runner.recv().await;
        to_runner.send(ToRunner::Refused { why: Refusal::Unfit, message: "it is too old".into() }).await.unwrap();
        hello
    };
    let (ended, hello) = tokio::join!(life, server);
    assert_eq!(ended.unwrap_err().to_string(), "the server does not take this runner: it is too old");
    assert!(matches!(hello, Some(ToServer::Hello(hello)) if hello.version == VERSION));
}

#[tokio::test]
async fn what_a_killed_git_left_in_a_mirror_is_no_obstacle() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    server.carry_out(&repository.command("true")).await;
    server.stop().await;
    let mirrors = std::fs::read_dir(state.path().join("mirrors")).unwrap();
    let mirror = mirrors.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "git")).unwrap();
    std::fs::write(mirror.join("refs/remotes/origin/main.lock"), "").unwrap();
    std::fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    repository.commit(&[("later.txt", "x\n")]);
    let server = Server::with(&state).await;
    let report = server.carry_out(&repository.command("test -e later.txt")).await;
    assert_eq!(outcome(&report), "completed");
}

#[tokio::test]
async fn a_stop_before_the_work_begins_is_told_as_lost_too() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = server.assign(&repository.command("sleep 600")).await;
    server
        .until("it is held", |heard| {
            heard.iter().any(|message| matches!(message, ToServer::Heartbeat { attempts, .. } if !attempts.is_empty()))
        })
        .await;
    server.stop().await;
    Server::with(&state).await.until_lost(attempt).await;
}

/// What was not taken, each with why.
pub fn rejected(heard: &[ToServer]) -> Vec<(AttemptKey, &str)> {
    let rejected = heard.iter().filter_map(|message| match message {
        ToServer::Rejects { attempt, reason, optional: true } => Some((*attempt, reason.as_str())),
        _ => None,
    });
    rejected.collect()
}

#[tokio::test]
async fn what_there_is_no_slot_for_is_rejected_at_once() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with_config(RunnerConfig { slots: 1, ..config(state.path()) }, short()).await;
    let working = server.assign(&repository.command("echo ready; sleep 600")).await;
    server.until_output(working, "ready").await;
    let more = server.assign(&repository.command("true")).await;
    server.until("it is rejected", |heard| rejected(heard) == [(more, "all 1 slots of this runner have work")]).await;
    assert!(server.said(more).is_empty() && !server.has_report(working), "what has its slot goes on");
    server.cancel(working).await;
    assert_eq!(outcome(&server.report(working).await), "cancelled");
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed");
    server.until_the_journal_is_empty().await;
}

#[tokio::test]
async fn what_the_journal_does_not_take_is_rejected_and_nothing_of_it_stays() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let journal = state.path().join("journal");
    fs::remove_dir_all(&journal).unwrap();
    fs::write(&journal, "no folder").unwrap();
    let attempt = server.assign(&repository.command("echo done > done.txt")).await;
    let is_rejected = |heard: &[ToServer]| {
        let rejected = rejected(heard);
        rejected.len() == 1 && rejected[0].0 == attempt && rejected[0].1.starts_with("its journal cannot be written: ")
    };
    server.until("it is rejected", is_rejected).await;
    assert!(!server.has_report(attempt), "the task is not charged with what is the machine's");
    assert!(!server.folder(attempt).exists());
    let named = |message: &ToServer| matches!(message, ToServer::Heartbeat { attempts, .. } if attempts.contains(&attempt));
    assert!(!server.heard().iter().any(named));
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed", "the runner goes on");
}

#[tokio::test]
async fn an_assignment_that_crosses_the_stop_is_told_as_lost() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    // Keeps the runner busy with its stop until the assignment has arrived.
    let working = server.assign(&repository.command("trap '' INT TERM; echo ready; while :; do sleep 600; done")).await;
    server.until_output(working, "ready").await;
    server.ask_to_stop();
    let late = server.assign(&repository.command("echo late > late.txt")).await;
    let heard = server.stop().await;
    assert_eq!(rejected(&heard), [], "a stop in order is nothing that the runner is blamed for");
    let gives_back = |message: &ToServer| matches!(message, ToServer::Stops { ended, .. } if ended.contains(&late));
    assert!(heard.last().is_some_and(gives_back), "{:?}", heard.last());
    let next = Server::with(&state).await;
    assert_eq!((next.held(), next.lost()), (vec![working], vec![late]), "of the one nothing was ever said");
    next.until_lost(working).await;
    assert_eq!(repository.branches(), Vec::<String>::new());
}

#[tokio::test]
async fn a_runner_that_is_stopped_says_so_with_its_last_word() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = server.assign(&repository.command("echo ready; sleep 60")).await;
    server.until_output(attempt, "ready").await;
    server.ask_to_stop();
    let gives_back = |heard: &[ToServer]| matches!(heard.last(), Some(ToServer::Stops { ended, .. }) if *ended == [attempt]);
    server.until("its last word, with what it has ended", gives_back).await;
    assert!(server.log(attempt).contains("The runner stops"), "it is heard out before: {}", server.log(attempt));
    let given_up = |message: &ToServer| matches!(message, ToServer::Said { said: Said::GivenUp { .. }, .. });
    assert!(!server.heard().iter().any(given_up), "that would be charged");
    server.stop().await;
    let next = Server::that_took_back(&state, attempt).await;
    next.until_the_journal_is_empty().await;
    assert_eq!(next.said(attempt), [], "it is another's by now");
}

#[tokio::test]
async fn a_runner_that_is_stopped_gives_nothing_back_that_is_still_to_be_heard() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let go = state.path().with_extension("go");
    let waits = format!("echo ready; until test -e {}; do sleep 0.01; done", go.display());
    let writes = server.assign(&without_a_sandbox(repository.command(&format!("{waits}; echo late; sleep 60")))).await;
    let ends = server.assign(&without_a_sandbox(repository.command(&waits))).await;
    for attempt in [writes, ends] {
        server.until_output(attempt, "ready").await;
    }
    server.fall_silent();
    fs::write(&go, "").unwrap();
    server.until_output(writes, "late").await;
    server.report(ends).await;
    server.ask_to_stop();
    server.until("its last word", |heard| matches!(heard.last(), Some(ToServer::Stops { .. }))).await;
    let heard = server.stop().await;
    assert!(matches!(heard.last(), Some(ToServer::Stops { ended, .. }) if ended.is_empty()), "{:#?}", heard.last());
    let next = Server::with(&state).await;
    // in the order in which they were given
    assert_eq!(next.held(), [writes, ends]);
    assert_eq!(outcome(&next.report(ends).await), "completed", "what has come to its end counts");
    next.until_lost(writes).await;
}
