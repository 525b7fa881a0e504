//! Whether a file is there: in what lands, and not in the worktree, where also lies what git ignores.

use std::{io, path::Path};

use domain::{CheckStatus, check::stays_inside};
use tokio_util::sync::CancellationToken;

use super::{Checked, Verification};
use crate::{
    git::GitError,
    process,
    save::{self, Found},
};

impl Verification<'_> {
    /// Nothing when it was cut short.
    pub(super) async fn file_exists(&self, target: &str, give_up: &CancellationToken) -> Option<Checked> {
        let in_worktree = || file_exists(&self.checkout.path, target);
        if !stays_inside(target) {
            return Some(in_worktree());
        }
        let git = self.git.for_attempt((process::MARKER, self.entry.attempt.attempt_id.to_string()), give_up.clone());
        match save::find(&git, self.entry, self.taken, target).await {
            Ok(Found::There) => Some(Checked::new(CheckStatus::Passed, "")),
            Ok(Found::LeadsOut) => Some(failed(target, "leads out of the repository by a symbolic link")),
            // what it is at is what lands; what lies there was looked at by nobody but here
            Ok(Found::InAnother) => Some(in_worktree()),
            Ok(Found::Missing) => Some(or_ignored(target, in_worktree())),
            Err(GitError::GivenUp) => None,
            Err(error) => Some(Checked::new(CheckStatus::Error, format!("{target} cannot be looked at in what lands: {error}"))),
        }
    }
}

fn failed(target: &str, reason: &str) -> Checked {
    Checked::new(CheckStatus::Failed, format!("{target} {reason}"))
}

/// What there is to say of what does not land, by what lies in the worktree.
fn or_ignored(target: &str, in_worktree: Checked) -> Checked {
    match in_worktree.status {
        CheckStatus::Passed => failed(
            target,
            "exists, but git ignores it, or it is a folder in which there is nothing for git to keep, so that it is not part of the result",
        ),
        _ => in_worktree,
    }
}

/// In the worktree. A symbolic link counts as what it leads to, and must not lead out of it.
fn file_exists(worktree: &Path, target: &str) -> Checked {
    if !stays_inside(target) {
        return failed(target, "is not a path inside the repository");
    }
    let path = worktree.join(target);
    let resolved = worktree.canonicalize().and_then(|worktree| Ok((worktree, path.canonicalize()?)));
    match resolved {
        Ok((worktree, found)) if found.starts_with(&worktree) => Checked::new(CheckStatus::Passed, ""),
        Ok(_) => failed(target, "leads out of the repository by a symbolic link"),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            failed(target, "is a symbolic link that leads nowhere")
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => failed(target, "does not exist"),
        Err(error) => Checked::new(CheckStatus::Error, format!("{target} cannot be looked at: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_file_exists_inside_the_worktree_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let worktree = folder.path().join("work");
        fs::create_dir_all(worktree.join("docs")).unwrap();
        fs::write(folder.path().join("outside"), "").unwrap();
        fs::write(worktree.join("docs/a.md"), "").unwrap();
        symlink("docs/a.md", worktree.join("inner")).unwrap();
        symlink("../outside", worktree.join("escape")).unwrap();
        symlink("nowhere", worktree.join("dangling")).unwrap();
        let outcome = |target: &str| {
            let checked = file_exists(&worktree, target);
            format!("{} {}", checked.status.name(), checked.output)
        };
        assert_eq!(outcome("docs/a.md"), "passed ");
        assert_eq!(outcome("inner"), "passed ");
        assert_eq!(outcome("escape"), "failed escape leads out of the repository by a symbolic link");
        assert_eq!(outcome("dangling"), "failed dangling is a symbolic link that leads nowhere");
        assert_eq!(outcome("docs/b.md"), "failed docs/b.md does not exist");
        assert_eq!(outcome("docs/a.md/b"), "failed docs/a.md/b does not exist");
        assert_eq!(outcome("../outside"), "failed ../outside is not a path inside the repository");
        assert_eq!(outcome("/etc/passwd"), "failed /etc/passwd is not a path inside the repository");
    }
}
