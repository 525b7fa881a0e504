//! What is checked is what lands: no file that does not, and nothing that a check has made of it.

use domain::{CheckKind, CheckStatus, FindingKind, protocol::Assignment};

use crate::{
    agents::{Agent, prompt},
    harness::{Repository, Server, State, check_output, checks, outcome, statuses, without_a_sandbox},
    several::beside,
};

use CheckKind::{CommandSucceeds, FileExists, GitClean, TestPasses};
use CheckStatus::{Error, Failed, Passed};

#[tokio::test]
async fn a_file_that_does_not_land_is_not_there() {
    let (state, repository) = (State::new(), Repository::with(&[("README.md", "# Sample\n"), ("docs/a.md", "a\n")]));
    let server = Server::with(&state).await;
    let mut assignment = repository.command(
        "echo answer.txt > .gitignore; echo 42 > answer.txt; ln -s answer.txt link.txt; mkdir empty; ln -s docs inner; ln -s ../x out; echo b > b.txt",
    );
    let of = |target| (FileExists, Some(target));
    assignment.checks = checks(&[of("answer.txt"), of("link.txt"), of("empty"), of("inner/a.md"), of("b.txt"), of("docs/"), of("out")]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Failed, Failed, Failed, Passed, Passed, Passed, Failed], "{report:#?}");
    for (index, name) in ["answer.txt", "link.txt", "empty"].into_iter().enumerate() {
        let said = check_output(&report, index);
        assert!(said.starts_with(&format!("{name} exists, but git ignores it")) && said.ends_with("is not part of the result"), "{said}");
    }
    assert_eq!(check_output(&report, 6), "out leads out of the repository by a symbolic link");
    assert_eq!(repository.show(&report.branch.unwrap(), "answer.txt"), None);

    // staged all the same it lands
    let mut assignment = repository.command("echo answer.txt > .gitignore; echo 42 > answer.txt; git add --force answer.txt");
    assignment.checks = checks(&[of("answer.txt")]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Passed], "{report:#?}");
    assert_eq!(repository.show(&report.branch.unwrap(), "answer.txt").as_deref(), Some("42"));
}

#[tokio::test]
async fn what_a_check_rewrites_is_put_back_before_the_next_and_does_not_land() {
    let (state, repository) = (State::new(), Repository::with(&[("README.md", "# Sample\n"), (".gitignore", "built/\n")]));
    let server = Server::with(&state).await;
    let works = "echo 41 > answer.txt; printf 'echo 42 > answer.txt; rm README.md; echo x > left.txt; mkdir built; echo b > built/b; exit 0' > test.sh";
    let specs = [
        (CommandSucceeds, Some("sh test.sh && grep -qx 42 answer.txt")),
        (CommandSucceeds, Some("grep -qx 42 answer.txt")),
        (CommandSucceeds, Some("test -e README.md && test ! -e left.txt && grep -qx b built/b")),
        (FileExists, Some("left.txt")),
    ];
    let ways: [fn(Assignment) -> Assignment; 2] = [|assignment| assignment, without_a_sandbox];
    for wraps in ways {
        let mut assignment = wraps(repository.command(works));
        assignment.checks = checks(&specs);
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
        assert_eq!(statuses(&report), [Passed, Failed, Passed, Failed], "{report:#?}");
        let branch = report.branch.clone().unwrap();
        assert_eq!(repository.git(&["ls-tree", "--name-only", &branch]), ".gitignore\nREADME.md\nanswer.txt\ntest.sh");
        assert_eq!(repository.show(&branch, "answer.txt").as_deref(), Some("41"));
        let said =
            "Check 1 has changed what is checked; it was put back, and is no part of the result: D README.md, M answer.txt, A left.txt";
        assert!(server.log(assignment.attempt).contains(said), "{}", server.log(assignment.attempt));
    }
}

/// Not where it tells git to ignore what is not committed either.
#[tokio::test]
async fn what_a_check_commits_is_none_of_the_works() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("echo 41 > answer.txt; git add answer.txt; git commit --quiet -m Mine; echo more > more.txt");
    let commits = "echo 42 > answer.txt; echo '*' > .gitignore; git add --all; git commit --quiet -m Forged; git branch other";
    let look = (CommandSucceeds, Some("grep -qx 41 answer.txt && grep -qx more more.txt"));
    assignment.checks = checks(&[(CommandSucceeds, Some(commits)), look, (GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Passed, Passed, Failed], "{report:#?}\n{}", server.log(assignment.attempt));
    assert_eq!(check_output(&report, 2), "?? more.txt");
    let branch = report.branch.unwrap();
    assert_eq!(repository.branches(), std::slice::from_ref(&branch), "what a check commits elsewhere is not kept");
    assert_eq!(repository.git(&["log", "--format=%s", &format!("main..{branch}")]), "Tidy up\nMine");
    assert_eq!(repository.git(&["ls-tree", "--name-only", &branch]), "Makefile\nREADME.md\nanswer.txt\nmore.txt");
}

#[tokio::test]
async fn where_nothing_can_be_put_back_nothing_more_is_checked() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("echo 41 > answer.txt");
    let spoils = r#"rm -rf "$(git rev-parse --git-dir)"/objects/??; echo spoiled > answer.txt"#;
    assignment.checks = checks(&[(CommandSucceeds, Some(spoils)), (CommandSucceeds, Some("true")), (FileExists, Some("answer.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(statuses(&report), [Passed, Error, Passed], "{report:#?}");
    let said = check_output(&report, 1);
    assert!(said.starts_with("not run: what check 1 has left where the work lies cannot be put back"), "{said}");
    let branch = report.branch.unwrap();
    assert_eq!(repository.git(&["ls-tree", "--name-only", &branch]), "Makefile\nREADME.md\nanswer.txt");
}

/// git believes what it reads, and a check can put one text under the id of another.
#[tokio::test]
async fn what_is_put_back_is_looked_at_again() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("echo 41 > answer.txt");
    let forges = r#"place() { echo "$(git rev-parse --git-dir)/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-)"; }
forged=$(echo 42 | git hash-object -w --stdin); id=$(git hash-object answer.txt); cp -f "$(place $forged)" "$(place $id)"; echo spoiled > answer.txt"#;
    assignment.checks = checks(&[(CommandSucceeds, Some(forges)), (CommandSucceeds, Some("grep -qx 42 answer.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Passed, Error], "{report:#?}");
    let said = check_output(&report, 1);
    assert!(said.ends_with("git does not make of it again what was taken"), "{said}");
    assert_eq!(repository.show(&report.branch.unwrap(), "answer.txt").as_deref(), Some("41"));
}

/// Whatever git cannot take in, see or remove.
#[tokio::test]
async fn what_a_check_leaves_is_removed_whatever_it_is() {
    let (state, repository) =
        (State::new(), Repository::with(&[("README.md", "# Sample\n"), ("tests/a.txt", "a\n"), ("tests/b.txt", "b\n")]));
    let server = Server::with(&state).await;
    let leaves = [
        "git init --quiet within && echo x > within/x.txt",
        "git init --quiet within && cd within && echo x > x.txt && git add . && git commit --quiet -m Within",
        "mkdir gen && echo '*.o' > gen/.gitignore && touch gen/a.o",
        "mkdir -p gen/in && echo 'in/' > gen/.gitignore && echo '*.o' > gen/in/.gitignore && touch gen/in/a.o",
        "echo x > closed && chmod 0 closed",
        "mkdir shut && echo x > shut/x && chmod 0555 shut",
        "chmod 0 tests",
        "touch tests/planted && chmod 0311 tests",
        "echo spoiled > tests/a.txt && chmod 0 tests/a.txt && chmod 0555 tests",
        "rm tests/a.txt && mkfifo tests/a.txt",
        "mkfifo .gitignore tests/.gitattributes",
        "rm -r tests && ln -s .. tests",
    ];
    let look = "test $(ls | wc -l) = 3 && test $(ls tests | wc -l) = 2 && test -f tests/b.txt && grep -qx a tests/a.txt && ! test -L tests \
                && ! test -e .gitignore && ! test -e tests/.gitattributes";
    let ways: [fn(Assignment) -> Assignment; 2] = [|assignment| assignment, without_a_sandbox];
    for wraps in ways {
        let mut assignment = wraps(repository.command("echo 41 > answer.txt"));
        let specs: Vec<_> = leaves.iter().flat_map(|leaves| [(CommandSucceeds, Some(*leaves)), (CommandSucceeds, Some(look))]).collect();
        assignment.checks = checks(&specs);
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{report:#?}\n{}", server.log(assignment.attempt));
        assert_eq!(statuses(&report), vec![Passed; specs.len()], "{report:#?}\n{}", server.log(assignment.attempt));
        assert!(server.log(assignment.attempt).contains("it was put back, and is no part of the result: A within/"));
    }
}

/// It says what was built.
#[tokio::test]
async fn what_git_ignores_stays_where_a_check_removes_what_says_so() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "a\n"), (".gitignore", "built/\n")]));
    let server = Server::with(&state).await;
    for spoils in ["rm .gitignore", "echo nothing > .gitignore", "rm .gitignore && mkdir .gitignore && touch .gitignore/x"] {
        let mut assignment = repository.command("mkdir built && echo b > built/b");
        let look = "grep -qx b built/b && grep -qx built/ .gitignore";
        assignment.checks = checks(&[(CommandSucceeds, Some(spoils)), (CommandSucceeds, Some(look))]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(statuses(&report), [Passed, Passed], "{spoils}: {report:#?}\n{}", server.log(assignment.attempt));
        assert!(server.log(assignment.attempt).contains("it was put back"), "{}", server.log(assignment.attempt));
    }
}

#[tokio::test]
async fn a_report_says_what_was_checked() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = beside(&app, "echo made > made.txt", &[("api", &api)]);
    assignment.checks = checks(&[
        (CommandSucceeds, Some("echo forged >> ../more/api/README.md")),
        (CommandSucceeds, Some("! grep forged ../more/api/README.md")),
    ]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Passed, Passed], "{report:#?}");
    assert!(server.log(assignment.attempt).contains("api: M README.md"), "{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    let [first, second] = &report.verification.unwrap().checked[..] else { panic!("one for each") };
    assert_eq!((&first.folder, Some(&first.commit)), (&None, report.commit.as_ref()));
    assert_eq!(first.tree, app.git(&["rev-parse", &format!("{branch}^{{tree}}")]));
    assert_eq!(second.folder.as_deref(), Some("api"));
    assert_eq!(
        (second.commit.as_str(), second.tree.as_str()),
        (&*api.git(&["rev-parse", "main"]), &*api.git(&["rev-parse", "main^{tree}"]))
    );
    assert_eq!(report.repositories[0].commit, None, "nothing was changed there");
}

/// One that the work has made is a repository to its checks, and files where it lands.
#[tokio::test]
async fn a_repository_within_one_is_checked_as_it_was_left() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository
        .command("git init --quiet inner; echo x > inner/x.txt; cd inner; git add .; git commit --quiet -m Inner; echo y > y.txt");
    let spoils = "git -C inner log -1 && echo spoiled > inner/x.txt";
    assignment.checks = checks(&[
        (CommandSucceeds, Some(spoils)),
        (CommandSucceeds, Some("git -C inner log -1 && grep -qx x inner/x.txt && grep -qx y inner/y.txt")),
        (FileExists, Some("inner/y.txt")),
    ]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Passed, Passed, Passed], "{report:#?}\n{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    assert_eq!(repository.show(&branch, "inner/x.txt").as_deref(), Some("x"));
    assert_eq!(repository.show(&branch, "inner/y.txt").as_deref(), Some("y"));
    assert!(server.log(assignment.attempt).contains("inner is a repository of its own"), "{}", server.log(assignment.attempt));
}

/// Also where git takes nothing of it in, or only its id.
#[tokio::test]
async fn a_repository_of_the_works_is_in_no_checks_way() {
    let (state, repository) = (State::new(), Repository::with(&[("README.md", "# Sample\n"), (".gitignore", "*.o\n")]));
    let server = Server::with(&state).await;
    let commits = "git init --quiet scratch; cd scratch; touch a.o; git add --force a.o; git commit --quiet -m O";
    for works in ["git init --quiet scratch; echo x > x.txt", commits] {
        let mut assignment = repository.command(works);
        let leaves = "test -d scratch/.git && echo x > left.txt && echo x > scratch/left.txt";
        let look = "test -d scratch/.git && test ! -e left.txt && test ! -e scratch/left.txt";
        assignment.checks = checks(&[(CommandSucceeds, Some(leaves)), (CommandSucceeds, Some(look)), (CommandSucceeds, Some(look))]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(statuses(&report), [Passed; 3], "{works}: {report:#?}\n{}", server.log(assignment.attempt));
    }
}

#[tokio::test]
async fn what_checks_leave_is_not_the_works_in_the_next_round() {
    let agent = Agent::that(r#"case "$arguments" in *--resume*) echo made > made.txt ;; *) echo half > half.txt ;; esac; ends false"#);
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    let leaves = "echo x >> left.txt; echo spoiled > half.txt; test -e made.txt";
    assignment.checks = checks(&[(CommandSucceeds, Some(leaves))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Passed], "{report:#?}\n{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    assert_eq!(repository.git(&["ls-tree", "--name-only", &branch]), "Makefile\nREADME.md\nhalf.txt\nmade.txt");
    assert_eq!(repository.show(&branch, "half.txt").as_deref(), Some("half"));
}

#[tokio::test]
async fn a_run_of_no_test_has_not_passed() {
    let says = "test:\n\t@echo 'test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'\n";
    let (state, repository) = (State::new(), Repository::with(&[("Makefile", says)]));
    let server = Server::with(&state).await;
    let mut assignment = repository.command("true");
    assignment.checks = checks(&[(TestPasses, Some("auto")), (TestPasses, Some("make test"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [Error, Passed], "{report:#?}");
    assert!(check_output(&report, 0).contains("no test was run"), "{}", check_output(&report, 0));
}

#[tokio::test]
async fn what_an_agent_leaves_beside_its_commits_is_said() {
    let agent = Agent::that("calls Bash x; echo a > a.txt; git add a.txt; git commit --quiet -m A; echo b > b.txt; ends false");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let report = server.carry_out(&prompt(&repository, "Tidy up")).await;
    let found: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(found, [FindingKind::DirtyTree], "{:?}", report.findings);
    assert_eq!(repository.show(&report.branch.unwrap(), "b.txt").as_deref(), Some("b"));
}
