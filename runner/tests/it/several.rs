//! A task may work on several repositories: each has a worktree beside that of the first, and what is changed in it is looked at, saved and
//! landed there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use domain::{
    CheckKind, CheckStatus, FailureCode, LogStream,
    protocol::{Assignment, AttemptReport, Landed, LandingOrder, ToRunner, ToServer},
    repository::SEVERAL,
    task::TaskRepository,
};
use runner::RunnerConfig;

use crate::harness::{PATIENCE, Repository, Server, State, check_output, checks, config, failure_code, outcome, short, statuses, until};

/// As the task calls it.
fn called(folder: &str, repository: &Repository) -> TaskRepository {
    TaskRepository { url: repository.path.to_str().unwrap().into(), base_ref: None, folder: folder.into() }
}

pub fn beside(first: &Repository, command: &str, others: &[(&str, &Repository)]) -> Assignment {
    let repositories = others.iter().map(|(folder, one)| called(folder, one)).collect();
    Assignment { repositories, ..first.command(command) }
}

fn names(report: &AttemptReport) -> Vec<&str> {
    report.artifacts.iter().map(|artifact| artifact.name.as_str()).collect()
}

/// What the work has come to in one beside the first.
fn branch_in(report: &AttemptReport, folder: &str) -> Option<String> {
    report.repositories.iter().find(|one| one.folder == folder).unwrap().branch.clone()
}

#[tokio::test]
async fn each_repository_has_a_worktree_beside_the_first_and_a_result_of_its_own() {
    let (state, app, api, web) = (State::new(), Repository::sample(), Repository::sample(), Repository::sample());
    web.git(&["checkout", "--quiet", "-b", "next"]);
    let next = web.commit(&[("next.txt", "next\n")]);
    web.git(&["checkout", "--quiet", "main"]);
    let server = Server::with(&state).await;
    assert!(server.capabilities().contains(&SEVERAL.to_owned()));
    let command = "cat ../more/web/next.txt; echo own > own.txt; cd ../more/api && echo changed >> README.md && git commit --quiet -am Mine \
                   && echo new > new.txt; for name in $MUSTER_REPOSITORIES; do git -C \"$MUSTER_MORE/$name\" status --porcelain; done";
    let mut assignment = beside(&app, command, &[("api", &api), ("web", &web)]);
    assignment.repositories[1].base_ref = Some("next".into());
    let look = "grep changed ../more/api/README.md && grep new \"$MUSTER_MORE/api/new.txt\" && git -C ../more/web log -1";
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some(look))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(statuses(&report), [CheckStatus::Passed], "{report:#?}");
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), "next\n?? new.txt\n");
    server.until_muster_says(assignment.attempt, "into ../more/web").await;

    let branch = report.branch.clone().unwrap();
    assert_eq!(app.show(&branch, "own.txt").as_deref(), Some("own"));
    assert_eq!(app.show(&branch, "new.txt"), None);
    assert_eq!(branch_in(&report, "api"), Some(branch.clone()));
    assert_eq!((api.show(&branch, "new.txt").as_deref(), api.show(&branch, "own.txt")), (Some("new"), None));
    assert_eq!(api.show(&branch, "README.md").as_deref(), Some("# Sample\nchanged"));
    let [of_api, of_web] = report.repositories.as_slice() else { panic!("{report:#?}") };
    assert_eq!(of_api.commit.as_deref(), Some(api.git(&["rev-parse", &branch]).as_str()));
    assert_eq!(of_api.base_commit, api.git(&["rev-parse", "main"]));
    assert_eq!((&of_web.base_commit, &of_web.branch, &of_web.commit), (&next, &None, &None), "nothing was changed there");
    assert_eq!(web.branches(), Vec::<String>::new());
    assert_eq!(names(&report), ["changes.diff", "changes-api.diff"]);
    let diff = String::from_utf8_lossy(&report.artifacts[1].content);
    assert!(diff.contains("+changed") && diff.contains("+new") && !diff.contains("+own"), "{diff}");
    assert!(server.log(assignment.attempt).contains("api: Saved on "));
}

#[tokio::test]
async fn what_is_left_uncommitted_anywhere_is_not_clean() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let server = Server::with(&state).await;
    for (command, said) in [("true", ""), ("touch ../more/api/new.txt", "api: ?? new.txt"), ("touch a.txt", "?? a.txt")] {
        let mut assignment = beside(&app, command, &[("api", &api)]);
        assignment.checks = checks(&[(CheckKind::GitClean, None)]);
        let report = server.carry_out(&assignment).await;
        let status = if said.is_empty() { CheckStatus::Passed } else { CheckStatus::Failed };
        assert_eq!(statuses(&report), [status], "{command}: {}", server.log(assignment.attempt));
        assert_eq!(check_output(&report, 0).trim(), said);
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_of_them_says_with_which() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let server = Server::with(&state).await;
    let refused = async |change: &dyn Fn(&mut TaskRepository)| {
        let mut assignment = beside(&app, "echo one > own.txt", &[("api", &api)]);
        change(&mut assignment.repositories[0]);
        let report = server.carry_out(&assignment).await;
        (failure_code(&report), outcome(&report))
    };
    let (code, said) = refused(&|one| one.base_ref = Some("nowhere".into())).await;
    assert_eq!(code, Some(FailureCode::RefNotFound));
    assert!(said.contains("api: the repository has no branch, tag or commit 'nowhere'"), "{said}");
    let (code, said) = refused(&|one| one.url = "/nowhere/at/all".into()).await;
    assert_eq!(code, Some(FailureCode::RepositoryUnavailable));
    assert!(said.contains("api: there is no folder /nowhere/at/all"), "{said}");
    // whatever a server says
    let (code, said) = refused(&|one| one.folder = "../../x".into()).await;
    assert_eq!(code, Some(FailureCode::RepositoryUnavailable));
    assert!(said.contains("its folder must be"), "{said}");
    let own = app.path.to_str().unwrap();
    let (code, said) = refused(&|one| one.url = own.into()).await;
    assert_eq!(code, Some(FailureCode::RepositoryUnavailable));
    assert!(said.contains("is another repository of the task as well"), "{said}");
    // by another spelling, and by a link
    let link = state.path().with_file_name("link");
    std::os::unix::fs::symlink(&app.path, &link).unwrap();
    for again in [format!("{own}/./"), link.to_str().unwrap().to_owned()] {
        let (code, said) = refused(&|one| one.url = again.clone()).await;
        assert_eq!(code, Some(FailureCode::RepositoryUnavailable), "{again}");
        assert!(said.contains("api: it is another repository of the task as well"), "{said}");
    }
    assert_eq!((app.branches(), api.branches()), (vec![], vec![]));

    // one that takes no paths takes none for a further one either
    let other = State::new();
    let paths = runner::Paths::Only(app.path.clone());
    let server = Server::with_config(RunnerConfig { paths, ..config(other.path()) }, short()).await;
    let report = server.carry_out(&beside(&app, "true", &[("api", &api)])).await;
    assert!(outcome(&report).contains("api: this runner works on no repository that is a path"), "{}", outcome(&report));
}

#[tokio::test]
async fn what_was_done_in_any_of_them_is_saved_however_the_work_ends() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = beside(&app, "echo half > half.txt; echo half > ../more/api/half.txt; exit 3", &[("api", &api)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::CommandFailed));
    let branch = report.branch.clone().unwrap();
    assert_eq!(branch_in(&report, "api"), Some(branch.clone()));
    assert_eq!([&app, &api].map(|one| one.show(&branch, "half.txt")), [Some("half".to_owned()), Some("half".to_owned())]);

    // also when the runner stops in the middle
    let command = "rm -rf ../more/api/*; trap '' INT; echo half > half.txt; echo ready; while :; do sleep 0.05; done";
    let attempt = server.assign(&beside(&app, command, &[("api", &api)])).await;
    server.until_output(attempt, "ready").await;
    let folder = server.folder(attempt);
    server.stop().await;
    let branch = format!("muster/{}-1", attempt.task_id.short());
    assert_eq!(app.show(&branch, "half.txt").as_deref(), Some("half"));
    assert_eq!((api.git(&["rev-parse", "--verify", &branch]).is_empty(), api.show(&branch, "README.md")), (false, None));
    assert!(!folder.exists());
}

/// Of the runner's machine.
fn settings(state: &State) -> PathBuf {
    state.path().join("gitconfig.local")
}

/// By this address git on the runner's machine finds it where it is.
fn elsewhere(state: &State, url: &str, repository: &Repository) {
    fs::create_dir_all(state.path()).unwrap();
    let before = fs::read_to_string(settings(state)).unwrap_or_default();
    let path = repository.path.display();
    fs::write(settings(state), format!("{before}[url \"{path}\"]\n\tinsteadOf = {url}\n")).unwrap();
}

/// The runner's mirror of the repository that has this tag.
fn mirror_with(state: &Path, tag: &str) -> PathBuf {
    let mut mirrors = fs::read_dir(state.join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    let has_tag = |mirror: &PathBuf| {
        let listed = Command::new("git").args(["-c", "safe.directory=*", "--git-dir"]).arg(mirror).args(["tag", "--list", tag]).output();
        !listed.unwrap().stdout.is_empty()
    };
    mirrors.find(has_tag).unwrap()
}

#[tokio::test]
async fn what_was_saved_before_a_life_ended_is_in_the_way_of_nothing() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    api.git(&["tag", "of-api"]);
    let [app_url, api_url] = ["app", "api"].map(|name| format!("https://forge.test/acme/{name}.git"));
    elsewhere(&state, &app_url, &app);
    elsewhere(&state, &api_url, &api);
    let server = Server::with(&state).await;
    let command = "trap '' INT; echo one > one.txt; echo two > ../more/api/two.txt; echo ready; while :; do sleep 0.05; done";
    let mut assignment = Assignment { repository: app_url, ..beside(&app, command, &[("api", &api)]) };
    assignment.repositories[0].url = api_url;
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "ready").await;
    let folder = server.folder(attempt);

    // this life comes to the first of them alone
    let mirror = mirror_with(&state.path(), "of-api");
    let away = mirror.with_extension("away");
    fs::rename(&mirror, &away).unwrap();
    server.stop().await;
    let branch = format!("muster/{}-1", attempt.task_id.short());
    assert_eq!(left_in_mirrors(&state.path(), &branch), [branch.as_str()]);
    assert!(folder.exists());
    fs::rename(&away, &mirror).unwrap();

    // a commit that says when it is made would be another one now
    let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let first = second();
    until("another second", || second() > first).await;
    let server = Server::with(&state).await;
    server.until_lost(attempt).await;
    assert_eq!(left_in_mirrors(&state.path(), &branch), [branch.as_str(), branch.as_str()]);
    assert!(!folder.exists(), "all of it is saved");
}

/// A commit in which there is another repository at `vendor/lib`.
fn takes_in(outer: &Repository, lib: &Repository) {
    let (url, commit) = (lib.path.display(), lib.git(&["rev-parse", "HEAD"]));
    fs::write(outer.path.join(".gitmodules"), format!("[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = {url}\n")).unwrap();
    outer.git(&["add", ".gitmodules"]);
    fs::create_dir_all(outer.path.join("vendor/lib")).unwrap();
    outer.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},vendor/lib")]);
    outer.git(&["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", "Take it in"]);
}

/// Which branches that begin like this the runner's mirrors have.
fn left_in_mirrors(state: &Path, start: &str) -> Vec<String> {
    let mirrors = fs::read_dir(state.join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    let branches = mirrors.flat_map(|mirror| {
        let listed = Command::new("git").args(["-c", "safe.directory=*", "--git-dir"]).arg(mirror).args(["branch", "--list"]).output();
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        listed.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    });
    let mut branches: Vec<_> = branches.filter(|name| name.starts_with(start)).collect();
    branches.sort_unstable();
    branches
}

#[tokio::test]
async fn a_submodule_that_two_of_them_have_is_saved_for_each() {
    let (state, lib) = (State::new(), Repository::with(&[("lib.txt", "one\n")]));
    let (app, api) = (Repository::sample(), Repository::sample());
    takes_in(&app, &lib);
    takes_in(&api, &lib);
    let server = Server::with(&state).await;
    let command = "echo two >> vendor/lib/lib.txt; echo three >> ../more/api/vendor/lib/lib.txt";
    let assignment = Assignment { submodules: true, ..beside(&app, command, &[("api", &api)]) };
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert_eq!(names(&report), ["submodule-1-vendor-lib.patch", "api-submodule-101-vendor-lib.patch"]);
    let patches: Vec<_> = report.artifacts.iter().map(|one| String::from_utf8_lossy(&one.content).into_owned()).collect();
    assert!(patches[0].contains("+two") && patches[1].contains("+three") && !patches[1].contains("+two"), "{patches:?}");
    let left = format!("muster/{}-1-left/", assignment.attempt.task_id.short());
    let expected = ["submodule-1", "submodule-101"].map(|name| format!("{left}{name}"));
    assert_eq!(left_in_mirrors(&server.state, &left), expected);
    assert!(report.findings[0].detail.contains("api/vendor/lib"), "{:?}", report.findings);
}

/// What its runner is told of what it has saved.
fn orders(assignment: &Assignment, report: &AttemptReport) -> [LandingOrder; 2] {
    let first = crate::landing::order(assignment, report);
    let (repository, commit) = (assignment.repositories[0].url.clone(), report.repositories[0].commit.clone().unwrap());
    let beside = LandingOrder { position: 1, repository, commit, ..first.clone() };
    [first, beside]
}

/// What was said of each, the first one first.
fn landed(heard: &[ToServer]) -> Vec<Landed> {
    let landed = heard.iter().filter_map(|message| if let ToServer::Landed { landed, .. } = message { Some(landed.clone()) } else { None });
    let mut landed: Vec<Landed> = landed.collect();
    landed.sort_unstable_by_key(|landed| landed.position);
    landed
}

#[tokio::test]
async fn each_of_them_lands_by_itself() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = beside(&app, "echo one > one.txt; echo two > ../more/api/two.txt", &[("api", &api)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    for order in orders(&assignment, &report) {
        server.tell(ToRunner::Land { order: Box::new(order), optional: true }).await;
    }
    server.until("both", |heard| landed(heard).len() == 2).await;
    let landed = landed(&server.heard());
    assert_eq!(
        landed.iter().map(|one| (one.position, one.remote.clone())).collect::<Vec<_>>(),
        [(0, app.path.to_str().map(str::to_owned)), (1, api.path.to_str().map(str::to_owned)),]
    );
    assert!(landed.iter().all(|one| one.trouble.is_none()), "{landed:?}");
}

#[tokio::test]
async fn one_that_takes_long_to_land_holds_up_no_other() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/acme/app.git", host.local_addr().unwrap());
    elsewhere(&state, &url, &app);
    let server = Server::with(&state).await;
    let work = beside(&app, "echo one > one.txt; echo two > ../more/api/two.txt", &[("api", &api)]);
    let assignment = Assignment { repository: url, ..work };
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    // from now on it is asked for there, and nobody answers
    fs::write(settings(&state), "").unwrap();
    let [first, other] = orders(&assignment, &report);
    server.tell(ToRunner::Land { order: Box::new(first), optional: true }).await;
    let (asked, _) = tokio::time::timeout(PATIENCE, host.accept()).await.expect("it is at work").unwrap();
    server.tell(ToRunner::Land { order: Box::new(other), optional: true }).await;
    server.until("the other", |heard| !landed(heard).is_empty()).await;
    let only = landed(&server.heard());
    assert!(only.len() == 1 && only[0].position == 1 && only[0].trouble.is_none(), "{only:?}");
    drop((asked, host));
    server.until("both", |heard| landed(heard).len() == 2).await;
    assert!(landed(&server.heard())[0].trouble.is_some(), "it is its own trouble");
}

#[tokio::test]
async fn where_one_cannot_be_saved_it_is_said_where_the_others_are() {
    let (state, app, api) = (State::new(), Repository::sample(), Repository::sample());
    let server = Server::with(&state).await;
    // under the id of a text there is another one
    let command = r#"echo one > one.txt; cd ../more/api; echo unheard of > a.txt
place() { echo "$(git rev-parse --git-dir)/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-)"; }
own=$(git hash-object a.txt); other=$(echo harmless | git hash-object -w --stdin)
mkdir -p "$(dirname "$(place $own)")"; cp "$(place $other)" "$(place $own)""#;
    let assignment = beside(&app, command, &[("api", &api)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{}", outcome(&report));
    assert!(outcome(&report).contains("api: "), "{}", outcome(&report));
    let branch = format!("muster/{}-1", assignment.attempt.task_id.short());
    let log = server.log(assignment.attempt);
    assert!(log.contains(&format!("Saved on {branch}")), "{log}");
    assert_eq!((app.show(&branch, "one.txt").as_deref(), api.branches()), (Some("one"), vec![]));
}

#[tokio::test]
async fn what_is_found_in_one_of_them_says_in_which() {
    let (state, app) = (State::new(), Repository::sample());
    let api = Repository::with(&[("a.py", "def test_one():\n    assert True\n")]);
    let server = Server::with(&state).await;
    let report = server.carry_out(&beside(&app, "rm ../more/api/a.py", &[("api", &api)])).await;
    let found: Vec<_> = report.findings.iter().map(|finding| finding.detail.as_str()).collect();
    assert_eq!(found, ["1 test is gone: api/a.py (1)"]);
}
