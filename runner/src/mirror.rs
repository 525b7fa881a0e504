//! The runner's own copy of each repository, so that a user's checkout is never touched while work goes on, and a second attempt
//! on the same repository fetches only what is new. Attempts borrow its objects; nothing of them writes here.
//!
//! In a mirror, `refs/remotes/origin/*` and `refs/tags/*` are what the repository has, [`HEAD`] is what its `HEAD` pointed to, and
//! `refs/heads/*` are the branches of attempts that could not be pushed anywhere else. Its own `HEAD` leads to no commit: git-lfs would have the
//! servers that it asks from a file of that.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use domain::{Failure, FailureCode, protocol::Credentials, repository};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::{
    disk::on_disk,
    git::{Argument, Bounds, Git, GitError, Place},
    lfs, lock,
};

const HEAD: &str = "refs/muster/head";
/// No attempt's branch is called so, and no other has a place there.
const NOBODYS: &str = "refs/heads/muster-nobody";

pub(crate) struct Mirrors {
    folder: PathBuf,
    /// One at a time may fetch into a mirror.
    turns: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

/// Why there is no worktree.
pub(crate) enum Refused {
    /// The repository or the ref is not what the task says.
    Task(Failure),
    /// Something is wrong on this machine.
    Runner(String),
    /// The attempt was told to end.
    GivenUp,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Runner(error.to_string())
    }
}

impl From<GitError> for Refused {
    fn from(error: GitError) -> Self {
        match error {
            GitError::GivenUp => Self::GivenUp,
            GitError::NoRoom(why) => Self::Task(Failure::new(FailureCode::SandboxUnavailable, why)),
            other => Self::Runner(other.to_string()),
        }
    }
}

impl Mirrors {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, turns: Mutex::default() }
    }

    /// Where a workspace has to show by a fetch of its own that it may read something, no other's mirror tells it anything.
    pub fn path(&self, location: &str, credentials: &Credentials) -> PathBuf {
        let digest = match credentials {
            Credentials::Machine => Sha256::digest(location.as_bytes()),
            Credentials::Workspace { slug } => Sha256::digest(format!("{slug}\0{location}").as_bytes()),
        };
        let name: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{name}.git"))
    }

    pub async fn turn(&self, mirror: &Path) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.turns).entry(mirror.to_owned()).or_default());
        turn.lock_owned().await
    }

    /// For an attempt: whoever has the turn may fetch for an hour, or for ever, and one that is to end waits for nobody.
    pub async fn turn_for(&self, git: &Git, mirror: &Path) -> Result<tokio::sync::OwnedMutexGuard<()>, Refused> {
        tokio::select! {
            turn = self.turn(mirror) => Ok(turn),
            () = git.given_up() => Err(Refused::GivenUp),
        }
    }

    /// Removes what git calls that were killed have left in the way, and files of Git LFS that have come in part; and has the `HEAD` of every
    /// mirror lead to nothing, also of one that an earlier version has made. Only for a runner of which nothing runs.
    pub async fn clear_up(&self, git: &Git) {
        let folder = self.folder.clone();
        let cleared = on_disk(move || {
            let mut leading = vec![];
            for mirror in fs::read_dir(&folder)?.flatten().map(|entry| entry.path()) {
                clear_locks(&mirror)?;
                lfs::clear_drafts(&mirror)?;
                let is_whole = mirror.extension().is_some_and(|word| word == "git");
                if is_whole && fs::read_to_string(mirror.join("HEAD")).is_ok_and(|head| head.trim_end() != format!("ref: {NOBODYS}")) {
                    leading.push(mirror);
                }
            }
            Ok(leading)
        });
        match cleared.await {
            Ok(leading) => {
                for mirror in leading {
                    if let Err(error) = lead_nowhere(git, &mirror).await {
                        warn!("The HEAD of {} still leads to what the repository's did: {error}", mirror.display());
                    }
                }
            }
            Err(error) => warn!("Could not clear the mirrors of old lock files: {error}"),
        }
    }
}

/// The `HEAD` of a mirror. A clone has it as the repository has, or at a branch that an attempt may leave here.
async fn lead_nowhere(git: &Git, mirror: &Path) -> Result<(), GitError> {
    git.run(Place::Repository(mirror), &[&"symbolic-ref", &"HEAD", &NOBODYS], Bounds::LOCAL).await.map(drop)
}

fn clear_locks(folder: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            // Objects are the bulk of a mirror, and are written without locks.
            if name != "objects" {
                clear_locks(&path)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Makes the mirror hold what the repository holds now, the branches of attempts only where `base_ref` may mean one. The caller has
/// the mirror's turn.
pub(crate) async fn refresh(git: &Git, mirror: &Path, location: &str, base_ref: Option<&str>) -> Result<(), Refused> {
    let unavailable = |reason: String| Refused::Task(Failure::new(FailureCode::RepositoryUnavailable, reason));
    if let Err(reason) = repository::check_location(location) {
        return Err(unavailable(format!("the repository's location {reason}")));
    }
    if location.starts_with('/') && !Path::new(location).is_dir() {
        return Err(unavailable(format!("there is no folder {location} on the runner's machine")));
    }
    if borrows(mirror) {
        tokio::fs::remove_dir_all(mirror).await?;
    }
    let done = if mirror.is_dir() { fetch(git, mirror, location, base_ref).await } else { create(git, mirror, location, base_ref).await };
    done.map_err(|refused| match refused {
        Refused::Runner(reason) if location.starts_with('/') => unavailable(format!("cannot fetch {location}: {reason}")),
        // what is elsewhere may answer the next time
        Refused::Runner(reason) => {
            Refused::Task(Failure::new(FailureCode::RepositoryUnreachable, format!("cannot fetch {location}: {reason}")))
        }
        other => other,
    })
}

/// It was made by a runner that let mirrors borrow: no sandbox shows what from.
fn borrows(mirror: &Path) -> bool {
    mirror.join("objects/info/alternates").exists()
}

/// Whether it can be used as it is, for what is known to be in it.
pub(crate) fn is_whole(mirror: &Path) -> bool {
    mirror.is_dir() && !borrows(mirror)
}

pub(crate) async fn has_commit(git: &Git, mirror: &Path, commit: &str) -> Result<bool, GitError> {
    let commit = format!("{commit}^{{commit}}");
    match git.run(Place::Repository(mirror), &[&"cat-file", &"-e", &commit], Bounds::LOCAL).await {
        Ok(_) => Ok(true),
        Err(GitError::Failed { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files of a commit that it has.
pub(crate) async fn tree(git: &Git, mirror: &Path, commit: &str) -> Result<String, GitError> {
    let tree = format!("{commit}^{{tree}}");
    Ok(git.run(Place::Repository(mirror), &[&"rev-parse", &"--verify", &tree], Bounds::LOCAL).await?.text())
}

/// Whether the repository itself has a commit, on a branch or behind a tag: not what attempts have left in the mirror.
pub(crate) async fn is_theirs(git: &Git, mirror: &Path, commit: &str) -> Result<bool, GitError> {
    if !has_commit(git, mirror, commit).await? {
        return Ok(false);
    }
    let arguments: [Argument<'_>; 6] = [&"rev-list", &"--max-count=1", &commit, &"--not", &"--remotes", &"--tags"];
    Ok(git.run(Place::Repository(mirror), &arguments, Bounds::LOCAL).await?.text().is_empty())
}

/// In one step for everybody else: the mirror is there when it is whole.
async fn create(git: &Git, mirror: &Path, location: &str, base_ref: Option<&str>) -> Result<(), Refused> {
    let fresh = mirror.with_extension("new");
    if fresh.exists() {
        tokio::fs::remove_dir_all(&fresh).await?;
    }
    let folder = mirror.parent().unwrap_or(mirror);
    git.run(Place::Folder(folder), &[&"clone", &"--bare", &"--dissociate", &"--quiet", &"--", &location, &fresh], Bounds::TRANSFER).await?;
    fetch(git, &fresh, location, base_ref).await?;
    // A clone makes branches of the repository's; here they belong to the attempts.
    let place = Place::Repository(&fresh);
    let branches: [Argument<'_>; 3] = [&"for-each-ref", &"--format=delete %(refname)", &"refs/heads/"];
    let delete = git.whole(place, &branches, b"", Bounds::LISTING).await?;
    git.run_with_input(place, &[&"update-ref", &"--stdin"], &delete.bytes, Bounds::LOCAL).await?;
    lead_nowhere(git, &fresh).await?;
    fs::rename(&fresh, mirror)?;
    Ok(())
}

async fn fetch(git: &Git, mirror: &Path, location: &str, base_ref: Option<&str>) -> Result<(), Refused> {
    let place = Place::Repository(mirror);
    let quietly: [Argument<'_>; 6] = [&"fetch", &"--quiet", &"--prune", &"--no-tags", &"--no-write-fetch-head", &"--no-recurse-submodules"];
    let mut arguments = quietly.to_vec();
    arguments.extend([&"--end-of-options" as Argument<'_>, &location, &"+refs/heads/*:refs/remotes/origin/*", &"+refs/tags/*:refs/tags/*"]);
    if !base_ref.is_some_and(may_mean_an_attempt) {
        arguments.push(&"^refs/heads/muster/*");
    }
    let without_head = arguments.clone();
    arguments.push(&"+HEAD:refs/muster/head");
    match git.run(place, &arguments, Bounds::TRANSFER).await {
        Ok(_) => Ok(()),
        // It has no commits, or its HEAD points to a branch that is not there.
        Err(GitError::Failed { said, .. }) if said.contains("remote ref HEAD") => {
            git.run(place, &without_head, Bounds::TRANSFER).await?;
            git.run(place, &[&"update-ref", &"-d", &HEAD], Bounds::LOCAL).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What an attempt has left on a branch of a repository that is a path. The caller has the mirror's turn.
pub(crate) async fn bring(git: &Git, mirror: &Path, location: &str, branch: &str) -> Result<(), GitError> {
    let branch = format!("refs/heads/{branch}");
    let arguments: [Argument<'_>; 8] =
        [&"fetch", &"--quiet", &"--no-tags", &"--no-write-fetch-head", &"--no-recurse-submodules", &"--end-of-options", &location, &branch];
    git.run(Place::Repository(mirror), &arguments, Bounds::TRANSFER).await.map(drop)
}

/// By its branch, or by a commit that may be on nothing else.
fn may_mean_an_attempt(base_ref: &str) -> bool {
    base_ref.contains("muster/") || base_ref.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit that a branch, tag or commit id means. What the repository has comes before what earlier attempts left.
pub(crate) async fn resolve(git: &Git, mirror: &Path, base_ref: Option<&str>) -> Result<String, Refused> {
    let not_found = |message: String| Refused::Task(Failure::new(FailureCode::RefNotFound, message));
    let candidates = match base_ref {
        None => vec![HEAD.to_owned()],
        Some(name) => match repository::check_ref(name) {
            Ok(()) => candidates(name),
            Err(reason) => return Err(not_found(format!("'{name}' {reason}"))),
        },
    };
    let question: String = candidates.iter().map(|name| format!("{name}^{{commit}}\n")).collect();
    let arguments: [Argument<'_>; 2] = [&"cat-file", &"--batch-check=%(objectname)"];
    let answer = git.run_with_input(Place::Repository(mirror), &arguments, question.as_bytes(), Bounds::LOCAL).await?;
    let found = answer.text().lines().find(|line| line.len() >= 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit())).map(str::to_owned);
    found.ok_or_else(|| match base_ref {
        Some(name) => not_found(format!("the repository has no branch, tag or commit '{name}'")),
        None => not_found("the repository has no commit to start from: its HEAD points to nothing".into()),
    })
}

fn candidates(name: &str) -> Vec<String> {
    if let Some(branch) = name.strip_prefix("refs/heads/") {
        return vec![format!("refs/remotes/origin/{branch}"), name.to_owned()];
    }
    if name.starts_with("refs/") {
        return vec![name.to_owned()];
    }
    let mut candidates = vec![format!("refs/remotes/origin/{name}"), format!("refs/tags/{name}"), format!("refs/heads/{name}")];
    if let Some(branch) = name.strip_prefix("origin/") {
        candidates.push(format!("refs/remotes/origin/{branch}"));
    }
    if name == "HEAD" {
        candidates.push(HEAD.to_owned());
    }
    if (4..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        candidates.push(name.to_owned());
    }
    candidates
}

/// What the repository has, in the form of git's file of packed references.
pub(crate) async fn packed_refs(git: &Git, mirror: &Path) -> Result<Vec<u8>, Refused> {
    let arguments: [Argument<'_>; 4] = [&"for-each-ref", &"--format=%(objectname) %(refname)", &"refs/remotes/origin", &"refs/tags"];
    let listed = git.whole(Place::Repository(mirror), &arguments, b"", Bounds::LISTING).await?;
    Ok([b"# pack-refs with: sorted \n", listed.bytes.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_workspace_borrows_from_the_mirror_of_another() {
        let mirrors = Mirrors::new("/srv/mirrors".into());
        let path = |slug: Option<&str>| {
            let credentials = slug.map_or(Credentials::Machine, |slug| Credentials::Workspace { slug: slug.into() });
            mirrors.path("https://example.org/a/b.git", &credentials)
        };
        assert_eq!([path(None), path(Some("b"))], [path(None), path(Some("b"))]);
        assert!(path(None) != path(Some("a")) && path(Some("a")) != path(Some("b")));
    }

    #[test]
    fn a_branch_comes_before_a_tag_and_a_commit() {
        assert_eq!(candidates("beef"), ["refs/remotes/origin/beef", "refs/tags/beef", "refs/heads/beef", "beef"]);
        assert_eq!(candidates("refs/heads/main"), ["refs/remotes/origin/main", "refs/heads/main"]);
        assert_eq!(candidates("refs/tags/v1"), ["refs/tags/v1"]);
    }
}
