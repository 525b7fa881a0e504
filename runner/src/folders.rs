//! What lies where below the runner's folder, who may look into it (nobody else), and how a folder is thrown away.

use std::{
    collections::HashSet,
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use domain::{AttemptId, RunnerId};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::warn;
use uuid::Uuid;

use crate::{RunnerError, disk::on_disk, git};

pub(crate) struct Folders {
    /// One file for each attempt that is not reported; see [`crate::journal`].
    pub journal: PathBuf,
    /// One file for each of them that has said anything; see [`crate::outbox`].
    pub outbox: PathBuf,
    /// What is kept of attempts that were interrupted; see [`crate::interrupted`].
    pub kept: PathBuf,
    /// One bare repository for each location; see [`crate::mirror`].
    pub mirrors: PathBuf,
    /// The runner's own git settings.
    pub gitconfig: PathBuf,
    /// The part of them that says how git proves who it is; see [`crate::credentials`].
    pub credentials: PathBuf,
    /// The settings of git for workspaces that this machine is not for; see [`crate::credentials`].
    pub guests: PathBuf,
    /// Who this runner is, from its first life on.
    pub identity: RunnerId,
    /// All of it, by its one name.
    pub state_dir: PathBuf,
    /// Folders on their way out: moved here in one step, then deleted at leisure.
    pub trash: PathBuf,
    attempts: PathBuf,
    /// Those that are being deleted now.
    deleting: watch::Sender<HashSet<PathBuf>>,
    /// Held for as long as this runner lives, so that no other one uses the folder.
    _lock: File,
}

impl Folders {
    pub async fn open(state_dir: &Path) -> Result<Self, RunnerError> {
        let path = state_dir.to_owned();
        let failed = |source| RunnerError::State { path: path.clone(), source };
        let opened = on_disk({
            let path = path.clone();
            move || open(&path)
        });
        match opened.await.map_err(failed)? {
            Some(folders) => Ok(folders),
            None => Err(RunnerError::InUse(path)),
        }
    }

    /// Where everything of one attempt lies, its worktree included.
    pub fn attempt(&self, id: AttemptId) -> PathBuf {
        self.attempts.join(id.to_string())
    }

    /// Where such a folder is on its way out.
    fn trashed(&self, folder: &Path) -> Option<PathBuf> {
        Some(self.trash.join(folder.file_name()?))
    }

    /// Takes a folder away in one step. Deleting it goes on by itself; what a crash leaves of it goes at the next start.
    pub async fn throw_away(&self, folder: &Path, tracker: &TaskTracker) -> io::Result<()> {
        let Some(gone) = self.trashed(folder) else { return Ok(()) };
        let (from, to) = (folder.to_owned(), gone.clone());
        match on_disk(move || fs::rename(from, to)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        self.deleting.send_modify(|deleting| {
            deleting.insert(gone.clone());
        });
        let deleting = self.deleting.clone();
        tracker.spawn_blocking(move || {
            delete_or_warn(&gone);
            deleting.send_modify(|deleting| {
                deleting.remove(&gone);
            });
        });
        Ok(())
    }

    /// Returns when a folder that was thrown away is not being deleted any more.
    pub async fn until_deleted(&self, folder: &Path) {
        let Some(gone) = self.trashed(folder) else { return };
        let mut deleting = self.deleting.subscribe();
        // it ends with nobody who deletes
        let _ = deleting.wait_for(|deleting| !deleting.contains(&gone)).await;
    }
}

/// Nothing when another runner holds the lock.
fn open(state_dir: &Path) -> io::Result<Option<Folders>> {
    private_folder(state_dir)?;
    let state_dir = state_dir.canonicalize()?;
    let lock = File::create(state_dir.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let folders = Folders {
        journal: state_dir.join("journal"),
        outbox: state_dir.join("outbox"),
        kept: state_dir.join("kept"),
        mirrors: state_dir.join("mirrors"),
        gitconfig: state_dir.join("gitconfig"),
        credentials: state_dir.join("gitconfig.credentials"),
        guests: state_dir.join("gitconfig.workspaces"),
        identity: identity(&state_dir)?,
        attempts: state_dir.join("attempts"),
        state_dir: state_dir.clone(),
        trash: state_dir.join("trash"),
        deleting: watch::Sender::default(),
        _lock: lock,
    };
    for folder in [&folders.journal, &folders.outbox, &folders.kept, &folders.mirrors, &folders.attempts, &folders.trash] {
        private_folder(folder)?;
    }
    lies_apart(&folders.attempts);
    // what is synced in them is found again
    File::open(&folders.state_dir)?.sync_all()?;
    fs::write(&folders.gitconfig, [git::SETTINGS, git::OWN_SETTINGS].concat())?;
    for entry in fs::read_dir(&folders.trash)? {
        delete_or_warn(&entry?.path());
    }
    Ok(Some(folders))
}

/// The folder of a runner: there from now on, for this user alone, and by its one name.
pub fn own_folder(path: &Path) -> io::Result<PathBuf> {
    private_folder(path)?;
    path.canonicalize()
}

/// What a runner on another machine is from now on: its server has given it this id.
pub fn remember_identity(state_dir: &Path, id: RunnerId) -> io::Result<()> {
    private_folder(state_dir)?;
    write_identity(state_dir, id)
}

/// What the folder says who it is; a new one is on the disk before it is used.
fn identity(state_dir: &Path) -> io::Result<RunnerId> {
    let path = state_dir.join("identity");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file identity holds no id")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let new = RunnerId(Uuid::now_v7());
            write_identity(state_dir, new)?;
            Ok(new)
        }
        Err(error) => Err(error),
    }
}

fn write_identity(state_dir: &Path, id: RunnerId) -> io::Result<()> {
    let draft = state_dir.join("identity.new");
    let mut file = File::create(&draft)?;
    file.write_all(id.to_string().as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, state_dir.join("identity"))?;
    File::open(state_dir)?.sync_all()
}

/// Makes a folder that only this user can look into, its parents included.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// What ext4 is told with it: folders in here have nothing to do with each other, so that each lies in a part of the disk of its own. Files of a
/// new one would else be looked for a place among those that were just deleted, which ext4 does not use again for minutes: after sixty worktrees
/// of 1,000 files each took a third of a second more (`make bench-engine ARGS="--only overhead"`). Other file systems do not know it.
fn lies_apart(folder: &Path) {
    let Ok(folder) = File::open(folder) else { return };
    if let Ok(flags) = ioctl_getflags(&folder) {
        let _ = ioctl_setflags(&folder, flags | IFlags::TOPDIR);
    }
}

/// Removes whatever it is, if it is there, as deep as it goes; what leads elsewhere is not followed.
pub fn remove(path: &Path) -> io::Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => delete(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

fn delete_or_warn(path: &Path) {
    if let Err(error) = delete(path) {
        warn!("Could not delete {}, will try again at the next start: {error}", path.display());
    }
}

/// So deep below the folder whose content is deleted a path fits into what the system takes, however long the names are.
const DEEPEST: usize = 8;

/// Deletes a folder, also where the work left folders that may not be written to, and however deep they lie in each other: what lies
/// deeper than [`DEEPEST`] is moved up beside it first.
fn delete(path: &Path) -> io::Result<()> {
    let mut waiting = vec![path.to_owned()];
    let mut moved = 0_u64;
    while let Some(folder) = waiting.pop() {
        delete_level(&folder, 0, &mut |deep| {
            // one that is to have another parent has to be writable itself
            make_writable(deep)?;
            let up = loop {
                moved += 1;
                let up = path.with_extension(format!("{moved}.deep"));
                // what a crash has left of an earlier time is deleted by itself
                if !up.exists() {
                    break up;
                }
            };
            fs::rename(deep, &up)?;
            waiting.push(up);
            Ok(())
        })?;
    }
    Ok(())
}

fn delete_level(folder: &Path, depth: usize, too_deep: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in with_leave(folder, || fs::read_dir(folder))? {
        let entry = entry?;
        let path = entry.path();
        let mut gone = || match entry.file_type()?.is_dir() {
            true if depth == DEEPEST => too_deep(&path),
            true => delete_level(&path, depth + 1, too_deep),
            false => fs::remove_file(&path),
        };
        with_leave(folder, &mut gone)?;
    }
    fs::remove_dir(folder)
}

/// Once more after the folder around it was made writable, where that was missing.
fn with_leave<T>(folder: &Path, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match act() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(folder)?;
            act()
        }
        other => other,
    }
}

fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_folder_to_be_deleted_waits_for_all_of_it() {
        let place = tempfile::tempdir().unwrap();
        let (folders, tracker) = (Folders::open(place.path()).await.unwrap(), TaskTracker::new());
        let folder = folders.attempt(AttemptId(Uuid::now_v7()));
        // as deep as it takes to be deleted in pieces
        for number in 0..200 {
            fs::create_dir_all(folder.join(format!("{number}/2/3/4/5/6/7/8/9/10/11"))).unwrap();
        }
        folders.throw_away(&folder, &tracker).await.unwrap();
        folders.until_deleted(&folder).await;
        assert_eq!(fs::read_dir(&folders.trash).unwrap().count(), 0);
        // of what was never thrown away nothing is waited for
        folders.until_deleted(&folders.attempt(AttemptId(Uuid::now_v7()))).await;
    }
}
