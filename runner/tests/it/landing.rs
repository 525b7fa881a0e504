//! Results are pushed to where their repositories came from, and nobody else's work there is overwritten.

use std::{fs, path::PathBuf, process::Command};

use domain::protocol::{Assignment, AttemptReport, Credentials, Landed, LandingOrder, ToRunner, ToServer, WantedPullRequest};

use crate::harness::{Repository, Server, State, outcome};

/// As tasks name it; git on the runner's machine is told that it is somewhere else.
const LOCATION: &str = "https://forge.test/acme/app.git";

/// A bare repository that is reached by [`LOCATION`].
struct Remote {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Remote {
    fn of(repository: &Repository, state: &State) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.git");
        repository.git(&["clone", "--quiet", "--bare", repository.path.to_str().unwrap(), path.to_str().unwrap()]);
        fs::create_dir_all(state.path()).unwrap();
        let settings = format!("[url \"{}\"]\n\tinsteadOf = {LOCATION}\n", path.display());
        fs::write(state.path().join("gitconfig.local"), settings).unwrap();
        Self { _folder: folder, path }
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(["-c", "safe.directory=*"]).args(arguments).current_dir(&self.path).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Where a branch is; empty when it is not there.
    fn at(&self, branch: &str) -> String {
        self.git(&["for-each-ref", "--format=%(objectname)", &format!("refs/heads/{branch}")])
    }
}

/// What an attempt on it has left.
async fn done(server: &Server, assignment: &Assignment) -> AttemptReport {
    let report = server.carry_out(assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    report
}

fn elsewhere(repository: &Repository, command: &str) -> Assignment {
    Assignment { repository: LOCATION.into(), ..repository.command(command) }
}

/// Of its first repository.
pub fn order(assignment: &Assignment, report: &AttemptReport) -> LandingOrder {
    let branch = report.branch.clone().unwrap();
    LandingOrder {
        attempt: assignment.attempt,
        number: 1,
        position: 0,
        repository: assignment.repository.clone(),
        commit: report.commit.clone().unwrap(),
        saved_on: branch.clone(),
        branch,
        left_at: None,
        lfs: false,
        pull_request: None,
        says_anew: false,
        credentials: assignment.credentials.clone(),
    }
}

fn said(heard: &[ToServer]) -> Vec<Landed> {
    heard.iter().filter_map(|message| if let ToServer::Landed { landed, .. } = message { Some(landed.clone()) } else { None }).collect()
}

/// What comes of it, told once more.
async fn lands(server: &Server, order: &LandingOrder) -> Landed {
    let before = said(&server.heard()).len();
    server.tell(ToRunner::Land { order: Box::new(order.clone()), optional: true }).await;
    server.until("what came of it", |heard| said(heard).len() > before).await;
    said(&server.heard()).pop().unwrap()
}

fn trouble(landed: &Landed) -> &str {
    landed.trouble.as_ref().map(|trouble| trouble.message.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn a_branch_is_pushed_once_and_moved_only_from_where_it_was_left() {
    let (state, repository) = (State::new(), Repository::sample());
    let remote = Remote::of(&repository, &state);
    let server = Server::with(&state).await;
    assert!(server.hellos()[0].lands);
    let assignment = elsewhere(&repository, "echo one > made.txt");
    let first = order(&assignment, &done(&server, &assignment).await);
    assert_eq!(remote.at(&first.branch), "", "nothing lands by itself");
    for _ in 0..2 {
        let landed = lands(&server, &first).await;
        assert_eq!((landed.number, landed.remote.as_deref(), landed.trouble), (1, Some(LOCATION), None));
        assert_eq!(remote.at(&first.branch), first.commit);
    }

    // what another attempt has left, onto the same branch: not a child of what is there
    let assignment = elsewhere(&repository, "echo two > made.txt");
    let second = order(&assignment, &done(&server, &assignment).await);
    let second = LandingOrder { branch: first.branch.clone(), ..second };
    let refused = lands(&server, &second).await;
    assert!(trouble(&refused).contains("where Muster has not left it"), "{}", trouble(&refused));
    assert_eq!((remote.at(&first.branch), refused.remote), (first.commit.clone(), None));
    let knowing = LandingOrder { left_at: Some(first.commit.clone()), number: 2, ..second.clone() };
    assert_eq!(lands(&server, &knowing).await.number, 2);
    assert_eq!(remote.at(&first.branch), second.commit);

    // somebody else works on it
    let theirs = remote.git(&["rev-parse", "main"]);
    remote.git(&["update-ref", &format!("refs/heads/{}", first.branch), &theirs]);
    let late = LandingOrder { left_at: Some(second.commit.clone()), ..first.clone() };
    assert!(trouble(&lands(&server, &late).await).contains("where Muster has not left it"));
    assert_eq!(remote.at(&first.branch), theirs);
}

#[tokio::test]
async fn what_the_other_side_does_not_take_is_said() {
    let (state, repository) = (State::new(), Repository::sample());
    let remote = Remote::of(&repository, &state);
    let server = Server::with(&state).await;
    let assignment = elsewhere(&repository, "echo one > made.txt");
    let first = order(&assignment, &done(&server, &assignment).await);
    lands(&server, &first).await;
    remote.git(&["config", "receive.denyNonFastForwards", "true"]);
    let assignment = elsewhere(&repository, "echo two > made.txt");
    let second = order(&assignment, &done(&server, &assignment).await);
    let second = LandingOrder { branch: first.branch.clone(), left_at: Some(first.commit.clone()), ..second };
    let refused = lands(&server, &second).await;
    assert!(trouble(&refused).contains("does not take the branch: non-fast-forward"), "{}", trouble(&refused));
    assert_eq!(refused.trouble.unwrap().again_in, None, "it would be the same the next time");

    fs::rename(&remote.path, remote.path.with_extension("away")).unwrap();
    assert!(lands(&server, &second).await.trouble.unwrap().again_in.is_none(), "it is not there");
    let mirrors = state.path().join("mirrors");
    fs::remove_dir_all(&mirrors).unwrap();
    fs::create_dir(&mirrors).unwrap();
    assert!(trouble(&lands(&server, &second).await).contains("does not have the commit"));
    let evil = async |branch: &str| {
        let landed = lands(&server, &LandingOrder { branch: branch.into(), ..second.clone() }).await;
        trouble(&landed).to_owned()
    };
    for branch in ["muster/a b", "muster/x:refs/heads/main"] {
        assert!(evil(branch).await.contains("cannot be"), "{branch}");
    }
    for branch in ["--force", "main", ""] {
        assert!(evil(branch).await.contains("is none of Muster's"), "{branch}");
    }
}

#[tokio::test]
async fn a_path_lands_where_its_origin_leads_and_else_where_it_is() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("echo one > made.txt");
    let order = order(&assignment, &done(&server, &assignment).await);
    let here = lands(&server, &order).await;
    assert_eq!((here.remote.as_deref(), here.trouble), (repository.path.to_str(), None));
    assert_eq!(repository.git(&["rev-parse", &order.branch]), order.commit);

    let remote = Remote::of(&repository, &State::new());
    repository.git(&["remote", "add", "origin", remote.path.to_str().unwrap()]);
    remote.git(&["update-ref", "-d", &format!("refs/heads/{}", order.branch)]);
    let there = lands(&server, &order).await;
    assert_eq!((there.remote.as_deref(), there.trouble), (remote.path.to_str(), None));
    assert_eq!(remote.at(&order.branch), order.commit);

    // no forge opens a pull request for it, and the push stands
    let pull_request = Some(WantedPullRequest { title: "Tidy up".into(), body: "x".into(), base: None });
    let without = lands(&server, &LandingOrder { pull_request, ..order.clone() }).await;
    assert!(without.remote.is_some() && trouble(&without).contains("is on no forge"), "{}", trouble(&without));

    // nobody listens there
    repository.git(&["remote", "set-url", "origin", "http://me:secret@127.0.0.1:1/a.git"]);
    let unreached = lands(&server, &order).await;
    assert!(trouble(&unreached).contains("http://127.0.0.1:1/a.git") && !format!("{unreached:?}").contains("secret"), "{unreached:?}");
}

#[tokio::test]
async fn what_was_told_over_a_link_that_closed_is_told_again() {
    let (state, repository) = (State::new(), Repository::sample());
    let remote = Remote::of(&repository, &state);
    let server = Server::with(&state).await;
    let assignment = elsewhere(&repository, "echo one > made.txt");
    let order = order(&assignment, &done(&server, &assignment).await);
    server.tell(ToRunner::Land { order: Box::new(order.clone()), optional: true }).await;
    server.cut();
    let hellos = server.hellos().len();
    server.until("another link", |heard| heard.iter().filter(|message| matches!(message, ToServer::Hello(_))).count() > hellos).await;
    assert_eq!(lands(&server, &order).await.trouble, None);
    assert_eq!(remote.at(&order.branch), order.commit);
    server.stop().await;
}

#[tokio::test]
async fn nothing_that_the_machines_user_has_set_is_for_a_workspace_that_shares_it() {
    let (state, repository) = (State::new(), Repository::sample());
    let remote = Remote::of(&repository, &state);
    let server = Server::with(&state).await;
    let credentials = Credentials::Workspace { slug: "acme".into() };
    // by the settings of its user alone that address leads anywhere
    let guest = Assignment { credentials: credentials.clone(), ..elsewhere(&repository, "echo one > made.txt") };
    let report = server.carry_out(&guest).await;
    let said = format!("{:?}", report.outcome);
    assert!(said.contains("cannot fetch") && said.contains("the folder acme of its MUSTER_GIT_TOKENS"), "{said}");

    // what it may read by its path it does not push with what is somebody else's
    repository.git(&["remote", "add", "origin", "ssh://git@forge.test/acme/app.git"]);
    let path = Assignment { credentials, ..repository.command("echo one > made.txt") };
    let order = order(&path, &done(&server, &path).await);
    let refused = lands(&server, &order).await.trouble.unwrap();
    assert!(refused.message.contains("transport 'ssh' not allowed") && refused.again_in.is_none(), "{refused:?}");
    assert!(refused.advice.contains("puts a token into acme/HOST"), "{refused:?}");
    assert_eq!(remote.at(&order.branch), "");

    let own = state.path().join("mirrors").to_str().unwrap().to_owned();
    let report = server.carry_out(&Assignment { repository: own, attempt: elsewhere(&repository, "").attempt, ..path.clone() }).await;
    assert!(format!("{:?}", report.outcome).contains("what Muster keeps for itself"), "{:?}", report.outcome);
    server.stop().await;
}
