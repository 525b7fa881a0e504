//! How much of the machine an attempt may use, and that what wants more ends and is told why.

use std::path::PathBuf;

use domain::{CheckKind, CheckStatus, FailureCode, Isolation, protocol::Assignment};
use runner::{Groups, RoomLimits, RunnerConfig, SandboxConfig};

use crate::{
    agents::Agent,
    harness::{Repository, Server, State, check_output, checks, failure_code, outcome, short, statuses},
    judges::{agent, judged},
    sandbox::{in_sandbox, place, running, server_with},
};

pub const MIB: u64 = 1024 * 1024;

pub fn limited(limits: RoomLimits) -> SandboxConfig {
    SandboxConfig { limits, ..SandboxConfig::default() }
}

/// Holds 256 MiB for as long as it is let.
pub const HOG: &str = "perl -e 'push @held, chr(65 + $_ % 20) x (4 << 20) for 1 .. 64; sleep 600'";

#[tokio::test]
async fn what_uses_more_memory_than_it_may_is_ended_and_told_why() {
    let (place, repository) = (place(), Repository::sample());
    let limits = RoomLimits { memory: Some(128 * MIB), ..RoomLimits::default() };
    let server = server_with(place.path(), limited(limits)).await;
    let report = server.carry_out(&in_sandbox(&repository, &format!("echo half > half.txt; {HOG}"))).await;
    let why = "failed command_failed: the command used more than 128 MiB of memory (the runner's MUSTER_SANDBOX_MEMORY), and was ended";
    assert_eq!(outcome(&report), why);
    assert_eq!(repository.show(&report.branch.unwrap(), "half.txt").as_deref(), Some("half"), "what it had done is saved");

    let mut assignment = in_sandbox(&repository, "echo modest");
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some(HOG)), (CheckKind::CommandSucceeds, Some("true"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Failed, CheckStatus::Passed]);
    let said = check_output(&report, 0);
    assert!(said.contains("used more than 128 MiB of memory (the runner's MUSTER_SANDBOX_MEMORY)"), "{said}");
}

#[tokio::test]
async fn what_starts_more_processes_than_it_may_is_ended_with_all_of_them() {
    let (place, repository) = (place(), Repository::sample());
    let limits = RoomLimits { processes: Some(64), ..RoomLimits::default() };
    let server = server_with(place.path(), limited(limits)).await;
    // as many as a test may leave on a machine when nobody ends them
    let word = "86422.5";
    let bomb = format!("for i in $(seq 300); do setsid sleep {word} & done; sleep {word}");
    let report = server.carry_out(&in_sandbox(&repository, &bomb)).await;
    let why = "failed command_failed: the command wanted more than 64 processes and threads (the runner's MUSTER_SANDBOX_PROCESSES), and was \
               ended";
    assert_eq!(outcome(&report), why);
    assert_eq!(running(word), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_file_is_no_larger_than_it_may_be() {
    let (place, repository) = (place(), Repository::sample());
    let limits = RoomLimits { file: Some(MIB), ..RoomLimits::default() };
    let server = server_with(place.path(), limited(limits)).await;
    let report = server.carry_out(&in_sandbox(&repository, "head -c 4194304 /dev/zero > ~/large")).await;
    assert_eq!(failure_code(&report), Some(FailureCode::CommandFailed));
    let why = "failed command_failed: the command wrote more than 1 MiB to one file (the runner's MUSTER_SANDBOX_FILE_SIZE), and ";
    assert!(outcome(&report).starts_with(why), "{}", outcome(&report));
}

/// Two judges, the first of which wants more memory than there is, and the second does not.
pub fn judged_by_a_hog(repository: &Repository, isolation: Isolation) -> Assignment {
    let two = [(CheckKind::Review, Some("Take all.")), (CheckKind::Review, Some("Look."))];
    let mut assignment = Assignment { isolation, ..judged(repository, &two) };
    for check in &mut assignment.checks {
        check.timeout_seconds = 30;
    }
    assignment
}

pub fn sometimes_a_hog() -> Agent {
    agent("echo made > made.txt", &format!(r#"case $prompt in *"Take all."*) {HOG} ;; *) verdict "$word" pass x ;; esac"#))
}

pub async fn with_judges(judges: &Agent, state: &State, sandbox: SandboxConfig) -> Server {
    let sandbox = SandboxConfig { may_be_left_out: true, ..sandbox };
    Server::with_config(RunnerConfig { sandbox, ..judges.config(state) }, short()).await
}

/// Also where the work itself has no sandbox, and with that no limits.
#[tokio::test]
async fn who_judges_may_use_no_more_than_who_works() {
    let (repository, judges) = (Repository::sample(), sometimes_a_hog());
    let limits = RoomLimits { memory: Some(128 * MIB), ..RoomLimits::default() };
    for isolation in [Isolation::Sandbox, Isolation::None] {
        let state = State::new();
        let server = with_judges(&judges, &state, limited(limits)).await;
        let assignment = judged_by_a_hog(&repository, isolation);
        let report = server.carry_out(&assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Error, CheckStatus::Passed], "{}", server.log(assignment.attempt));
        let why = "not judged: it used more than 128 MiB of memory (the runner's MUSTER_SANDBOX_MEMORY), and was ended";
        assert_eq!(check_output(&report, 0), why);
        server.stop().await;
    }
}

/// What git takes to save what was done is not the work's.
#[tokio::test]
async fn what_was_done_is_saved_however_little_the_work_may_use() {
    let (place, repository) = (place(), Repository::sample());
    let limits = RoomLimits { file: Some(MIB), ..RoomLimits::default() };
    let server = server_with(place.path(), limited(limits)).await;
    // as large as a file may be; git cannot make it smaller, and keeps it with a word about it
    let report = server.carry_out(&in_sandbox(&repository, "head -c 1048576 /dev/urandom > full.bin")).await;
    assert_eq!(outcome(&report), "completed");
    let branch = report.branch.unwrap();
    assert_eq!(repository.git(&["cat-file", "-s", &format!("{branch}:full.bin")]), MIB.to_string());
}

/// A limit that somebody has asked for and that nobody would keep is no limit.
#[tokio::test]
async fn where_a_limit_cannot_be_kept_nothing_runs() {
    let (place, repository) = (place(), Repository::sample());
    let processors = limited(RoomLimits { processors: Some(50), ..RoomLimits::default() });
    let nowhere = SandboxConfig { groups: Groups::At(place.path().into()), ..SandboxConfig::default() };
    for (config, reason) in [(processors, "MUSTER_SANDBOX_CPUS"), (nowhere, "it is no control group of version 2")] {
        let server = server_with(&place.path().join("state"), config).await;
        let report = server.carry_out(&in_sandbox(&repository, "true")).await;
        assert_eq!(failure_code(&report), Some(FailureCode::SandboxUnavailable), "{report:?}");
        assert!(format!("{report:?}").contains(reason), "{report:?}");
        server.stop().await;
    }
}
