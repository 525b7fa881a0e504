//! What lies in the worktree and is in none of the trees that are made of it: changes inside a repository within it.
//!
//! git has to look into such a one, and runs what its settings and its index name, which may write whatever the work may. So it is asked at the very end,
//! of the worktree and of the submodules in it, when nothing is read there any more that decides what lands, and by indexes that hold nothing else.

use super::{
    ALL_REPOSITORIES, SaveError, Saving,
    link::{is_link, links},
    within::{self, Within},
};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds},
    worktree,
};

/// Asks all of them, and the worktree around them, of which this is the tree.
pub(super) async fn nothing_is_left(saving: &Saving<'_>, all: &[Within<'_>], now: &str) -> Result<(), SaveError> {
    let Saving { entry, checkout, .. } = *saving;
    let index = AttemptFolder::of(&entry.folder).index();
    for Within { submodule, tree, .. } in all {
        let own = within::own_checkout(checkout, submodule);
        let links = within::links(all, &checkout.submodules, submodule.number);
        let place = worktree::place(&own, &index);
        let inner = Saving { checkout: &own, place, number: submodule.number, links: &links, ..*saving };
        inner.nothing_is_left(tree).await?;
    }
    saving.nothing_is_left(now).await
}

impl Saving<'_> {
    /// Whatever the worktree holds is in this tree; only a repository with changes of its own can still differ. Those of the submodules that
    /// were fetched are saved by themselves.
    async fn nothing_is_left(&self, tree: &str) -> Result<(), SaveError> {
        let listed = self.git.whole(self.place, &[&"ls-tree", &"-r", &"-z", &tree], b"", Bounds::LISTING).await?.bytes;
        let mut asked = vec![];
        for (path, entry) in links(&listed).iter().zip(listed.split_inclusive(|byte| *byte == 0).filter(|entry| is_link(entry))) {
            // git would fail at what only looks like one
            if !self.is_replaced(path).await? {
                asked.extend_from_slice(entry);
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        worktree::no_index(&self.entry.folder).await?;
        let arguments: [Argument<'_>; 3] = [&"update-index", &"-z", &"--index-info"];
        self.git.run_with_input(self.place, &arguments, &asked, Bounds::LOCAL).await?;
        let left = self.ask(&[&"diff-files", &"--name-only", &"-z", ALL_REPOSITORIES]).await?;
        let mut left = left.split('\0').filter(|path| !path.is_empty() && !self.links.iter().any(|one| one.path == *path));
        match left.next() {
            None => Ok(()),
            Some(path) => Err(SaveError::LeftOver {
                what: format!("{path}, which has changes of its own that are not committed"),
                advice: "give the task its submodules (--submodules), and what is changed in them is kept",
            }),
        }
    }
}
