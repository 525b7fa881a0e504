//! How many attempts a runner carries out at once, as its server says while it works.

use std::time::Duration;

use domain::protocol::{ToRunner, ToServer};
use runner::{Limits, RunnerConfig};

use crate::{
    harness::{Repository, Server, State, config, outcome, short},
    lives::rejected,
};

const WORKS: &str = "echo ready; sleep 600";

/// A runner whose machine says so many.
async fn of_slots(state: &State, slots: u32) -> Server {
    Server::with_config(RunnerConfig { slots, ..config(state.path()) }, short()).await
}

async fn is_set(server: &Server, slots: Option<u32>) {
    server.tell(ToRunner::Config { slots, optional: true }).await;
}

#[tokio::test]
async fn more_slots_are_there_at_once_and_fewer_leave_what_is_at_work() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = of_slots(&state, 1).await;
    let hello = server.hellos().remove(0);
    assert_eq!((hello.slots, hello.takes_slots), (1, true));
    let first = server.assign(&repository.command(WORKS)).await;
    server.until_output(first, "ready").await;
    is_set(&server, Some(2)).await;
    let second = server.assign(&repository.command(WORKS)).await;
    server.until_output(second, "ready").await;
    is_set(&server, Some(1)).await;
    let third = server.assign(&repository.command("true")).await;
    server.until("it is rejected", |heard| rejected(heard) == [(third, "all 1 slots of this runner have work")]).await;
    assert!(!server.has_report(first) && !server.has_report(second), "what has its slot goes on");
    for attempt in [first, second] {
        server.cancel(attempt).await;
        assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    }
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed");
    server.until_the_journal_is_empty().await;
    assert_eq!(server.hellos().len(), 1, "without another link");
}

#[tokio::test]
async fn what_was_given_before_there_are_fewer_has_its_slot() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = of_slots(&state, 2).await;
    let first = server.assign(&repository.command(WORKS)).await;
    server.until_output(first, "ready").await;
    let second = server.assign(&repository.command("true")).await;
    is_set(&server, Some(1)).await;
    assert_eq!(outcome(&server.report(second).await), "completed");
    assert_eq!(rejected(&server.heard()), [], "nobody is wrong about the slots");
    is_set(&server, None).await;
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed", "it has as many again as its machine says");
}

#[tokio::test]
async fn a_welcome_is_for_as_many_as_the_machine_says() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = of_slots(&state, 1).await;
    is_set(&server, Some(2)).await;
    let first = server.assign(&repository.command(WORKS)).await;
    let second = server.assign(&repository.command(WORKS)).await;
    for attempt in [first, second] {
        server.until_output(attempt, "ready").await;
    }
    server.cut();
    let is_welcome_again = |heard: &[ToServer]| {
        let last = heard.iter().rposition(|message| matches!(message, ToServer::Hello(_)));
        let beats = last.is_some_and(|last| heard[last..].iter().any(|message| matches!(message, ToServer::Heartbeat { .. })));
        beats && heard.iter().filter(|message| matches!(message, ToServer::Hello(_))).count() == 2
    };
    server.until("it is welcome again", is_welcome_again).await;
    assert_eq!(server.hellos()[1].slots, 1, "what was set is the server's to say");
    let third = server.assign(&repository.command("true")).await;
    server.until("it is rejected", |heard| rejected(heard) == [(third, "all 1 slots of this runner have work")]).await;
    is_set(&server, Some(3)).await;
    assert_eq!(outcome(&server.carry_out(&repository.command("true")).await), "completed");
    assert!(!server.has_report(first) && !server.has_report(second));
}

#[tokio::test]
async fn what_a_machine_reads_tells_how_many_there_are() {
    let state = State::new();
    let limits = Limits { reading: Duration::from_millis(100), ..short() };
    let server = Server::with_config(RunnerConfig { slots: 1, ..config(state.path()) }, limits).await;
    let tells = |heard: &[ToServer], total: u32| {
        let slots = |message: &ToServer| if let ToServer::Reading { reading, .. } = message { reading.slots } else { None };
        heard.iter().filter_map(slots).any(|slots| slots.total == total)
    };
    server.until("what its machine says", |heard| tells(heard, 1)).await;
    is_set(&server, Some(3)).await;
    server.until("what was set", |heard| tells(heard, 3)).await;
}
