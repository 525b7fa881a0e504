//! What of a worktree nobody has touched since git wrote it, by what git has kept of each file in the index that it made then.
//!
//! git itself compares whole seconds where it was built as most are, and asks then whether it would keep the same of a file: not whether it would
//! write the same. So it is compared to the nanosecond here, and a file of the moment in which the index was written counts as touched.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use super::SaveError;
use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    git::{Argument, Bounds, Git, Place},
};

/// How many lines git has for each file behind its path.
const LINES: usize = 5;

pub(super) struct Begun {
    /// By the path of each.
    files: HashMap<Vec<u8>, Kept>,
    /// When the index was written.
    at: (i64, i64),
}

#[derive(Debug, PartialEq, Eq)]
struct Kept {
    id: String,
    changed: (i64, i64),
    modified: (i64, i64),
    size: u32,
}

impl Begun {
    /// Of an attempt that an older runner has begun nothing is known.
    pub async fn of(git: &Git, place: Place<'_>, folder: &Path, number: usize) -> Result<Self, SaveError> {
        let nothing = Self { files: HashMap::new(), at: (0, 0) };
        let (base, copy) = (AttemptFolder::of(folder).base_index(number), AttemptFolder::of(folder).index_folder().join("begun"));
        let (Place::Worktree { git_dir, path, .. }, Ok(about)) = (place, fs::metadata(&base)) else { return Ok(nothing) };
        let into = copy.clone();
        on_disk(move || fs::copy(base, into)).await?;
        let arguments: [Argument<'_>; 4] = [&"ls-files", &"--stage", &"--debug", &"-z"];
        let listed = git.whole(Place::Worktree { git_dir, path, index: &copy }, &arguments, b"", Bounds::LISTING).await?.bytes;
        let files = tokio::task::spawn_blocking(move || kept(&listed)).await.map_err(io::Error::other)?;
        Ok(Self { files, at: (about.mtime(), about.mtime_nsec()) })
    }

    /// Whether that stands there which git has written of this.
    pub fn has_it_untouched(&self, worktree: &Path, path: &[u8], id: &str) -> bool {
        let Some(kept) = self.files.get(path) else { return false };
        let Ok(about) = fs::symlink_metadata(worktree.join(OsStr::from_bytes(path))) else { return false };
        let changed = (about.ctime(), about.ctime_nsec());
        let is_as_kept = (changed, (about.mtime(), about.mtime_nsec())) == (kept.changed, kept.modified);
        // git keeps so much of it
        let size = u32::try_from(about.size() & u64::from(u32::MAX)).ok();
        about.is_file() && kept.id == id && is_as_kept && size == Some(kept.size) && changed < self.at
    }
}

fn kept(listed: &[u8]) -> HashMap<Vec<u8>, Kept> {
    let mut files = HashMap::new();
    let mut entry: &[u8] = &[];
    for (index, part) in listed.split(|byte| *byte == 0).enumerate() {
        let mut lines = part.splitn(LINES + 1, |byte| *byte == b'\n');
        if index == 0 {
            entry = part;
            continue;
        }
        let about: Vec<_> = lines.by_ref().take(LINES).map(String::from_utf8_lossy).collect();
        if let Some((path, kept)) = one(entry, &about.join("\n")) {
            files.insert(path, kept);
        }
        entry = lines.next().unwrap_or_default();
    }
    files
}

fn one(entry: &[u8], about: &str) -> Option<(Vec<u8>, Kept)> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let id = std::str::from_utf8(&entry[..tab]).ok()?.split(' ').nth(1)?.to_owned();
    let mut words = about.split_whitespace();
    let mut after = |name: &str| words.find(|word| *word == name).and_then(|_| words.next());
    let time = |text: &str| text.split_once(':').and_then(|(seconds, rest)| Some((seconds.parse().ok()?, rest.parse().ok()?)));
    let (changed, modified) = (time(after("ctime:")?)?, time(after("mtime:")?)?);
    Some((entry[tab + 1..].to_vec(), Kept { id, changed, modified, size: after("size:")?.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(size: u32) -> String {
        format!("  ctime: 7:8\n  mtime: 5:6\n  dev: 1\tino: 2\n  uid: 0\tgid: 0\n  size: {size}\tflags: 0\n")
    }

    #[test]
    fn what_git_has_kept_of_each_file_is_found_whatever_its_name() {
        let listed = format!("100644 a1 0\ta\nctime: 1:1\0{}100755 b2 0\tb c\0{}", about(3), about(4));
        let files = kept(listed.as_bytes());
        let kept = |id: &str, size| Kept { id: id.into(), changed: (7, 8), modified: (5, 6), size };
        assert_eq!(files.len(), 2);
        assert_eq!(files.get(b"a\nctime: 1:1".as_slice()), Some(&kept("a1", 3)));
        assert_eq!(files.get(b"b c".as_slice()), Some(&kept("b2", 4)));
    }

    #[test]
    fn only_what_was_there_before_the_index_is_untouched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "text").unwrap();
        let about = fs::metadata(folder.path().join("a")).unwrap();
        let (changed, modified) = ((about.ctime(), about.ctime_nsec()), (about.mtime(), about.mtime_nsec()));
        let begun = |size, at| {
            let kept = Kept { id: "a1".into(), changed, modified, size };
            Begun { files: HashMap::from([(b"a".to_vec(), kept)]), at }
        };
        let later = (changed.0 + 1, 0);
        assert!(begun(4, later).has_it_untouched(folder.path(), b"a", "a1"));
        assert!(!begun(4, changed).has_it_untouched(folder.path(), b"a", "a1"), "of the same moment");
        assert!(!begun(5, later).has_it_untouched(folder.path(), b"a", "a1"));
        assert!(
            !begun(4, later).has_it_untouched(folder.path(), b"a", "b2") && !begun(4, later).has_it_untouched(folder.path(), b"b", "a1")
        );
    }
}
