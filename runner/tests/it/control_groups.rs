//! What the kernel keeps for an attempt in a control group of its own.
//!
//! These take control groups of version 2, and somebody who may make some where they are mounted. `scripts/test` leaves them out where that is
//! not so, and says that; whoever runs them by themselves hears why they fail.

use std::{
    fs,
    path::{Path, PathBuf},
};

use domain::{CheckStatus, Isolation};
use runner::{Groups, RoomLimits, SandboxConfig};

use crate::{
    harness::{Repository, State, check_output, outcome, statuses},
    limits::{HOG, MIB, judged_by_a_hog, limited, sometimes_a_hog, with_judges},
    sandbox::{hides, in_sandbox, place, running, server_with},
};

/// For whoever cannot run them.
const LEFT_OUT: &str = "Run this as root where they are mounted, or leave it out, as scripts/test does: -E 'not test(/^control_groups::/)'";

/// A control group of this test's own.
struct TestGroup(PathBuf);

impl TestGroup {
    fn make() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounted = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
        let mounted = mounted.unwrap_or_else(|| panic!("no control groups of version 2 are mounted here. {LEFT_OUT}"));
        let path = Path::new(mounted).join(format!("muster-test-{}", std::process::id()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("no control group can be made at {}: {error}. {LEFT_OUT}", path.display()));
        Self(path)
    }

    fn groups(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn an_attempt_has_a_control_group_that_goes_with_it() {
    let base = TestGroup::make();
    let (place, repository) = (place(), Repository::sample());
    let limits = RoomLimits { memory: Some(128 * MIB), ..RoomLimits::default() };
    let config = SandboxConfig { groups: Groups::At(base.0.clone()), ..limited(limits) };
    let server = server_with(place.path(), config).await;
    assert_eq!(base.groups(), Vec::<PathBuf>::new(), "nothing of the trial is left");
    let word = "86423.5";
    let attempt = server.assign(&in_sandbox(&repository, &format!("trap '' INT TERM; {}; echo ready; sleep {word}", hides(word)))).await;
    server.until_output(attempt, "ready").await;
    let [group] = base.groups().try_into().unwrap();
    assert!(group.ends_with(format!("attempt-{}", attempt.attempt_id)), "{}", group.display());
    // counted before that is read, as the last of them may begin only now
    let hidden = running(word).len();
    let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert!(hidden >= 3 && inside.lines().count() >= hidden, "all of it is in there: {inside}");
    server.cancel(attempt).await;
    assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    assert_eq!((running(word), base.groups()), (vec![], vec![]));

    // whether the group keeps the memory or somebody looks at it
    let report = server.carry_out(&in_sandbox(&repository, HOG)).await;
    let why = "failed command_failed: the command used more than 128 MiB of memory (the runner's MUSTER_SANDBOX_MEMORY), and ";
    assert!(outcome(&report).starts_with(why), "{}", outcome(&report));
    assert_eq!(base.groups(), Vec::<PathBuf>::new());
    server.stop().await;
}

/// One that has ended takes nothing along that the next needs.
#[tokio::test]
async fn judges_have_the_control_group_of_their_attempt() {
    let base = TestGroup::make();
    let (repository, judges) = (Repository::sample(), sometimes_a_hog());
    let limits = RoomLimits { memory: Some(128 * MIB), ..RoomLimits::default() };
    for isolation in [Isolation::Sandbox, Isolation::None] {
        let state = State::new();
        let server = with_judges(&judges, &state, SandboxConfig { groups: Groups::At(base.0.clone()), ..limited(limits) }).await;
        let assignment = judged_by_a_hog(&repository, isolation);
        let report = server.carry_out(&assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Error, CheckStatus::Passed], "{}", server.log(assignment.attempt));
        // whether the group keeps the memory or somebody looks at it
        let said = check_output(&report, 0);
        assert!(said.contains("it used more than 128 MiB of memory (the runner's MUSTER_SANDBOX_MEMORY)"), "{said}");
        assert_eq!(base.groups(), Vec::<PathBuf>::new());
        server.stop().await;
    }
}
