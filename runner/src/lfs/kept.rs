//! The files that Git LFS keeps in a repository: where each lies, whether it is there, and how it comes into another one.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Pointer;
use crate::worktree::is_folder_below;

/// Bytes that are read at once: of a file with holes fewer, so that these can be told from what is there.
const CHUNK: usize = 256 * 1024;
const BLOCK: usize = 4096;
/// The extension of what is on its way into a repository.
const DRAFT: &str = "new";

/// In which folder of a repository git-lfs keeps it.
pub(super) fn folder(oid: &str) -> String {
    format!("lfs/objects/{}/{}", &oid[..2], &oid[2..4])
}

pub(super) fn object(git_dir: &Path, oid: &str) -> PathBuf {
    git_dir.join(folder(oid)).join(oid)
}

/// Whether it is there now. In one step for everybody else, and only if it is what its name says: the work could have written anything.
pub(super) fn copy(from: &Path, to: &Path, one: &Pointer, give_up: &CancellationToken) -> io::Result<bool> {
    if is_there(to, one) {
        return Ok(true);
    }
    if !is_kept(from, one) {
        return Ok(false);
    }
    fs::create_dir_all(to.join(folder(&one.oid)))?;
    replace(&object(from, &one.oid), &object(to, &one.oid), one, give_up)
}

/// Wherever links lead there.
pub(super) fn is_there(git_dir: &Path, one: &Pointer) -> bool {
    fs::metadata(object(git_dir, &one.oid)).is_ok_and(|about| about.is_file() && about.len() == one.size)
}

/// Whether it is a file of the repository itself. The work can have put a link in its place, or in that of a folder around it.
pub(super) fn is_kept(git_dir: &Path, one: &Pointer) -> bool {
    let about = || fs::symlink_metadata(object(git_dir, &one.oid));
    is_folder_below(git_dir, folder(&one.oid)) && about().is_ok_and(|about| about.is_file() && about.len() == one.size)
}

/// Whatever is there, with the rights that it has. Whether what came is what its name says, and is there now.
pub(super) fn replace(from: &Path, to: &Path, one: &Pointer, give_up: &CancellationToken) -> io::Result<bool> {
    let draft = to.with_file_name(format!("{}.{DRAFT}", Uuid::now_v7()));
    let replaced = copy_and_hash(from, &draft, one.size, give_up).and_then(|hash| {
        if hash != one.oid {
            return Ok(false);
        }
        if let Ok(before) = fs::symlink_metadata(to) {
            fs::set_permissions(&draft, before.permissions())?;
        }
        fs::rename(&draft, to)?;
        Ok(true)
    });
    if !matches!(replaced, Ok(true)) {
        // what went wrong counts, and it may never have been there
        let _ = fs::remove_file(&draft);
    }
    replaced
}

/// So many bytes of it at most. What takes no room in the one takes none in the other: the work can name files that are long and hold nothing.
fn copy_and_hash(from: &Path, to: &Path, size: u64, give_up: &CancellationToken) -> io::Result<String> {
    let (from, mut to) = (File::open(from)?, File::create_new(to)?);
    let about = from.metadata()?;
    let has_holes = about.blocks() * 512 < about.len();
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; if has_holes { BLOCK } else { CHUNK }]);
    let (mut from, mut length) = (from.take(size), 0);
    loop {
        if give_up.is_cancelled() {
            return Err(io::Error::other("it was told to end"));
        }
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let read = &buffer[..read];
        hash.update(read);
        length += read.len() as u64;
        if has_holes && read.iter().all(|byte| *byte == 0) {
            to.seek(SeekFrom::Start(length))?;
        } else {
            to.write_all(read)?;
        }
    }
    to.set_len(length)?;
    to.sync_all()?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes what a runner that was killed has left on its way into a repository.
pub(crate) fn clear_drafts(git_dir: &Path) -> io::Result<()> {
    let mut folders = vec![git_dir.join("lfs/objects")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == DRAFT) {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lfs::tests::{copied, one, put, sum};

    /// How many files there are in the folder of one.
    fn files_beside(git_dir: &Path, oid: &str) -> usize {
        fs::read_dir(git_dir.join(folder(oid))).map_or(0, Iterator::count)
    }

    #[test]
    fn only_what_is_what_its_name_says_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let (right, wrong, link) = (sum(b"large\n"), sum(b"something else"), sum(b"secret"));
        put(&from, &right, b"large\n");
        put(&from, &wrong, b"large\n");
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::create_dir_all(object(&from, &link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), object(&from, &link)).unwrap();
        for size in [5, 7, u64::MAX] {
            assert!(!copied(&from, &to, &one(&right, size)) && !object(&to, &right).exists(), "it says {size} and is 6");
        }
        assert!(copied(&from, &to, &one(&right, 6)) && copied(&from, &to, &one(&right, 6)));
        assert!(!copied(&from, &to, &one(&right, 7)), "that is not what is there");
        assert_eq!(fs::read(object(&to, &right)).unwrap(), b"large\n");
        for other in [&wrong, &link, &sum(b"nowhere")] {
            assert!(!copied(&from, &to, &one(other, 6)));
            assert!(!object(&to, other).exists());
        }
        assert_eq!(files_beside(&to, &wrong), 0, "no draft of it stays");
    }

    #[test]
    fn of_what_does_not_come_to_its_end_nothing_stays() {
        let place = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| place.path().join(name));
        let pointer = one(&sum(b"large\n"), 6);
        put(&from, &pointer.oid, b"large\n");
        let given_up = CancellationToken::new();
        given_up.cancel();
        assert!(copy(&from, &to, &pointer, &given_up).is_err());
        assert_eq!(files_beside(&to, &pointer.oid), 0);
        // where something is in its way
        fs::create_dir(object(&to, &pointer.oid)).unwrap();
        assert!(copy(&from, &to, &pointer, &CancellationToken::new()).is_err());
        assert_eq!(files_beside(&to, &pointer.oid), 1);
        // a runner that was killed could not see to it
        fs::write(to.join(folder(&pointer.oid)).join(format!("{}.{DRAFT}", Uuid::now_v7())), "la").unwrap();
        put(&to, &sum(b"other"), b"other");
        clear_drafts(&to).unwrap();
        assert_eq!((files_beside(&to, &pointer.oid), files_beside(&to, &sum(b"other"))), (1, 1));
        clear_drafts(&place.path().join("nowhere")).unwrap();
    }

    #[test]
    fn a_file_that_is_long_and_takes_no_room_takes_none_elsewhere() {
        const LONG: u64 = 64 * 1024 * 1024;
        let place = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| place.path().join(name));
        let draft = place.path().join("draft");
        let mut file = File::create(&draft).unwrap();
        file.write_all(b"beginning").unwrap();
        file.seek(SeekFrom::Start(LONG / 2)).unwrap();
        file.write_all(b"middle").unwrap();
        file.set_len(LONG).unwrap();
        let content = fs::read(&draft).unwrap();
        let pointer = one(&sum(&content), LONG);
        put(&from, &pointer.oid, b"");
        fs::rename(&draft, object(&from, &pointer.oid)).unwrap();
        assert!(copied(&from, &to, &pointer));
        let copy = object(&to, &pointer.oid);
        assert!(fs::read(&copy).unwrap() == content);
        assert!(fs::metadata(&copy).unwrap().blocks() * 512 < LONG / 8);
    }
}
