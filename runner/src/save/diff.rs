//! The diff of a result: for people, and for what is looked for in it.
//!
//! Of a file that is no text git says only that it differs, as it should of a picture. One byte makes that of a text, and what the work has
//! removed there would be seen by nobody. So where something that was text is none any more, all is shown as text.

use std::collections::HashMap;

use super::{ALL_REPOSITORIES, Saving, change::ALL_TEXT};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, GitError, Output, Place},
};

/// How git says that a file which is no text differs.
const NOT_SHOWN: &[u8] = b"Binary files ";

impl Saving<'_> {
    /// From the base commit to the tip, by what is in the store; cut at so many bytes.
    pub(super) async fn diff(&self, tip: &str, most: usize) -> Result<Output, GitError> {
        let mut diff = self.diff_in(&"--no-color", tip, most).await?;
        let leaves_out = diff.bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(NOT_SHOWN));
        if leaves_out && self.hides_text(tip).await? {
            diff = self.diff_in(ALL_TEXT, tip, most).await?;
        }
        if diff.cut {
            let marker = format!("\nMuster: the diff is longer than {most} bytes; the rest is on {}\n", self.checkout.branch);
            diff.bytes.truncate(most.saturating_sub(marker.len()));
            diff.bytes.extend_from_slice(marker.as_bytes());
        }
        Ok(diff)
    }

    async fn diff_in(&self, manner: Argument<'_>, tip: &str, most: usize) -> Result<Output, GitError> {
        let base = &self.checkout.base_commit;
        let arguments: [Argument<'_>; 10] =
            [&"diff", &"--no-color", &"--no-ext-diff", &"--no-textconv", manner, ALL_REPOSITORIES, &"-M", base, &tip, &"--"];
        self.git.run(self.place, &arguments, Bounds { output: most, ..Bounds::LOCAL }).await
    }

    /// Whether something that was text is none any more.
    async fn hides_text(&self, tip: &str) -> Result<bool, GitError> {
        let base = &self.checkout.base_commit;
        let arguments: [Argument<'_>; 12] = [
            &"diff",
            &"--raw",
            &"--numstat",
            &"-z",
            &"--no-abbrev",
            &"--no-ext-diff",
            &"--no-textconv",
            ALL_REPOSITORIES,
            &"-M",
            base,
            &tip,
            &"--",
        ];
        let listed = self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes;
        // as the files of one tree, so that git looks at all of them at once
        let before: Vec<_> = before(&listed).into_iter().enumerate().map(|(number, id)| format!("100644 blob {id}\t{number}\0")).collect();
        let (nothing, before) = (self.made_tree("").await?, self.made_tree(&before.concat()).await?);
        let arguments: [Argument<'_>; 6] = [&"diff", &"--numstat", &"-z", &nothing, &before, &"--"];
        let lines = self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes;
        // what has no lines has hidden none
        let is_text = |line: &[u8]| !line.is_empty() && !line.starts_with(b"-\t") && !line.starts_with(b"0\t");
        Ok(lines.split(|byte| *byte == 0).any(is_text))
    }

    async fn made_tree(&self, entries: &str) -> Result<String, GitError> {
        let store = AttemptFolder::of(&self.entry.folder).store(self.number);
        let arguments: [Argument<'_>; 2] = [&"mktree", &"-z"];
        let made = self.outside.run_with_input(Place::Repository(&store), &arguments, entries.as_bytes(), Bounds::LOCAL).await?;
        Ok(made.text())
    }
}

/// The ids of what the files held before of which git counts no lines, of what `--raw` and then `--numstat` say of the same files. A file that has
/// moved is named twice.
fn before(listed: &[u8]) -> Vec<&str> {
    let mut words = listed.split(|byte| *byte == 0);
    let (mut ids, mut before) = (HashMap::new(), vec![]);
    while let Some(word) = words.next() {
        if let Some(about) = word.strip_prefix(b":") {
            let about: Vec<_> = std::str::from_utf8(about).unwrap_or_default().split(' ').collect();
            let [mode, _, id, _, change] = about[..] else { continue };
            let path = match change.starts_with(['R', 'C']) {
                true => words.nth(1),
                false => words.next(),
            };
            if mode.starts_with("100") {
                ids.insert(path, id);
            }
            continue;
        }
        // two numbers and a path, which may hold anything
        let mut parts = word.splitn(3, |byte| *byte == b'\t');
        let (added, path) = (parts.next(), parts.nth(1));
        let path = if path.is_some_and(<[u8]>::is_empty) { words.nth(1) } else { path };
        if added.is_some_and(|added| added == b"-") {
            before.extend(ids.get(&path).copied());
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_counts_no_lines_of_is_found_whatever_its_name() {
        let raw = ":100644 100644 1 2 M\0a\t\0:000000 100644 0 3 A\0-\t-\tnew\0:100755 100644 4 5 R096\0:old\0moved\0:120000 120000 6 7 M\0link\0\
                   :100644 100644 8 9 M\0picture\0";
        let numbers = "1\t1\ta\t\0-\t-\t-\t-\tnew\0-\t-\t\0:old\0moved\0-\t-\tlink\0-\t-\tpicture\0";
        assert_eq!(before(format!("{raw}{numbers}").as_bytes()), ["4", "8"]);
        assert_eq!(before(b""), Vec::<&str>::new());
    }
}
