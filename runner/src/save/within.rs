//! What the work has changed inside submodules.
//!
//! A submodule is another repository, and where its own changes are to go nobody has said. So what is in its worktree, and no commit of its
//! repository holds, is saved on a branch in its mirror and as a patch, and is no part of the result. The result says that a submodule is at
//! a commit which its repository has: the one that the work has moved it to, or else the one that it was at. Who judges is shown both, what is
//! changed inside and what comes with another commit: by the ids of two commits nobody can judge anything.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use super::{ALL_REPOSITORIES, Branch, List, Notes, SaveError, Saving, link::LINK};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, Git, GitError, Output, Place},
    journal::{Checkout, Entry},
    lfs::{self, Pointer},
    mirror,
    submodule::{Submodule, shown},
    worktree::{self, is_folder_below},
};

/// Characters of a submodule's name in that of a file.
const NAMED: usize = 60;

/// A submodule whose folder is there.
pub(super) struct Within<'a> {
    pub submodule: &'a Submodule,
    /// What the result says that it is at.
    pub link: String,
    /// All that is in its worktree.
    pub tree: String,
    pub changed: Option<Changed>,
}

/// That something is in its worktree beside that.
pub(super) struct Changed {
    /// What the work has checked out there.
    head: String,
    /// Something is in the worktree that is in no commit.
    is_dirty: bool,
}

/// What there is of one to be shown: as it is called, and as it is marked in a list.
struct Difference<'a> {
    title: String,
    mark: &'static str,
    from: &'a str,
    to: &'a str,
}

/// Where a submodule is, for the one around it.
pub(super) struct At {
    pub path: String,
    pub commit: String,
}

/// What was changed inside a submodule, as far as it is no part of the result.
#[derive(Debug)]
pub(crate) struct Patch {
    pub path: String,
    /// Of an artifact.
    pub name: String,
    /// Against the commit that the result says it is at, for `git apply`; empty when it is too long, or only its history is another.
    pub content: Vec<u8>,
    /// In its mirror.
    pub branch: String,
}

/// What is to be kept of all of them, beside the result.
#[derive(Default)]
pub(super) struct Inside {
    pub patches: Vec<Patch>,
    pub notes: Vec<String>,
    pub branches: Vec<InMirror>,
}

/// Branches for the mirror of the submodule with this number.
pub(super) struct InMirror {
    number: usize,
    mirror: PathBuf,
    branches: Vec<Branch>,
}

/// Of the submodules that lie in one, or in the worktree itself, which is 0. Of one of the worktree's whose folder is gone or empty nothing says that it
/// was moved but what the work has written, and nobody sees where to: it is at what it was at. What lies in a submodule is no part of the result.
pub(super) fn links(all: &[Within<'_>], submodules: &[Submodule], number: usize) -> Vec<At> {
    let inside = submodules.iter().filter(|one| one.within == number);
    let at = |submodule: &Submodule| {
        let there = all.iter().find(|one| one.submodule.number == submodule.number).map(|one| one.link.clone());
        let commit = there.or_else(|| (number == 0).then(|| submodule.commit.clone()))?;
        Some(At { path: submodule.inner_path.clone(), commit })
    };
    inside.filter_map(at).collect()
}

/// Of those that were changed, how they stand.
pub(super) fn stands(all: &[Within<'_>]) -> Vec<String> {
    let changed = all.iter().filter_map(|one| Some((one.submodule.number, &one.tree, one.changed.as_ref()?)));
    changed.map(|(number, tree, Changed { head, .. })| format!("the files {tree} on the commit {head} in submodule {number}")).collect()
}

/// Looks at all of them. With `notes` they are about to be saved: repositories that the work has left in them are moved away, so that their files
/// are saved. Without, what was changed is taken in to be shown.
pub(super) async fn look<'a>(
    git: &Git,
    outside: &Git,
    (entry, checkout): (&Entry, &'a Checkout),
    mut notes: Option<&mut Notes>,
) -> Result<Vec<Within<'a>>, SaveError> {
    let mut all: Vec<Within<'a>> = vec![];
    // those inside others first
    for submodule in checkout.submodules.iter().rev() {
        let own = own_checkout(checkout, submodule);
        if let Some(notes) = notes.as_deref_mut()
            && worktree::was_set_aside(&AttemptFolder::of(&entry.folder).nested(submodule.number))?
        {
            let path = shown(&submodule.path);
            notes.said.push(format!(
                "The submodule {path} was made a repository of its own: its files are saved, the history that it had there is not"
            ));
        }
        let is_there = is_folder_below(&checkout.path, &submodule.path) && fs::read_dir(&own.path)?.next().is_some();
        if !is_there {
            if let Some(notes) = notes.as_deref_mut().filter(|_| submodule.within == 0) {
                notes.said.extend(moved_unseen(git, (entry, checkout), submodule).await?);
            }
            continue;
        }
        let (index, links) = (AttemptFolder::of(&entry.folder).index(), links(&all, &checkout.submodules, submodule.number));
        let (place, location, mirror) = (worktree::place(&own, &index), submodule.location.as_str(), submodule.mirror.as_path());
        let saving = Saving { git, outside, entry, checkout: &own, location, mirror, place, number: submodule.number, links: &links };
        let (head, tree) = saving.look().await?;
        let now = match notes.as_deref_mut() {
            Some(notes) => saving.take_in(notes).await?,
            None => saving.add_all().await?,
        };
        let is_theirs = is_of_its_repository(outside, submodule, &head).await?;
        let link = if is_theirs { head.clone() } else { submodule.commit.clone() };
        // what the work's repository says of a commit that the mirror has, the work may have put there
        let tree = if is_theirs { Some(mirror::tree(outside, &submodule.mirror, &head).await?) } else { tree };
        let is_dirty = tree.as_deref() != Some(now.as_str());
        let is_changed = is_dirty || !is_theirs;
        if notes.is_none() && (is_changed || link != submodule.commit) {
            let store = match is_changed {
                true => saving.take(&[&head, &now]).await?,
                false => saving.empty_store().await?,
            };
            // in what lands with another commit, and in what is there beside that; where it is to be saved new ones are moved away
            for tree in [&link, &now] {
                if let Some(hidden) = saving.reading(&store).hidden(&submodule.commit, tree, None).await? {
                    return Err(hidden.unseen(Some(&submodule.path)));
                }
            }
        }
        let changed = is_changed.then_some(Changed { head, is_dirty });
        all.push(Within { submodule, link, tree: now, changed });
    }
    all.reverse();
    Ok(all)
}

/// What there is to say where the work's last commit moves one of which the folder is gone or empty.
async fn moved_unseen(git: &Git, (entry, checkout): (&Entry, &Checkout), submodule: &Submodule) -> Result<Option<String>, GitError> {
    let index = AttemptFolder::of(&entry.folder).index();
    let arguments: [Argument<'_>; 4] = [&"ls-tree", &"HEAD", &"--", &submodule.path];
    let said = match git.run(worktree::place(checkout, &index), &arguments, Bounds::LOCAL).await {
        Ok(said) => said.text(),
        Err(GitError::Failed { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let commit = said.strip_prefix(&format!("{LINK} commit ")).and_then(|rest| rest.split('\t').next());
    Ok(commit.filter(|commit| *commit != submodule.commit).map(|_| {
        let path = shown(&submodule.path);
        format!("The submodule {path} has no files any more: where the result has it, it is at what it was at, and not where the work has moved it")
    }))
}

/// Whether the submodule's own repository has a commit. The one that it was at was fetched from there, on a branch or not.
async fn is_of_its_repository(outside: &Git, submodule: &Submodule, commit: &str) -> Result<bool, GitError> {
    Ok(commit == submodule.commit || mirror::is_theirs(outside, &submodule.mirror, commit).await?)
}

pub(super) fn own_checkout(checkout: &Checkout, submodule: &Submodule) -> Checkout {
    Checkout {
        path: checkout.path.join(&submodule.path),
        git_dir: submodule.git_dir(&checkout.git_dir),
        base_commit: submodule.commit.clone(),
        branch: format!("{}-left/submodule-{}", checkout.branch, submodule.number),
        submodules: vec![],
    }
}

/// What Git LFS keeps that was not named before.
pub(super) async fn large_files(outside: &Git, entry: &Entry, all: &[Within<'_>]) -> Result<BTreeSet<Pointer>, GitError> {
    let mut large = BTreeSet::new();
    if !entry.lfs {
        return Ok(large);
    }
    for one in all {
        let Some(Difference { to, .. }) = one.differences().last() else { continue };
        let (store, base) = (AttemptFolder::of(&entry.folder).store(one.submodule.number), &one.submodule.commit);
        let tree = format!("{to}^{{tree}}");
        large.append(&mut lfs::named(outside, &store, &[&tree], &[base, &format!("{base}^{{tree}}")]).await?);
    }
    Ok(large)
}

/// Where something is changed in them that git-lfs would take for a pointer, and that is none.
pub(super) async fn lookalike(outside: &Git, entry: &Entry, all: &[Within<'_>]) -> Result<Option<String>, GitError> {
    for one in all {
        let store = AttemptFolder::of(&entry.folder).store(one.submodule.number);
        for Difference { from, to, .. } in one.differences() {
            if let Some(path) = lfs::lookalike(outside, &store, (from, to)).await? {
                return Ok(Some(format!("{}/{path}", one.submodule.path)));
            }
        }
    }
    Ok(None)
}

/// What there is of them to be shown, behind what is there already.
pub(super) async fn write_diffs(
    git: &Git,
    entry: &Entry,
    all: &[Within<'_>],
    manner: Argument<'_>,
    mut file: &File,
) -> Result<(), GitError> {
    for one in all {
        let store = AttemptFolder::of(&entry.folder).store(one.submodule.number);
        for difference in one.differences() {
            file.write_all(difference.head().as_bytes())?;
            git.run_into(Place::Store(&store), &difference.arguments(manner), b"", file.try_clone()?, Bounds::LOCAL).await?;
        }
    }
    Ok(())
}

/// What there is of them to be shown, as a judge is shown it. Whether it goes on.
pub(super) async fn shown_diff(
    git: &Git,
    entry: &Entry,
    all: &[Within<'_>],
    manner: Argument<'_>,
    most: usize,
) -> Result<(Vec<u8>, bool), GitError> {
    let mut text = vec![];
    for one in all {
        for difference in one.differences() {
            let output = one.diff(git, entry, (&difference, manner), most.saturating_sub(text.len())).await?;
            text.extend_from_slice(difference.head().as_bytes());
            text.extend_from_slice(&output.bytes);
            if output.cut || text.len() > most {
                text.truncate(most);
                return Ok((text, true));
            }
        }
    }
    Ok((text, false))
}

/// A line for each of which there is something to be shown, and below it the files that this touches, as far as there is room for their names.
pub(super) async fn touched(git: &Git, entry: &Entry, all: &[Within<'_>], most: usize) -> Result<List, GitError> {
    let mut list = List { text: String::new(), is_cut: false };
    for one in all {
        let store = AttemptFolder::of(&entry.folder).store(one.submodule.number);
        for difference in one.differences() {
            list.text.push_str(&format!("\nM\t{} ({})", shown(&one.submodule.path), difference.mark));
            let arguments: [Argument<'_>; 7] =
                [&"diff", &"--name-status", ALL_REPOSITORIES, &"-M", &difference.from, &difference.to, &"--"];
            let bounds = Bounds { output: most.saturating_sub(list.text.len()), ..Bounds::LOCAL };
            let names = git.run(Place::Store(&store), &arguments, bounds).await?;
            names.text().lines().for_each(|line| list.text.push_str(&format!("\n\t{line}")));
            list.is_cut = names.cut || list.text.len() > most;
            if list.is_cut {
                return Ok(list);
            }
        }
    }
    Ok(list)
}

/// Takes in what was changed in them, for a branch in the mirror of each and as patches, of which there is room for so many bytes; and what the work
/// has committed there on other branches, or in one that is gone, for branches alone.
pub(super) async fn take(saving: &Saving<'_>, all: &[Within<'_>], mut room: usize) -> Result<Inside, SaveError> {
    let mut inside = Inside::default();
    for submodule in &saving.checkout.submodules {
        let one = all.iter().find(|one| one.submodule.number == submodule.number);
        let patch = take_one(saving, (submodule, one), &mut room, &mut inside).await?;
        inside.patches.extend(patch);
    }
    Ok(inside)
}

/// Into the mirror of each, by what its store holds.
pub(super) async fn push(saving: &Saving<'_>, branches: &[InMirror]) -> Result<(), SaveError> {
    for InMirror { number, mirror, branches } in branches {
        let inner = Saving { number: *number, ..*saving };
        inner.push_to(&mirror.display().to_string(), branches).await?;
    }
    Ok(())
}

async fn take_one(
    saving: &Saving<'_>,
    (submodule, one): (&Submodule, Option<&Within<'_>>),
    room: &mut usize,
    Inside { notes, branches: all_branches, .. }: &mut Inside,
) -> Result<Option<Patch>, SaveError> {
    let Saving { git, outside, entry, checkout, .. } = *saving;
    let (own, index) = (own_checkout(checkout, submodule), AttemptFolder::of(&entry.folder).index());
    let (location, mirror) = (submodule.location.as_str(), submodule.mirror.as_path());
    // where one is gone there is nowhere to stand
    let stands_in = if one.is_some() { &own.path } else { &checkout.path };
    let place = Place::Worktree { git_dir: &own.git_dir, path: stands_in, index: &index };
    let inner = Saving { checkout: &own, location, mirror, place, number: submodule.number, links: &[], ..*saving };
    let (path, in_mirror) = (shown(&submodule.path), format!("in the runner's mirror of it, {}", mirror.display()));
    let (tip, is_new) = match one {
        Some(Within { changed: Some(changed), tree, .. }) if changed.is_dirty => (inner.commit(tree, &changed.head).await?, true),
        Some(Within { changed: Some(changed), .. }) => (changed.head.clone(), true),
        Some(unchanged) => (unchanged.link.clone(), false),
        None => match inner.look().await {
            Ok((head, _)) => {
                let is_theirs = is_of_its_repository(outside, submodule, &head).await?;
                (head, !is_theirs)
            }
            Err(GitError::Failed { .. }) => {
                notes.push(format!("The submodule {path} is gone with its repository: what was committed there alone is not saved"));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        },
    };
    let mut left = vec![];
    let mut branches = inner.left_elsewhere(&tip, &mut left).await?;
    notes.extend(left.into_iter().map(|note| format!("In the submodule {path}: {note} {in_mirror}")));
    if is_new {
        branches.push(Branch { name: own.branch.clone(), commit: tip });
    }
    if branches.is_empty() {
        return Ok(None);
    }
    let commits: Vec<_> = branches.iter().map(|branch| branch.commit.as_str()).collect();
    inner.take(&commits).await?;
    if entry.lfs {
        // before anything names them there
        inner.keep_lfs(&commits).await?;
    }
    all_branches.push(InMirror { number: submodule.number, mirror: submodule.mirror.clone(), branches });
    let Some((one, inside)) = one.and_then(|one| Some((one, one.inside()?))) else {
        if is_new {
            notes.push(format!("The submodule {path} is gone: what was committed there is saved on {} {in_mirror}", own.branch));
        }
        return Ok(None);
    };
    let diff = one.diff(git, entry, (&inside, &"--binary"), *room).await?;
    let content = if diff.cut { vec![] } else { diff.bytes };
    *room -= content.len();
    let cut = if diff.cut { ", and is too long for a patch" } else { "" };
    notes.push(format!(
        "The submodule {path} was changed inside, which is no part of the result: that is saved on {} {in_mirror}{cut}",
        own.branch
    ));
    Ok(Some(Patch { path, name: file_name(submodule), content, branch: own.branch }))
}

fn file_name(submodule: &Submodule) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = submodule.path.chars().take(NAMED).map(fits).collect();
    format!("submodule-{}-{name}.patch", submodule.number)
}

impl Within<'_> {
    /// Between what it was at and what the result says that it is at.
    fn moved(&self) -> Option<Difference<'_>> {
        let (from, to) = (self.submodule.commit.as_str(), self.link.as_str());
        let title = format!("The submodule {} was moved to another commit", shown(&self.submodule.path));
        (from != to).then_some(Difference { title, mark: "moved to another commit", from, to })
    }

    /// Between that and what is there.
    fn inside(&self) -> Option<Difference<'_>> {
        self.changed.as_ref()?;
        let title = format!("Inside the submodule {}", shown(&self.submodule.path));
        Some(Difference { title, mark: "inside the submodule", from: &self.link, to: &self.tree })
    }

    fn differences(&self) -> impl Iterator<Item = Difference<'_>> {
        self.moved().into_iter().chain(self.inside())
    }

    /// As the store has it.
    async fn diff(
        &self,
        git: &Git,
        entry: &Entry,
        (difference, manner): (&Difference<'_>, Argument<'_>),
        most: usize,
    ) -> Result<Output, GitError> {
        let store = AttemptFolder::of(&entry.folder).store(self.submodule.number);
        git.run(Place::Store(&store), &difference.arguments(manner), Bounds { output: most, ..Bounds::LOCAL }).await
    }
}

impl Difference<'_> {
    fn head(&self) -> String {
        format!("\n{}:\n", self.title)
    }

    fn arguments<'a>(&'a self, manner: Argument<'a>) -> [Argument<'a>; 9] {
        [&"diff", &"--no-color", &"--no-ext-diff", &"--no-textconv", manner, ALL_REPOSITORIES, &self.from, &self.to, &"--"]
    }
}
