//! An attempt's own checkout: a fresh worktree on a new branch, outside of everybody's way.

use std::{fs, io, path::Path};

use domain::protocol::Assignment;

use crate::{
    git::{Argument, Bounds, Git, GitError, Place},
    journal::Checkout,
    mirror::{self, Refused},
};

/// Makes the worktree at `path`. The caller has the mirror's turn, and has refreshed it.
pub(crate) async fn add(git: &Git, mirror: &Path, path: &Path, assignment: &Assignment) -> Result<Checkout, Refused> {
    let base_commit = mirror::resolve(git, mirror, assignment.base_ref.as_deref()).await?;
    let mut branch = format!("muster/{}-{}", assignment.attempt.task_id.short(), assignment.attempt.number);
    match checkout(git, mirror, path, &branch, &base_commit).await {
        // Two tasks in 4 thousand million share these digits.
        Err(GitError::Failed { said, .. }) if said.contains("already exists") => {
            branch = format!("{branch}-{}", assignment.attempt.attempt_id.short());
            checkout(git, mirror, path, &branch, &base_commit).await?;
        }
        other => other?,
    }
    let git_dir = git_dir(path)?;
    Ok(Checkout { path: path.to_owned(), git_dir, base_commit, branch })
}

async fn checkout(git: &Git, mirror: &Path, path: &Path, branch: &str, commit: &str) -> Result<(), GitError> {
    let arguments: [Argument<'_>; 9] =
        [&"worktree", &"add", &"--quiet", &"--no-track", &"-b", &branch, &"--end-of-options", &path, &commit];
    git.run(Place::Mirror(mirror), &arguments, Bounds::TRANSFER).await.map(drop)
}

/// What git wrote into the worktree about where it keeps the rest.
fn git_dir(path: &Path) -> io::Result<std::path::PathBuf> {
    let link = fs::read_to_string(path.join(".git"))?;
    match link.trim_end().strip_prefix("gitdir: ") {
        Some(folder) => Path::new(folder).canonicalize(),
        None => Err(io::Error::other(format!("{} is not a worktree", path.display()))),
    }
}
