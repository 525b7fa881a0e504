//! Puts back what a check has made of a worktree, so that the next one finds there what was taken and what lands.
//!
//! What is looked at is what git takes in, beginning with what was taken: what a check tells git to ignore is found all the same where it was taken,
//! and what git ignores else stays, as checks need what others of them have built. Whether it is as it was is asked again of the files alone, so
//! that nothing which a check has put into the work's repository makes other files of them.

use std::{fs, io};

use super::{
    SaveError, Saving, Taken,
    index::paths,
    within::{self, At},
};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, Git},
    journal::{Checkout, Entry},
    sandbox::Room,
    submodule::shown,
    worktree::{self, is_folder_below},
};

/// What lies in a worktree: the attempt's own, which is 0, or that of the submodule with this number.
pub(super) struct Content {
    number: usize,
    tree: String,
}

pub(super) fn contents(inside: &[within::Within<'_>], own: String) -> Vec<Content> {
    let inside = inside.iter().map(|one| Content { number: one.submodule.number, tree: one.tree.clone() });
    std::iter::once(Content { number: 0, tree: own }).chain(inside).collect()
}

/// Puts back whatever is not as it was taken, in all repositories of an attempt. Says what that was, as git does: a letter and a path. Fails where
/// that is not so afterwards.
pub(crate) async fn put_back(outside: &Git, room: &Room, entry: &Entry, taken: &[Taken]) -> Result<Vec<String>, SaveError> {
    let mut changed = vec![];
    let parts = entry.parts();
    let parts = parts.iter().filter_map(|part| Some((part, part.entry.worktree.as_ref()?)));
    for ((part, checkout), taken) in parts.zip(taken) {
        let put_back = put_back_one(outside, room, (&part.entry, checkout), &taken.contents).await.map_err(|error| error.of(part))?;
        changed.extend(put_back.iter().map(|line| part.says(line)));
    }
    Ok(changed)
}

async fn put_back_one(
    outside: &Git,
    room: &Room,
    (entry, checkout): (&Entry, &Checkout),
    contents: &[Content],
) -> Result<Vec<String>, SaveError> {
    fs::create_dir_all(&checkout.path)?;
    let still = worktree::still(outside, entry, checkout).await?;
    worktree::restore(entry, checkout, &still).await?;
    let index = AttemptFolder::of(&entry.folder).index();
    let (git, writes) = (&outside.inside(room), &outside.inside_to_write(room));
    let mut changed = vec![];
    for Content { number, tree } in contents {
        let submodule = checkout.submodules.iter().find(|one| one.number == *number);
        let own = submodule.map_or_else(|| checkout.clone(), |submodule| within::own_checkout(checkout, submodule));
        if let Some(submodule) = submodule
            && !is_folder_below(&checkout.path, &submodule.path)
        {
            return Err(io::Error::other(format!("the submodule {} is gone", shown(&submodule.path))).into());
        }
        let before = submodule.map(|submodule| format!("{}/", shown(&submodule.path))).unwrap_or_default();
        let saving = Saving { number: *number, ..Saving::of_work((git, outside), (entry, &own), &index, &[]) };
        let now = saving.on_top_of(tree).await?;
        if now == *tree {
            continue;
        }
        changed.extend(saving.differing(tree, &now).await?.into_iter().map(|(what, path)| format!("{what} {before}{path}")));
        let arguments: [Argument<'_>; 4] = [&"read-tree", &"--reset", &"-u", tree];
        writes.run(saving.place, &arguments, Bounds::TRANSFER).await?;
        if saving.on_top_of(tree).await? != *tree {
            return Err(io::Error::other("git does not make of it again what was taken").into());
        }
    }
    Ok(changed)
}

impl Saving<'_> {
    /// The tree of what there is now, when what was taken is what git knows of. What lies in a submodule is asked by itself, so that this is where it was
    /// taken to be, wherever it has been moved.
    async fn on_top_of(&self, taken: &str) -> Result<String, SaveError> {
        worktree::fresh_index(self.git, self.place, &self.entry.folder, self.number).await?;
        // the index alone, and of what is as it was before the work began its times with it
        self.run(&[&"read-tree", &"-i", &"-m", &taken]).await?;
        let listed = self.git.whole(self.place, &[&"ls-files", &"--stage", &"-z"], b"", Bounds::LISTING).await?;
        let links = links_at(&listed.text());
        let saving = Saving { links: &links, ..*self };
        let shut = saving.shut_links().await?;
        saving.run(&[&"add", &"--all"]).await?;
        saving.keep_links().await?;
        let tree = saving.ask(&[&"write-tree", &"--ignore-cache-tree"]).await?;
        saving.open_links(&shut).await?;
        Ok(tree)
    }

    /// What differs between two trees, with a letter for how.
    async fn differing(&self, before: &str, now: &str) -> Result<Vec<(String, String)>, SaveError> {
        let arguments: [Argument<'_>; 7] = [&"diff-tree", &"-r", &"--name-status", &"-z", &"--no-renames", &before, &now];
        let listed = paths(&self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(listed.chunks_exact(2).map(|pair| (text(&pair[0]), shown(&text(&pair[1])))).collect())
    }
}

/// Where the repositories in an index are, of what git lists of it.
fn links_at(listed: &str) -> Vec<At> {
    let entries = listed.split('\0').filter_map(|entry| entry.strip_prefix("160000 ")?.split_once('\t'));
    entries.map(|(about, path)| At { path: path.to_owned(), commit: about.split(' ').next().unwrap_or_default().to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_files() {
        let at = links_at("100644 1 0\ta 160000 b\x00160000 2 0\tlib\t1\x00120000 3 0\tlink");
        let at: Vec<_> = at.iter().map(|one| (one.path.as_str(), one.commit.as_str())).collect();
        assert_eq!(at, [("lib\t1", "2")]);
    }
}
