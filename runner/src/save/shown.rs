//! The files of a change as a judge reads them: those that would be on the branch, byte for byte, and nothing beside them.
//!
//! The worktree is not that. What git ignores lies in it as well and does not land, and by a `.gitattributes` of its own a change has git write
//! a file otherwise than it is kept. So the files are written anew from the [store](super::store), by a git that finds no attributes: files of
//! that name get theirs when all is written.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rand::distr::{Alphanumeric, SampleString};

use super::{LISTING, SaveError, Saving};
use crate::{
    attempt::folder::AttemptFolder,
    folders::{private_folder, remove},
    git::{Argument, Bounds, Place},
};

const ATTRIBUTES: &[u8] = b".gitattributes";
/// Characters that are behind their names meanwhile: no file of the change is called so.
const BEHIND: usize = 24;

impl Saving<'_> {
    /// Writes the files of a tree of the store to where a judge sees them.
    pub(super) async fn show(&self, tree: &str) -> Result<(), SaveError> {
        let folder = AttemptFolder::of(&self.entry.folder);
        let (store, judged, index) = (folder.store(), folder.judged(), folder.judged_index());
        let made = tokio::task::spawn_blocking({
            let (judged, index) = (judged.clone(), index.clone());
            move || make(&judged, &index)
        });
        made.await.map_err(io::Error::other)??;
        let place = Place::Worktree { git_dir: &store, path: &judged, index: &index, objects: None };
        let listed = self.outside.run(place, &[&"ls-tree", &"-r", &"-z", &tree], LISTING).await?;
        let behind = Alphanumeric.sample_string(&mut rand::rng(), BEHIND);
        let (entries, renamed) = without_attributes(&listed.bytes, &behind);
        self.outside.run_with_input(place, &[&"update-index", &"-z", &"--index-info"], &entries, Bounds::LOCAL).await?;
        let arguments: [Argument<'_>; 6] = [&"-c", &"core.autocrlf=false", &"checkout-index", &"--all", &"--force", &"--quiet"];
        self.outside.run(place, &arguments, Bounds::TRANSFER).await?;
        for path in renamed {
            let mut from = judged.join(&path).into_os_string();
            from.push(&behind);
            fs::rename(from, judged.join(path))?;
        }
        Ok(())
    }
}

fn make(judged: &Path, index: &Path) -> io::Result<()> {
    remove(judged)?;
    remove(index)?;
    private_folder(judged)
}

/// The same entries, those that are called as attributes are with this behind their names; and the paths of these.
fn without_attributes(entries: &[u8], behind: &str) -> (Vec<u8>, Vec<PathBuf>) {
    let (mut changed, mut renamed) = (Vec::with_capacity(entries.len()), vec![]);
    for entry in entries.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        changed.extend_from_slice(entry);
        let path = entry.splitn(2, |byte| *byte == b'\t').nth(1).unwrap_or_default();
        if path.rsplit(|byte| *byte == b'/').next() == Some(ATTRIBUTES) {
            changed.extend_from_slice(behind.as_bytes());
            renamed.push(PathBuf::from(OsStr::from_bytes(path)));
        }
        changed.push(0);
    }
    (changed, renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_called_as_attributes_are_is_called_otherwise() {
        let entries = b"100644 blob 1\t.gitattributes\x00100644 blob 2\tsub/.gitattributes\x00100644 blob 3\tnot.gitattributes\x00";
        let (changed, renamed) = without_attributes(entries, "x");
        let expected = b"100644 blob 1\t.gitattributesx\x00100644 blob 2\tsub/.gitattributesx\x00100644 blob 3\tnot.gitattributes\x00";
        assert_eq!(changed, expected);
        assert_eq!(renamed, [Path::new(".gitattributes"), Path::new("sub/.gitattributes")]);
    }
}
