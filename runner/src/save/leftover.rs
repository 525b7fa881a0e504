//! What a check has left in a worktree, and how it is got out of the way; and how repositories that lie within one are, and come back. The runner does
//! so whatever the modes are. Nothing of the work's runs meanwhile. No link is followed: it could lead anywhere.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use uuid::Uuid;

use crate::folders::remove;

/// To list a folder, to enter it and to write in it.
const ALL: u32 = 0o700;
pub(super) const READS: u32 = 0o400;

/// Whether its owner may do all of this. By the modes, as nothing is kept from root.
pub(super) fn lets(about: &fs::Metadata, all: u32) -> bool {
    about.mode() & all == all
}

/// Whether it is a folder, and all on the way to it are, and no links. Then its owner may do anything in them.
pub(super) fn opened(root: &Path, path: &Path) -> io::Result<bool> {
    let mut at = root.to_owned();
    if !open(&at)? {
        return Ok(false);
    }
    for part in path.components() {
        let Component::Normal(name) = part else { return Ok(false) };
        at.push(name);
        if !open(&at)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it is a folder.
fn open(folder: &Path) -> io::Result<bool> {
    let Some(about) = there(folder)?.filter(fs::Metadata::is_dir) else { return Ok(false) };
    if !lets(&about, ALL) {
        fs::set_permissions(folder, fs::Permissions::from_mode((about.mode() & 0o7777) | ALL))?;
    }
    Ok(true)
}

fn there(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(about) => Ok(Some(about)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder where there is none any more, with those around it. What is in the place of one goes.
pub(super) fn make_folder_again(root: &Path, path: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for part in path.components() {
        open(&at)?;
        at.push(part);
        if !there(&at)?.is_some_and(|about| about.is_dir()) {
            remove(&at)?;
            fs::create_dir(&at)?;
        }
    }
    Ok(())
}

/// A folder that is closed, and all in it but those `apart`. What lies too deep to be named stays.
pub(super) fn open_all(root: &Path, folder: &Path, apart: &[PathBuf]) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        match opened(root, &folder) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => continue,
            Err(error) => return Err(error),
        }
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            let inside = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() && entry.file_name() != ".git" && !apart.contains(&inside) {
                folders.push(inside);
            }
        }
    }
    Ok(())
}

/// Whatever it is, and the folders around it that are empty then, as git does.
pub(super) fn remove_below(root: &Path, path: &Path) -> io::Result<()> {
    let (Some(around), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    if !opened(root, around)? {
        return Ok(());
    }
    // by this name, as a repository is listed with a slash behind it, which follows links
    remove(&root.join(around).join(name))?;
    for folder in around.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A file that is closed, or what is neither a file, a folder nor a link.
pub(super) fn remove_unreadable(root: &Path, path: &Path) -> io::Result<()> {
    let (Some(around), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    if !opened(root, around)? {
        return Ok(());
    }
    let path = root.join(around).join(name);
    let is_read = |about: &fs::Metadata| about.is_dir() || about.is_symlink() || about.is_file() && lets(about, READS);
    match there(&path)? {
        Some(about) if !is_read(&about) => remove(&path),
        _ => Ok(()),
    }
}

/// Moves these away as far as they are there, and says which those are and where each is now.
pub(super) fn set_aside(root: &Path, these: &[PathBuf], aside: &Path) -> (Vec<(PathBuf, PathBuf)>, io::Result<()>) {
    let mut moved = vec![];
    let done = these.iter().try_for_each(|own| {
        let Some(around) = own.parent().and_then(|around| around.strip_prefix(root).ok()) else { return Ok(()) };
        // one that is moved into another folder has to be writable itself
        let is_there = opened(root, around)? && (open(own)? || there(own)?.is_some());
        if is_there {
            moved.push((own.clone(), move_aside(own, aside)?));
        }
        Ok(())
    });
    (moved, done)
}

/// Says where it is now. What an earlier look or life has left there stays.
pub(super) fn move_aside(own: &Path, aside: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(aside)?;
    let place = aside.join(Uuid::now_v7().to_string());
    fs::rename(own, &place)?;
    Ok(place)
}

/// One of which that does not go keeps none of the others from it.
pub(super) fn move_back(root: &Path, moved: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    let mut done = Ok(());
    for (own, aside) in moved {
        done = done.and(move_one_back(root, own, aside));
    }
    done
}

/// Also into a folder that is gone with the last that lay in it.
fn move_one_back(root: &Path, own: &Path, aside: &Path) -> io::Result<()> {
    let around = own.parent().and_then(|around| around.strip_prefix(root).ok()).unwrap_or(Path::new(""));
    let mut at = root.to_owned();
    for part in around.components() {
        at.push(part);
        if there(&at)?.is_none() {
            fs::create_dir(&at)?;
        }
    }
    match opened(root, around)? {
        true => fs::rename(aside, own),
        false => Err(io::Error::other(format!("{} is no folder any more", around.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_check_has_left_goes_whatever_its_modes_are_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let (root, other) = (place.path().join("work"), place.path().join("other"));
        fs::create_dir_all(root.join("shut/inner")).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(root.join("shut/inner/file"), "").unwrap();
        fs::write(other.join("file"), "").unwrap();
        symlink(&other, root.join("link")).unwrap();
        fs::set_permissions(root.join("shut/inner"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o000)).unwrap();

        for left in ["shut/inner/file", "link/file", "../other/file", "link/"] {
            remove_below(&root, Path::new(left)).unwrap();
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "with the folders that are empty then");
        assert!(other.join("file").exists());
    }

    #[test]
    fn a_repository_comes_back_where_its_folder_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let (root, own) = (place.path().join("work"), place.path().join("work/a/b/.git"));
        fs::create_dir_all(&own).unwrap();
        fs::set_permissions(own.parent().unwrap(), fs::Permissions::from_mode(0o500)).unwrap();
        let absent = root.join("absent/.git");
        let (moved, done) = set_aside(&root, &[absent, own.clone()], &place.path().join("aside"));
        done.unwrap();
        assert_eq!((moved.len(), own.exists()), (1, false));
        fs::remove_dir_all(root.join("a")).unwrap();
        move_back(&root, &moved).unwrap();
        assert!(own.is_dir());
    }

    #[test]
    fn a_folder_is_made_again_whatever_is_in_its_place() {
        let place = tempfile::tempdir().unwrap();
        let (root, other) = (place.path().join("work"), place.path().join("other"));
        let folder = root.join("a/b");
        fs::create_dir_all(&other).unwrap();
        fs::create_dir_all(root.join("a")).unwrap();
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
        let makes_again = || make_folder_again(&root, Path::new("a/b")).unwrap();
        makes_again();
        fs::write(folder.join("file"), "").unwrap();
        makes_again();
        assert!(folder.join("file").exists(), "what is one stays as it is");
        fs::remove_dir_all(root.join("a")).unwrap();
        symlink(&other, root.join("a")).unwrap();
        makes_again();
        assert!(folder.symlink_metadata().unwrap().is_dir() && fs::read_dir(&other).unwrap().next().is_none());
        fs::remove_dir(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        makes_again();
        assert!(folder.is_dir());
    }

    #[test]
    fn what_git_cannot_read_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::write(root.join("read"), "").unwrap();
        fs::write(root.join("closed"), "").unwrap();
        symlink("nowhere", root.join("link")).unwrap();
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o044)).unwrap();
        for path in ["read", "closed", "link", "absent", "read/below"] {
            remove_unreadable(root, Path::new(path)).unwrap();
        }
        let left = ["read", "closed", "link"].map(|path| root.join(path).symlink_metadata().is_ok());
        assert_eq!(left, [true, false, true]);
    }
}
