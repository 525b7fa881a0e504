//! Whether what lands is what the checks have seen, where a `.gitattributes` says that git keeps another text than the one that stands in a file.
//!
//! By `ident` and `working-tree-encoding` git takes one text in and writes one out, and that need not be the same: by UTF-7 a comment may become a line
//! of a program. So where one of them has a say in a file, what git would write is compared with what stands there, by what is in the store.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use uuid::Uuid;

use super::{SaveError, Saving, alike::are_alike, begun::Begun};
use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    git::{Argument, Bounds, GitError, Place},
    submodule::shown,
};

const NAMES: [&str; 2] = ["ident", "working-tree-encoding"];
/// How many files are compared at a time, and how many bytes the store has of them. A larger one is compared by itself.
const AT_ONCE: usize = 64;
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// A byte in the store is no more than this many in a file, by any encoding.
const GROWS: usize = 8;

/// In a tree.
struct Listed {
    is_link: bool,
    id: String,
    path: Vec<u8>,
}

impl Listed {
    fn is_attributes(&self) -> bool {
        self.path == b".gitattributes" || self.path.ends_with(b"/.gitattributes")
    }
}

/// A file that git would write, with its encoding.
struct Compared<'a> {
    file: &'a Listed,
    encoding: &'a [u8],
}

/// What attributes say of a file.
#[derive(PartialEq, Eq)]
struct Said {
    path: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Saving<'_> {
    /// Fails where a file would be checked out as another one than stands there. The store has the commit.
    pub(super) async fn lands_as_it_stands(&self, store: &Path, tip: &str) -> Result<(), SaveError> {
        let (reading, base) = (self.reading(store), &self.checkout.base_commit);
        let all: [Argument<'_>; 5] = [&"ls-tree", &"-r", &"-z", &"--full-tree", &tip];
        let changes: [Argument<'_>; 10] =
            [&"diff-tree", &"-r", &"--raw", &"-z", &"--no-abbrev", &"--no-renames", base, &tip, &"--", &":(glob)**/.gitattributes"];
        let (all, changes) = tokio::join!(
            reading.git.whole(reading.place, &all, b"", Bounds::LISTING),
            reading.git.whole(reading.place, &changes, b"", Bounds::LISTING)
        );
        let (mut files, changes) = (listed(&all?.bytes), changes?.bytes);
        if !reading.is_said_of_any(&files, &changes).await? {
            return Ok(());
        }
        // git reads nothing behind it where it stands, and takes it for what it says where it is checked out
        if let Some(link) = files.iter().find(|file| file.is_link && file.is_attributes()) {
            return Err(another_text(&link.path));
        }
        files.retain(|file| !file.is_link);
        let folder = AttemptFolder::of(&self.entry.folder).index_folder();
        let (landing, before) = (folder.join("landing"), folder.join("before"));
        let now = Place::Worktree { git_dir: store, path: &self.checkout.path, index: &landing };
        let then = Place::Worktree { git_dir: store, path: &self.checkout.path, index: &before };
        for (place, commit) in [(now, tip), (then, base.as_str())] {
            self.git.run(place, &[&"read-tree", &commit], Bounds::LOCAL).await?;
        }
        let named: Vec<_> = files.iter().flat_map(|file| [file.path.as_slice(), b"\0"].concat()).collect();
        let (standing, landing) = (self.said_of(now, &[], &named).await?, self.said_of(now, &[&"--cached"], &named).await?);
        if let Some((one, _)) = standing.iter().zip(&landing).find(|(standing, landing)| standing != landing) {
            return Err(another_text(&one.path));
        }
        let before = self.said_of(then, &[&"--cached"], &named).await?;
        let rewritten: HashSet<_> = landing.iter().chain(&before).filter(|said| said.rewrites()).map(|said| said.path.as_slice()).collect();
        // what stands for a file of Git LFS is another one at all times
        let is_kept = |said: &&Said| self.entry.lfs && said.name == b"filter" && said.value == b"lfs";
        let kept: HashSet<_> = landing.iter().filter(is_kept).map(|said| said.path.as_slice()).collect();
        // what is as it was, and of which the same is said, is as git has written it
        let said_anew = landing.iter().zip(&before).filter(|(now, then)| now != then);
        let said_anew: HashSet<_> = said_anew.map(|(now, _)| now.path.as_slice()).collect();
        let begun = Begun::of(self.git, now, &self.entry.folder, self.number).await?;
        let encodings = landing.iter().filter(|said| said.name == b"working-tree-encoding");
        let encodings: HashMap<_, _> = encodings.map(|said| (said.path.as_slice(), said.value.as_slice())).collect();
        let mut compared = vec![];
        for file in &files {
            let path = file.path.as_slice();
            let is_as_it_was = || !said_anew.contains(path) && begun.has_it_untouched(&self.checkout.path, path, &file.id);
            if rewritten.contains(path) && !kept.contains(path) && !is_as_it_was() {
                compared.push(Compared { file, encoding: encodings.get(path).copied().unwrap_or_default() });
            }
        }
        let sizes = self.sizes(now, &compared).await?;
        let mut rest = compared.as_slice();
        for (number, bytes) in groups(&sizes) {
            let (some, others) = rest.split_at(number);
            self.compare(now, some, bytes).await?;
            rest = others;
        }
        Ok(())
    }

    /// Whether a `.gitattributes` names one of them at all: of those that land, have landed before, or stand where they have a say.
    async fn is_said_of_any(&self, files: &[Listed], changes: &[u8]) -> Result<bool, SaveError> {
        let landing = files.iter().filter(|file| file.is_attributes());
        let changes = String::from_utf8_lossy(changes);
        let before = changes.split('\0').filter_map(|about| about.strip_prefix(':')?.split(' ').nth(2));
        let ids: BTreeSet<_> = landing.map(|file| file.id.as_str()).chain(before.filter(|id| id.contains(|c: char| c != '0'))).collect();
        if !ids.is_empty() {
            let asked: String = ids.iter().flat_map(|id| [*id, "\n"]).collect();
            let said = self.git.whole(self.place, &[&"cat-file", &"--batch"], asked.as_bytes(), Bounds::LISTING).await?;
            if tokio::task::spawn_blocking(move || names_one(&said.bytes)).await.map_err(io::Error::other)? {
                return Ok(true);
            }
        }
        let around = files.iter().flat_map(|file| Path::new(OsStr::from_bytes(&file.path)).ancestors().skip(1));
        let around: HashSet<_> = around.collect();
        let standing: Vec<_> = around.into_iter().map(|folder| self.checkout.path.join(folder).join(".gitattributes")).collect();
        Ok(on_disk(move || Ok(standing.iter().any(|file| read(file).is_ok_and(|text| names_one(&text))))).await?)
    }

    async fn said_of(&self, place: Place<'_>, manner: &[Argument<'_>], these: &[u8]) -> Result<Vec<Said>, GitError> {
        let mut arguments: Vec<Argument<'_>> = vec![&"check-attr"];
        arguments.extend(manner);
        arguments.extend([&"-z" as Argument<'_>, &"--stdin", &"filter"]);
        arguments.extend(NAMES.iter().map(|name| name as Argument<'_>));
        let said = self.git.whole(place, &arguments, these, Bounds::LISTING).await?.bytes;
        let words: Vec<_> = said.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        let three = |three: &[Vec<u8>]| Said { path: three[0].clone(), name: three[1].clone(), value: three[2].clone() };
        Ok(words.chunks_exact(3).map(three).collect())
    }

    /// Of what the store has of them.
    async fn sizes(&self, place: Place<'_>, these: &[Compared<'_>]) -> Result<Vec<usize>, SaveError> {
        if these.is_empty() {
            return Ok(vec![]);
        }
        let asked: String = these.iter().flat_map(|one| [one.file.id.as_str(), "\n"]).collect();
        let said = self.git.whole(place, &[&"cat-file", &"--batch-check=%(objectsize)"], asked.as_bytes(), Bounds::LISTING).await?.text();
        let sizes: Vec<_> = said.lines().filter_map(|line| line.parse().ok()).collect();
        if sizes.len() == these.len() { Ok(sizes) } else { Err(io::Error::other("git does not say how large each file is").into()) }
    }

    /// These have so many bytes in the store.
    async fn compare(&self, place: Place<'_>, these: &[Compared<'_>], bytes: usize) -> Result<(), SaveError> {
        // git is told a line for each, and where the path begins by what is no blank
        let is_told = |path: &[u8]| !path.contains(&b'\n') && !path.starts_with(b" ") && !path.starts_with(b"\t");
        if let Some(one) = these.iter().find(|one| !is_told(&one.file.path)) {
            return Err(another_text(&one.file.path));
        }
        let asked: Vec<_> = these.iter().flat_map(|one| [one.file.id.as_bytes(), b" ", one.file.path.as_slice(), b"\n"].concat()).collect();
        // which no file can have, as nobody knew it
        let opens = Uuid::now_v7().simple().to_string();
        let manner = format!("--batch={opens}");
        let arguments: [Argument<'_>; 3] = [&"cat-file", &manner, &"--filters"];
        let bounds = Bounds { output: Bounds::LISTING.output.max(bytes.saturating_mul(GROWS)), ..Bounds::LISTING };
        let written = self.git.whole(place, &arguments, &asked, bounds).await?.bytes;
        let owned = |one: &Compared<'_>| (self.checkout.path.join(OsStr::from_bytes(&one.file.path)), one.encoding.to_vec());
        let standing: Vec<_> = these.iter().map(owned).collect();
        let differs = on_disk(move || {
            let mut rest = written.as_slice();
            let opens = format!("{opens}\n");
            let number = standing.len();
            Ok(standing.into_iter().enumerate().find_map(|(index, (path, encoding))| {
                let is_last = index + 1 == number;
                let is_alike = next(&mut rest, opens.as_bytes(), is_last)
                    .is_some_and(|written| read(&path).is_ok_and(|standing| are_alike(written, &standing, &encoding)));
                (!is_alike).then_some(index)
            }))
        });
        match differs.await? {
            Some(index) => Err(another_text(&these[index].file.path)),
            None => Ok(()),
        }
    }
}

/// What git has written of the next file: behind what opens it, up to what opens the one after it.
fn next<'a>(rest: &mut &'a [u8], opens: &[u8], is_last: bool) -> Option<&'a [u8]> {
    let text = rest.strip_prefix(opens)?;
    let end = match is_last {
        true => text.len(),
        false => text.windows(opens.len()).position(|part| part == opens)?,
    };
    *rest = &text[end..];
    text[..end].strip_suffix(b"\n")
}

/// How many of these follow each other in one call, with their bytes.
fn groups(sizes: &[usize]) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = vec![];
    for size in sizes {
        match groups.last_mut() {
            Some((number, bytes)) if *number < AT_ONCE && bytes.saturating_add(*size) <= MOST_BYTES => {
                *number += 1;
                *bytes += size;
            }
            _ => groups.push((1, *size)),
        }
    }
    groups
}

fn another_text(path: &[u8]) -> SaveError {
    SaveError::Unseen {
        what: format!(
            "{}, which would be another text where the branch is checked out than the checks have seen, as a .gitattributes says how it is kept",
            shown(&String::from_utf8_lossy(path))
        ),
        advice: "have the work leave the file as git writes it, and `ident` and `working-tree-encoding` to a change of their own",
    }
}

/// The files in a tree, and links.
fn listed(listed: &[u8]) -> Vec<Listed> {
    let entries = listed.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"100") || entry.starts_with(b"120"));
    let file = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'\t')?;
        let id = std::str::from_utf8(&entry[..at]).ok()?.split(' ').nth(2)?.to_owned();
        Some(Listed { is_link: entry.starts_with(b"120"), id, path: entry[at + 1..].to_vec() })
    };
    entries.filter_map(file).collect()
}

fn names_one(text: &[u8]) -> bool {
    NAMES.iter().any(|name| text.windows(name.len()).any(|part| part == name.as_bytes()))
}

impl Said {
    /// Whether git is to write another text than the one that it keeps.
    fn rewrites(&self) -> bool {
        NAMES.iter().any(|name| self.name == name.as_bytes()) && self.value != b"unspecified" && self.value != b"unset"
    }
}

/// What is a link, or waits for somebody, is no file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::symlink_metadata(path)?.is_file() {
        true => fs::read(path),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_compared_by_itself() {
        assert_eq!(groups(&[1, 2, MOST_BYTES, 3]), [(2, 3), (1, MOST_BYTES), (1, 3)]);
        assert_eq!(groups(&[MOST_BYTES + 1, MOST_BYTES - 1, 1]), [(1, MOST_BYTES + 1), (2, MOST_BYTES)]);
        assert_eq!(groups(&[0; AT_ONCE + 1]), [(AT_ONCE, 0), (1, 0)]);
        assert!(groups(&[]).is_empty());
    }

    #[test]
    fn each_file_ends_where_the_next_one_opens() {
        let mut rest = b"x\na\nb\nx\n\n".as_slice();
        assert_eq!([next(&mut rest, b"x\n", false), next(&mut rest, b"x\n", true)], [Some(b"a\nb".as_slice()), Some(b"".as_slice())]);
        assert!(next(&mut rest, b"x\n", true).is_none());
        assert!(next(&mut b"0 missing\n".as_slice(), b"x\n", true).is_none());
    }

    #[test]
    fn files_and_links_are_listed_and_nothing_else() {
        let tree = b"100644 blob a1\tx\ty\x00120000 blob b2\tlink\x00100755 blob c3\td/run\x00160000 commit d4\tlib\0";
        let found = listed(tree);
        let found: Vec<_> = found.iter().map(|file| (file.is_link, file.id.as_str(), file.path.as_slice())).collect();
        let expected: [(bool, &str, &[u8]); 3] = [(false, "a1", b"x\ty"), (true, "b2", b"link"), (false, "c3", b"d/run")];
        assert_eq!(found, expected);
        assert!(names_one(b"*.js ident\n") && !names_one(b"*.js text\n"));
    }
}
