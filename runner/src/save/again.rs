//! Puts back what a check has made of a worktree, so that the next one finds there what was taken and what lands.
//!
//! What is looked at is what git takes in, beginning with what was taken: what a check tells git to ignore is found all the same where it was taken,
//! and what git ignores else stays, as checks need what others of them have built. What git would take in beside that is removed, and not taken in
//! first: it may be closed, a repository, or long. Whether it is as it was is asked again of the files alone, so that nothing which a check has put into
//! the work's repository makes other files of them.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    SaveError, Saving, Taken,
    index::paths,
    leftover::{self, opened},
    link::links_at,
    within::{self, At},
};
use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    git::{Argument, Bounds, Git, GitError},
    journal::{Checkout, Entry},
    sandbox::Room,
    submodule::{Submodule, shown},
    worktree,
};

/// What is removed may have hidden more, and that yet more.
const MOST_LOOKS: usize = 8;

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
        let of_part = (&part.entry, checkout);
        let put_back = without_repositories(outside, room, of_part, taken).await.map_err(|error| error.of(part))?;
        changed.extend(put_back.iter().map(|line| part.says(line)));
    }
    Ok(changed)
}

/// Those that the work has made within its own are files where it lands, and were so when it was taken.
async fn without_repositories(
    outside: &Git,
    room: &Room,
    (entry, checkout): (&Entry, &Checkout),
    taken: &Taken,
) -> Result<Vec<String>, SaveError> {
    let (root, submodules) = (checkout.path.clone(), checkout.submodules.clone());
    let (repositories, aside) = (taken.repositories.clone(), AttemptFolder::of(&entry.folder).nested(0));
    let (moved, done) = on_disk(move || {
        fs::create_dir_all(&root)?;
        // where one of them is closed nobody finds what leads to its repository
        for folder in std::iter::once("").chain(submodules.iter().map(|submodule| submodule.path.as_str())) {
            opened(&root, Path::new(folder))?;
        }
        Ok(leftover::set_aside(&root, &repositories, &aside))
    })
    .await?;
    let put_back = match done {
        Ok(()) => put_back_one(outside, room, (entry, checkout), &taken.contents).await,
        Err(error) => Err(error.into()),
    };
    let root = checkout.path.clone();
    // whatever came of it: to the next check they are repositories
    let moved_back = on_disk(move || leftover::move_back(&root, &moved)).await;
    let put_back = put_back?;
    moved_back?;
    Ok(put_back)
}

async fn put_back_one(
    outside: &Git,
    room: &Room,
    (entry, checkout): (&Entry, &Checkout),
    contents: &[Content],
) -> Result<Vec<String>, SaveError> {
    let still = worktree::still(outside, entry, checkout).await?;
    let pipes = worktree::restore(entry, checkout, &still).await?;
    let index = AttemptFolder::of(&entry.folder).index();
    let (git, writes) = (&outside.inside(room), &outside.inside_to_write(room));
    let mut changed: Vec<_> = pipes.iter().map(|pipe| format!("A {}", shown(&pipe.to_string_lossy()))).collect();
    for Content { number, tree } in contents {
        let submodule = checkout.submodules.iter().find(|one| one.number == *number);
        let own = submodule.map_or_else(|| checkout.clone(), |submodule| within::own_checkout(checkout, submodule));
        if let Some(submodule) = submodule {
            folder_again(entry, checkout, submodule).await?;
        }
        let before = submodule.map(|submodule| format!("{}/", shown(&submodule.path))).unwrap_or_default();
        let saving = Saving { number: *number, ..Saving::of_work((git, outside), (entry, &own), &index, &[]) };
        let differing = saving.make_again(writes, tree).await?;
        changed.extend(differing.iter().map(|one| format!("{} {before}{}", one.how, shown(&String::from_utf8_lossy(&one.path)))));
    }
    // what took more than one look is told once
    let mut told = HashSet::new();
    changed.retain(|line| told.insert(line.clone()));
    Ok(changed)
}

/// That of a submodule, also where nothing in what lands says that there is one, with what leads to its repository. What lies in it comes after that.
async fn folder_again(entry: &Entry, checkout: &Checkout, submodule: &Submodule) -> io::Result<()> {
    let (entry, checkout, submodule) = (entry.clone(), checkout.clone(), submodule.clone());
    on_disk(move || {
        leftover::make_folder_again(&checkout.path, Path::new(&submodule.path))?;
        worktree::lead_to_repository(&entry, &checkout, &submodule)
    })
    .await
}

/// What is not as it was taken, with a letter for how.
struct Differing {
    how: String,
    path: Vec<u8>,
}

/// What git knows of when that is what was taken.
struct Known {
    links: Vec<At>,
    paths: Vec<Vec<u8>>,
}

impl Saving<'_> {
    /// Makes the worktree what was taken, and says what was not.
    async fn make_again(&self, writes: &Git, taken: &str) -> Result<Vec<Differing>, SaveError> {
        let (known, mut changed) = self.ignore_again(writes, taken).await?;
        let (mut known, mut before) = (Some(known), None::<String>);
        for _ in 0..MOST_LOOKS {
            let known = match known.take() {
                Some(known) => known,
                None => self.begin_again(taken).await?,
            };
            let (now, removed) = self.on_top_of(known).await?;
            let is_as_taken = now == taken;
            if is_as_taken && removed.is_empty() {
                return Ok(changed);
            }
            if !is_as_taken {
                if removed.is_empty() && before.as_ref() == Some(&now) {
                    break;
                }
                let differing = self.differing(taken, &now).await?;
                self.open_ways_to(differing.iter().map(|one| one.path.clone()).collect()).await?;
                let arguments: [Argument<'_>; 4] = [&"read-tree", &"--reset", &"-u", &taken];
                writes.run(self.place, &arguments, Bounds::TRANSFER).await?;
                changed.extend(differing);
                before = Some(now);
            }
            changed.extend(removed.into_iter().map(|path| Differing { how: "A".into(), path }));
        }
        Err(io::Error::other("git does not make of it again what was taken").into())
    }

    /// What says what git ignores comes first: where it does not, all that was built would be removed.
    async fn ignore_again(&self, writes: &Git, taken: &str) -> Result<(Known, Vec<Differing>), SaveError> {
        let known = self.begin_again(taken).await?;
        let says = |path: &[u8]| Path::new(OsStr::from_bytes(path)).file_name() == Some(OsStr::new(".gitignore"));
        let files: Vec<_> = known.paths.iter().filter(|path| says(path)).cloned().collect();
        if files.is_empty() {
            return Ok((known, vec![]));
        }
        self.remove_unreadable(files.clone()).await?;
        let asked: Vec<_> = files.iter().flat_map(|path| [b":(top,literal)", path.as_slice(), b"\0"].concat()).collect();
        let arguments: [Argument<'_>; 4] = [&"add", &"--update", &"--pathspec-from-file=-", &"--pathspec-file-nul"];
        self.git.run_with_input(self.place, &arguments, &asked, Bounds::LOCAL).await?;
        let now = self.ask(&[&"write-tree", &"--ignore-cache-tree"]).await?;
        if now == taken {
            return Ok((known, vec![]));
        }
        let differing = self.differing(taken, &now).await?;
        self.open_ways_to(differing.iter().map(|one| one.path.clone()).collect()).await?;
        let known = self.begin_again(taken).await?;
        let asked: Vec<_> = differing.iter().flat_map(|one| [one.path.as_slice(), b"\0"].concat()).collect();
        let arguments: [Argument<'_>; 4] = [&"checkout-index", &"--force", &"-z", &"--stdin"];
        writes.run_with_input(self.place, &arguments, &asked, Bounds::TRANSFER).await?;
        Ok((known, differing))
    }

    /// What was taken is what git knows of, and nothing of that is closed to it.
    async fn begin_again(&self, taken: &str) -> Result<Known, SaveError> {
        worktree::fresh_index(self.git, self.place, &self.entry.folder, self.number).await?;
        // the index alone, and of what is as it was before the work began its times with it
        self.run(&[&"read-tree", &"-i", &"-m", &taken]).await?;
        let listed = self.git.whole(self.place, &[&"ls-files", &"--stage", &"-z"], b"", Bounds::LISTING).await?;
        let links = links_at(&listed.text());
        let paths = paths_of(&listed.bytes);
        let apart: Vec<_> = links.iter().map(|link| PathBuf::from(&link.path)).collect();
        self.open_folders(&apart, &paths).await?;
        Ok(Known { links, paths })
    }

    /// The tree of what there is now, when what was taken is what git knows of, and what was removed as git would have taken it in beside that. What
    /// lies in a submodule is asked by itself, so that this is where it was taken to be, wherever it has been moved.
    async fn on_top_of(&self, Known { links, paths }: Known) -> Result<(String, Vec<Vec<u8>>), SaveError> {
        let saving = Saving { links: &links, ..*self };
        let shut = saving.shut_links().await?;
        let removed = saving.remove_untaken().await?;
        let all: [Argument<'_>; 2] = [&"add", &"--all"];
        match saving.run(&all).await {
            Err(GitError::Failed { .. }) => {
                saving.remove_unreadable(paths).await?;
                saving.run(&all).await?;
            }
            added => added?,
        }
        saving.forget_unseen().await?;
        saving.keep_links().await?;
        let tree = saving.ask(&[&"write-tree", &"--ignore-cache-tree"]).await?;
        saving.open_links(&shut).await?;
        Ok((tree, removed))
    }

    /// Says what git neither knows of nor ignores, which is gone then.
    async fn remove_untaken(&self) -> Result<Vec<Vec<u8>>, SaveError> {
        let arguments: [Argument<'_>; 4] = [&"ls-files", &"--others", &"--exclude-standard", &"-z"];
        let untaken = paths(&self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes);
        let (root, gone) = (self.checkout.path.clone(), untaken.clone());
        on_disk(move || gone.iter().try_for_each(|path| leftover::remove_below(&root, Path::new(OsStr::from_bytes(path))))).await?;
        Ok(untaken)
    }

    /// Removes what is in the place of these and git cannot read, as it would take nothing in.
    async fn remove_unreadable(&self, these: Vec<Vec<u8>>) -> io::Result<()> {
        let root = self.checkout.path.clone();
        on_disk(move || these.iter().try_for_each(|path| leftover::remove_unreadable(&root, Path::new(OsStr::from_bytes(path))))).await
    }

    /// git makes no folder writable.
    async fn open_ways_to(&self, these: Vec<Vec<u8>>) -> io::Result<()> {
        let root = self.checkout.path.clone();
        on_disk(move || {
            let around = these.iter().filter_map(|path| Path::new(OsStr::from_bytes(path)).parent());
            around.collect::<HashSet<_>>().into_iter().try_for_each(|folder| opened(&root, folder).map(drop))
        })
        .await
    }

    async fn differing(&self, before: &str, now: &str) -> Result<Vec<Differing>, SaveError> {
        let arguments: [Argument<'_>; 7] = [&"diff-tree", &"-r", &"--name-status", &"-z", &"--no-renames", &before, &now];
        let listed = paths(&self.git.whole(self.place, &arguments, b"", Bounds::LISTING).await?.bytes);
        let differing = listed.chunks_exact(2);
        Ok(differing.map(|pair| Differing { how: String::from_utf8_lossy(&pair[0]).into_owned(), path: pair[1].clone() }).collect())
    }
}

/// What there is in an index, of what git lists of it.
fn paths_of(listed: &[u8]) -> Vec<Vec<u8>> {
    let tab = |entry: &Vec<u8>| entry.iter().position(|byte| *byte == b'\t');
    paths(listed).iter().filter_map(|entry| Some(entry[tab(entry)? + 1..].to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_index_has_is_found_by_its_path() {
        assert_eq!(paths_of(b"100644 1 0\ta 160000 b\x00160000 2 0\tlib\t1\0"), [b"a 160000 b".to_vec(), b"lib\t1".to_vec()]);
    }
}
