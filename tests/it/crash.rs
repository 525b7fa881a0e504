//! What is left when Muster is killed in the middle of its work, and what comes of it.

use std::{fs, io::BufReader, path::Path, process::Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tests::machine::{Client, Machine, running, stderr, stdout, wait_for_line};

/// Attempt 1 starts something that outlives its group, does half of the work and hangs; attempt 2 does all of it. What it says is not how it is
/// written: the log shows the command before it runs.
fn command([moved, background, foreground]: [&str; 3]) -> String {
    format!(
        r#"
if [ "$MUSTER_ATTEMPT" = 1 ]; then
  setsid {moved} &
  {background} &
  echo half > half.txt
  echo under  "way"
  {foreground}
fi
echo whole > made.txt
"#
    )
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let done = std::process::Command::new("git").arg("-C").arg(repository).args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", stderr(&done));
    stdout(&done)
}

#[cfg(target_os = "linux")]
#[test]
fn a_task_survives_a_kill_in_the_middle_and_its_sandbox_goes_with_muster() {
    survives_a_kill(true, |sleepers| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !running(sleepers).is_empty() {
            // the kernel ends it, and tells nobody
            assert!(std::time::Instant::now() < deadline, "{:?} outlives Muster", running(sleepers));
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_task_without_a_sandbox_survives_a_kill_and_nothing_of_its_first_attempt_does() {
    survives_a_kill(false, |sleepers| assert_eq!(running(sleepers).len(), 3, "the kill took Muster alone"));
}

/// `after` looks at what is left when Muster was killed, before it starts again.
fn survives_a_kill(sandboxed: bool, after: impl Fn(&[&str])) {
    let sleepers = match sandboxed {
        true => ["sleep 86394", "sleep 86395", "sleep 86396"],
        false => ["sleep 86397", "sleep 86398", "sleep 86399"],
    };
    let machine = Machine::new();
    let server = machine.serves();
    if !sandboxed {
        machine.works_without_a_sandbox(&server.url);
    }
    let key = machine.creates_key("member");
    let client = Client { machine: &machine, url: &server.url, key: key.clone() };
    let repository = machine.repository();
    let location = repository.to_str().unwrap();
    let created = client.run(&[
        "task",
        "run",
        "--repo",
        location,
        "--command",
        &command(sleepers),
        "--title",
        "Survive",
        "--check",
        "file_exists=made.txt",
        "--json",
    ]);
    let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
    let id = task["id"].as_str().unwrap();
    let mut follower = client.command(&["task", "logs", id, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_line(BufReader::new(follower.stdout.take().unwrap()), "under way");
    follower.kill().unwrap();
    follower.wait().unwrap();

    server.is_killed();
    after(&sleepers);

    let server = machine.serves();
    let client = Client { machine: &machine, url: &server.url, key };
    assert_eq!(client.run(&["task", "logs", id, "--follow"]).status.code(), Some(0));
    let task: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", id, "--json"]))).unwrap();
    assert_eq!((task["state"].as_str(), task["attempts"].as_i64(), task["checks_passed"].as_i64()), (Some("succeeded"), Some(2), Some(1)));
    let states: Vec<_> = task["attempt_list"].as_array().unwrap().iter().map(|attempt| attempt["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["lost", "succeeded"]);
    assert_eq!(running(&sleepers), Vec::<String>::new());

    let short = &id.replace('-', "")[24..];
    assert_eq!(git(&repository, &["show", &format!("muster/{short}-1:half.txt")]), "half\n", "half of the work is not thrown away");
    assert_eq!(git(&repository, &["show", &format!("muster/{short}-2:made.txt")]), "whole\n");
    assert_eq!(git(&repository, &["status", "--porcelain"]), "", "the person's checkout was left alone");
    server.stops();
}

#[test]
fn a_postgres_that_is_killed_under_a_task_costs_neither_an_attempt_nor_a_line() {
    let machine = Machine::new();
    let server = machine.serves();
    let client = Client { machine: &machine, url: &server.url, key: machine.creates_key("member") };
    let repository = machine.repository();
    let go = machine.sign("go");
    // it writes before, during and after the outage, and waits in between for the test
    let command = format!(
        "for n in $(seq 1 500); do echo line $n; done; until [ -e {go} ]; do sleep 0.05; done; for n in $(seq 501 1000); do echo line $n; done",
        go = go.display()
    );
    let created =
        client.run(&["task", "run", "--repo", repository.to_str().unwrap(), "--command", &command, "--title", "Outlast", "--json"]);
    let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
    let id = task["id"].as_str().unwrap();
    let mut follower = client.command(&["task", "logs", id, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_line(BufReader::new(follower.stdout.take().unwrap()), "line 500");
    follower.kill().unwrap();
    follower.wait().unwrap();

    let killed = machine.postmaster().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    fs::write(&go, "").unwrap();

    while machine.postmaster().is_none_or(|pid| pid == killed) || client.run(&["task", "show", id]).status.code() != Some(0) {}
    let log = client.run(&["task", "logs", id, "--follow"]);
    let expected: String = (1..=1000).map(|n| format!("line {n}\n")).collect();
    assert!(stdout(&log).contains(&expected), "{}", stdout(&log));
    let task: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", id, "--json"]))).unwrap();
    assert_eq!((task["state"].as_str(), task["attempts"].as_i64()), (Some("succeeded"), Some(1)));
    server.stops();
}
