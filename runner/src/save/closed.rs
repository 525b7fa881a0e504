//! What git is not let to look at, and says little of.
//!
//! What lies in a folder that its owner may not list or enter it leaves out, and what it cannot find stays as the last commit has it, so that it would
//! land unseen by any check. Who may look is asked of the modes: work and checks are the owner in their rooms, and the runner may be root.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use super::{
    SaveError, Saving,
    index::{is_below, paths},
    leftover::{READS, lets, open_all},
};
use crate::{
    disk::on_disk,
    git::{Argument, Bounds, GitError},
    submodule::shown,
};

/// To list a folder and to enter it.
const LOOKS: u32 = 0o500;

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folders,
    FoldersAndFiles,
}

impl Saving<'_> {
    /// Whatever is not found is not there: in a folder that is closed, or under a name that is longer than any file's.
    pub(super) async fn forget_unseen(&self) -> Result<(), GitError> {
        let listed = self.git.whole(self.place, &[&"ls-files", &"--deleted", &"-z"], b"", Bounds::LISTING).await?;
        let unseen = paths(&listed.bytes);
        self.change_entries(&"--force-remove", &unseen.iter().map(Vec::as_slice).collect::<Vec<_>>()).await
    }

    /// Fails where a folder is closed that git does not ignore, other repositories, which are `shut`, apart.
    pub(super) async fn folders_are_open(&self, shut: &[PathBuf]) -> Result<(), SaveError> {
        match self.closed(shut, Kind::Folders).await? {
            None => Ok(()),
            Some(path) => Err(SaveError::LeftOver {
                what: format!("{path}, a folder that its owner may not list and enter"),
                advice: "let its owner do so (`chmod u+rx`), remove it, or have git ignore it",
            }),
        }
    }

    /// Opens the folders that are closed, of those that git does not ignore or `known` files lie in. Nothing is opened in those `apart`.
    pub(super) async fn open_folders(&self, apart: &[PathBuf], known: &[Vec<u8>]) -> Result<(), SaveError> {
        let (mut closed, ignored) = self.all_closed(apart, Kind::Folders).await?;
        if closed.is_empty() {
            return Ok(());
        }
        let is_known = |folder: &[u8]| known.iter().any(|path| is_below(path, folder));
        closed.retain(|folder| {
            let folder = folder.as_os_str().as_bytes();
            !ignored.contains(folder) || is_known(folder)
        });
        let (root, apart) = (self.checkout.path.clone(), apart.to_vec());
        Ok(on_disk(move || closed.iter().try_for_each(|folder| open_all(&root, folder, &apart))).await?)
    }

    /// What there is to say where git has failed to take everything in and a file is closed.
    pub(super) async fn closed_file(&self, theirs: &[PathBuf]) -> Result<(), SaveError> {
        match self.closed(theirs, Kind::FoldersAndFiles).await? {
            None => Ok(()),
            Some(path) => Err(SaveError::LeftOver {
                what: format!("{path}, which its owner may not read"),
                advice: "let its owner do so (`chmod u+r`), remove it, or have git ignore it",
            }),
        }
    }

    /// The first that git does not ignore.
    async fn closed(&self, apart: &[PathBuf], kind: Kind) -> Result<Option<String>, SaveError> {
        let (found, ignored) = self.all_closed(apart, kind).await?;
        let first = found.iter().find(|path| !ignored.contains(path.as_os_str().as_bytes()));
        Ok(first.map(|path| if path.as_os_str().is_empty() { ".".to_owned() } else { shown(&path.to_string_lossy()) }))
    }

    /// And those of them that git ignores.
    async fn all_closed(&self, apart: &[PathBuf], kind: Kind) -> Result<(Vec<PathBuf>, HashSet<Vec<u8>>), SaveError> {
        let (root, apart): (_, HashSet<_>) = (self.checkout.path.clone(), apart.iter().cloned().collect());
        let found = on_disk(move || Ok(closed_below(&root, &apart, kind))).await?;
        let ignored = if found.is_empty() { HashSet::new() } else { self.ignored(&found).await? };
        Ok((found, ignored))
    }

    /// Those of these that it ignores, tracked or not.
    async fn ignored(&self, these: &[PathBuf]) -> Result<HashSet<Vec<u8>>, GitError> {
        // the worktree itself nobody ignores
        let asked = these.iter().map(|path| path.as_os_str().as_bytes()).filter(|path| !path.is_empty());
        let asked: Vec<_> = asked.flat_map(|path| [path, b"\0"].concat()).collect();
        let arguments: [Argument<'_>; 4] = [&"check-ignore", &"--no-index", &"-z", &"--stdin"];
        match self.git.whole(self.place, &arguments, &asked, Bounds::LISTING).await {
            Ok(output) => Ok(paths(&output.bytes).into_iter().collect()),
            // none of them
            Err(GitError::Failed { code: Some(1), .. }) => Ok(HashSet::new()),
            Err(error) => Err(error),
        }
    }
}

/// Whether it is an open folder, and all on the way to it are, and no links.
pub(super) fn is_open_below(root: &Path, path: &Path) -> bool {
    let mut at = root.to_owned();
    path.components().all(|part| {
        at.push(part);
        matches!(part, Component::Normal(_)) && fs::symlink_metadata(&at).is_ok_and(|about| about.is_dir() && lets(&about, LOOKS))
    })
}

/// By their paths from `root` on, where that is empty. Nothing is looked for in those `apart`.
fn closed_below(root: &Path, apart: &HashSet<PathBuf>, kind: Kind) -> Vec<PathBuf> {
    let (mut closed, mut folders) = (vec![], vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        match look_into(root, &folder, kind) {
            Ok((inside, files)) => {
                folders.extend(inside.into_iter().filter(|path| !apart.contains(path)));
                closed.extend(files);
            }
            // one that lies too deep is closed to git as well
            Err(_) => closed.push(folder),
        }
    }
    closed
}

/// The folders in one, and the files there that are closed where they are looked for.
fn look_into(root: &Path, folder: &Path, kind: Kind) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (path, mut folders, mut files) = (root.join(folder), vec![], vec![]);
    if !lets(&fs::symlink_metadata(&path)?, LOOKS) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let (inside, about) = (folder.join(entry.file_name()), entry.file_type()?);
        if about.is_dir() && entry.file_name() != ".git" {
            folders.push(inside);
        } else if kind == Kind::FoldersAndFiles && about.is_file() && !lets(&entry.metadata()?, READS) {
            files.push(inside);
        }
    }
    Ok((folders, files))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Whoever looks: root is kept from nothing.
    #[test]
    fn what_is_closed_to_its_owner_is_found_by_its_mode() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let close = |path: &str, mode: u32| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        for folder in ["open/inner", "shut", "listed", "entered", ".git/own", "theirs/shut"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("open/secret"), "").unwrap();
        fs::write(root.join("open/.git"), "").unwrap();
        symlink("nowhere", root.join("open/link")).unwrap();
        for (path, mode) in
            [("shut", 0), ("listed", 0o455), ("entered", 0o155), (".git/own", 0), ("theirs/shut", 0), ("open/secret", 0o044)]
        {
            close(path, mode);
        }
        let apart = HashSet::from([PathBuf::from("theirs")]);
        let found = |kind: Kind| {
            let mut found: Vec<_> = closed_below(root, &apart, kind).iter().map(|path| path.display().to_string()).collect();
            found.sort();
            found
        };
        assert_eq!(found(Kind::Folders), ["entered", "listed", "shut"]);
        assert_eq!(found(Kind::FoldersAndFiles), ["entered", "listed", "open/secret", "shut"]);
        let is_open = |path: &str| is_open_below(root, Path::new(path));
        assert_eq!(
            ["", "open/inner", "open/link", "entered", "open/secret", "../x"].map(is_open),
            [true, true, false, false, false, false]
        );

        // and the worktree itself
        close("", 0o300);
        assert_eq!(found(Kind::Folders), [""]);
        for path in ["", "shut", "listed", "entered", ".git/own", "theirs/shut"] {
            close(path, 0o700);
        }
    }
}
