//! That of an attempt nothing is left, whatever it was, and that what is left all the same is told.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use domain::protocol::ToServer;
use runner::{Limits, RunnerConfig, SandboxConfig};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::{
    harness::{Repository, Server, config, outcome, short},
    sandbox::{in_sandbox, place, running},
};

async fn server(place: &Path, limits: Limits) -> Server {
    Server::with_config(RunnerConfig { sandbox: SandboxConfig::default(), ..config(place.join("runner")) }, limits).await
}

/// What the runner has said of what is left, with each of its signs of life that said something of it.
fn told(heard: &[ToServer]) -> Vec<&str> {
    let beats = heard.iter().filter_map(|message| match message {
        ToServer::Heartbeat { left_behind, .. } => left_behind.as_deref(),
        _ => None,
    });
    beats.collect()
}

#[tokio::test]
async fn nothing_of_an_attempt_is_left_whatever_it_was() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path(), short()).await;
    let word = "86424";
    let daemon = format!(
        "perl -MPOSIX -e 'fork and exit; POSIX::setsid(); fork and exit; chdir \"/\"; close $_ for *STDIN, *STDOUT, *STDERR; %ENV = (); \
         sleep {word}'"
    );
    let command = format!(
        "{daemon}; mkfifo pipe ~/pipe; ln -s loop ~/loop; ln -s / ~/all; mkdir -p ~/a/b/c /tmp/closed; touch ~/a/b/c/file /tmp/closed/file; \
         perl -MSocket -e 'socket(S, 1, 1, 0) && bind(S, sockaddr_un(\"$ENV{{HOME}}/socket\")) && listen(S, 1) or exit 1'; \
         chmod 0 ~/a/b/c/file ~/a/b/c ~/a/b ~/a; chmod 500 /tmp/closed; mkdir -p kept; chmod 500 kept; echo done > done.txt"
    );
    let assignment = in_sandbox(&repository, &command);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(running(word), Vec::<PathBuf>::new());
    server.until_the_journal_is_empty().await;
    let heard = server.stop().await;
    assert_eq!(told(&heard), Vec::<&str>::new());
    for folder in ["attempts", "trash", "journal"] {
        let left: Vec<_> = fs::read_dir(place.path().join("runner").join(folder)).unwrap().flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

/// From a room of their own, and so has a mount of it.
fn looks_into(folder: &Path) -> Child {
    let mut somebody = Command::new("bwrap");
    somebody.args(["--dev-bind", "/", "/", "--bind"]).arg(folder).args(["/mnt", "--die-with-parent", "sh", "-c"]);
    let mut somebody = somebody.arg("echo looks; exec sleep 600").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(somebody.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "looks\n");
    somebody
}

fn is_told(heard: &[ToServer], what: &str) -> bool {
    told(heard).iter().any(|said| said.contains(what))
}

/// Bubblewrap watches a room from outside. Without it, nobody would.
#[tokio::test]
async fn a_room_ends_with_whoever_watches_it() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path(), short()).await;
    let word = "86425.5";
    let assignment = in_sandbox(&repository, &format!("setsid sleep {word} & echo ready; sleep {word}"));
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "ready").await;
    let is_bubblewrap = |process: &PathBuf| fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(b"bwrap\0"));
    let makes_it: Vec<_> = running(word).into_iter().filter(is_bubblewrap).collect();
    let parent = |process: &PathBuf| {
        let stat = fs::read_to_string(process.join("stat")).unwrap();
        Path::new("/proc").join(stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap())
    };
    let watches = makes_it.iter().find(|process| !makes_it.contains(&parent(process))).unwrap();
    let number = watches.file_name().unwrap().to_str().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
    let report = server.report(attempt).await;
    assert!(outcome(&report).starts_with("failed command_failed: the command was ended by signal 9"), "{}", outcome(&report));
    assert_eq!(running(word), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_left_of_an_attempt_is_told_until_it_is_gone() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path(), Limits { gone: Duration::from_millis(200), ..short() }).await;
    let attempt = server.assign(&in_sandbox(&repository, "echo ready; sleep 600")).await;
    server.until_output(attempt, "ready").await;
    let mut somebody = looks_into(&server.folder(attempt));

    server.cancel(attempt).await;
    assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    server.until("what is left is told", |heard| is_told(heard, "a mount that process")).await;
    somebody.kill().unwrap();
    somebody.wait().unwrap();
    server.until("it is gone", |heard| told(heard).last().is_some_and(|said| said.is_empty())).await;
    let heard = server.heard();
    let first = told(&heard)[0];
    assert!(first.starts_with(&format!("attempt {}: a mount that process ", attempt.attempt_id)), "{first}");
}

#[test]
fn what_an_earlier_life_has_left_is_told_until_it_is_gone() {
    let (place, repository) = (place(), Repository::sample());
    let limits = Limits { gone: Duration::from_millis(200), ..short() };
    let assignment = in_sandbox(&repository, "echo ready; sleep 600");
    let first = Runtime::new().unwrap();
    let folder = first.block_on(async {
        let server = server(place.path(), limits).await;
        let attempt = server.assign(&assignment).await;
        server.until_output(attempt, "ready").await;
        let folder = server.folder(attempt);
        // its tasks are not told to stop
        std::mem::forget(server);
        folder
    });
    let mut somebody = looks_into(&folder);
    first.shutdown_timeout(Duration::from_millis(100));

    Runtime::new().unwrap().block_on(async {
        let server = server(place.path(), limits).await;
        server.until("what is left is told", |heard| is_told(heard, "a mount that process")).await;
        assert!(!folder.exists());
        somebody.kill().unwrap();
        somebody.wait().unwrap();
        server.until("it is gone", |heard| told(heard).last().is_some_and(|said| said.is_empty())).await;
    });
}

#[tokio::test]
async fn the_folder_of_an_attempt_that_is_anothers_is_told_when_it_stays() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path(), Limits { gone: Duration::from_millis(200), ..short() }).await;
    let attempt = server.assign(&in_sandbox(&repository, "echo ready; sleep 600")).await;
    server.until_output(attempt, "ready").await;
    // nothing can be thrown away
    let trash = place.path().join("runner/trash");
    fs::remove_dir(&trash).unwrap();
    fs::write(&trash, "a file is no folder").unwrap();
    server.take_back(attempt);
    let stays = format!("attempts/{}", attempt.attempt_id);
    server.until("what is left is told", |heard| is_told(heard, &stays)).await;
    fs::remove_dir_all(server.folder(attempt)).unwrap();
    server.until("it is gone", |heard| told(heard).last().is_some_and(|said| said.is_empty())).await;
}
