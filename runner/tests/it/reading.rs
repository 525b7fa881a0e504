//! What a runner tells of its machine, unasked and over each link.

use std::time::Duration;

use domain::{protocol::ToServer, runner::HostReading};
use runner::Limits;

use crate::harness::{Repository, Server, State, config, short};

fn readings(heard: &[ToServer]) -> Vec<HostReading> {
    let reading = |message: &ToServer| match message {
        ToServer::Reading { reading, optional: true, .. } => Some((**reading).clone()),
        _ => None,
    };
    heard.iter().filter_map(reading).collect()
}

/// A runner that looks at its machine so often.
async fn looks_every(state: &State, reading: Duration) -> Server {
    Server::with_config(config(state.path()), Limits { reading, ..short() }).await
}

#[tokio::test]
async fn a_machine_is_told_of_again_and_again() {
    let state = State::new();
    let server = looks_every(&state, Duration::from_millis(100)).await;
    server.until("three readings", |heard| readings(heard).len() >= 3).await;
    let last = readings(&server.heard()).pop().unwrap();
    assert!(last.disk.is_some_and(|disk| disk.total > disk.used), "{last:?}");
    assert_eq!(last.slots.map(|slots| (slots.used, slots.total)), Some((0, 4)));
    if cfg!(target_os = "linux") {
        assert!(last.memory.is_some_and(|memory| memory.used > 0 && memory.used <= memory.total), "{last:?}");
        assert!(last.cpu.is_some_and(|cpu| cpu.percent <= 100 && cpu.millicores > 0), "{last:?}");
    }
    assert_eq!(last.clone().kept(), last, "a server keeps all of it");
}

#[tokio::test]
async fn work_takes_a_slot() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = looks_every(&state, Duration::from_millis(100)).await;
    let attempt = server.assign(&repository.command("echo ready; sleep 600")).await;
    server.until_output(attempt, "ready").await;
    let is_taken = |host: &HostReading| host.slots.is_some_and(|slots| slots.used == 1);
    server.until("a reading with the work", |heard| readings(heard).iter().any(is_taken)).await;
}

#[tokio::test]
async fn a_new_link_hears_the_last_reading() {
    let state = State::new();
    let server = looks_every(&state, Duration::from_secs(3600)).await;
    server.until("a reading", |heard| !readings(heard).is_empty()).await;
    server.cut();
    server.until("the same over the second link", |heard| readings(heard).len() == 2).await;
    let readings = readings(&server.heard());
    assert_eq!(readings[0], readings[1], "it has not looked again");
    assert_eq!(server.hellos().len(), 2);
}
