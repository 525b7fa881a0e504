//! The push: from the runner's mirror, where the commit is or is fetched to, and with a lease.

use std::{path::Path, time::Duration};

use domain::{
    landing::BRANCHES,
    protocol::{LandingOrder, Trouble},
    repository::{check_location, check_ref},
};

use super::{AGAIN_IN, NotDone, passing, trouble};
use crate::{
    git::{Argument, Bounds, Git, GitError, Place, last_words, without_credentials},
    lfs,
    life::Runner,
    mirror,
    save::receive_as_owner,
};

/// For all files of Git LFS of a landing. With what else git does for it, it is less than the server waits for its runner.
const LFS_TIME: Duration = Bounds::TRANSFER.time;
/// What is left of a complaint of the other side.
const COMPLAINT: usize = 300;

pub(super) struct Pushed {
    pub remote: String,
    /// What the work started from, when that is a branch there.
    pub base: Option<String>,
}

/// What there is to do, with the branch there as it is.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// It is there.
    Nothing,
    /// Only while it is there as expected: at this commit, or not at all.
    Push { expected: &'a str },
    /// Somebody else has moved it.
    Leave { there: &'a str },
}

/// Nobody else's work is ever overwritten: the branch has to be where Muster has left it, or not there.
fn step<'a>(there: Option<&'a str>, wanted: &str, left_at: Option<&str>) -> Step<'a> {
    match there {
        None => Step::Push { expected: "" },
        Some(there) if there == wanted => Step::Nothing,
        Some(there) if left_at == Some(there) => Step::Push { expected: there },
        Some(there) => Step::Leave { there },
    }
}

/// Puts the commit on its branch there, or finds that it is.
pub(super) async fn push(git: &Git, runner: &Runner, order: &LandingOrder) -> Result<Pushed, NotDone> {
    let remote = remote(git, runner, order).await?;
    let mirror = runner.mirrors.path(&order.repository, &order.credentials);
    bring_commit(git, runner, &mirror, order).await?;
    let place = Place::Repository(&mirror);
    let branch = format!("refs/heads/{}", order.branch);
    let base = order.pull_request.as_ref().and_then(|wanted| wanted.base.as_deref()).and_then(as_branch);
    let base_ref = base.map(|name| format!("refs/heads/{name}"));
    let names: Vec<&str> = [Some(branch.as_str()), base_ref.as_deref()].into_iter().flatten().collect();
    let listed = listed(git, place, &remote, &names).await.map_err(|error| why(&error, "cannot look at", &remote))?;
    let at = |name: &str| listed.lines().filter_map(|line| line.split_once('\t')).find(|(_, listed)| *listed == name).map(|(at, _)| at);
    match step(at(&branch), &order.commit, order.left_at.as_deref()) {
        Step::Nothing => {}
        Step::Push { expected } => {
            if order.lfs {
                push_lfs(git, &mirror, &remote, &order.commit).await?;
            }
            if let Err(refused) = push_to(git, place, &remote, order, expected).await {
                // a git of an earlier life may have lived on, and have come before
                let there = self::listed(git, place, &remote, &[branch.as_str()]).await.unwrap_or_default();
                if !there.lines().any(|line| line.split('\t').next() == Some(order.commit.as_str())) {
                    return Err(refused);
                }
            }
        }
        Step::Leave { there } => {
            let there: String = there.chars().take(10).collect();
            let message = format!("the branch {} in {} is at {there}, where Muster has not left it", order.branch, shown(&remote));
            let advice = "Somebody has pushed to it: take over what they did, or delete the branch there, and try again. Where the task names two \
                          copies of one repository, it is the other's result that is there: create the task again, and name one of them.";
            return Err(trouble(message, advice).into());
        }
    }
    let base = base.filter(|_| base_ref.as_deref().and_then(at).is_some()).map(str::to_owned);
    Ok(Pushed { remote, base })
}

/// Where the commit is to go, or has gone.
pub(super) async fn remote(git: &Git, runner: &Runner, order: &LandingOrder) -> Result<String, NotDone> {
    check(order)?;
    remote_of(git, runner, &order.repository).await
}

/// These refs as they are there, each as its commit, a tab and its name.
async fn listed(git: &Git, place: Place<'_>, remote: &str, names: &[&str]) -> Result<String, GitError> {
    let mut arguments: Vec<Argument<'_>> = vec![&"ls-remote", &"--quiet", &"--end-of-options", &remote];
    arguments.extend(names.iter().map(|name| name as Argument<'_>));
    Ok(git.run(place, &arguments, Bounds::LOOK).await?.text())
}

/// Whoever sent it: nothing of it becomes an option of git's, and no branch is touched that is not Muster's.
fn check(order: &LandingOrder) -> Result<(), Trouble> {
    if !order.branch.starts_with(BRANCHES) {
        return Err(trouble(format!("the branch {} is none of Muster's", order.branch), "Create the task again."));
    }
    let is_hex = order.commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && (7..=64).contains(&order.commit.len());
    let checked = check_location(&order.repository)
        .and_then(|()| check_ref(&order.branch))
        .and_then(|()| check_ref(&order.saved_on))
        .and(if is_hex { Ok(()) } else { Err("is not the id of a commit") });
    checked.map_err(|reason| trouble(format!("what is to land cannot be: something of it {reason}"), "Create the task again."))
}

/// Where results of a repository go: to itself when it is elsewhere; from one that is a path on to where its `origin` leads.
async fn remote_of(git: &Git, runner: &Runner, repository: &str) -> Result<String, NotDone> {
    if !repository.starts_with('/') {
        return Ok(repository.to_owned());
    }
    let asked: [Argument<'_>; 3] = [&"config", &"--get", &"remote.origin.url"];
    let origin = match git.run(Place::Folder(Path::new(repository)), &asked, Bounds::LOCAL).await {
        Ok(output) => output.text(),
        // it has none: its branch is there already
        Err(GitError::Failed { code: Some(1), .. }) => return Ok(repository.to_owned()),
        Err(error) => return Err(why(&error, "cannot look at", repository)),
    };
    let origin = without_user(origin.strip_prefix("file://").unwrap_or(&origin));
    if let Err(reason) = check_location(&origin) {
        let message = format!("the origin of {repository} cannot be pushed to: its address {reason}");
        return Err(trouble(message, "Give it another address with `git remote set-url origin`, and try again.").into());
    }
    if !runner.config.paths.include(&origin) {
        let message = format!("this runner works on no repository that is a path, and the origin of {repository} is {origin}");
        return Err(trouble(message, "Join the machine with --paths, or give the repository another origin.").into());
    }
    Ok(origin)
}

/// Who it is for a host is said by the helpers alone: what an address has of that, a token maybe, goes into no argument and no answer.
fn without_user(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
        return location.to_owned();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// Into the mirror, from a repository that is a path and was given the branch.
async fn bring_commit(git: &Git, runner: &Runner, mirror: &Path, order: &LandingOrder) -> Result<(), NotDone> {
    let gone = || {
        let commit: String = order.commit.chars().take(10).collect();
        trouble(format!("this runner does not have the commit {commit} any more"), "Create the task again to have it done anew.")
    };
    if !mirror.is_dir() {
        return Err(gone().into());
    }
    if has_commit(git, mirror, &order.commit).await? {
        return Ok(());
    }
    if order.repository.starts_with('/') {
        let _turn = runner.mirrors.turn(mirror).await;
        let refs = format!("+refs/heads/{0}:refs/muster/landing/{0}", order.saved_on);
        let arguments: [Argument<'_>; 8] = [
            &"fetch",
            &"--quiet",
            &"--no-tags",
            &"--no-write-fetch-head",
            &"--no-recurse-submodules",
            &"--end-of-options",
            &order.repository,
            &refs,
        ];
        match git.run(Place::Repository(mirror), &arguments, Bounds::TRANSFER).await {
            // it may be there no more, as anybody may delete a branch of theirs
            Ok(_) | Err(GitError::Failed { .. }) => {}
            Err(error) => return Err(why(&error, "cannot fetch from", &order.repository)),
        }
    }
    if has_commit(git, mirror, &order.commit).await? { Ok(()) } else { Err(gone().into()) }
}

async fn has_commit(git: &Git, mirror: &Path, commit: &str) -> Result<bool, NotDone> {
    mirror::has_commit(git, mirror, commit).await.map_err(|error| why(&error, "cannot look into", &mirror.display().to_string()))
}

async fn push_to(git: &Git, place: Place<'_>, remote: &str, order: &LandingOrder, expected: &str) -> Result<(), NotDone> {
    let branch = format!("refs/heads/{}", order.branch);
    let lease = format!("--force-with-lease={branch}:{expected}");
    let refs = format!("{}:{branch}", order.commit);
    let receiver = receive_as_owner(remote);
    let mut arguments: Vec<Argument<'_>> = vec![&"push", &"--quiet", &"--no-verify", &"--recurse-submodules=no", &lease];
    // only git on this machine has an owner to be
    if remote.starts_with('/') {
        arguments.push(&receiver);
    }
    arguments.extend([&"--end-of-options" as Argument<'_>, &remote, &refs]);
    git.run(place, &arguments, Bounds::TRANSFER).await.map(drop).map_err(|error| why(&error, "cannot push to", remote))
}

/// What Git LFS keeps for it, before anything names it there: to push it once more is nothing.
async fn push_lfs(git: &Git, mirror: &Path, remote: &str, commit: &str) -> Result<(), NotDone> {
    if !lfs::is_here(git, mirror).await {
        let message = "the result has files of Git LFS, and there is no git-lfs on the runner's machine any more";
        return Err(trouble(message, "Install it there, and try again.").into());
    }
    lfs::push(git, mirror, remote, commit, LFS_TIME).await.map_err(|error| why(&error, "cannot push the files of Git LFS to", remote))
}

/// The branch that a ref means; a tag or a commit means none.
fn as_branch(name: &str) -> Option<&str> {
    let name = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("origin/")).unwrap_or(name);
    (!name.starts_with("refs/") && name != "HEAD" && check_ref(name).is_ok()).then_some(name)
}

fn shown(remote: &str) -> String {
    without_credentials(remote)
}

const REFUSED: [&str; 10] = [
    "transport 'ssh' not allowed",
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "terminal prompts disabled",
    "Permission denied",
    "Permission to",
    "Access denied",
    "requested URL returned error: 401",
    "requested URL returned error: 403",
];
const NOT_THERE: [&str; 4] = ["not found", "does not exist", "does not appear to be a git repository", "Could not find repository"];

/// What git's complaint comes to.
fn why(error: &GitError, what: &str, remote: &str) -> NotDone {
    let remote = shown(remote);
    let said = match error {
        GitError::GivenUp => return NotDone::Stopped,
        GitError::Failed { said, .. } => said,
        other => return passing(format!("{what} {remote}: {other}"), AGAIN_IN).into(),
    };
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if let Some(refusal) = refusal(said) {
        let message = format!("{remote} does not take the branch: {refusal}");
        let advice = "See what its rules for branches are, or who has pushed to it meanwhile, and try again.";
        return trouble(message, advice).into();
    }
    let message = format!("{what} {remote}: {}", last_words(said));
    if says(&REFUSED) {
        let advice = "Give the runner's machine a token for that host that may push (MUSTER_GIT_TOKENS, or a credential helper in \
                      gitconfig.local), and try again.";
        return NotDone::NoToken(trouble(message, advice));
    }
    if says(&NOT_THERE) {
        let advice = "See that it is there, and that the token of the runner's machine may see it, and try again.";
        return trouble(message, advice).into();
    }
    passing(message, AGAIN_IN).into()
}

/// Why the other side does not want the branch, when it is that.
fn refusal(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.contains("rejected]"))?;
    let hooks = said.lines().filter_map(|line| line.trim().strip_prefix("remote:")).map(str::trim).filter(|line| !line.is_empty());
    let hooks = hooks.collect::<Vec<_>>().join(" ");
    let reason = line.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("it is rejected", |(reason, _)| reason);
    let text = match reason {
        "stale info" => "somebody has moved it in this very moment".to_owned(),
        reason if hooks.is_empty() => reason.to_owned(),
        reason => format!("{reason}: {hooks}"),
    };
    let text: String = without_credentials(&text).chars().filter(|c| !c.is_control()).take(COMPLAINT).collect();
    Some(text)
}

#[cfg(test)]
mod tests {
    use domain::landing::TELLS_MAX;

    use super::*;

    fn said(text: &str) -> Trouble {
        match why(&GitError::Failed { code: Some(1), said: text.into() }, "cannot push to", "https://me@example.org/a.git") {
            NotDone::Trouble(trouble) | NotDone::NoToken(trouble) => trouble,
            NotDone::Stopped => panic!("it is not to stop"),
        }
    }

    #[test]
    fn a_landing_at_work_ends_before_it_is_given_up() {
        let [local, look, transfer] = [Bounds::LOCAL, Bounds::LOOK, Bounds::TRANSFER].map(|bounds| bounds.time);
        // its remote, and whether the commit is there before it is brought and after; what is there before and after the push, and git-lfs
        let git = local * 3 + look * 3 + transfer * 2 + LFS_TIME;
        let forge = Duration::from_secs(600);
        assert!(git + forge < Duration::from_secs(60) * TELLS_MAX.unsigned_abs(), "{git:?}");
    }

    #[test]
    fn nobody_elses_commit_is_overwritten() {
        assert_eq!(step(None, "a", None), Step::Push { expected: "" });
        assert_eq!(step(None, "a", Some("b")), Step::Push { expected: "" });
        assert_eq!(step(Some("a"), "a", None), Step::Nothing);
        assert_eq!(step(Some("b"), "a", Some("b")), Step::Push { expected: "b" });
        assert_eq!(step(Some("c"), "a", Some("b")), Step::Leave { there: "c" });
        assert_eq!(step(Some("c"), "a", None), Step::Leave { there: "c" });
    }

    #[test]
    fn a_complaint_says_what_to_do() {
        let rejected = "remote: error: GH006: Protected branch update failed.\nTo https://example.org/a.git\n \
                        ! [remote rejected] 0123abc -> muster/x-1 (protected branch hook declined)\nerror: failed to push some refs\n";
        let trouble = said(rejected);
        assert_eq!(
            trouble.message,
            "https://example.org/a.git does not take the branch: protected branch hook declined: error: GH006: Protected branch update failed."
        );
        assert_eq!(trouble.again_in, None);
        let stale = said("To /srv/a.git\n ! [rejected]        0123abc -> muster/x-1 (stale info)\nerror: failed to push some refs\n");
        assert!(stale.message.ends_with("somebody has moved it in this very moment"), "{}", stale.message);
        let refused = said("fatal: could not read Username for 'https://example.org': terminal prompts disabled\n");
        assert!(refused.again_in.is_none() && refused.advice.contains("MUSTER_GIT_TOKENS"));
        let gone = said("remote: Repository not found.\nfatal: repository 'https://example.org/a.git/' not found\n");
        assert!(gone.again_in.is_none() && gone.advice.contains("may see it"));
        let away = said("fatal: unable to access 'https://me:secret@example.org/a.git/': Could not resolve host: example.org\n");
        assert_eq!(away.again_in, Some(AGAIN_IN));
        assert!(!away.message.contains("secret"), "{}", away.message);
    }

    #[test]
    fn an_address_says_nothing_of_who_it_is_for() {
        for (location, without) in [
            ("https://ghp_secret@github.com/acme/app.git", "https://github.com/acme/app.git"),
            ("http://me:secret@127.0.0.1:3000/a/b", "http://127.0.0.1:3000/a/b"),
            ("https://example.org/a@b", "https://example.org/a@b"),
            ("ssh://git@github.com/a/b", "ssh://git@github.com/a/b"),
            ("git@github.com:a/b", "git@github.com:a/b"),
            ("/srv/a@b", "/srv/a@b"),
        ] {
            assert_eq!(without_user(location), without);
        }
    }

    #[test]
    fn a_pull_request_goes_to_a_branch() {
        for (name, branch) in [("main", Some("main")), ("origin/next", Some("next")), ("refs/heads/a/b", Some("a/b"))] {
            assert_eq!(as_branch(name), branch);
        }
        for none in ["refs/tags/v1", "HEAD", "-x", "a b"] {
            assert_eq!(as_branch(none), None, "{none}");
        }
    }
}
