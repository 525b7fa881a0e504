//! Whether what lands is what the checks have seen, where a `.gitattributes` says that git keeps another text than the one that stands in a file.
//!
//! By `ident` and `working-tree-encoding` git takes one text in and writes one out, and that need not be the same: by UTF-7 a comment may become a line
//! of a program. So where one of them has a say in a file, what git would write is compared with what stands there, by what is in the store.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use super::{SaveError, Saving};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, GitError, Place},
    submodule::shown,
};

const NAMES: [&str; 2] = ["ident", "working-tree-encoding"];
/// How many files are compared at a time.
const AT_ONCE: usize = 64;
/// The id that git writes, behind this.
const OPENS: &[u8] = b"$Id: ";

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
        let compared = files.iter().filter(|file| rewritten.contains(file.path.as_slice()) && !kept.contains(file.path.as_slice()));
        for some in compared.collect::<Vec<_>>().chunks(AT_ONCE) {
            self.compare(now, some).await?;
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
            if names_one(&said.bytes) {
                return Ok(true);
            }
        }
        let around = files.iter().flat_map(|file| Path::new(OsStr::from_bytes(&file.path)).ancestors().skip(1));
        let around: HashSet<_> = around.collect();
        let standing: Vec<_> = around.into_iter().map(|folder| self.checkout.path.join(folder).join(".gitattributes")).collect();
        let found = tokio::task::spawn_blocking(move || standing.iter().any(|file| read(file).is_ok_and(|text| names_one(&text))));
        Ok(found.await.map_err(io::Error::other)?)
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

    async fn compare(&self, place: Place<'_>, these: &[&Listed]) -> Result<(), SaveError> {
        // git is told a line for each
        if let Some(file) = these.iter().find(|file| file.path.contains(&b'\n')) {
            return Err(another_text(&file.path));
        }
        let asked: Vec<_> = these.iter().flat_map(|file| [file.id.as_bytes(), b" ", file.path.as_slice(), b"\n"].concat()).collect();
        let arguments: [Argument<'_>; 3] = [&"cat-file", &"--batch=%(objectname)", &"--filters"];
        let written = plain(&self.git.whole(place, &arguments, &asked, Bounds::LISTING).await?.bytes);
        let standing: Vec<_> = these.iter().map(|file| self.checkout.path.join(OsStr::from_bytes(&file.path))).collect();
        let standing = tokio::task::spawn_blocking(move || standing.iter().map(|file| read(file)).collect::<Vec<_>>());
        let mut rest = written.as_slice();
        for (file, standing) in these.iter().zip(standing.await.map_err(io::Error::other)?) {
            let Ok(standing) = standing else { return Err(another_text(&file.path)) };
            let expected = plain(&[file.id.as_bytes(), b"\n", standing.as_slice(), b"\n"].concat());
            rest = rest.strip_prefix(expected.as_slice()).ok_or_else(|| another_text(&file.path))?;
        }
        Ok(())
    }
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

/// Without the ids that git writes, which say nothing: what stands there may have an older one, or none yet.
fn plain(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(OPENS.len()).position(|part| part == OPENS) {
        let (before, inside) = (&rest[..at], &rest[at + OPENS.len()..]);
        plain.extend_from_slice(before);
        let id = inside.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        match inside[id..].strip_prefix(b" $") {
            Some(after) if id == 40 || id == 64 => {
                plain.extend_from_slice(b"$Id$");
                rest = after;
            }
            _ => {
                plain.extend_from_slice(OPENS);
                rest = inside;
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_says_nothing() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("a $Id: {id} $ b $Id: evil(); $ $Id: {} $ $Id: {id}", &id[1..]);
        assert_eq!(String::from_utf8(plain(text.as_bytes())).unwrap(), text.replacen(&format!("$Id: {id} $"), "$Id$", 1));
        assert_eq!(plain(b"$Id$"), b"$Id$");
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
