//! Keeps git out of the repositories within one while it finds out what lands, or what is clean.
//!
//! Into each that is in the index and has files, `git add` and `git status` look, and run what its own settings name: in the room in which the index is
//! being written, where a program could put another in its place, with a tree that no check has seen. So the index says where the work has moved them, and
//! they are passed over, as is what lies outside of a sparse checkout. Whether something is changed inside of one is asked last, when nothing is read of
//! the index, or of what lies beside it, that decides anything else.

use std::{fs, os::unix::ffi::OsStrExt, path::PathBuf, time::Duration};

use tokio::time::Instant;

use super::{ALL_REPOSITORIES, Saving, index::paths, links, within};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, Git, GitError},
    journal::{Checkout, Entry},
    worktree::is_folder_below,
};

/// What is not committed, as `git status` has it.
pub(crate) async fn status(
    (git, outside): (&Git, &Git),
    (entry, checkout): (&Entry, &Checkout),
    time: Duration,
) -> Result<String, GitError> {
    let index = AttemptFolder::of(&entry.folder).index();
    let links = within::links(&[], &checkout.submodules, 0);
    let saving = Saving::of_work((git, outside), (entry, checkout), &index, &links);
    let staged = saving.begin_index().await?;
    saving.add_staged(&staged).await?;
    let shut = saving.shut_links().await?;
    saving.forget_unseen().await?;
    let began = Instant::now();
    let arguments: [Argument<'_>; 4] = [&"status", &"--porcelain", &"--untracked-files=normal", ALL_REPOSITORIES];
    let said = git.run(saving.place, &arguments, Bounds { time, ..Bounds::LOCAL }).await?;
    let mut lines: Vec<_> = String::from_utf8_lossy(&said.bytes).trim_end().lines().map(str::to_owned).collect();
    if !shut.is_empty() {
        saving.open_links(&shut).await?;
        let bounds = Bounds { time: time.saturating_sub(began.elapsed()), ..Bounds::LISTING };
        let changed = paths(&git.whole(saving.place, &[&"diff-files", &"--name-only", &"-z", ALL_REPOSITORIES], b"", bounds).await?.bytes);
        let inside = shut.iter().filter(|link| changed.iter().any(|path| path == link.as_os_str().as_bytes()));
        lines.extend(inside.map(|link| format!(" M {}", link.display())));
    }
    Ok(lines.join("\n"))
}

impl Saving<'_> {
    /// Says which. Done again once something was taken in, as that may have been one.
    pub(super) async fn shut_links(&self) -> Result<Vec<PathBuf>, GitError> {
        let listed = self.git.whole(self.place, &[&"ls-files", &"--stage", &"-z"], b"", Bounds::LISTING).await?;
        let (root, mut shut) = (&self.checkout.path, links(&listed.bytes));
        // where there is something else git has nothing to look into, but by a link, which is to be taken in as one
        shut.retain(|path| {
            path.parent().is_some_and(|around| is_folder_below(root, around))
                && fs::symlink_metadata(root.join(path)).is_ok_and(|about| about.is_dir() || about.is_symlink())
        });
        self.change_entries(&"--add", &bytes(&shut)).await?;
        shut.retain(|path| is_folder_below(root, path));
        self.change_entries(&"--skip-worktree", &bytes(&shut)).await?;
        Ok(shut)
    }

    /// From now on a program of the work's may have written the index.
    pub(super) async fn open_links(&self, shut: &[PathBuf]) -> Result<(), GitError> {
        self.change_entries(&"--no-skip-worktree", &bytes(shut)).await
    }
}

fn bytes(paths: &[PathBuf]) -> Vec<&[u8]> {
    paths.iter().map(|path| path.as_os_str().as_bytes()).collect()
}
