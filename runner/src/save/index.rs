//! What the runner's own index begins with, before it takes in what lies in the worktree.
//!
//! That is what the last commit holds, less what would keep git from taking files in: see [`make_way`](Saving::make_way). The work's own index has no
//! say in what is a change, but for what git ignores: it says what of that is staged, and what is untracked. What it leaves out
//! of the worktree (`git sparse-checkout`) is out: no check has seen it.

use std::{
    collections::HashSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Repositories, Saving, closed::is_open_below};
use crate::{
    git::{Argument, Bounds, GitError, Place},
    worktree,
};

impl Saving<'_> {
    /// Makes it. Says which files git ignores and the work has staged all the same.
    pub(super) async fn begin_index(&self) -> Result<Vec<Vec<u8>>, GitError> {
        // one after the other: all have to do with the folder of the index
        worktree::fresh_index(self.git, self.place, &self.entry.folder, self.number).await?;
        let staged = self.staged().await?;
        self.make_way(&staged).await?;
        self.untrack().await?;
        Ok(staged)
    }

    /// Where a repository is in the index, git takes in no file of what is not one any more. What is one still is put there again, and so is one
    /// that belongs there where nothing is to be taken in: what git ignores is no change.
    async fn make_way(&self, staged: &[Vec<u8>]) -> Result<(), GitError> {
        let Repositories { mut made, replaced, .. } = self.repositories().await?;
        if !replaced.is_empty() {
            let mut there = self.untracked(&replaced).await?;
            there.extend_from_slice(staged);
            made.extend(replaced.into_iter().filter(|path| there.iter().any(|file| is_below(file, path.as_os_str().as_bytes()))));
        }
        let paths: Vec<_> = made.iter().map(|path| path.as_os_str().as_bytes()).collect();
        self.change_entries(&"--force-remove", &paths).await
    }

    /// What git ignores and the work has taken out of its own index (`git rm --cached`) would stay, as nothing in the worktree says that it is out.
    async fn untrack(&self) -> Result<(), GitError> {
        let arguments: [Argument<'_>; 5] = [&"ls-files", &"--cached", &"--ignored", &"--exclude-standard", &"-z"];
        let mut ignored = paths(&self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes);
        if ignored.is_empty() {
            return Ok(());
        }
        let Some(own) = self.of_own_index(&[&"ls-files", &"--cached", &"-z"]).await? else { return Ok(()) };
        let own: HashSet<_> = own.into_iter().collect();
        ignored.retain(|path| !own.contains(path));
        self.change_entries(&"--force-remove", &ignored.iter().map(Vec::as_slice).collect::<Vec<_>>()).await
    }

    /// The files in these folders that git does not ignore, whatever the index has there.
    async fn untracked(&self, folders: &[PathBuf]) -> Result<Vec<Vec<u8>>, GitError> {
        let mut arguments: Vec<Argument<'_>> = vec![&"--literal-pathspecs", &"ls-files", &"--others", &"--exclude-standard", &"-z", &"--"];
        arguments.extend(folders.iter().map(|folder| folder as Argument<'_>));
        let Place::Worktree { git_dir, path, index } = self.place else { return Ok(vec![]) };
        // one that is not there has nothing
        let none = index.with_file_name("none");
        let listed = self.git.whole(Place::Worktree { git_dir, path, index: &none }, &arguments, b"", Bounds::LISTING).await?;
        Ok(paths(&listed.bytes))
    }

    /// Files that git ignores and that the work staged all the same.
    async fn staged(&self) -> Result<Vec<Vec<u8>>, GitError> {
        let arguments: [Argument<'_>; 5] = [&"ls-files", &"--cached", &"--ignored", &"--exclude-standard", &"-z"];
        let mut staged = self.of_own_index(&arguments).await?.unwrap_or_default();
        // what lies behind a link, or in a folder that is closed, git finds nowhere
        let root = &self.checkout.path;
        staged.retain(|path| {
            let path = Path::new(OsStr::from_bytes(path));
            path.parent().is_some_and(|around| is_open_below(root, around)) && root.join(path).symlink_metadata().is_ok()
        });
        Ok(staged)
    }

    /// Takes these in. What lies in a repository within this one is that one's. Says which those are, which are shut.
    pub(super) async fn add_staged(&self, staged: &[Vec<u8>]) -> Result<Vec<PathBuf>, GitError> {
        if staged.is_empty() {
            return Ok(vec![]);
        }
        let shut = self.shut_links().await?;
        let is_within = |path: &[u8]| shut.iter().map(|link| link.as_os_str().as_bytes()).any(|link| path == link || is_below(path, link));
        let own = staged.iter().filter(|path| !is_within(path));
        let own: Vec<_> = own.flat_map(|path| [b":(top,literal)", path.as_slice(), b"\0"].concat()).collect();
        if !own.is_empty() {
            // a folder with nothing new in it but what is shut is no error
            let arguments: [Argument<'_>; 5] = [&"add", &"--force", &"--sparse", &"--pathspec-from-file=-", &"--pathspec-file-nul"];
            self.git.run_with_input(self.place, &arguments, &own, Bounds::LOCAL).await?;
        }
        Ok(shut)
    }

    /// Those of these that lie in a repository within this one, and that git has passed over for that. What is `shut` stays as it is.
    pub(super) async fn passed_over<'a>(&self, staged: &'a [Vec<u8>], shut: &[PathBuf]) -> Result<Vec<&'a [u8]>, GitError> {
        if staged.is_empty() {
            return Ok(vec![]);
        }
        let there = paths(&self.git.whole(self.place, &[&"ls-files", &"-z"], b"", Bounds::LISTING).await?.bytes);
        let is_there = |path: &[u8]| {
            // what was a file may be a folder now
            let below = [path, b"/"].concat();
            let next = there.partition_point(|file| file.as_slice() < below.as_slice());
            there.binary_search_by(|file| file.as_slice().cmp(path)).is_ok() || there.get(next).is_some_and(|file| file.starts_with(&below))
        };
        let lies_within = |path: &[u8]| {
            let around = Path::new(OsStr::from_bytes(path)).ancestors().filter(|folder| !folder.as_os_str().is_empty());
            let mut around = around.map(|folder| (folder, self.checkout.path.join(folder).join(".git")));
            around.any(|(folder, own)| own.symlink_metadata().is_ok() && !shut.iter().any(|link| folder.starts_with(link)))
        };
        Ok(staged.iter().map(Vec::as_slice).filter(|path| !is_there(path) && lies_within(path)).collect())
    }

    /// What git lists of the work's index. Where it cannot be read, it holds nothing that is not in the worktree as well.
    async fn of_own_index(&self, arguments: &[Argument<'_>]) -> Result<Option<Vec<Vec<u8>>>, GitError> {
        let index = self.checkout.git_dir.join("index");
        if !index.is_file() {
            return Ok(None);
        }
        match self.git.whole(worktree::place(self.checkout, &index), arguments, b"", Bounds::LISTING).await {
            Ok(output) => Ok(Some(paths(&output.bytes))),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn change_entries(&self, how: Argument<'_>, paths: &[&[u8]]) -> Result<(), GitError> {
        if paths.is_empty() {
            return Ok(());
        }
        let arguments: [Argument<'_>; 4] = [&"update-index", &"-z", how, &"--stdin"];
        let input: Vec<_> = paths.iter().flat_map(|path| [*path, b"\0"].concat()).collect();
        self.git.run_with_input(self.place, &arguments, &input, Bounds::LOCAL).await.map(drop)
    }
}

/// Of what git lists with a NUL behind each.
pub(super) fn paths(listed: &[u8]) -> Vec<Vec<u8>> {
    listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
}

pub(super) fn is_below(file: &[u8], folder: &[u8]) -> bool {
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}
