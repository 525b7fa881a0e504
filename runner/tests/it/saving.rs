//! Nothing that the work has done is thrown away, however odd the way it left it.

mod pipes;
mod rewritten;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use domain::{CheckKind, CheckStatus, FailureCode, FindingKind, Isolation, LogStream, protocol::Assignment};

use crate::harness::{Repository, Server, State, check_output, checks, diff, failure_code, outcome, statuses, without_a_sandbox};

#[tokio::test]
async fn changes_of_every_kind_are_committed_with_the_task_in_the_message() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "a\n"), ("b.txt", "b\n"), (".gitignore", "*.tmp\n")]));
    let server = Server::with(&state).await;
    let assignment = repository.command("rm a.txt; mv b.txt c.txt; echo n > 'näme with space.txt'; printf '\\0\\1' > binary; touch x.tmp");
    let report = server.carry_out(&assignment).await;
    let branch = report.branch.clone().unwrap();
    let message = repository.git(&["log", "-1", "--format=%an <%ae>%n%B", &branch]);
    assert_eq!(message, format!("Muster <muster@localhost>\nTidy up\n\nMuster-Task: {}", assignment.attempt.task_id));
    let files = repository.git(&["-c", "core.quotePath=false", "ls-tree", "--name-only", &branch]);
    assert_eq!(files, ".gitignore\nbinary\nc.txt\nnäme with space.txt");
    let diff = diff(&report);
    assert!(diff.contains("rename from b.txt") && diff.contains("Binary files") && diff.contains("deleted file"), "{diff}");
}

#[tokio::test]
async fn a_repository_inside_the_worktree_keeps_its_files() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let commands = [
        "git init --quiet inner; echo x > inner/x.txt",
        "git init --quiet inner; echo x > inner/x.txt; cd inner; git add .; git commit --quiet -m Inner; echo y > y.txt",
        "git init --quiet inner; echo x > inner/x.txt; cd inner; git add .; git commit --quiet -m Inner; cd ..; \
         printf '[submodule \"inner\"]\\n\\tpath = inner\\n\\turl = ./inner\\n\\tignore = all\\n' > .gitmodules",
    ];
    for command in commands {
        let assignment = repository.command(command);
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed");
        assert_eq!(repository.show(&report.branch.unwrap(), "inner/x.txt").as_deref(), Some("x"), "{command}");
        assert!(server.log(assignment.attempt).contains("inner is a repository of its own"));
    }
}

/// Nobody else has what a commit id stands for.
#[tokio::test]
async fn a_repository_that_the_work_has_committed_keeps_its_files() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let commits = "git init --quiet inner; echo x > inner/x.txt; (cd inner; git add .; git commit --quiet -m Inner); git add --all; \
                   git commit --quiet -m Work";
    for more in ["", "; echo y > y.txt", "; rm -rf inner/.git"] {
        let assignment = repository.command(&format!("{commits}{more}"));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{more}: {}", server.log(assignment.attempt));
        let branch = report.branch.clone().unwrap();
        assert_eq!(repository.show(&branch, "inner/x.txt").as_deref(), Some("x"), "{more}");
        assert!(diff(&report).contains("\n+x\n"), "{more}: {}", diff(&report));
        let says_so = server.log(assignment.attempt).contains("inner is a repository of its own");
        assert_eq!(says_so, !more.contains("rm"), "{more}");
    }

    // where there are no files there is nothing to lose
    let names = "mkdir later; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),later; git commit --quiet -m Name";
    let report = server.carry_out(&repository.command(names)).await;
    assert_eq!(outcome(&report), "completed");
    let branch = report.branch.unwrap();
    assert_eq!(repository.git(&["log", "-1", "--format=%s", &branch]), "Name");
    assert!(repository.git(&["ls-tree", &branch, "later"]).starts_with("160000 "));

    let adds = "git init --quiet two; echo x > two/x.txt; (cd two; git add .; git commit --quiet -m Two)
        git submodule --quiet add ./two two; git commit --quiet -m Add";
    for (more, is_one) in [("", false), ("; rm -rf two; mkdir two", true)] {
        let assignment = repository.command(&format!("{adds}{more}"));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{more}: {}", server.log(assignment.attempt));
        let branch = report.branch.unwrap();
        assert_eq!(repository.git(&["ls-tree", &branch, "two"]).starts_with("160000 "), is_one, "{more}");
        assert_eq!(repository.show(&branch, "two/x.txt").is_none(), is_one, "{more}");
        assert_eq!(server.log(assignment.attempt).contains("folder then emptied"), !is_one, "{more}");
    }
}

/// git itself says nothing of them while the index has a submodule there.
#[tokio::test]
async fn files_in_the_place_of_a_submodule_are_kept() {
    let (state, repository) = (State::new(), Repository::with(&[(".gitignore", "*.o\n")]));
    let server = Server::with(&state).await;
    let link = format!("160000,{},lib", repository.git(&["rev-parse", "HEAD"]));
    fs::create_dir(repository.path.join("lib")).unwrap();
    repository.git(&["update-index", "--add", "--cacheinfo", &link]);
    repository.commit(&[(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ./lib\n")]);
    let replaces = "git rm --quiet lib; mkdir lib; echo x > lib/mine.c";
    let stages = format!("{replaces}; git add --all");
    let lies = "echo x > lib/mine.c";
    let leads_nowhere = ["ln -s nowhere lib/.git", "echo 'gitdir: ../nowhere' > lib/.git", "echo x > lib/.git", "mkdir lib/.git"];
    let leads_nowhere = leads_nowhere.map(|own| format!("{lies}; {own}"));
    for command in [replaces, stages.as_str(), lies].into_iter().chain(leads_nowhere.iter().map(String::as_str)) {
        let mut assignment = repository.command(command);
        assignment.checks = checks(&[(CheckKind::GitClean, None)]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Failed], "{command}: {}", server.log(assignment.attempt));
        assert!(check_output(&report, 0).contains("?? lib/"), "{command}: {}", check_output(&report, 0));
        assert_eq!(repository.show(report.branch.as_deref().unwrap(), "lib/mine.c").as_deref(), Some("x"), "{command}");
        assert!(diff(&report).contains("\n+x\n"), "{command}: {}", diff(&report));
    }

    // what git ignores is no change, and takes nothing out
    for command in ["echo x > lib/mine.o", "echo x > lib/mine.o; echo x > lib/.git"] {
        let mut assignment = repository.command(command);
        assignment.checks = checks(&[(CheckKind::GitClean, None)]);
        let report = server.carry_out(&assignment).await;
        assert_eq!((statuses(&report), report.branch), (vec![CheckStatus::Passed], None), "{command}: {}", server.log(assignment.attempt));
    }
}

/// git passes over what lies in a repository, and would say nothing of it.
#[tokio::test]
async fn what_was_staged_in_what_has_become_a_repository_is_kept() {
    let (state, repository) = (State::new(), Repository::with(&[(".gitignore", "ext\n")]));
    let server = Server::with(&state).await;
    let mut assignment = repository.command(
        "mkdir -p ext/x; echo 1 > ext/x/f; git add --force ext/x/f; git init --quiet ext/x; git -C ext/x commit --quiet --allow-empty -m X",
    );
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!((statuses(&report), check_output(&report, 0)), (vec![CheckStatus::Failed], "A  ext/x/f"));
    assert_eq!(repository.show(&report.branch.unwrap(), "ext/x/f").as_deref(), Some("1"));
    assert!(server.log(assignment.attempt).contains("ext/x is a repository of its own"));
}

#[tokio::test]
async fn what_the_work_has_committed_is_as_it_committed_it() {
    let files = [(".env", "secret\n"), (".gitignore", "*.tmp\n"), ("a.txt", "a\n")];
    let (state, repository) = (State::new(), Repository::with(&files));
    let server = Server::with(&state).await;
    let untracks = "git rm --quiet --cached .env; echo .env >> .gitignore; git add .gitignore; git commit --quiet -m Untrack";
    for (more, last, files) in [("", "Untrack", ".gitignore\na.txt"), ("; echo b > b.txt", "Tidy up", ".gitignore\na.txt\nb.txt")] {
        let report = server.carry_out(&repository.command(&format!("{untracks}{more}"))).await;
        assert_eq!(outcome(&report), "completed");
        let branch = report.branch.unwrap();
        assert_eq!(repository.git(&["ls-tree", "--name-only", &branch]), files);
        assert_eq!(repository.git(&["log", "-1", "--format=%s", &branch]), last);
    }
}

/// What git ignores is in the worktree as it was, and only the work's index says that it is out.
#[tokio::test]
async fn what_is_untracked_and_ignored_is_out_without_a_commit() {
    let files = [(".env", "secret\n"), ("kept.tmp", "kept\n"), (".gitignore", "*.tmp\n")];
    let (state, repository) = (State::new(), Repository::with(&[]));
    repository.commit(&files[..2]);
    repository.commit(&files[2..]);
    let server = Server::with(&state).await;
    for (more, kept) in [("", ".gitignore\nkept.tmp"), ("; rm \"$(git rev-parse --git-dir)/index\"", ".env\n.gitignore\nkept.tmp")] {
        let assignment = repository.command(&format!("git rm --quiet --cached .env; echo .env >> .gitignore; git add .gitignore{more}"));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
        assert_eq!(repository.git(&["ls-tree", "--name-only", &report.branch.unwrap()]), kept, "{more}");
    }
}

/// Else work could keep a file from every check, and have it land all the same.
#[tokio::test]
async fn what_is_left_out_of_a_worktree_does_not_land() {
    let (state, repository) = (State::new(), Repository::with(&[("d/1", "1\n"), ("e/1", "1\n"), ("e/2", "2\n")]));
    let server = Server::with(&state).await;
    // as `git sparse-checkout` does it, which cannot write its settings in a sandbox
    let leaves_out = "git update-index --skip-worktree e/1 e/2; rm -r e; echo more >> d/1; git add d; git commit --quiet -m More";
    // a mark alone hides no file that is there
    let marks = "git update-index --skip-worktree e/1; echo changed > e/1; rm e/2";
    for (command, files) in [(leaves_out, "d/1"), (marks, "d/1\ne/1")] {
        let report = server.carry_out(&repository.command(command)).await;
        assert_eq!(outcome(&report), "completed");
        assert_eq!(repository.git(&["ls-tree", "-r", "--name-only", &report.branch.unwrap()]), files, "{command}");
    }
    let report = server.carry_out(&repository.command(marks)).await;
    assert_eq!(repository.show(&report.branch.unwrap(), "e/1").as_deref(), Some("changed"));
}

/// git says nothing of it, and no check has seen it.
#[tokio::test]
async fn what_git_cannot_look_at_neither_lands_nor_is_lost() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "a\n"), (".gitignore", "cache\n")]));
    let server = Server::with(&state).await;
    let closed = "a folder that its owner may not list and enter";
    for (command, path, why) in [
        ("mkdir d; echo x > d/x.sh; git add d; git commit --quiet -m D; chmod 0 d", "d", closed),
        ("mkdir d; echo x > d/x.sh; chmod 0111 d", "d", closed),
        ("git init --quiet inner; mkdir inner/d; chmod 0 inner/d; echo x > inner/x.txt", "inner/d", closed),
        ("echo x > secret.txt; chmod 0 secret.txt", "secret.txt", "which its owner may not read"),
    ] {
        let assignment = Assignment { isolation: Isolation::Sandbox, ..repository.command(command) };
        let report = server.carry_out(&assignment).await;
        assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{command}: {}", outcome(&report));
        assert!(outcome(&report).contains(&format!("git cannot take in {path}, {why}")), "{command}: {}", outcome(&report));
        // whoever cleans up may be anybody
        fs::set_permissions(server.folder(assignment.attempt).join("work").join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    // what nobody can have as a file stays no longer than in history
    let long = r"name=$(printf 'x%.0s' $(seq 300)); blob=$(echo x | git hash-object -w --stdin)
        tree=$( (git ls-tree HEAD; printf '100644 blob %s\t%s\n' $blob $name) | git mktree)
        git update-ref HEAD $(git commit-tree -p HEAD -m Long $tree)";
    // and what git ignores may be as it likes, tracked or not
    let ignored =
        "mkdir -p cache/own; echo x > cache/x.txt; git add --force cache; git commit --quiet -m Cache; chmod 0 cache/own; chmod 0 cache";
    for command in [long, ignored] {
        let mut assignment = Assignment { isolation: Isolation::Sandbox, ..repository.command(command) };
        assignment.checks = checks(&[(CheckKind::GitClean, None)]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(statuses(&report), [CheckStatus::Failed], "{command}: {}", server.log(assignment.attempt));
        assert!(check_output(&report, 0).starts_with("D  "), "{command}: {}", check_output(&report, 0));
        assert_eq!(repository.git(&["ls-tree", "-r", "--name-only", &report.branch.unwrap()]), ".gitignore\na.txt", "{command}");
    }
}

/// What is tracked though git ignores it stands in the work's index as well, wherever it went.
#[tokio::test]
async fn a_folder_that_is_ignored_may_become_a_link() {
    let (state, repository) = (State::new(), Repository::with(&[("dist/f", "f\n")]));
    repository.commit(&[(".gitignore", "dist\n")]);
    let server = Server::with(&state).await;
    let mut assignment = repository.command("mv dist build; ln -s build dist");
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Failed], "{}", server.log(assignment.attempt));
    assert_eq!(check_output(&report, 0), " D dist/f\n?? build/");
    assert_eq!(repository.git(&["ls-tree", "-r", "--name-only", &report.branch.unwrap()]), ".gitignore\nbuild/f");
}

#[tokio::test]
async fn work_that_moves_around_in_git_loses_nothing() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let report = server
        .carry_out(
            &repository.command("git checkout --quiet -b elsewhere; echo x > x.txt; git add .; git commit --quiet -m X; echo y > y.txt"),
        )
        .await;
    let branch = report.branch.unwrap();
    assert_eq!(repository.show(&branch, "x.txt").as_deref(), Some("x"));
    assert_eq!(repository.show(&branch, "y.txt").as_deref(), Some("y"));

    let back = "echo w > w.txt; git add .; git commit --quiet -m W; git checkout --quiet --detach HEAD~1; echo z > z.txt";
    let report = server.carry_out(&repository.command(back)).await;
    let branch = report.branch.unwrap();
    assert_eq!(repository.show(&branch, "z.txt").as_deref(), Some("z"), "what was checked is what is reported");
    assert_eq!(repository.show(&branch, "w.txt"), None);
    let left = format!("{branch}-left/before");
    assert_eq!(repository.show(&left, "w.txt").as_deref(), Some("w"));

    let locked = "echo l > l.txt; dir=$(git rev-parse --git-dir); touch $dir/index.lock; rm .git";
    let report = server.carry_out(&repository.command(locked)).await;
    assert_eq!(repository.show(&report.branch.unwrap(), "l.txt").as_deref(), Some("l"));

    let gone = server.carry_out(&repository.command("rm -rf \"$PWD\"")).await;
    assert!(diff(&gone).contains("deleted file"), "{}", outcome(&gone));
}

#[tokio::test]
async fn a_branch_that_cannot_be_pushed_stays_in_the_mirror() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    // A branch of this name leaves no room for branches below it.
    let assignment = repository.command("echo x > x.txt");
    repository.git(&["branch", "muster"]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    let log = server.log(assignment.attempt);
    assert!(log.contains("in the runner's mirror") && log.contains("could not be pushed to"), "{log}");
    let mirrors = fs::read_dir(state.path().join("mirrors")).unwrap().flatten().map(|entry| entry.path());
    let mirror = mirrors.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "git")).unwrap();
    let shown = Command::new("git").args(["show", &format!("{}:x.txt", report.branch.unwrap())]).current_dir(mirror).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "x\n");
}

#[tokio::test]
async fn work_that_cannot_be_saved_is_kept_and_said_so() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    // Objects cannot be written where a file is in the way.
    let command = "echo precious > precious.txt; cd \"$(git rev-parse --git-common-dir)\"; mv objects objects.gone; touch objects";
    let assignment = without_a_sandbox(repository.command(command));
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{}", outcome(&report));
    let kept = server.folder(assignment.attempt).join("work");
    assert!(outcome(&report).contains(kept.canonicalize().unwrap().to_str().unwrap()), "{}", outcome(&report));
    assert_eq!(fs::read_to_string(kept.join("precious.txt")).unwrap(), "precious\n");
}

#[tokio::test]
async fn a_repository_stays_its_owners() {
    let (state, repository) = (State::new(), Repository::sample());
    let owner = fs::metadata(repository.path.join(".git")).unwrap().uid();
    // Only root can give it to somebody else; for everybody else it is theirs already.
    let nobody = 65534;
    let given = std::os::unix::fs::chown(&repository.path, Some(nobody), Some(nobody)).is_ok();
    if given {
        assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(&repository.path).status().unwrap().success());
        let folder = repository.path.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let server = Server::with(&state).await;
    let assignment = repository.command("seq 100 > x.txt");
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    let listed = Command::new("find").arg(repository.path.join(".git")).args(["-printf", "%U\\n"]).output().unwrap();
    let owners: BTreeSet<_> = String::from_utf8_lossy(&listed.stdout).lines().map(|line| line.parse::<u32>().unwrap()).collect();
    assert_eq!(owners, BTreeSet::from([if given { nobody } else { owner }]));
    let branch = repository.path.join(".git/refs/heads").join(report.branch.unwrap());
    assert!(branch.exists(), "{}", server.log(assignment.attempt));
}

#[tokio::test]
async fn stashes_other_branches_and_forced_files_are_kept() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "a\n"), (".gitignore", "*.tmp\n")]));
    let server = Server::with(&state).await;
    let mut assignment = repository.command(
        "echo older > a.txt; git stash --quiet; echo stashed > a.txt; git stash --quiet
        git checkout --quiet -b idea; echo idea > idea.txt; git add .; git commit --quiet -m Idea; git checkout --quiet -
        echo staged > staged.tmp; git add --force staged.tmp; echo ignored > ignored.tmp; echo b > b.txt",
    );
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    assert_eq!(check_output(&report, 0), "A  staged.tmp\n?? b.txt", "what lands is what is not committed");
    let branch = report.branch.unwrap();
    let files = repository.git(&["ls-tree", "--name-only", &branch]);
    assert_eq!(files, ".gitignore\na.txt\nb.txt\nstaged.tmp");
    assert_eq!(repository.show(&format!("{branch}-left/idea"), "idea.txt").as_deref(), Some("idea"));
    assert_eq!(repository.show(&format!("{branch}-left/stash"), "a.txt").as_deref(), Some("stashed"));
    assert_eq!(repository.show(&format!("{branch}-left/stash-1"), "a.txt").as_deref(), Some("older"));
    assert_eq!(repository.branches().len(), 4, "and nothing else: {:?}", repository.branches());

    // what cannot be kept is not thrown away
    let many = "for number in $(seq 101); do
          git update-ref --create-reflog -m Stash refs/stash $(git commit-tree -p HEAD -m $number HEAD^{tree})
        done";
    let report = server.carry_out(&repository.command(many)).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{}", outcome(&report));
    assert!(outcome(&report).contains("more than 100 stashes"), "{}", outcome(&report));
}

#[tokio::test]
async fn what_is_left_is_kept_whatever_the_work_calls_it() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command(
        "set -e
        commit() { echo $1 > left.txt; git add left.txt; git commit --quiet -m $1; }
        commit own; git checkout --quiet --detach HEAD~1
        for name in before stash idea; do
          git checkout --quiet -b $name; commit $name
          git tag tag-$name; git update-ref refs/remotes/origin/$name HEAD
          git checkout --quiet --detach HEAD~1
        done
        for name in older newer; do echo $name > README.md; git stash --quiet; done
        echo x > x.txt",
    );
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    let left = |name: &str, path: &str| repository.show(&format!("{branch}-left/{name}"), path);
    for (name, text) in [("before", "before"), ("stash", "stash"), ("idea", "idea"), ("before-1", "own")] {
        assert_eq!(left(name, "left.txt").as_deref(), Some(text), "{name}");
    }
    assert_eq!([left("stash-1", "README.md"), left("stash-2", "README.md")], [Some("newer".to_owned()), Some("older".to_owned())]);
    assert_eq!(repository.branches().len(), 7, "and nothing else: {:?}", repository.branches());
    assert!(server.log(assignment.attempt).contains("The work left commits on stash@{1} that are not part of its result"));
}

#[tokio::test]
async fn attempts_on_one_repository_do_not_see_each_others_git() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let first = "git config user.name Eve; git checkout --quiet -b same; echo x >> README.md; git stash --quiet; echo 1 > one.txt";
    let first = server.carry_out(&repository.command(first)).await;
    assert_eq!(outcome(&first), "completed");
    let look = repository.command(
        "git checkout --quiet -b same; git stash list; git config --local user.name; git rev-parse origin/main; git remote get-url origin",
    );
    let second = server.carry_out(&look).await;
    assert_eq!(outcome(&second), "completed");
    let expected = format!("{}\n{}\n", repository.git(&["rev-parse", "main"]), repository.path.display());
    assert_eq!(server.output(look.attempt, LogStream::Stdout), expected);
}

#[tokio::test]
async fn neither_a_byte_nor_an_attribute_hides_what_was_text() {
    let tests = "def test_one():\n    assert True\n\n\ndef test_two():\n    assert True\n";
    let (state, repository) = (State::new(), Repository::with(&[("a.py", tests), ("picture", "\0one\n"), ("empty", "")]));
    let server = Server::with(&state).await;
    for command in [
        "printf 'x = 1\\n\\0\\n' > a.py",
        "mv a.py b.py; sed -i '/def test_two/d' b.py; printf '\\0' >> b.py",
        "printf '* -diff\\n' > .gitattributes; echo 'x = 1' > a.py",
    ] {
        let report = server.carry_out(&repository.command(command)).await;
        assert_eq!(outcome(&report), "completed");
        assert!(diff(&report).contains("\n-def test_two():\n"), "{command}: {}", diff(&report));
        let found: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(found, [FindingKind::TestsRemoved], "{command}");
    }
    // what was no text, or nothing
    let report =
        server.carry_out(&repository.command("printf '\\0two\\n' > picture; printf '\\0two' > empty; printf '\\0two' > new")).await;
    let diff = diff(&report);
    assert!(diff.matches("Binary files").count() == 3 && !diff.contains("two"), "{diff}");
}

/// What git finds by an id in the work's repository is what the work has put there.
#[tokio::test]
async fn a_text_under_the_id_of_another_is_neither_shown_nor_saved() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "vulnerable\n")]));
    repository.commit(&[("a.txt", "fixed\n")]);
    let server = Server::with(&state).await;
    let place = r#"place() { echo "$(git rev-parse --git-dir)/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-)"; }
put() { mkdir -p "$(dirname "$(place $1)")"; cp "$(place $2)" "$(place $1)"; }
harmless=$(printf 'fixed # comment\n' | git hash-object -w --stdin)"#;

    // one that the repository has, so that it would not have to be pushed
    let known = format!("{place}\necho vulnerable > a.txt; put $(git hash-object a.txt) $harmless");
    let report = server.carry_out(&repository.command(&known)).await;
    assert_eq!(outcome(&report), "completed");
    let diff = diff(&report);
    assert!(diff.contains("\n+vulnerable\n") && !diff.contains("comment"), "{diff}");
    assert_eq!(repository.show(&report.branch.unwrap(), "a.txt").as_deref(), Some("vulnerable"));

    let unknown = format!("{place}\necho unheard of > a.txt; put $(git hash-object a.txt) $harmless");
    let report = server.carry_out(&repository.command(&unknown)).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{}", outcome(&report));
    assert!(outcome(&report).contains("is not what its id says") && outcome(&report).contains("`git fsck --full`"), "{}", outcome(&report));
}

/// What git believes that a folder is, it does not look at file by file where none of them is new: as if they had been there for an hour.
#[tokio::test]
async fn what_lands_is_what_the_worktree_holds_whatever_its_repository_says() {
    let (state, repository) = (State::new(), Repository::with(&[("lib/x.txt", "vulnerable\n")]));
    repository.commit(&[("lib/x.txt", "fixed\n")]);
    let server = Server::with(&state).await;
    let forges = r#"set -e
git ls-files -z | xargs -0 touch -d '1 hour ago'; GIT_INDEX_FILE=../kept/index.base git update-index --refresh
touch -d '1 minute ago' ../kept/index.base
place() { echo "$1/objects/$(echo $2 | cut -c1-2)/$(echo $2 | cut -c3-)"; }
elsewhere=$(mktemp -d); git init --quiet --bare "$elsewhere"
forge() {
    made=$(git cat-file $1 $3 | git --git-dir "$elsewhere" hash-object --literally -w -t $1 --stdin); own=$(place "$(git rev-parse --git-dir)" $2)
    mkdir -p "$(dirname "$own")"; rm -f "$own"; cp "$(place "$elsewhere" $made)" "$own"
}
fixed=$(git rev-parse HEAD:lib); vulnerable=$(git rev-parse HEAD~1:lib)
takes_up() { git update-ref HEAD $(git commit-tree -p HEAD -m Forged $1); }
"#;
    for (acts, shows) in [
        // a folder that is said to hold what is there
        ("takes_up $(git ls-tree HEAD | sed s/$fixed/$vulnerable/ | git mktree); forge tree $vulnerable $fixed", "fixed"),
        // one that is said to be empty
        (
            "takes_up $( (git ls-tree HEAD; printf '040000 tree %s\tnew\n' $vulnerable) | git mktree)
            forge tree $vulnerable $(git mktree < /dev/null)",
            "fixed",
        ),
        // and a commit
        (
            "before=$(git rev-parse HEAD~1); echo other > lib/x.txt; git commit --quiet -am Other; forge commit $before HEAD
            echo $before > \"$(git rev-parse --git-dir)/HEAD\"",
            "other",
        ),
    ] {
        let assignment = without_a_sandbox(repository.command(&format!("{forges}{acts}")));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{acts}: {}", server.log(assignment.attempt));
        let branch = report.branch.unwrap();
        assert_eq!(repository.show(&branch, "lib/x.txt").as_deref(), Some(shows), "{acts}");
        assert_eq!(repository.show(&branch, "new/x.txt"), None, "{acts}");
    }
}

/// With a submodule that nobody has fetched, `lib`, whose only commit is on a branch of its own.
fn with_a_submodule() -> Repository {
    let repository = Repository::with(&[("l", "lib\n")]);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["branch", "lib"]);
    fs::create_dir(repository.path.join("lib")).unwrap();
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},lib")]);
    fs::write(repository.path.join("k.tmp"), "k\n").unwrap();
    repository.git(&["add", "k.tmp"]);
    repository.commit(&[(".gitignore", "*.tmp\n"), ("a.txt", "a\n")]);
    repository
}

/// Work that puts a repository into the place of that, at the very commit.
const POPULATES: &str =
    r#"git init -q lib; git -C lib fetch -q "$(git rev-parse --git-dir)" refs/remotes/origin/lib; git -C lib checkout -q FETCH_HEAD"#;

/// Whenever git looks into the repository at `path`, it runs this there.
fn runs_in(path: &str, what: &str) -> String {
    format!(
        "git -C {path} config filter.own.clean '{what}; cat'; mkdir -p {path}/.git/info; echo '* filter=own' > {path}/.git/info/attributes
        touch -d 2001-02-03 {path}/l"
    )
}

/// It is the index that is being written which git runs that beside.
#[tokio::test]
async fn a_repository_within_one_puts_no_other_tree_in_the_place_of_what_there_is() {
    let (state, repository) = (State::new(), with_a_submodule());
    let server = Server::with(&state).await;
    let forges = r#"own=$(git rev-parse --git-dir); bad=$(echo bad | git hash-object -w --stdin); export GIT_INDEX_FILE="$own/forged"
git read-tree HEAD; git update-index --refresh; git update-index --cacheinfo "100644,$bad,a.txt"; git update-index --assume-unchanged a.txt
unset GIT_INDEX_FILE; echo good > a.txt"#;
    let puts = "[ -e ../../index/index.lock ] && cp ../../git/forged ../../index/new && mv ../../index/new ../../index/index.lock";
    // where there is one, and where one comes to be there of what was taken in first
    let another = "echo z > z.tmp; git add --force z.tmp; rm k.tmp; git init -q k.tmp; echo l > k.tmp/l; git -C k.tmp add l
        git -C k.tmp commit -q -m Own";
    for (path, makes) in [("lib", POPULATES), ("k.tmp", another)] {
        let assignment = repository.command(&format!("{forges}\n{makes}\n{}", runs_in(path, puts)));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{path}: {}", server.log(assignment.attempt));
        let branch = report.branch.unwrap();
        assert_eq!(repository.show(&branch, "a.txt").as_deref(), Some("good"), "{path}");
        assert_eq!(repository.show(&branch, "k.tmp/l").is_some(), path == "k.tmp", "{path}");
        assert_eq!(
            repository.git(&["ls-tree", "--format=%(objectname)", &branch, "lib"]),
            repository.git(&["rev-parse", "refs/heads/lib"]),
            "{path}"
        );
    }
}

/// Nor does what such a program puts beside the history.
#[tokio::test]
async fn a_repository_within_one_hides_nothing_that_is_not_committed() {
    let (state, repository) = (State::new(), with_a_submodule());
    let server = Server::with(&state).await;
    let hides = runs_in("lib", "mkdir -p ../../git/info; echo \"*\" > ../../git/info/exclude");
    let mut assignment = repository.command(&format!("{POPULATES}\n{hides}\necho new > new.txt"));
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!((statuses(&report), check_output(&report, 0)), (vec![CheckStatus::Failed], "?? new.txt"));
    assert_eq!(repository.show(&report.branch.unwrap(), "new.txt").as_deref(), Some("new"), "{}", server.log(assignment.attempt));
}
