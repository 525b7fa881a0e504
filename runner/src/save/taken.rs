//! What the work has come to, taken in before anything of it is run again, and given to those whose it is afterwards.
//!
//! A check runs code of the work's, in its worktree and beside its repository. So what lands is made before: the commit, what it holds, and what else
//! the work has left, as the [store](super::store) has it. That is kept where no room shows it, and it is what is pushed, whatever the checks have
//! made of the worktree. Without checks one follows the other at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use domain::{artifact::ARTIFACT_LIMIT, verification::CheckedTree};

use super::{
    Branch, Left, NotSaved, Notes, SaveError, Saved, Saving, Stand,
    again::{self, Content},
    leftover, unsaved,
    within::{self, InMirror},
};
use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    folders::remove,
    git::Git,
    journal::{Checkout, Entry, Part},
    lfs::Added,
    sandbox::Room,
    submodule::shown,
    worktree,
};

/// What one repository has come to, which is nowhere yet where others find it.
pub(crate) struct Taken {
    saved: Saved,
    /// What is to be pushed, and what Git LFS has taken into the mirror of it.
    branches: Vec<Branch>,
    large: Option<Added>,
    /// The same of its submodules, and what there is to say of that.
    inside: Vec<InMirror>,
    inside_notes: Vec<String>,
    /// What lies in its worktree, and in those of its submodules.
    pub(super) contents: Vec<Content>,
    /// The `.git` of the repositories that the work has made within it, which are there again for its checks.
    pub(super) repositories: Vec<PathBuf>,
    base_commit: String,
}

impl Taken {
    /// What stands in a report. Without a commit of the work's that is the one that it began from.
    pub fn checked(&self) -> Option<CheckedTree> {
        let Saved { name, commit, stand, .. } = &self.saved;
        let commit = commit.as_ref().unwrap_or(&self.base_commit).clone();
        stand.as_ref().map(|stand| CheckedTree { folder: name.clone(), commit, tree: stand.tree.clone() })
    }

    /// The tree that lands.
    pub(super) fn tree(&self) -> Option<&str> {
        self.saved.stand.as_ref().map(|stand| stand.tree.as_str())
    }
}

impl Left {
    fn all() -> Self {
        Self { diff: ARTIFACT_LIMIT, patches: ARTIFACT_LIMIT }
    }

    fn without(self, saved: &Saved) -> Self {
        let patches: usize = saved.patches.iter().map(|patch| patch.content.len()).sum();
        Self { diff: self.diff.saturating_sub(saved.diff.len()), patches: self.patches.saturating_sub(patches) }
    }
}

/// Saves every repository of an attempt, the first one first. One of which that does not go keeps none of the others from being saved.
pub(crate) async fn save(outside: &Git, room: &Room, entry: &Entry) -> Result<Vec<Saved>, NotSaved> {
    let (mut all, mut failed, mut left) = (vec![], None, Left::all());
    for part in entry.parts() {
        let Some(checkout) = &part.entry.worktree else { continue };
        let saved = async {
            let taken = take_part(outside, room, (&part, checkout), left, &mut Notes::default()).await?;
            left = left.without(&taken.saved);
            push_one(outside, (&part.entry, checkout), taken).await
        };
        match saved.await {
            Ok(saved) => all.push(saved),
            Err(error) => failed = failed.or(Some(error.of(&part))),
        }
    }
    match failed {
        None => Ok(all),
        Some(error) => Err(NotSaved { saved: all, error }),
    }
}

/// Takes in what there is of every repository of an attempt, and leaves the worktrees as they are, but for pipes.
pub(crate) async fn take(outside: &Git, room: &Room, entry: &Entry) -> Result<Vec<Taken>, SaveError> {
    let (mut all, mut left) = (vec![], Left::all());
    for part in entry.parts() {
        let Some(checkout) = &part.entry.worktree else { continue };
        let mut notes = Notes::default();
        let taken = take_part(outside, room, (&part, checkout), left, &mut notes).await;
        let moved = notes.moved;
        let repositories: Vec<_> = moved.iter().map(|(own, _)| own.clone()).collect();
        // what is checked is the work as it was left, and the work may go on with it
        let root = checkout.path.clone();
        let moved_back = on_disk(move || leftover::move_back(&root, &moved)).await;
        let taken = Taken { repositories, ..taken.map_err(|error| error.of(&part))? };
        moved_back?;
        move_stores(&part.entry, checkout, Way::Away).await?;
        left = left.without(&taken.saved);
        all.push(taken);
    }
    Ok(all)
}

/// Gives what was taken to those whose it is. One of which that does not go keeps none of the others from it.
pub(crate) async fn push(outside: &Git, entry: &Entry, all: Vec<Taken>) -> Result<Vec<Saved>, NotSaved> {
    let (mut saved, mut failed) = (vec![], None);
    let parts: Vec<_> = entry.parts().into_iter().filter(|part| part.entry.worktree.is_some()).collect();
    for (part, taken) in parts.iter().zip(all) {
        let Some(checkout) = &part.entry.worktree else { continue };
        let pushed = async {
            move_stores(&part.entry, checkout, Way::Back).await?;
            push_one(outside, (&part.entry, checkout), taken).await
        };
        match pushed.await {
            Ok(one) => saved.push(one),
            Err(error) => failed = failed.or(Some(error.of(part))),
        }
    }
    match failed {
        None => Ok(saved),
        Some(error) => Err(NotSaved { saved, error }),
    }
}

async fn take_part(
    outside: &Git,
    room: &Room,
    (part, checkout): (&Part, &Checkout),
    left: Left,
    notes: &mut Notes,
) -> Result<Taken, SaveError> {
    let mut taken = take_one(outside, room, (&part.entry, checkout), left, notes).await?;
    if let Some(name) = &part.name {
        taken.saved.patches.iter_mut().for_each(|patch| patch.path = format!("{name}/{}", patch.path));
    }
    taken.saved.name.clone_from(&part.name);
    Ok(taken)
}

async fn take_one(
    outside: &Git,
    room: &Room,
    (entry, checkout): (&Entry, &Checkout),
    left: Left,
    notes: &mut Notes,
) -> Result<Taken, SaveError> {
    // Work that removed its own folder has deleted every file.
    fs::create_dir_all(&checkout.path)?;
    let still = worktree::still(outside, entry, checkout).await?;
    for pipe in worktree::restore(entry, checkout, &still).await? {
        let path = shown(&pipe.to_string_lossy());
        notes.said.push(format!("{path} was a pipe, at which git would have waited: it was removed, and is no part of the result"));
    }
    let index = AttemptFolder::of(&entry.folder).index();
    let git = &outside.inside(room);
    let inside = within::look(git, outside, (entry, &still), Some(&mut *notes)).await?;
    let links = within::links(&inside, &still.submodules, 0);
    let saving = Saving::of_work((git, outside), (entry, checkout), &index, &links);
    let (head, tree) = saving.look().await?;
    let now = saving.take_in(notes).await?;
    let unchanged = tree.as_ref() == Some(&now);
    let is_dirty = !unchanged && head != checkout.base_commit;
    let tip = if unchanged { head.clone() } else { saving.commit(&now, &head).await? };

    let changed = tip != checkout.base_commit;
    let own = changed.then(|| Branch { name: checkout.branch.clone(), commit: tip.clone() });
    let branches: Vec<_> = own.into_iter().chain(saving.left_elsewhere(&tip, &mut notes.said).await?).collect();
    let mut saved = Saved { commit: changed.then(|| tip.clone()), is_dirty, ..Saved::default() };
    let commits: Vec<_> = branches.iter().map(|branch| branch.commit.as_str()).collect();
    let (store, large) = match commits.is_empty() {
        true => (saving.empty_store().await?, None),
        false => (saving.take(&commits).await?, saving.keep_large_files(&commits).await?),
    };
    let reading = saving.reading(&store);
    if changed {
        saving.lands_as_it_stands(&store, &tip).await?;
        let diff = reading.diff(&tip, left.diff).await?;
        (saved.diff, saved.diff_is_cut) = (diff.bytes, diff.cut);
    }
    // of the commit, and not of what was to be in it
    let tree = reading.ask(&[&"rev-parse", &"--verify", &format!("{tip}^{{tree}}")]).await?;
    if tree != now {
        return Err(SaveError::Untrue(format!("{tip} does not hold the files {now} that there are")));
    }
    saved.stand = Some(Stand { head, tree: tree.clone(), inside: within::stands(&inside) });
    let contents = again::contents(&inside, now);
    let within::Inside { patches, notes: inside_notes, branches: in_mirrors } = within::take(&saving, &inside, left.patches).await?;
    // all that lands is in the stores by now, whatever is run there
    unsaved::nothing_is_left(&saving, &inside, &tree).await?;
    (saved.patches, saved.notes) = (patches, std::mem::take(&mut notes.said));
    let base_commit = checkout.base_commit.clone();
    Ok(Taken { saved, branches, large, inside: in_mirrors, inside_notes, contents, repositories: vec![], base_commit })
}

/// The tree that a worktree in which nobody has worked would be taken in as.
pub(crate) async fn would_be(outside: &Git, room: &Room, (entry, checkout): (&Entry, &Checkout)) -> Result<String, SaveError> {
    let index = AttemptFolder::of(&entry.folder).index();
    let git = &outside.inside(room);
    Saving::of_work((git, outside), (entry, checkout), &index, &[]).add_all().await
}

/// From the stores.
async fn push_one(outside: &Git, (entry, checkout): (&Entry, &Checkout), taken: Taken) -> Result<Saved, SaveError> {
    let index = AttemptFolder::of(&entry.folder).index();
    // nothing of the work's is looked at
    let saving = Saving::of_work((outside, outside), (entry, checkout), &index, &[]);
    let Taken { mut saved, branches, large, inside, inside_notes, .. } = taken;
    if !branches.is_empty() {
        saved.notes.push(saving.push(&branches, large).await?);
    }
    within::push(&saving, &inside).await?;
    saved.notes.extend(inside_notes);
    Ok(saved)
}

#[derive(Clone, Copy)]
enum Way {
    Away,
    Back,
}

/// Between where git looks at them, also for a judge, and where nobody does.
async fn move_stores(entry: &Entry, checkout: &Checkout, way: Way) -> io::Result<()> {
    let folder = AttemptFolder::of(&entry.folder);
    let numbers = std::iter::once(0).chain(checkout.submodules.iter().map(|one| one.number));
    let places: Vec<_> = numbers.map(|number| (folder.store(number), folder.kept_store(number))).collect();
    on_disk(move || {
        places.iter().try_for_each(|(store, kept)| match way {
            Way::Away => move_if_there(store, kept),
            Way::Back => move_if_there(kept, store),
        })
    })
    .await
}

/// In the place of what is there.
fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    remove(to)?;
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}
