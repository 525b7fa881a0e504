//! Repositories within one of which nobody is shown what they hold.

use std::collections::HashSet;

use super::{ALL_REPOSITORIES, SaveError, Saving, link::LINK};
use crate::git::{Argument, Bounds, GitError, Place};

/// A repository within one of which nobody is shown what it holds, as it stands there by the id of a commit.
pub(super) struct Hidden {
    path: String,
    /// The commit that is named.
    now: String,
    /// It was there before, at another commit.
    is_moved: bool,
}

impl Hidden {
    /// Below a submodule's path, or of the worktree itself.
    pub(super) fn unseen(self, around: Option<&str>) -> SaveError {
        let path = around.map_or_else(|| self.path.clone(), |around| format!("{around}/{}", self.path));
        match (self.is_moved, around) {
            (true, _) => SaveError::Unseen {
                what: format!("{path}, a submodule that the change moves to a commit of which nothing can be shown"),
                advice: "have the task ask for its submodules and check that commit out there, one that is on a branch or a tag of the \
                         submodule's repository, or leave it where it was",
            },
            (false, around) => {
                let kind = if around.is_some() { "within a submodule" } else { "within this one" };
                SaveError::Unseen {
                    what: format!("{path}, a repository {kind}, whose files no diff shows"),
                    advice: "remove its .git to have its files taken in and shown",
                }
            }
        }
    }
}

impl Saving<'_> {
    /// A repository that a tree holds and a commit does not, or at another commit, unless it is a submodule at what it is shown to be at, or at what
    /// others have moved it to: see [`brought`](Self::brought). The work's last commit is `head`, where that counts.
    pub(super) async fn hidden(&self, commit: &str, tree: &str, head: Option<&str>) -> Result<Option<Hidden>, GitError> {
        let arguments: [Argument<'_>; 9] =
            [&"diff-tree", &"-r", &"--raw", &"-z", &"--no-abbrev", &"--no-renames", ALL_REPOSITORIES, &commit, &tree];
        let changed = self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes;
        let mut hidden = changed_links(&String::from_utf8_lossy(&changed));
        hidden.retain(|one| !self.links.iter().any(|link| link.path == one.path && link.commit == one.now));
        if let Some(head) = head.filter(|_| !hidden.is_empty()) {
            let brought = self.brought(head, &hidden).await?;
            hidden.retain(|one| !brought.iter().any(|other| other.path == one.path && other.now == one.now));
        }
        Ok(hidden.into_iter().next())
    }

    /// Where commits that the work has merged have these, as far as the repository itself has them behind a tag or on a branch that is none of an
    /// attempt's: that is its own and no change of the work's. What its history is the mirror says, as the work could have made any reference.
    async fn brought(&self, head: &str, these: &[Hidden]) -> Result<Vec<Hidden>, GitError> {
        let (base, mirror) = (&self.checkout.base_commit, Place::Repository(self.mirror));
        // what attempts have left on branches nobody has taken in
        let arguments: [Argument<'_>; 6] = [&"rev-list", &"--exclude=origin/muster/*", &"--remotes", &"--tags", &"--not", base];
        let theirs = self.outside.whole(mirror, &arguments, b"", Bounds::LISTING).await?.text();
        let theirs: HashSet<_> = theirs.lines().collect();
        let merged = self.ask(&[&"rev-list", &format!("{base}..{head}"), &"--"]).await?;
        // each as if the base commit were before it
        let pairs: String = merged.lines().filter(|commit| theirs.contains(commit)).map(|commit| format!("{commit} {base}\n")).collect();
        if pairs.is_empty() {
            return Ok(vec![]);
        }
        let mut arguments: Vec<Argument<'_>> =
            vec![&"--literal-pathspecs", &"diff-tree", &"--stdin", &"-r", &"--raw", &"-z", &"--no-commit-id"];
        arguments.extend([&"--no-abbrev" as Argument<'_>, &"--no-renames", ALL_REPOSITORIES, &"--"]);
        arguments.extend(these.iter().map(|one| &one.path as Argument<'_>));
        let changed = self.outside.whole(mirror, &arguments, pairs.as_bytes(), Bounds::LISTING).await?.bytes;
        Ok(changed_links(&String::from_utf8_lossy(&changed)))
    }
}

/// Those that are repositories now, of what git lists of two trees.
fn changed_links(listed: &str) -> Vec<Hidden> {
    let (mut words, mut links) = (listed.split('\0'), vec![]);
    while let (Some(about), Some(path)) = (words.next(), words.next()) {
        let about: Vec<_> = about.split(' ').collect();
        let [before, LINK, _, now, _] = about[..] else { continue };
        links.push(Hidden { path: path.to_owned(), now: now.to_owned(), is_moved: before.strip_prefix(':') == Some(LINK) });
    }
    links
}
