//! Every byte the work writes arrives, in order; or it is said how many did not.

use domain::{LogStream, log::LOG_LIMIT, protocol::ToServer};

use crate::harness::{Repository, Server, State, outcome, said_about, until_away, until_there, without_a_sandbox};

#[tokio::test]
async fn output_arrives_while_the_work_goes_on() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let attempt = server.assign(&repository.command("printf 'no newline yet'; read line < /dev/zero")).await;
    server.until_output(attempt, "no newline yet").await;
    assert!(!server.has_report(attempt));
    server.cancel(attempt).await;
    server.report(attempt).await;
    assert!(server.log(attempt).contains("no newline yet\nCancelled after"), "{}", server.log(attempt));
}

#[tokio::test]
async fn characters_are_not_cut_in_two() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    // Each write ends inside of a character.
    let command = "printf 'a\\342'; sleep 0.1; printf '\\202'; sleep 0.1; printf '\\254b\\360\\237'; sleep 0.1; printf '\\246\\200'; \
        for i in $(seq 20000); do printf 'é€🦀'; done; printf '\\000\\377'";
    let assignment = repository.command(command);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    let pieces: Vec<Vec<u8>> = server
        .heard()
        .into_iter()
        .filter_map(|message| match message {
            ToServer::Log { stream: LogStream::Stdout, bytes, .. } => Some(bytes),
            _ => None,
        })
        .collect();
    let all = pieces.concat();
    let expected = [format!("a€b🦀{}", "é€🦀".repeat(20_000)).into_bytes(), vec![0, 0xff]].concat();
    assert_eq!(all.len(), expected.len());
    assert!(all == expected);
    let cut = pieces.iter().filter(|piece| std::str::from_utf8(piece).is_err() && !piece.ends_with(&[0xff])).count();
    assert_eq!(cut, 0, "of {} pieces", pieces.len());
}

#[tokio::test]
async fn an_incomplete_character_at_the_end_is_not_lost() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("printf 'a\\360\\237'");
    server.carry_out(&assignment).await;
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), "a\u{fffd}");
}

#[tokio::test]
async fn much_output_travels_in_large_pieces() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("seq 1 200000");
    server.carry_out(&assignment).await;
    let output = server.output(assignment.attempt, LogStream::Stdout);
    assert_eq!(output.lines().count(), 200_000);
    assert!(output.starts_with("1\n2\n") && output.ends_with("\n200000\n"));
}

#[tokio::test]
async fn work_writes_on_while_its_server_is_away() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let (go, done) = (state.path().with_extension("go"), state.path().with_extension("done"));
    // many times what fits into memory and into a pipe
    let command = format!("echo begun; until test -e {}; do sleep 0.01; done; seq 1 1000000; touch {}", go.display(), done.display());
    let attempt = server.assign(&without_a_sandbox(repository.command(&command))).await;
    server.until_output(attempt, "begun").await;
    server.go_away();
    std::fs::write(&go, "").unwrap();
    until_there(&done).await;
    server.come_back();
    assert_eq!(outcome(&server.report(attempt).await), "completed");
    let expected: String = std::iter::once("begun\n".to_owned()).chain((1..=1_000_000).map(|line| format!("{line}\n"))).collect();
    assert!(server.output(attempt, LogStream::Stdout) == expected, "every byte, once and in order");
    server.until_the_journal_is_empty().await;
    until_away(&said_about(&server.state, attempt)).await;
}

#[tokio::test]
async fn a_disk_that_is_full_costs_no_byte_and_no_result() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("seq 1 300000");
    std::os::unix::fs::symlink("/dev/full", said_about(&server.state, assignment.attempt)).unwrap();
    assert_eq!(outcome(&server.carry_out(&assignment).await), "completed");
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout).lines().count(), 300_000);
}

#[tokio::test]
async fn a_full_log_says_what_is_missing_and_decides_nothing() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let more = 3 * 1024 * 1024;
    let assignment = repository.command(&format!("head -c {} /dev/zero | tr '\\0' x; echo end >&2", LOG_LIMIT + more));
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    let log = server.log(assignment.attempt);
    let kept = server.output(assignment.attempt, LogStream::Stdout).len() as u64;
    assert!(log.len() as u64 <= LOG_LIMIT && kept > LOG_LIMIT - 100_000, "{kept}");
    let end = server.output(assignment.attempt, LogStream::Stderr).len() as u64;
    let dropped = LOG_LIMIT + more - kept + 4 - end;
    assert!(log.contains(&format!("\nThe log of an attempt holds 50 MiB: {dropped} more bytes of output were left out\n")));
    assert!(log.contains("The command ended with exit status 0"));
}
