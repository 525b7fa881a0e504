//! What proves the work, and what cannot be talked out of it.

use std::time::{Duration, Instant};

use domain::{CheckKind, CheckStatus};
use runner::Limits;

use crate::harness::{
    Repository, Server, State, check_output, checks, config, is_alive, outcome, pids, short, statuses, without_a_sandbox,
};

#[tokio::test]
async fn all_checks_run_and_say_what_they_found() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("echo x > left.txt; ln -s /etc/passwd escape");
    assignment.checks = checks(&[
        (CheckKind::CommandSucceeds, Some("echo out; echo err >&2; exit 7")),
        (CheckKind::FileExists, Some("missing.txt")),
        (CheckKind::FileExists, Some("escape")),
        (CheckKind::GitClean, None),
        (CheckKind::TestPasses, Some("make test")),
    ]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    use CheckStatus::{Failed, Passed};
    assert_eq!(statuses(&report), [Failed, Failed, Failed, Failed, Passed]);
    let first = check_output(&report, 0);
    assert!(first.contains("out\n") && first.contains("err\n") && first.ends_with("[the command ended with exit status 7]\n"), "{first}");
    assert_eq!(check_output(&report, 1), "missing.txt does not exist");
    assert_eq!(check_output(&report, 2), "escape leads out of the repository by a symbolic link");
    assert_eq!(check_output(&report, 3), "?? escape\n?? left.txt");
    let specs: Vec<_> = report.verification.unwrap().checks.into_iter().map(|check| check.spec).collect();
    assert_eq!(specs, assignment.checks, "the report repeats what was asked for");
}

#[tokio::test]
async fn auto_takes_the_projects_own_test_command_and_never_the_works() {
    let (state, plain) = (State::new(), Repository::with(&[("README.md", "nothing to test\n")]));
    let server = Server::with(&state).await;
    let mut assignment = plain.command("printf 'test:\\n\\ttrue\\n' > Makefile; git add .; git commit --quiet -m Makefile");
    assignment.checks = checks(&[(CheckKind::TestPasses, Some("auto"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Error]);
    assert!(check_output(&report, 0).starts_with("no test command was found"), "{}", check_output(&report, 0));

    let made = Repository::with(&[("Makefile", "test:\n\t@echo from make\n")]);
    let mut assignment = made.command("touch Cargo.toml go.mod");
    assignment.checks = checks(&[(CheckKind::TestPasses, Some("auto"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Passed]);
    assert_eq!(check_output(&report, 0), "from make\n");
}

#[tokio::test]
async fn what_is_committed_is_clean() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "a\n"), ("b.txt", "b\n"), ("c.txt", "c\n")]));
    let server = Server::with(&state).await;
    let commits = "echo changed > a.txt; git rm --quiet b.txt; git mv c.txt d.txt; git commit --quiet -am Work";
    for (more, status, said) in [("", CheckStatus::Passed, ""), ("; echo more >> a.txt", CheckStatus::Failed, " M a.txt")] {
        let mut assignment = repository.command(&format!("{commits}{more}"));
        assignment.checks = checks(&[(CheckKind::GitClean, None)]);
        let report = server.carry_out(&assignment).await;
        assert_eq!((statuses(&report), check_output(&report, 0)), (vec![status], said), "{}", server.log(assignment.attempt));
    }
}

#[tokio::test]
async fn what_the_work_does_to_git_does_not_hide_a_change() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let hide = "echo changed > README.md; git update-index --assume-unchanged README.md
        echo new > secret.txt; echo secret.txt >> \"$(git rev-parse --git-common-dir)/info/exclude\"
        git config status.showUntrackedFiles no; git config core.excludesFile \"$PWD/none\"
        git status --porcelain";
    let mut assignment = repository.command(hide);
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(check_output(&report, 0), " M README.md\n?? secret.txt");
    let branch = report.branch.unwrap();
    assert_eq!(repository.show(&branch, "secret.txt").as_deref(), Some("new"));
    assert_eq!(repository.show(&branch, "README.md").as_deref(), Some("changed"));
}

#[tokio::test]
async fn what_the_work_tells_git_to_run_is_not_run() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let trap = "common=\"$(git rev-parse --git-common-dir)\"; mkdir -p \"$common/hooks\" hooks
        for hook in post-commit pre-push reference-transaction post-index-change; do
          for folder in \"$common/hooks\" hooks; do printf '#!/bin/sh\\ntouch %s/sprung\\n' \"$PWD/..\" > \"$folder/$hook\"; chmod +x \"$folder/$hook\"; done
        done
        git config core.hooksPath \"$PWD/hooks\"; git config core.fsmonitor 'touch ../sprung'; git config diff.external 'touch ../sprung'
        git config filter.x.clean 'touch ../sprung; cat'; echo '* filter=x' > .gitattributes; rm -f ../sprung; echo x > x.txt";
    let mut assignment = repository.command(trap);
    assignment.checks = checks(&[(CheckKind::GitClean, None), (CheckKind::CommandSucceeds, Some("test ! -e ../sprung"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Failed, CheckStatus::Passed], "{report:#?}");
    assert!(repository.show(&report.branch.unwrap(), "x.txt").is_some());
}

#[tokio::test]
async fn a_check_that_takes_too_long_is_ended_with_all_it_started() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let left = tempfile::NamedTempFile::new().unwrap();
    let file = left.path().display();
    let stubborn =
        format!("trap '' INT TERM; setsid sleep 600 & echo $! >> {file}; echo $$ >> {file}; echo begun; while :; do sleep 600; done");
    let mut assignment = without_a_sandbox(repository.command("true"));
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some(&stubborn)), (CheckKind::FileExists, Some("README.md"))]);
    assignment.checks[0].timeout_seconds = 3;
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::TimedOut, CheckStatus::Passed]);
    assert_eq!(check_output(&report, 0), "begun\n[ended, as it took longer than 3 seconds]\n");
    let left = pids(left.path());
    assert_eq!(left.len(), 2);
    assert_eq!(left.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[tokio::test]
async fn checks_share_one_time() {
    let (state, repository) = (State::new(), Repository::sample());
    let limits = Limits { verification: Duration::from_millis(500), ..short() };
    let server = Server::with_config(config(state.path()), limits).await;
    let mut assignment = repository.command("true");
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some("sleep 600")), (CheckKind::CommandSucceeds, Some("true"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::TimedOut, CheckStatus::Error], "what was not run was not carried out");
    assert!(check_output(&report, 1).starts_with("not run: the checks together took longer"), "{}", check_output(&report, 1));
}

#[tokio::test]
async fn a_cancel_ends_the_running_check() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let marker = tempfile::NamedTempFile::new().unwrap();
    let mut assignment = repository.command("echo worked > worked.txt");
    let check = format!("echo $$ > {}; exec sleep 600", marker.path().display());
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some("true")), (CheckKind::CommandSucceeds, Some(&check))]);
    let attempt = server.assign(&assignment).await;
    server.until_muster_says(attempt, "Check 1 of 2").await;
    let began = Instant::now();
    server.cancel(attempt).await;
    let report = server.report(attempt).await;
    assert_eq!(outcome(&report), "cancelled");
    assert_eq!(report.verification, None);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(pids(marker.path()).iter().all(|pid| !is_alive(*pid)));
    assert_eq!(repository.show(&report.branch.unwrap(), "worked.txt").as_deref(), Some("worked"));
}
