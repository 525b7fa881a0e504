//! How Muster stops when what it stops with is in the way.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{
    machine::{Client, Machine, Server, running, stderr, stdout, wait_for_line},
    their_postgres::TheirCluster,
};

/// A task whose command this is has begun.
fn task_runs(machine: &Machine, server: &Server, key: &str, command: &str) {
    let client = Client { machine, url: &server.url, key: key.to_owned() };
    let repository = machine.repository();
    let command = format!("echo under way; {command}");
    let created =
        client.run(&["task", "run", "--repo", repository.to_str().unwrap(), "--command", &command, "--title", "Runs on", "--json"]);
    let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
    let id = task["id"].as_str().unwrap();
    let mut follower = client.command(&["task", "logs", id, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_line(BufReader::new(follower.stdout.take().unwrap()), "under way");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[tokio::test]
async fn a_database_that_is_gone_for_good_does_not_hold_the_stop() {
    let machine = Machine::new();
    let theirs = TheirCluster::create(&machine).await;
    let postgres = theirs.start(&[]);
    let url = theirs.url();
    while sqlx::PgPool::connect(url).await.is_err() {}
    let mut server = machine.serves_on(Some(url));
    let made = machine.muster(&["admin", "create-key", "--name", "tests", "--role", "member"]).env("DATABASE_URL", url).output().unwrap();
    task_runs(&machine, &server, stdout(&made).trim(), "sleep 86381");

    postgres.is_killed();
    server.logs("waits for the database");
    server.is_sent(Signal::TERM);
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
    assert_eq!(running(&["sleep 86381"]), Vec::<String>::new(), "what it ran has ended with it");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let machine = Machine::new();
        let mut server = machine.serves();
        let key = machine.creates_key("member");
        // a work that does not let itself be ended holds the stop for the time that such work is given
        task_runs(&machine, &server, &key, "trap '' INT TERM; while true; do sleep 86382; done");
        server.is_sent(signal);
        server.logs("Stopping");
        server.is_sent(signal);
        server.logs("Stopped at once");
        assert_eq!(server.process.wait().unwrap().code(), Some(0));
        // the next start takes up what was left
        let server = machine.serves();
        server.logs("is ready");
        assert_eq!(running(&["sleep 86382"]).len(), 0);
        server.is_sent(signal);
        server.is_sent(signal);
    }
}

#[test]
fn the_demo_goes_on_serving_until_it_is_stopped() {
    let machine = Machine::new();
    let mut demo = machine.muster(&["demo", "--addr", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let before: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("The dashboard is at ")).collect();
    let results: Vec<_> = before.iter().skip_while(|line| !line.starts_with("Verified results")).skip(1).collect();
    assert!(results.len() >= 3 && results[..3].iter().all(|line| line.contains("  succeeded  ")), "{before:#?}");
    assert!(lines.next().unwrap().starts_with("Nobody owns it yet."));
    let link = lines.next().unwrap();
    let address = link.trim().strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap();
    assert!(answers(address, "/sign-in").starts_with("HTTP/1.1 200 OK"), "the dashboard is served");
    kill_process(Pid::from_child(&demo), Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(address).is_err(), "nothing of it is left");
}

fn answers(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
