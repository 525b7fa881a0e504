//! What a room shows of one repository of an attempt: its worktree, the attempt's own repository of it, and what that borrows.

use std::{
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{Guest, Places};
use crate::{attempt::folder::AttemptFolder, journal::Part, submodule::Submodule, worktree::is_folder_below};

/// What there is of one repository.
pub(super) struct Repository {
    pub(super) work: PathBuf,
    /// What belongs to it but for its worktree.
    pub(super) folder: PathBuf,
    pub(super) mirror: PathBuf,
    /// Those in it, once they are known.
    pub(super) submodules: OnceLock<Vec<Submodule>>,
}

impl Repository {
    pub(super) fn of(Part { entry, work, .. }: Part) -> Self {
        let submodules = entry.worktree.map_or_else(OnceLock::new, |checkout| OnceLock::from(checkout.submodules));
        Self { work, folder: entry.folder, mirror: entry.mirror, submodules }
    }

    /// From now on, what these borrow is there as well.
    pub(super) fn show_submodules(&self, submodules: &[Submodule]) {
        self.submodules.get_or_init(|| submodules.to_vec());
    }

    /// Whether this is in its worktree, or a store of its own.
    pub(super) fn is_at(&self, place: &Path) -> bool {
        place.starts_with(&self.work) || place.parent() == Some(self.folder.as_path())
    }

    pub(super) fn show(&self, guest: Guest, room: &mut Places) -> io::Result<()> {
        let (folder, submodules) = (AttemptFolder::of(&self.folder), self.submodules.get().map(Vec::as_slice).unwrap_or_default());
        if let Guest::Git { .. } = guest {
            room.writable(&folder.index_folder(), &folder.index_folder());
            let numbers = std::iter::once(0).chain(submodules.iter().map(|one| one.number));
            numbers.for_each(|number| room.read_only_if_there(&folder.store(number)));
        }
        let (work, git) = (&self.work, folder.git());
        match guest {
            // it takes in what there is, and what it runs of the work's may change none of that
            Guest::Git { writes: false } => room.read_only(work, work),
            _ => room.writable(work, work),
        }
        room.writable(&git, &git);
        for mirror in std::iter::once(&self.mirror).chain(submodules.iter().map(|one| &one.mirror)) {
            let objects = mirror.join("objects");
            room.read_only(&objects, &objects);
            // what Git LFS keeps, where it does
            room.read_only_if_there(&mirror.join("lfs"));
        }
        let inner: Vec<_> = submodules.iter().map(|one| one.git_dir(&git)).collect();
        if let Some(around) = inner.first().and_then(|place| place.parent()) {
            // all the way down: of what the work could move away, another thing would be shown next time, by a link of its own
            for place in &inner {
                let objects = place.strip_prefix(&git).map_err(io::Error::other)?.join("objects");
                if !is_folder_below(&git, &objects) {
                    return Err(io::Error::other("the repository of a submodule is no folder any more"));
                }
            }
            room.writable(around, around);
        }
        inner.iter().for_each(|place| room.writable(place, place));
        for git in std::iter::once(&git).chain(&inner) {
            // a place of its own, so that it cannot be moved away from under what is kept in it
            room.writable(&git.join("objects"), &git.join("objects"));
            // what git does beside the history is the runner's to say
            for kept in [git.join("config"), git.join("hooks"), git.join("objects/info")] {
                room.read_only_if_there(&kept);
            }
        }
        room.read_only_if_there(&work.join(".git"));
        Ok(())
    }
}
