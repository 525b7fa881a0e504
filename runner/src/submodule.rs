//! The submodules of a repository, where a task wants them: what they are, and their mirrors.
//!
//! What a repository says of its submodules is data of whoever has written to it. It is read by git from the commit, as settings that lead
//! nowhere else ([`described`]); an address is followed where the repository's own would be ([`address`]); a name is no folder anywhere; and
//! where a submodule lies is looked at before anything is put there ([`crate::worktree`]). They are fetched outside of every sandbox, with
//! what the runner's machine proves itself with, into mirrors of their own. What is not as it has to be fails the attempt: a worktree from
//! which something is missing is not what the task has asked for.

mod address;
mod described;

use std::path::{Path, PathBuf};

use domain::{Failure, FailureCode, protocol::Credentials};
use serde::{Deserialize, Serialize};

use crate::{
    Paths,
    git::{Argument, Bounds, Git, GitError, Place, without_credentials},
    mirror::{self, Mirrors, Refused},
};
use described::Described;

pub(crate) use described::names;

/// How deep they may lie in each other.
const DEEPEST: usize = 5;
/// How many there may be in one worktree.
pub(crate) const MOST: usize = 100;
/// Characters of a text of somebody else's that is shown.
const SHOWN: usize = 200;

/// One of a worktree. Those that lie within others come after them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submodule {
    /// Among those of its attempt, from 1 on. Its repository is called by it.
    pub number: usize,
    /// The number of the one that it lies in; 0 where that is the worktree itself.
    pub within: usize,
    /// As the repository around it calls it.
    pub name: String,
    /// Where it lies in that, and in the worktree.
    pub inner_path: String,
    pub path: String,
    pub location: String,
    pub mirror: PathBuf,
    pub commit: String,
}

impl Submodule {
    /// Its repository, below that of its worktree.
    pub fn git_dir(&self, around: &Path) -> PathBuf {
        around.join("modules").join(self.number.to_string())
    }
}

/// What may be fetched, and where to.
pub(crate) struct Reach<'a> {
    pub mirrors: &'a Mirrors,
    pub paths: &'a Paths,
    /// Of whom the work is: it has mirrors of its own.
    pub credentials: &'a Credentials,
    /// Folders in which no repository of its is.
    pub not_these: &'a [PathBuf],
    /// Their numbers come after this one: those of one attempt are told apart by them, whichever of its repositories they lie in.
    pub numbered_after: usize,
}

/// Whether a location is a path into one of these folders.
pub(crate) fn leads_into(location: &str, folders: &[PathBuf]) -> bool {
    location.starts_with('/') && Path::new(location).canonicalize().is_ok_and(|path| folders.iter().any(|folder| path.starts_with(folder)))
}

/// What is looked through for submodules.
struct Around {
    number: usize,
    depth: usize,
    path: String,
    location: String,
    mirror: PathBuf,
    commit: String,
}

/// All submodules of a commit, each with its commit in its mirror.
pub(crate) async fn fetch(git: &Git, reach: Reach<'_>, (location, mirror, commit): (&str, &Path, &str)) -> Result<Vec<Submodule>, Refused> {
    let Reach { mirrors, paths, credentials, not_these, numbered_after } = reach;
    let mut all: Vec<Submodule> = vec![];
    let mut around = vec![Around {
        number: 0,
        depth: 0,
        path: String::new(),
        location: location.to_owned(),
        mirror: mirror.to_owned(),
        commit: commit.to_owned(),
    }];
    let mut looked_at = 0;
    while looked_at < around.len() {
        for one in described::in_commit(git, &around[looked_at]).await? {
            let outer = &around[looked_at];
            let path = if outer.path.is_empty() { one.path.clone() } else { format!("{}/{}", outer.path, one.path) };
            if outer.depth == DEEPEST {
                return Err(refused(&path, &format!("lies in more than {DEEPEST} others")));
            }
            if all.len() == MOST {
                return Err(refused(&path, &format!("is one too many: at most {MOST} are fetched")));
            }
            let location = address::resolve(&outer.location, &one.url).map_err(|why| refused(&path, why))?;
            if !paths.include(&location) {
                return Err(refused(&path, "is a path, and this runner works on no repository that is one"));
            }
            if leads_into(&location, not_these) {
                return Err(refused(&path, "is a path that leads into what Muster keeps for itself"));
            }
            let mirror = mirrors.path(&location, credentials);
            bring(git, mirrors, &mirror, &location, &one.commit).await.map_err(|error| about(&path, error))?;
            let (number, depth, within) = (numbered_after + all.len() + 1, outer.depth + 1, outer.number);
            let Described { name, path: inner_path, commit, .. } = one;
            around.push(Around {
                number,
                depth,
                path: path.clone(),
                location: location.clone(),
                mirror: mirror.clone(),
                commit: commit.clone(),
            });
            all.push(Submodule { number, within, name, inner_path, path, location, mirror, commit });
        }
        looked_at += 1;
    }
    Ok(all)
}

/// Into its mirror, unless it is there: what a submodule is at does not move with its branches.
async fn bring(git: &Git, mirrors: &Mirrors, mirror: &Path, location: &str, commit: &str) -> Result<(), Refused> {
    let _turn = mirrors.turn_for(git, mirror).await?;
    if mirror::is_whole(mirror) && mirror::has_commit(git, mirror, commit).await? {
        return Ok(());
    }
    mirror::refresh(git, mirror, location, Some(commit)).await?;
    if mirror::has_commit(git, mirror, commit).await? {
        return Ok(());
    }
    // it may be on no branch any more; many hosts give it by its id all the same
    let refs = format!("+{commit}:refs/muster/submodules/{commit}");
    let arguments: [Argument<'_>; 8] =
        [&"fetch", &"--quiet", &"--no-tags", &"--no-write-fetch-head", &"--no-recurse-submodules", &"--end-of-options", &location, &refs];
    match git.run(Place::Repository(mirror), &arguments, Bounds::TRANSFER).await {
        Ok(_) | Err(GitError::Failed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if mirror::has_commit(git, mirror, commit).await? {
        return Ok(());
    }
    let message = format!("{location} does not have the commit {commit}, which it is to be at");
    Err(Refused::Task(Failure::new(FailureCode::SubmoduleUnavailable, message)))
}

/// What went wrong with one of them. What may be there the next time stays that.
pub(crate) fn about(path: &str, error: Refused) -> Refused {
    let Refused::Task(failure) = error else { return error };
    let code = match failure.code {
        FailureCode::RepositoryUnreachable => FailureCode::RepositoryUnreachable,
        _ => FailureCode::SubmoduleUnavailable,
    };
    let message = format!("the submodule {}: {}", shown(path), without_credentials(&failure.message));
    Refused::Task(Failure { code, message, ..failure })
}

fn refused(path: &str, why: &str) -> Refused {
    Refused::Task(Failure::new(FailureCode::SubmoduleUnavailable, format!("the submodule {} {why}", shown(path))))
}

/// What somebody else has written, on one line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}
