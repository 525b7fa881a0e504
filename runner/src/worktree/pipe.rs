//! Pipes that git would open in a worktree, to wait there for somebody who writes: what the work has begun has ended by then. A pipe is no file, and
//! lands nowhere.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What git, and what it puts files through, reads wherever it is called so.
const READ: [&str; 5] = [".gitignore", ".gitattributes", ".gitmodules", ".lfsconfig", ".mailmap"];
/// To list a folder, to enter it and to write in it.
const ALL: u32 = 0o700;

/// Removes those that are called as what git reads, and all in repositories that lie in the worktree. Says which. Others git passes over.
pub(super) fn remove_pipes(root: &Path) -> io::Result<Vec<PathBuf>> {
    // where the work has put a link, this would look elsewhere
    if !fs::symlink_metadata(root).is_ok_and(|about| about.is_dir()) {
        return Ok(vec![]);
    }
    let mut pipes = vec![];
    let mut folders = vec![(PathBuf::new(), false)];
    while let Some((folder, is_gits)) = folders.pop() {
        // what is closed, or lies too deep, is so to git as well
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let path = folder.join(&name);
            if kind.is_dir() {
                folders.push((path, is_gits || name == ".git"));
            } else if kind.is_fifo() && (is_gits || READ.iter().any(|read| name == *read)) {
                pipes.push(path);
            }
        }
    }
    for pipe in &pipes {
        remove_pipe(&root.join(pipe))
            .map_err(|error| io::Error::new(error.kind(), format!("{} is a pipe that cannot be removed: {error}", pipe.display())))?;
    }
    Ok(pipes)
}

/// Also from a folder that its owner may not write in.
fn remove_pipe(path: &Path) -> io::Result<()> {
    match (fs::remove_file(path), path.parent()) {
        (Err(error), Some(around)) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mode = fs::symlink_metadata(around)?.mode();
            fs::set_permissions(around, fs::Permissions::from_mode((mode & 0o7777) | ALL))?;
            fs::remove_file(path)
        }
        (removed, _) => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    #[test]
    fn pipes_go_that_git_would_open_and_no_others() {
        let place = tempfile::tempdir().unwrap();
        let (root, other) = (place.path().join("work"), place.path().join("other"));
        for folder in ["sub", "shut", "inner/.git/refs"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::create_dir_all(&other).unwrap();
        fs::write(root.join(".gitattributes"), "").unwrap();
        symlink(&other, root.join("link")).unwrap();
        let all = [".gitignore", "pipe", "sub/.gitattributes", "sub/HEAD", "shut/.gitmodules", "inner/.git/HEAD", "inner/.git/refs/x"];
        for pipe in all.map(|name| root.join(name)).into_iter().chain([other.join(".gitignore")]) {
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        }
        fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o555)).unwrap();

        let mut removed = remove_pipes(&root).unwrap();
        removed.sort();
        let expected = [".gitignore", "inner/.git/HEAD", "inner/.git/refs/x", "shut/.gitmodules", "sub/.gitattributes"];
        assert_eq!(removed, expected.map(PathBuf::from));
        let left = all.map(|name| root.join(name).symlink_metadata().is_ok());
        assert_eq!(left, [false, true, false, true, false, false, false]);
        assert!(root.join(".gitattributes").is_file() && other.join(".gitignore").symlink_metadata().is_ok(), "nothing else is touched");

        // a link where the worktree was
        assert_eq!(remove_pipes(&root.join("link")).unwrap(), Vec::<PathBuf>::new());
    }
}
