//! Where repositories lie within one, as git lists them: of an index or of a tree, each entry with a NUL behind it.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use super::within::At;

/// The mode that git lists one with.
pub(super) const LINK: &str = "160000";

pub(super) fn is_link(entry: &[u8]) -> bool {
    entry.strip_prefix(LINK.as_bytes()).is_some_and(|rest| rest.starts_with(b" "))
}

/// Of an index or of a tree.
pub(super) fn links(listed: &[u8]) -> Vec<PathBuf> {
    let links = listed.split(|byte| *byte == 0).filter(|entry| is_link(entry));
    let paths = links.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1));
    paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
}

/// Of an index, with what each is at.
pub(super) fn links_at(listed: &str) -> Vec<At> {
    let links = listed.split('\0').filter(|entry| is_link(entry.as_bytes())).filter_map(|entry| entry.split_once('\t'));
    links.map(|(about, path)| At { path: path.to_owned(), commit: about.split(' ').nth(1).unwrap_or_default().to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_files() {
        let listed = "100644 1 0\ta 160000 b\x00160000 2 0\tlib\t1\x00120000 3 0\tlink\x001600001 4 0\tother";
        let at = links_at(listed);
        let at: Vec<_> = at.iter().map(|one| (one.path.as_str(), one.commit.as_str())).collect();
        assert_eq!(at, [("lib\t1", "2")]);
        assert_eq!(links(listed.as_bytes()), [PathBuf::from("lib\t1")]);
    }
}
