//! Submodules are there before the work where it wants them, nothing that a repository says of them leads anywhere else, and what the work
//! changes inside them is saved beside its result.

use std::{fs, path::Path, process::Command};

use domain::{
    ArtifactKind, CheckKind, CheckStatus, FailureCode, FindingKind, Isolation, LogStream,
    protocol::{Assignment, AttemptReport, Credentials},
    repository::SUBMODULES,
};
use runner::{Paths, RunnerConfig};

use crate::harness::{Repository, Server, State, check_output, checks, config, failure_code, outcome, short, statuses, without_a_sandbox};

/// As tasks name it; git on the runner's machine is told that it is somewhere else.
const ELSEWHERE: &str = "https://forge.test/acme/app.git";

/// A commit in which there is another repository, as this `.gitmodules` says.
fn holds(outer: &Repository, path: &str, commit: &str, gitmodules: &str) {
    fs::write(outer.path.join(".gitmodules"), gitmodules).unwrap();
    outer.git(&["add", ".gitmodules"]);
    links(outer, path, commit);
}

fn links(outer: &Repository, path: &str, commit: &str) {
    fs::create_dir_all(outer.path.join(path)).unwrap();
    outer.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    outer.git(&["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--allow-empty", "-m", "Take it in"]);
}

fn described(name: &str, path: &str, url: &str) -> String {
    format!("[submodule \"{name}\"]\n\tpath = {path}\n\turl = {url}\n")
}

fn head(repository: &Repository) -> String {
    repository.git(&["rev-parse", "HEAD"])
}

/// A library, and what has it at `vendor/lib`.
fn app() -> (Repository, Repository) {
    let (lib, app) = (Repository::with(&[("lib.txt", "one\n")]), Repository::sample());
    holds(&app, "vendor/lib", &head(&lib), &described("lib", "vendor/lib", lib.path.to_str().unwrap()));
    (lib, app)
}

fn with_submodules(repository: &Repository, command: &str) -> Assignment {
    Assignment { submodules: true, ..repository.command(command) }
}

/// What a result says that a submodule is at.
fn link(repository: &Repository, branch: &str, path: &str) -> String {
    repository.git(&["ls-tree", "--format=%(objectname)", branch, path])
}

fn kinds(report: &AttemptReport) -> Vec<ArtifactKind> {
    report.artifacts.iter().map(|artifact| artifact.kind).collect()
}

/// A file as it is on a branch that the work has left in one of the runner's mirrors.
fn in_mirrors(server: &Server, branch: &str, path: &str) -> Vec<String> {
    let mirrors = fs::read_dir(server.state.join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    let show = |mirror: &Path| {
        let spec = format!("{branch}:{path}");
        let shown = Command::new("git").args(["-c", "safe.directory=*", "--git-dir"]).arg(mirror).args(["show", &spec]).output().unwrap();
        shown.status.success().then(|| String::from_utf8(shown.stdout).unwrap())
    };
    mirrors.filter_map(|mirror| show(&mirror)).collect()
}

#[tokio::test]
async fn submodules_are_there_before_the_work_and_as_deep_as_they_lie() {
    let (state, inner) = (State::new(), Repository::with(&[("inner.txt", "deep\n")]));
    let (lib, app) = app();
    holds(&lib, "in", &head(&inner), &described("in", "in", &format!("file://{}", inner.path.display())));
    links(&app, "vendor/lib", &head(&lib));
    let server = Server::with(&state).await;
    assert!(server.capabilities().contains(&SUBMODULES.to_owned()));
    let look = "cat vendor/lib/lib.txt vendor/lib/in/inner.txt; git -C vendor/lib rev-parse HEAD; git status --porcelain; \
                git submodule --quiet foreach 'git log -1 --format=%s'";
    let mut assignment = with_submodules(&app, look);
    assignment.checks = checks(&[
        (CheckKind::CommandSucceeds, Some("grep one vendor/lib/lib.txt && git -C vendor/lib/in log -1")),
        (CheckKind::GitClean, None),
    ]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert!(report.verification.as_ref().unwrap().passed() == 2, "{report:#?}");
    let expected = format!("one\ndeep\n{}\nTake it in\n", head(&lib));
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), expected);
    assert_eq!((report.branch, report.artifacts.len()), (None, 0), "nothing was changed");
    server.until_muster_says(assignment.attempt, "Submodule vendor/lib/in at ").await;

    let without = app.command("ls vendor/lib | wc -l");
    assert_eq!(outcome(&server.carry_out(&without).await), "completed");
    assert_eq!(server.output(without.attempt, LogStream::Stdout).trim(), "0", "nobody has asked for them");
}

#[tokio::test]
async fn what_a_check_changes_inside_a_submodule_is_put_back() {
    let (state, (_lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    // at a commit that nobody else has
    let mut assignment = with_submodules(&app, "cd vendor/lib; echo two > lib.txt; git commit --quiet -am Two; echo new > new.txt");
    let look = "cd vendor/lib && grep -qx two lib.txt && grep -qx new new.txt";
    let spoils = format!("{look} && echo three > lib.txt && rm new.txt");
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some(&spoils)), (CheckKind::CommandSucceeds, Some(look))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(statuses(&report), [CheckStatus::Passed; 2], "{report:#?}\n{}", server.log(assignment.attempt));
    let said = "it was put back, and is no part of the result: M vendor/lib/lib.txt, D vendor/lib/new.txt";
    assert!(server.log(assignment.attempt).contains(said), "{}", server.log(assignment.attempt));
}

/// Also where nothing that lands says that there is one.
#[tokio::test]
async fn a_submodule_that_a_check_removes_is_put_back_with_its_folder() {
    let (state, (_lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let changes = "(cd vendor/lib; echo two > lib.txt; git commit --quiet -am Two; echo new > new.txt)";
    let takes_out = "git rm --quiet --cached vendor/lib; echo vendor/ > .gitignore";
    let look = "cd vendor/lib && grep -qx two lib.txt && grep -qx new new.txt && test $(git log -1 --format=%s) = Two";
    let removals = ["rm -rf vendor/lib", "rm -rf vendor && ln -s . vendor", "rm -rf vendor && touch vendor"];
    let specs: Vec<_> = removals.iter().flat_map(|removes| [*removes, look]).map(|one| (CheckKind::CommandSucceeds, Some(one))).collect();
    for works in [changes.to_owned(), format!("{changes}; {takes_out}")] {
        let mut assignment = with_submodules(&app, &works);
        assignment.checks = checks(&specs);
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{works}: {}", server.log(assignment.attempt));
        assert_eq!(statuses(&report), vec![CheckStatus::Passed; specs.len()], "{works}: {report:#?}\n{}", server.log(assignment.attempt));
        assert!(server.log(assignment.attempt).contains("D vendor/lib/new.txt"), "{works}: {}", server.log(assignment.attempt));
    }
}

#[tokio::test]
async fn what_is_changed_inside_a_submodule_is_saved_beside_the_result() {
    let (state, (lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let at_first = head(&lib);
    let commits = "cd vendor/lib; echo two >> lib.txt; git commit --quiet -am Two; echo new > new.txt; cd ../..; git add vendor/lib; \
                   git commit --quiet -m Bump; echo own > own.txt";
    for command in ["echo two >> vendor/lib/lib.txt; echo new > vendor/lib/new.txt; echo own > own.txt", commits] {
        let assignment = with_submodules(&app, command);
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
        let branch = report.branch.clone().unwrap();
        assert_eq!(app.show(&branch, "own.txt").as_deref(), Some("own"));
        assert_eq!(link(&app, &branch, "vendor/lib"), at_first, "nobody could fetch anything else: {command}");
        assert_eq!(kinds(&report), [ArtifactKind::Diff, ArtifactKind::Patch]);
        let patch = &report.artifacts[1];
        let text = String::from_utf8_lossy(&patch.content);
        assert_eq!(patch.name, "submodule-1-vendor-lib.patch");
        assert!(text.contains("+two") && text.contains("+new"), "{text}");
        let found: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(found, [FindingKind::SubmoduleChanged]);
        let left = format!("{branch}-left/submodule-1");
        assert_eq!(in_mirrors(&server, &left, "lib.txt"), ["one\ntwo\n"]);
        assert_eq!(in_mirrors(&server, &left, "new.txt"), ["new\n"]);
        assert!(server.log(assignment.attempt).contains("vendor/lib was changed inside"));
    }
    assert_eq!(lib.branches(), Vec::<String>::new(), "and nothing was pushed to it");

    // nothing but that
    let mut inside = with_submodules(&app, "echo two >> vendor/lib/lib.txt");
    inside.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&inside).await;
    assert_eq!((outcome(&report).as_str(), &report.branch, kinds(&report)), ("completed", &None, vec![ArtifactKind::Patch]));
    assert_eq!((statuses(&report), check_output(&report, 0)), (vec![CheckStatus::Failed], " M vendor/lib"));
}

/// Also where nothing is changed in its worktree, or there is none any more.
#[tokio::test]
async fn what_is_committed_in_a_submodule_beside_what_it_is_at_is_kept() {
    let (state, (_lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let branch = |assignment: &Assignment| format!("muster/{}-1-left/submodule-1", assignment.attempt.task_id.short());
    let beside = "cd vendor/lib; git checkout --quiet -b idea; echo idea > idea.txt; git add .; git commit --quiet -m Idea
        git checkout --quiet --detach HEAD~1; echo stashed > lib.txt; git stash --quiet";
    for (more, kinds_of_it) in [("", vec![]), ("; echo two > lib.txt", vec![ArtifactKind::Patch])] {
        let assignment = with_submodules(&app, &format!("{beside}{more}"));
        let report = server.carry_out(&assignment).await;
        assert_eq!((outcome(&report).as_str(), kinds(&report)), ("completed", kinds_of_it), "{}", server.log(assignment.attempt));
        let branch = branch(&assignment);
        assert_eq!(in_mirrors(&server, &format!("{branch}-left/idea"), "idea.txt"), ["idea\n"]);
        assert_eq!(in_mirrors(&server, &format!("{branch}-left/stash"), "lib.txt"), ["stashed\n"]);
        let log = server.log(assignment.attempt);
        assert!(log.contains("In the submodule vendor/lib: The work left commits on idea"), "{log}");
    }

    let gone = "cd vendor/lib; echo two > lib.txt; git commit --quiet -am Two; cd ../..; rm -rf vendor/lib";
    let assignment = with_submodules(&app, gone);
    assert_eq!(outcome(&server.carry_out(&assignment).await), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(in_mirrors(&server, &branch(&assignment), "lib.txt"), ["two\n"]);
    assert!(server.log(assignment.attempt).contains("The submodule vendor/lib is gone: "));

    let remade = "cd vendor/lib; rm .git; git init --quiet; git add .; git commit --quiet -m Own; echo two > lib.txt";
    let mut assignment = with_submodules(&app, remade);
    assert_eq!(kinds(&server.carry_out(&assignment).await), [ArtifactKind::Patch], "{}", server.log(assignment.attempt));
    assert_eq!(in_mirrors(&server, &branch(&assignment), "lib.txt"), ["two\n"]);
    assert!(server.log(assignment.attempt).contains("The submodule vendor/lib was made a repository of its own"));

    // of one whose repository is gone as well the rest is saved
    assignment = with_submodules(&app, "echo own > own.txt; rm -rf \"$(git -C vendor/lib rev-parse --git-dir)/HEAD\" vendor/lib");
    let report = server.carry_out(&assignment).await;
    assert_eq!(app.show(&report.branch.unwrap(), "own.txt").as_deref(), Some("own"), "{}", server.log(assignment.attempt));
    assert!(server.log(assignment.attempt).contains("is gone with its repository"));
}

#[tokio::test]
async fn a_submodule_may_be_moved_to_what_its_repository_has() {
    let (state, (lib, app)) = (State::new(), app());
    let second = lib.commit(&[("lib.txt", "two\n")]);
    let server = Server::with(&state).await;
    let assignment = with_submodules(&app, "git -C vendor/lib checkout --quiet origin/main; cat vendor/lib/lib.txt");
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), "two\n");
    assert_eq!(link(&app, &report.branch.clone().unwrap(), "vendor/lib"), second);
    assert_eq!((kinds(&report), report.findings), (vec![ArtifactKind::Diff], vec![]));
    // a commit that is on no branch any more is fetched by its id, and is what the worktree has
    let third = lib.commit(&[("lib.txt", "three\n")]);
    links(&app, "vendor/lib", &third);
    lib.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    lib.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let late = with_submodules(&app, "cat vendor/lib/lib.txt");
    assert_eq!(outcome(&server.carry_out(&late).await), "completed", "{}", server.log(late.attempt));
    assert_eq!(server.output(late.attempt, LogStream::Stdout), "three\n");
}

/// The work can name any commit in its index, and where there are no files nothing shows which.
#[tokio::test]
async fn a_submodule_without_files_is_at_what_it_was_at() {
    let (state, (lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let moves = format!("git update-index --cacheinfo 160000,{},vendor/lib; git commit --quiet -m Bump", "1".repeat(40));
    for (then, at) in [("rm -rf vendor/lib/* vendor/lib/.git", head(&lib)), ("rm -rf vendor/lib", String::new())] {
        let assignment = with_submodules(&app, &format!("{moves}; {then}; echo own > own.txt"));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
        assert_eq!(link(&app, &report.branch.unwrap(), "vendor/lib"), at, "{then}");
        let log = server.log(assignment.attempt);
        assert!(log.contains("The submodule vendor/lib has no files any more"), "{log}");
    }
}

#[tokio::test]
async fn what_a_repository_says_of_its_submodules_runs_nothing_and_reads_nothing_else() {
    let (state, place) = (State::new(), tempfile::tempdir().unwrap());
    let lib = Repository::with(&[("lib.txt", "one\n")]);
    let (library, marker, settings) = (lib.path.to_str().unwrap(), place.path().join("ran"), place.path().join("settings"));
    fs::write(&settings, described("lib", "lib", library)).unwrap();
    let server = Server::with(&state).await;
    let touches = format!("touch {}", marker.display());
    let included = format!("[include]\n\tpath = {}\n", settings.display());
    for (gitmodules, path, why) in [
        (described("lib", "lib", &format!("ext::sh -c {touches}%")), "lib", "an address that is not followed"),
        (described("lib", "lib", &format!("-u{touches}")), "lib", "an address that is not followed"),
        (described("../../hooks", "lib", library), "lib", "a name that no submodule may have"),
        (described("lib", "lib", "../../../../../../../lib"), "lib", "leads up further"),
        (described("lib", "-lib", library), "-lib", "lies where no submodule may lie"),
        (described("lib", "elsewhere", library), "lib", "is not described"),
        (described("one", "lib", library) + &described("two", "lib", library), "lib", "is described twice"),
        (included, "lib", "is not described"),
        (described("lib", "lib", library) + &format!("\tupdate = !{touches}\n"), "lib", "by a command"),
        ("[submodule \"lib\"\n".into(), "lib", ".gitmodules cannot be read"),
        (described("lib", "lib", "/nowhere/at/all"), "lib", "there is no folder /nowhere/at/all"),
    ] {
        let app = Repository::sample();
        holds(&app, path, &head(&lib), &gitmodules);
        let report = server.carry_out(&with_submodules(&app, "true")).await;
        assert_eq!(failure_code(&report), Some(FailureCode::SubmoduleUnavailable), "{gitmodules}: {}", outcome(&report));
        assert!(outcome(&report).contains(why), "{gitmodules}: {}", outcome(&report));
        assert!(!marker.exists(), "{gitmodules}");
    }

    // git itself makes no such commit, and takes one that is there
    let app = Repository::sample();
    let tree = format!(
        "printf '120000 blob %s\\t.gitmodules\\n160000 commit {}\\tlib\\n' \"$(printf %s '{}' | git hash-object -w --stdin)\" | git mktree",
        head(&lib),
        settings.display()
    );
    let made = Command::new("sh").args(["-c", &tree]).current_dir(&app.path).output().unwrap();
    let tree = String::from_utf8(made.stdout).unwrap();
    let user = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    let commit = app.git(&[&user[..], &["commit-tree", "-m", "A link", tree.trim()]].concat());
    app.git(&["update-ref", "refs/heads/main", &commit]);
    let report = server.carry_out(&with_submodules(&app, "true")).await;
    assert!(outcome(&report).contains(".gitmodules is no file"), "{}", outcome(&report));
    let app = Repository::sample();
    holds(&app, "lib", &"1".repeat(40), &described("lib", "lib", library));
    let report = server.carry_out(&with_submodules(&app, "true")).await;
    assert!(outcome(&report).contains("does not have the commit 1111"), "{}", outcome(&report));
}

#[tokio::test]
async fn a_repository_elsewhere_names_nothing_on_the_runners_machine() {
    let (state, (lib, app)) = (State::new(), app());
    fs::create_dir_all(state.path()).unwrap();
    let settings = format!("[url \"{}\"]\n\tinsteadOf = {ELSEWHERE}\n", app.path.display());
    fs::write(state.path().join("gitconfig.local"), settings).unwrap();
    let server = Server::with(&state).await;
    let elsewhere = || Assignment { repository: ELSEWHERE.into(), ..with_submodules(&app, "cat vendor/lib/lib.txt") };
    for url in [lib.path.display().to_string(), format!("file://{}", lib.path.display())] {
        holds(&app, "vendor/lib", &head(&lib), &described("lib", "vendor/lib", &url));
        let report = server.carry_out(&elsewhere()).await;
        assert_eq!(failure_code(&report), Some(FailureCode::SubmoduleUnavailable));
        assert!(outcome(&report).contains("is a path on the runner's machine"), "{}", outcome(&report));
    }

    // one that takes no paths takes none for a submodule either
    let other = State::new();
    let own = Paths::Only(app.path.clone());
    let server = Server::with_config(RunnerConfig { paths: own, ..config(other.path()) }, short()).await;
    let report = server.carry_out(&with_submodules(&app, "true")).await;
    assert!(outcome(&report).contains("no repository that is one"), "{}", outcome(&report));
}

#[tokio::test]
async fn a_workspace_that_shares_the_machine_finds_nothing_of_others_by_a_submodule() {
    let (state, (lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    assert_eq!(outcome(&server.carry_out(&with_submodules(&app, "true")).await), "completed");
    let credentials = Credentials::Workspace { slug: "acme".into() };
    let guest = || Assignment { credentials: credentials.clone(), ..with_submodules(&app, "cat vendor/lib/lib.txt") };
    // by its path it is everybody's, and each has a mirror of its own
    let mirrors = || {
        let all = fs::read_dir(server.state.join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|word| word == "git")).collect::<Vec<_>>()
    };
    let before = mirrors();
    assert_eq!(outcome(&server.carry_out(&guest()).await), "completed");
    assert_eq!((before.len(), mirrors().len()), (2, 4));
    for mirror in before {
        holds(&app, "vendor/lib", &head(&lib), &described("lib", "vendor/lib", mirror.to_str().unwrap()));
        // nor does a repository of whoever the machine is for lead there
        for assignment in [guest(), with_submodules(&app, "true")] {
            let report = server.carry_out(&assignment).await;
            assert_eq!(failure_code(&report), Some(FailureCode::SubmoduleUnavailable));
            assert!(outcome(&report).contains("what Muster keeps for itself"), "{}", outcome(&report));
        }
    }
}

#[tokio::test]
async fn the_repository_of_a_submodule_stays_where_it_is() {
    let (state, (_lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let acts = "set -e; test -d ../git/modules/1/objects; if mv ../git/modules ../git/elsewhere; then exit 1; fi; cat vendor/lib/lib.txt";
    let assignment = Assignment { isolation: Isolation::Sandbox, ..with_submodules(&app, acts) };
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
}

#[tokio::test]
async fn a_submodule_that_is_moved_keeps_its_files() {
    let (state, (_lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let moves = "mkdir libs; git mv vendor/lib libs/lib; git commit --quiet -m Move; echo two >> libs/lib/lib.txt";
    let assignment = with_submodules(&app, moves);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    assert_eq!(app.show(&branch, "libs/lib/lib.txt").as_deref(), Some("one\ntwo"));
    assert_eq!(link(&app, &branch, "vendor/lib"), "");
}

/// No `.gitmodules` names the submodule any more, and an id there would be nobody's.
#[tokio::test]
async fn files_in_the_place_of_a_submodule_that_is_taken_out_land() {
    let (state, (lib, app)) = (State::new(), app());
    let server = Server::with(&state).await;
    let commits = "cd vendor/lib; echo two > lib.txt; git commit --quiet -am Two; cd ../..";
    let replaces = "git rm --quiet --force vendor/lib; mkdir -p vendor/lib; echo x > vendor/lib/mine.c";
    for command in [
        replaces.to_owned(),
        format!("{replaces}; git add --all"),
        format!("{commits}; {replaces}; git add --all; git commit --quiet -m Own"),
    ] {
        let mut assignment = with_submodules(&app, &command);
        assignment.checks = checks(&[(CheckKind::GitClean, None)]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{command}: {}", server.log(assignment.attempt));
        let branch = report.branch.clone().unwrap();
        assert_eq!(app.show(&branch, "vendor/lib/mine.c").as_deref(), Some("x"), "{command}");
        let clean = if command.contains("-m Own") { CheckStatus::Passed } else { CheckStatus::Failed };
        assert_eq!((statuses(&report), kinds(&report)), (vec![clean], vec![ArtifactKind::Diff]), "{command}");
        let left = in_mirrors(&server, &format!("{branch}-left/submodule-1"), "lib.txt");
        assert_eq!(left.is_empty(), !command.contains("Two"), "what was committed there is kept: {command}");
    }

    // where it is named all the same, what leads to its repository is put back
    let assignment = with_submodules(&app, "rm vendor/lib/.git; echo two > vendor/lib/lib.txt");
    let report = server.carry_out(&assignment).await;
    assert_eq!((report.branch.clone(), kinds(&report)), (None, vec![ArtifactKind::Patch]), "{}", server.log(assignment.attempt));
    // and of one that is longer than anybody's nobody reads that it is not
    let long = "rm vendor/lib/.git; echo two > vendor/lib/lib.txt; head -c 2000000 /dev/zero | tr '\\0' '#' > .gitmodules";
    let assignment = with_submodules(&app, long);
    let report = server.carry_out(&assignment).await;
    assert_eq!(link(&app, &report.branch.unwrap(), "vendor/lib"), head(&lib), "{}", server.log(assignment.attempt));
}

/// git looks into a submodule by the index that the work has there, and into what that names.
#[tokio::test]
async fn what_a_submodule_names_puts_no_other_tree_in_the_place_of_what_there_is() {
    let (state, lib, app) = (State::new(), Repository::with(&[("lib.txt", "one\n"), ("x/f.txt", "f\n")]), Repository::sample());
    holds(&app, "vendor/lib", &head(&lib), &described("lib", "vendor/lib", lib.path.to_str().unwrap()));
    let server = Server::with(&state).await;
    let acts = r#"own=$(git rev-parse --git-dir); bad=$(echo bad | git hash-object -w --stdin); export GIT_INDEX_FILE="$own/forged"
git read-tree HEAD; git update-index --refresh; git update-index --cacheinfo "100644,$bad,README.md"; git update-index --assume-unchanged README.md
unset GIT_INDEX_FILE; echo good > README.md; cd vendor/lib/x; git init -q; git add f.txt; git commit -q -m X
git config filter.own.clean 'cd ../../../../index; [ -e index.lock ] && cp ../git/forged new && mv new index.lock; cat'
mkdir -p .git/info; echo '* filter=own' > .git/info/attributes; touch -d 2001-02-03 f.txt; x=$(git rev-parse HEAD); cd ..
git rm -q -r --cached x; git update-index --add --cacheinfo "160000,$x,x""#;
    let assignment = with_submodules(&app, acts);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    assert_eq!(app.show(&branch, "README.md").as_deref(), Some("good"));
    assert_eq!(link(&app, &branch, "vendor/lib"), head(&lib));
}

/// What it names runs when all that lands is taken in, and may write whatever the work may.
#[tokio::test]
async fn what_a_submodule_names_neither_rewrites_nor_hides_what_there_is() {
    let (state, lib, app) = (State::new(), Repository::with(&[("lib.txt", "one\n")]), Repository::sample());
    // as if by mistake: no .gitmodules says what that is
    links(&lib, "x", &head(&lib));
    holds(&app, "vendor/lib", &head(&lib), &described("lib", "vendor/lib", lib.path.to_str().unwrap()));
    let server = Server::with(&state).await;
    let acts = r#"echo '+AGE-' > README.md; echo new > new.txt; own=$(git -C vendor/lib rev-parse --git-dir); cd vendor/lib/x; git init -q
git fetch -q "$own" refs/remotes/origin/main; git checkout -q FETCH_HEAD~1; git config filter.own.clean 'cd ../../../../git; mkdir -p info
echo "README.md working-tree-encoding=UTF-7" > info/attributes; echo new.txt > info/exclude; cat'
mkdir -p .git/info; echo '* filter=own' > .git/info/attributes; touch -d 2001-02-03 lib.txt"#;
    let assignment = with_submodules(&app, acts);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    assert_eq!(app.show(&branch, "README.md").as_deref(), Some("+AGE-"));
    assert_eq!(app.show(&branch, "new.txt").as_deref(), Some("new"));

    // and it is asked: what is changed there is neither a part of the result nor kept by anybody
    let changes = "cd vendor/lib/x; git init -q; echo x > lib.txt; git add .; git commit -q -m X; echo y > lib.txt";
    let report = server.carry_out(&with_submodules(&app, changes)).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{}", outcome(&report));
    assert!(outcome(&report).contains("git cannot take in x, which has changes of its own"), "{}", outcome(&report));
}

#[tokio::test]
async fn where_a_submodule_was_nobody_is_led_out() {
    let (state, place) = (State::new(), tempfile::tempdir().unwrap());
    let (_lib, app) = app();
    let server = Server::with(&state).await;
    fs::write(place.path().join("theirs.txt"), "theirs").unwrap();
    for command in ["rm -rf vendor/lib; ln -s {} vendor/lib", "mv vendor away; ln -s {} vendor; mkdir -p {}/lib; echo x > {}/lib/x.txt"] {
        let command = command.replace("{}", place.path().to_str().unwrap());
        let assignment = without_a_sandbox(with_submodules(&app, &command));
        let report = server.carry_out(&assignment).await;
        assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
        assert!(!place.path().join(".git").exists() && !place.path().join("lib/.git").exists(), "{command}");
    }
    let emptied = with_submodules(&app, "git rm --quiet -r --cached vendor/lib; rm -rf vendor/lib .gitmodules");
    let report = server.carry_out(&emptied).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(emptied.attempt));
    assert_eq!(link(&app, &report.branch.unwrap(), "vendor/lib"), "", "it may be taken out");
}
