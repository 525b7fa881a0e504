//! The runner's own copy of what the work has made, in which every object is what its id says.
//!
//! git works an id out when it takes an object in, and believes it when it reads one that is there. What lies in the work's repository is
//! the work's to write: one text under the id of another is what git shows of it, and whoever has the other already is pushed that. So what
//! is shown to anybody, and what is pushed, is read from here, as a repository by itself: what lies beside the work's objects could cut
//! history off (`shallow`, `info/grafts`) or say what is not to be shown (`info/attributes`). It comes as one pack, of which git works all
//! ids out anew; everything else is the mirror's. What was not what its id says is missing then, and that is an error.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{SaveError, Saving};
use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    folders::{private_folder, remove},
    git::{Argument, Bounds, GitError, Place},
    worktree,
};

impl Saving<'_> {
    /// Takes these commits and trees in, with all that they lead to and that the base commit does not. Says where the store is.
    pub(super) async fn take(&self, tips: &[&str]) -> Result<PathBuf, SaveError> {
        let (store, pack) = (self.empty_store().await?, AttemptFolder::of(&self.entry.folder).taken());
        let base = &self.checkout.base_commit;
        let wanted: String = tips.iter().map(|tip| format!("{tip}\n")).chain([format!("^{base}\n^{base}^{{tree}}\n")]).collect();
        // nothing of it is sent anywhere, so that it need not be short
        let arguments: [Argument<'_>; 5] = [&"pack-objects", &"--revs", &"--stdout", &"--quiet", &"--window=0"];
        self.git.run_into(self.place, &arguments, wanted.as_bytes(), File::create(&pack)?, Bounds::TRANSFER).await?;
        let place = Place::Repository(&store);
        self.outside.run_from(place, &[&"index-pack", &"--stdin"], File::open(&pack)?, Bounds::TRANSFER).await?;
        fs::remove_file(&pack)?;
        let arguments: [Argument<'_>; 4] = [&"rev-list", &"--objects", &"--quiet", &"--stdin"];
        match self.outside.run_with_input(place, &arguments, wanted.as_bytes(), Bounds::TRANSFER).await {
            Ok(_) => Ok(store),
            Err(error @ GitError::Failed { .. }) => Err(SaveError::Untrue(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// One that has nothing but what the mirror has. Says where it is.
    pub(super) async fn empty_store(&self) -> Result<PathBuf, SaveError> {
        let store = AttemptFolder::of(&self.entry.folder).store(self.number);
        on_disk({
            let (location, mirror, store) = (self.location.to_owned(), self.mirror.to_owned(), store.clone());
            move || make(&location, &mirror, &store)
        })
        .await?;
        Ok(store)
    }
}

/// As a bare repository that has nothing yet but what the mirror has.
fn make(location: &str, mirror: &Path, store: &Path) -> io::Result<()> {
    // whatever work without a sandbox has put there
    remove(store)?;
    for folder in [store.join("objects/info"), store.join("refs")] {
        private_folder(&folder)?;
    }
    fs::write(store.join("HEAD"), "ref: refs/heads/none\n")?;
    fs::write(store.join("config"), worktree::settings(location, mirror, "")?)?;
    fs::write(store.join("objects/info/alternates"), worktree::alternates(mirror))?;
    worktree::copy_shallow(mirror, store)
}
