//! What a judge is shown of a change and can read of it: what lands, all of that, and nothing that the work has put in its place.

use std::fs;

use domain::{CheckKind, CheckStatus, FailureCode, Isolation, protocol::Assignment};

use super::{Ran, agent, carried_out, judged, of_judges, prompts};
use crate::{
    agents::{failure, session},
    harness::{Repository, State, check_output, diff, outcome, statuses, without_a_sandbox},
};

/// Not in a file that git takes in, nor in one that it is told to ignore, nor by a byte that text does not have.
#[tokio::test]
async fn the_work_cannot_say_that_a_file_is_not_shown() {
    let repository = Repository::with(&[("README.md", "# Sample\n"), (".gitignore", ".gitattributes\n")]);
    for hides in [
        "echo '* -diff' > .gitattributes; git add --force .gitattributes; echo hidden > made.txt",
        "echo '*.txt -diff' > .gitattributes; echo hidden > made.txt",
        "printf '\\0\\nhidden\\n' > made.txt",
    ] {
        let agent = agent(hides, r#"verdict "$word" pass x"#);
        let assignment = judged(&repository, &[(CheckKind::Review, None)]);
        let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Passed], "{hides}: {}", server.log(assignment.attempt));
        let told = of_judges(&session(&server, &assignment));
        let told = prompts(&told)[0];
        assert!(told.contains("\n+hidden\n") && !told.contains("Binary files"), "{hides}: {told}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_judge_is_shown_what_is_pushed_whatever_the_work_has_put_under_its_id() {
    let repository = Repository::with(&[("a.txt", "vulnerable\n")]);
    repository.commit(&[("a.txt", "fixed\n")]);
    let agent = agent(
        r#"place() { echo "$(git rev-parse --git-dir)/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-)"; }
harmless=$(printf 'fixed # comment\n' | git hash-object -w --stdin); echo vulnerable > a.txt; id=$(git hash-object a.txt)
mkdir -p "$(dirname "$(place $id)")"; cp "$(place $harmless)" "$(place $id)""#,
        r#"verdict "$word" pass x"#,
    );
    let assignment = judged(&repository, &[(CheckKind::Review, None)]);
    let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
    let told = of_judges(&session(&server, &assignment));
    let told = prompts(&told)[0];
    assert!(told.contains("\n+vulnerable\n") && !told.contains("comment"), "{told}");
    assert_eq!(repository.show(&report.branch.unwrap(), "a.txt").as_deref(), Some("vulnerable"));
}

/// With a submodule, `lib`, whose only commit is on a branch of its own.
fn with_a_submodule() -> Repository {
    let repository = Repository::with(&[("l", "lib\n")]);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["branch", "lib"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},lib")]);
    fs::create_dir(repository.path.join("lib")).unwrap();
    repository.commit(&[(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ./lib\n"), ("main.py", "ok\n")]);
    repository
}

/// Work that has git run this there whenever it looks at that submodule.
fn runs_in_lib(what: &str) -> String {
    format!(
        r#"git init -q lib; git -C lib fetch -q "$(git rev-parse --git-dir)" refs/remotes/origin/lib; git -C lib checkout -q FETCH_HEAD
echo harmless >> main.py
git -C lib config filter.own.clean '{what}; cat'; mkdir -p lib/.git/info; echo '* filter=own' > lib/.git/info/attributes
touch -d 2001-02-03 lib/l"#
    )
}

#[tokio::test]
async fn what_is_saved_is_what_was_judged_or_nothing_has_passed() {
    let repository = Repository::with(&[(".gitattributes", "main.py filter=own\n"), ("main.py", "ok\n")]);
    let (agent, state) = (agent("echo harmless >> main.py", r#"verdict "$word" pass x"#), State::new());
    // at first harmless, and something else once that was taken in
    let settings = "[filter \"own\"]\n\tclean = \"if [ -e ../kept/store ]; then echo judged; else cat; fi\"\n";
    fs::create_dir_all(state.path()).unwrap();
    fs::write(state.path().join("gitconfig.local"), settings).unwrap();
    let server = agent.runs(&state).await;
    let assignment = without_a_sandbox(judged(&repository, &[(CheckKind::Review, None)]));
    let report = server.carry_out(&assignment).await;
    assert_eq!(repository.show(report.branch.as_deref().unwrap(), "main.py").as_deref(), Some("ok\nharmless"), "it is as it was taken in");
    assert_eq!(failure(&report.outcome), FailureCode::CommandFailed, "{:?}", report.outcome);
    assert!(outcome(&report).contains("what was judged is not what there was to save"), "{}", outcome(&report));
}

#[tokio::test]
async fn what_git_runs_of_the_work_while_it_looks_changes_nothing() {
    let repository = with_a_submodule();
    let agent = agent(&runs_in_lib("echo evil > ../main.py"), r#"verdict "$word" pass x"#);
    let checks = [(CheckKind::GitClean, None), (CheckKind::Review, None)];
    let mut assignment = Assignment { isolation: Isolation::Sandbox, ..judged(&repository, &checks) };
    // it is there that git looks into the submodule before anybody judges
    assignment.checks[0].required = false;
    let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Failed, CheckStatus::Passed], "{}", server.log(assignment.attempt));
    assert_eq!(repository.show(&report.branch.unwrap(), "main.py").as_deref(), Some("ok\nharmless"));
}

/// A commit that the mirror has from elsewhere is pushed with the branch like any other. What the work has put beside its history, by a program that
/// git runs once everything there is as it has to be, hides none of it, and no file either.
#[tokio::test]
async fn what_lies_beside_the_history_of_the_work_hides_nothing_of_it() {
    let repository = with_a_submodule();
    repository.git(&["checkout", "--quiet", "-b", "idea"]);
    repository.commit(&[("key.txt", "of-a-provider\n")]);
    repository.git(&["checkout", "--quiet", "main"]);
    let commits = r#"git merge -q --ff-only origin/idea; git rm -q key.txt; git commit -qm 'Without it'
echo "$(git rev-parse HEAD) $(git rev-parse HEAD~2)" > "$(git rev-parse --git-dir)/own""#;
    let hides = runs_in_lib(r#"cp ../../git/own ../../git/info/grafts; echo "* -diff" > ../../git/info/attributes"#);
    let agent = agent(&format!("{commits}\n{hides}"), r#"verdict "$word" pass x"#);
    let assignment = Assignment { isolation: Isolation::Sandbox, ..judged(&repository, &[(CheckKind::Review, None)]) };
    let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Passed], "{}\n{}", check_output(&report, 0), server.log(assignment.attempt));
    let told = of_judges(&session(&server, &assignment));
    let told = prompts(&told)[0];
    assert!(told.contains("\n+of-a-provider\n") && told.contains("\n-of-a-provider\n"), "{told}");
    assert!(diff(&report).contains("\n+harmless\n"), "{}", diff(&report));
}

/// One that has this other at `lib`, as it is now.
fn that_has(lib: &Repository) -> Repository {
    let repository = Repository::sample();
    takes_in(&repository, "lib", lib);
    repository
}

fn takes_in(repository: &Repository, path: &str, other: &Repository) {
    fs::create_dir(repository.path.join(path)).unwrap();
    moves(repository, path, other);
    let described = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {}\n", other.path.display());
    repository.commit(&[(".gitmodules", &described)]);
}

/// To what the other is at now.
fn moves(repository: &Repository, path: &str, other: &Repository) {
    let commit = other.git(&["rev-parse", "HEAD"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
}

#[tokio::test]
async fn a_judge_is_shown_and_reads_what_was_changed_inside_a_submodule() {
    let lib = Repository::with(&[("lib.txt", "one\n"), ("other.txt", "other\n")]);
    let repository = that_has(&lib);
    let judge = r#"[ "$(cat lib/lib.txt lib/other.txt)" = "$(printf 'two\nother')" ] && [ -e Makefile ] && verdict "$word" pass x"#;
    for works in ["echo two > lib/lib.txt", "echo two > lib/lib.txt; git -C lib commit -qam Two; echo made > made.txt"] {
        let assignment = Assignment { submodules: true, ..judged(&repository, &[(CheckKind::Review, None)]) };
        let Ran { server, report, _state } = carried_out(&agent(works, judge), &assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Passed], "{works}: {}\n{}", check_output(&report, 0), server.log(assignment.attempt));
        let told = of_judges(&session(&server, &assignment));
        let told = prompts(&told)[0];
        assert!(told.contains("M\tlib (inside the submodule)\n\tM\tlib.txt") && told.contains("\nInside the submodule lib:\n"), "{told}");
        assert!(told.contains("\n-one\n+two\n"), "{told}");
        server.stop().await;
    }
}

/// The result says that it is at another commit, and by the ids of the two nobody knows what that brings.
#[tokio::test]
async fn a_judge_is_shown_what_comes_with_a_submodule_that_was_moved() {
    let lib = Repository::with(&[("lib.txt", "one\n")]);
    let repository = that_has(&lib);
    lib.commit(&[("lib.txt", "two\n"), ("new.txt", "of another commit\n")]);
    let judge = r#"[ "$(cat lib/lib.txt)" = "$expected" ] && [ -e lib/new.txt ] && verdict "$word" pass x"#;
    let moves = "git -C lib checkout --quiet origin/main";
    for (works, expected, inside) in [(moves.to_owned(), "two", false), (format!("{moves}; echo three > lib/lib.txt"), "three", true)] {
        let agent = agent(&works, &format!("expected={expected}; {judge}"));
        let assignment = Assignment { submodules: true, ..judged(&repository, &[(CheckKind::Review, None)]) };
        let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Passed], "{works}: {}\n{}", check_output(&report, 0), server.log(assignment.attempt));
        let told = of_judges(&session(&server, &assignment));
        let told = prompts(&told)[0];
        assert!(told.contains("M\tlib (moved to another commit)\n\tM\tlib.txt\n\tA\tnew.txt"), "{told}");
        assert!(told.contains("\nThe submodule lib was moved to another commit:\n") && told.contains("\n+of another commit\n"), "{told}");
        assert!(told.contains("\n-one\n+two\n"), "{told}");
        assert_eq!(told.contains("\nInside the submodule lib:\n") && told.contains("\n-two\n+three\n"), inside, "{told}");
        server.stop().await;
    }
}

/// By the id of a commit that a fork has, or nobody yet, which no branch of the submodule's repository holds.
#[tokio::test]
async fn a_submodule_without_files_is_moved_past_no_judge() {
    let lib = Repository::with(&[("lib.txt", "one\n")]);
    let repository = that_has(&lib);
    let at_first = lib.git(&["rev-parse", "HEAD"]);
    let nowhere = "1".repeat(40);
    let elsewhere = format!("git update-index --cacheinfo 160000,{nowhere},lib; git commit -qm Bump");
    let empties = format!("{elsewhere}; rm -rf lib/* lib/.git; echo made > made.txt");
    let leaves_out = "git rm -q --cached lib; rm -rf lib; git commit -qm Without";
    for (submodules, works, status, link) in [
        (true, empties.as_str(), CheckStatus::Passed, at_first.as_str()),
        (true, leaves_out, CheckStatus::Passed, ""),
        (false, leaves_out, CheckStatus::Passed, ""),
        (false, elsewhere.as_str(), CheckStatus::Error, nowhere.as_str()),
    ] {
        let assignment = Assignment { submodules, ..judged(&repository, &[(CheckKind::Review, None)]) };
        let Ran { server, report, _state } = carried_out(&agent(works, r#"verdict "$word" pass x"#), &assignment).await;
        let said = check_output(&report, 0);
        assert_eq!(statuses(&report), [status], "{works}: {said}\n{}", server.log(assignment.attempt));
        assert_eq!(said.contains("lib, a submodule that the change moves"), status == CheckStatus::Error, "{said}");
        let branch = report.branch.as_deref().unwrap();
        assert_eq!(repository.git(&["ls-tree", "--format=%(objectname)", branch, "lib"]), link, "{works}");
        server.stop().await;
    }
}

/// What others have moved is on a branch of the repository, and no change of the work's.
#[tokio::test]
async fn a_submodule_that_others_have_moved_is_in_no_judges_way() {
    let lib = Repository::with(&[("lib.txt", "one\n")]);
    let repository = that_has(&lib);
    let second = lib.commit(&[("lib.txt", "two\n")]);
    repository.git(&["checkout", "--quiet", "-b", "next"]);
    moves(&repository, "lib", &lib);
    repository.commit(&[("next.txt", "next\n")]);
    repository.git(&["checkout", "--quiet", "main"]);
    // as an attempt was refused before, which a commit that is named by its id brings along
    let (main, refused) = (repository.git(&["rev-parse", "HEAD"]), lib.commit(&[("lib.txt", "refused\n")]));
    repository.git(&["checkout", "--quiet", "-b", "muster/x-1"]);
    moves(&repository, "lib", &lib);
    repository.commit(&[("tried.txt", "tried\n")]);
    repository.git(&["checkout", "--quiet", "main"]);
    let tries_again = "git merge -q --no-ff -m Merge origin/muster/x-1";
    let merges = "git merge -q --no-ff -m Merge origin/next";
    let third = "1".repeat(40);
    let moves_on = format!("{merges}; git update-index --cacheinfo 160000,{third},lib; git commit -qm Bump");
    // by a commit of its own that it calls theirs
    let claims = "git update-index --cacheinfo 160000,2222222222222222222222222222222222222222,lib; git commit -qm Bump
git update-ref refs/remotes/origin/main HEAD; git tag theirs";
    for (works, status, link) in [
        (merges, CheckStatus::Passed, second.as_str()),
        (moves_on.as_str(), CheckStatus::Error, third.as_str()),
        (claims, CheckStatus::Error, "2222222222222222222222222222222222222222"),
        (tries_again, CheckStatus::Error, refused.as_str()),
    ] {
        let base_ref = (works == tries_again).then(|| main.clone());
        let assignment = Assignment { base_ref, ..judged(&repository, &[(CheckKind::Review, None)]) };
        let Ran { server, report, _state } = carried_out(&agent(works, r#"verdict "$word" pass x"#), &assignment).await;
        let said = check_output(&report, 0);
        assert_eq!(statuses(&report), [status], "{works}: {said}\n{}", server.log(assignment.attempt));
        assert_eq!(said.contains("lib, a submodule that the change moves"), status == CheckStatus::Error, "{said}");
        let branch = report.branch.as_deref().unwrap();
        assert_eq!(repository.git(&["ls-tree", "--format=%(objectname)", branch, "lib"]), link, "{works}");
        server.stop().await;
    }
}

/// What is moved by one that is moved itself is shown as well, or nobody judges.
#[tokio::test]
async fn a_submodule_in_a_submodule_is_moved_past_no_judge() {
    let (inner, lib) = (Repository::with(&[("inner.txt", "one\n")]), Repository::with(&[("lib.txt", "one\n")]));
    takes_in(&lib, "in", &inner);
    let repository = that_has(&lib);
    inner.commit(&[("inner.txt", "two\n")]);
    moves(&lib, "in", &inner);
    lib.commit(&[("lib.txt", "two\n")]);
    let one = "git -C lib checkout --quiet origin/main";
    let both = format!("{one}; git -C lib/in checkout --quiet origin/main");
    for (works, status) in [(one, CheckStatus::Error), (both.as_str(), CheckStatus::Passed)] {
        let assignment = Assignment { submodules: true, ..judged(&repository, &[(CheckKind::Review, None)]) };
        let Ran { server, report, _state } = carried_out(&agent(works, r#"verdict "$word" pass x"#), &assignment).await;
        let said = check_output(&report, 0);
        assert_eq!(statuses(&report), [status], "{works}: {said}\n{}", server.log(assignment.attempt));
        assert_eq!(said.contains("lib/in, a submodule that the change moves"), status == CheckStatus::Error, "{said}");
        let told = of_judges(&session(&server, &assignment));
        let told = prompts(&told).concat();
        assert_eq!(told.contains("\nThe submodule lib/in was moved to another commit:\n"), status == CheckStatus::Passed, "{told}");
        server.stop().await;
    }
}

/// As it is of the worktree's own.
#[tokio::test]
async fn where_what_is_inside_a_submodule_is_neither_shown_nor_named_nobody_judges() {
    let lib = Repository::with(&[("lib.txt", "one\n")]);
    let long = "head -c 300000 /dev/zero | tr '\\0' 'x' | fold -w 80 > lib/long.txt";
    let many = format!("mkdir lib/a; for n in $(seq 900); do echo $n > lib/a/generated_file_$n; done; {long}");
    for (works, status) in [(long, CheckStatus::Passed), (many.as_str(), CheckStatus::Error)] {
        let (agent, repository) = (agent(works, r#"verdict "$word" pass x"#), that_has(&lib));
        let assignment = Assignment { submodules: true, ..judged(&repository, &[(CheckKind::Review, None)]) };
        let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
        assert_eq!(statuses(&report), [status], "{works}: {}\n{}", check_output(&report, 0), server.log(assignment.attempt));
        assert_eq!(check_output(&report, 0).contains("nobody would know what to read"), status == CheckStatus::Error);
        server.stop().await;
    }
}

/// A branch is pushed with all of its commits.
#[tokio::test]
async fn a_judge_is_shown_what_the_work_has_committed_on_the_way() {
    let repository = Repository::sample();
    let secret = "echo of-a-provider > key.txt; git add .; git commit -qm 'Add a key'; git rm -q key.txt; echo made > made.txt";
    let one = "echo made > made.txt; git add .; git commit -qm 'All of it'";
    let long = "head -c 300000 /dev/zero | tr '\\0' 'x' | fold -w 80 > long.txt; git add .; git commit -qm Long
git rm -q long.txt; echo made > made.txt";
    for (works, status, says) in [
        (secret.to_owned(), CheckStatus::Passed, vec!["Add a key", "\n+of-a-provider\n"]),
        (format!("{secret}; git add .; git commit -qm 'Without it'"), CheckStatus::Passed, vec!["Without it", "\n-of-a-provider\n"]),
        (one.to_owned(), CheckStatus::Passed, vec!["All of it"]),
        (long.to_owned(), CheckStatus::Error, vec![]),
    ] {
        let assignment = judged(&repository, &[(CheckKind::Review, None)]);
        let Ran { server, report, _state } = carried_out(&agent(&works, r#"verdict "$word" pass x"#), &assignment).await;
        assert_eq!(statuses(&report), [status], "{works}: {}", check_output(&report, 0));
        let told = of_judges(&session(&server, &assignment));
        let told = prompts(&told).concat();
        assert!(says.iter().all(|part| told.contains(part)), "{works}: {told}");
        assert!(told.matches("\n+made\n").count() <= 2 && (works != one || told.matches("\n+made\n").count() == 1), "{works}: {told}");
        server.stop().await;
    }
}

/// Where git compares a merge with all of its parents it is told nothing of text, and beyond so many of them it shows nothing.
#[tokio::test]
async fn a_judge_is_shown_what_comes_and_goes_with_a_merge() {
    let repository = Repository::sample();
    let merges = |parents: usize| {
        format!(
            r#"printf 'of-a-provider\0\n' > secret.bin; git add secret.bin
others=$(for n in $(seq {parents}); do echo "-p $(git commit-tree 'HEAD^{{tree}}' -p HEAD -m "Other $n")"; done)
brings=$(git commit-tree "$(git write-tree)" -p HEAD $others -m Brings)
git reset -q --hard "$(git commit-tree 'HEAD^{{tree}}' -p "$brings" $others -m Drops)"; echo made > made.txt"#
        )
    };
    for parents in [1, 63] {
        let agent = agent(&merges(parents), r#"verdict "$word" pass x"#);
        let assignment = judged(&repository, &[(CheckKind::Review, None)]);
        let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Passed], "{}\n{}", check_output(&report, 0), server.log(assignment.attempt));
        let told = of_judges(&session(&server, &assignment));
        let told = prompts(&told)[0];
        assert!(told.contains("\n+of-a-provider\u{fffd}\n") && told.contains("\n-of-a-provider\u{fffd}\n"), "{told}");
        assert!(!told.contains("Binary files"), "{told}");
        server.stop().await;
    }
}

/// git itself shows a message up to a NUL, and of what stands before it what it knows; pushed is all of it.
#[tokio::test]
async fn a_judge_is_shown_all_that_a_commit_holds() {
    let repository = Repository::sample();
    let agent = agent(
        r#"git commit -q --allow-empty -m Usual
own=$(printf 'tree %s\nparent %s\nauthor A <a@b> in-a-name <a@b> 1 +0000\ncommitter C <c@d> 1 +0000\nkey in-a-header\n\nLooks well\n\0of-a-provider\n' \
  "$(git rev-parse 'HEAD^{tree}')" "$(git rev-parse HEAD)" | git hash-object -t commit -w --literally --stdin)
git reset -q --hard "$own"; echo made > made.txt"#,
        r#"verdict "$word" pass x"#,
    );
    let assignment = judged(&repository, &[(CheckKind::Review, None)]);
    let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Passed], "{}\n{}", check_output(&report, 0), server.log(assignment.attempt));
    let told = of_judges(&session(&server, &assignment));
    let told = prompts(&told)[0];
    for part in ["\u{fffd}of-a-provider\n", "\nkey in-a-header\n", "<a@b> in-a-name <a@b>", "\n\nUsual\n"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

/// A file can be another one in the worktree than on the branch, also where git writes the one by the other, and what git ignores is not on it.
#[tokio::test]
async fn a_judge_reads_the_files_that_land() {
    let agent = agent(
        r#"mkdir docs; printf 'docs/seen\n' > .gitignore; echo 'I have seen that it is well.' > docs/seen
printf '*.js working-tree-encoding=UTF-7\n' > .gitattributes; printf '// +ACo-/ evil() /+ACo\n' > a.js; chmod +x a.js"#,
        r#"[ -e docs/seen ] && exit 8
[ "$(cat a.js)" = '// */ evil() /*' ] && [ -x a.js ] && [ -e Makefile ] && grep -q UTF-7 .gitattributes && verdict "$word" fail evil"#,
    );
    let repository = Repository::sample();
    let assignment = judged(&repository, &[(CheckKind::Review, None)]);
    let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Failed], "{}\n{}", check_output(&report, 0), server.log(assignment.attempt));
    assert_eq!(repository.show(&report.branch.unwrap(), "a.js").as_deref(), Some("// */ evil() /*"));
}

#[tokio::test]
async fn of_a_change_that_is_long_a_judge_can_read_what_was_there_before() {
    let long = "head -c 300000 /dev/zero | tr '\\0' 'x' | fold -w 80 > A.txt; rm README.md";
    let agent = agent(long, r#"grep -q '^-# Sample' change-*.diff && verdict "$word" fail removed"#);
    let repository = Repository::sample();
    let assignment = judged(&repository, &[(CheckKind::Review, None)]);
    let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Failed], "{}\n{}", check_output(&report, 0), server.log(assignment.attempt));
    let files = repository.git(&["ls-tree", "--name-only", &report.branch.unwrap()]);
    assert_eq!(files, "A.txt\nMakefile", "the judge alone has it");
}
