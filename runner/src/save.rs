//! Saves what an attempt changed: onto its branch, into the repository it came from where that is a path and else into the mirror,
//! and as a diff.
//!
//! It works from an index of its own, so that neither a lock nor a mark that the work left in its index hides a change, and makes the
//! commit without hooks. It promises that on success everything that git does not ignore, or that the work has staged all the same, is on
//! the branch, also the files of a repository that it has made within this one, or has put in the place of one; that what it committed on
//! other branches or stashed is on branches beside it, see [`left`]; and that what it says has changed is what is on the branch, see
//! [`store`]. What the work changed inside submodules is saved beside it as well; see [`within`].

mod again;
mod alike;
mod begun;
mod change;
mod closed;
mod diff;
mod found;
mod hidden;
mod index;
mod left;
mod leftover;
mod link;
mod rewritten;
mod shown;
mod shut;
mod store;
mod taken;
mod unsaved;
mod within;

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use domain::{ArtifactKind, artifact::diff_name, protocol::NewArtifact};
use thiserror::Error;

use crate::{
    attempt::folder::AttemptFolder,
    clock,
    disk::on_disk,
    folders::private_folder,
    git::{Argument, Bounds, Git, GitError, Place},
    journal::{Checkout, Entry, Part, replace},
    lfs::{self, Added},
    submodule::shown,
    worktree::{self, has_something},
};
use leftover::move_aside;
use link::{LINK, links, links_at};
use within::At;

pub(crate) use again::put_back;
pub(crate) use change::{Change, LISTED, List, SHOWN, change};
pub(crate) use found::{Found, find};
pub(crate) use shut::status;
pub(crate) use taken::{Taken, push, save, take, would_be};
pub(crate) use within::Patch;

/// Whatever the work's `.gitmodules` says: a repository within this one is a change like any other.
const ALL_REPOSITORIES: Argument<'_> = &"--ignore-submodules=none";

/// What was done about one repository.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// What its worktree is called; absent for the first.
    pub name: Option<String>,
    /// The branch's tip; nothing when the work changed nothing.
    pub commit: Option<String>,
    /// How the work stood. Nothing when nobody has looked.
    pub stand: Option<Stand>,
    /// Something of that was in no commit of the work's, beside commits that it has made.
    pub is_dirty: bool,
    /// From the base commit to the tip, cut at [`ARTIFACT_LIMIT`](domain::artifact::ARTIFACT_LIMIT) for all of them together; empty when there is
    /// no difference.
    pub diff: Vec<u8>,
    /// It goes on.
    pub diff_is_cut: bool,
    /// What was changed inside submodules and is no part of it.
    pub patches: Vec<Patch>,
    /// What a reader of the attempt's log should know.
    pub notes: Vec<String>,
}

impl Saved {
    /// What there is to say in the log.
    pub fn told(&self) -> Vec<String> {
        self.notes.iter().map(|note| self.name.as_ref().map_or_else(|| note.clone(), |name| format!("{name}: {note}"))).collect()
    }

    pub fn into_artifacts(self) -> Vec<NewArtifact> {
        let Self { name, diff, patches, .. } = self;
        let diff = NewArtifact { kind: ArtifactKind::Diff, name: diff_name(name.as_deref()), content: diff };
        let called = |own: String| name.as_ref().map_or_else(|| own.clone(), |name| format!("{name}-{own}"));
        let patches =
            patches.into_iter().map(|patch| NewArtifact { kind: ArtifactKind::Patch, name: called(patch.name), content: patch.content });
        std::iter::once(diff).chain(patches).filter(|artifact| !artifact.content.is_empty()).collect()
    }
}

/// What the work has come to in a repository: the history that it has made itself, and the files that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    /// The commit that is checked out.
    pub head: String,
    pub tree: String,
    /// What was changed inside submodules, of each its number, its commit and its files.
    pub inside: Vec<String>,
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the files {} on the commit {}", self.tree, self.head)?;
        self.inside.iter().try_for_each(|one| write!(f, ", {one}"))
    }
}

#[derive(Debug, Error)]
pub(crate) enum SaveError {
    #[error("{0}")]
    Git(#[from] GitError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("git cannot take in {what}; {advice}")]
    LeftOver { what: String, advice: &'static str },
    /// Taken in once what is around it is no repository any more.
    #[error("{0} is staged, and lies in a repository within this one; remove the .git of that to have it taken in")]
    Nested(String),
    /// It would land, and who judges would not see it.
    #[error("{what}; {advice}")]
    Unseen { what: String, advice: &'static str },
    /// As a folder git writes only a part of it, and says nothing of the rest.
    #[error(
        "names in what the work has left lead out of it, or stand for two things at once; `git fsck --full` in its worktree says which"
    )]
    Misshapen,
    #[error(
        "something in the work's repository is not what its id says, or is missing: {0}; `git fsck --full` in its worktree says what, the files \
         there are as they were left, and a new attempt begins without it"
    )]
    Untrue(String),
    /// In one of several repositories.
    #[error("{name}: {error}")]
    In { name: String, error: Box<SaveError> },
}

impl SaveError {
    /// With which of the attempt's repositories it is about. What was given up was so as a whole.
    fn of(self, part: &Part) -> Self {
        match (self, &part.name) {
            (error @ Self::Git(GitError::GivenUp), _) | (error, None) => error,
            (error, Some(name)) => Self::In { name: name.clone(), error: Box::new(error) },
        }
    }
}

/// That one of an attempt's repositories could not be saved, with what was done about the others.
#[derive(Debug, Error)]
#[error("{error}")]
pub(crate) struct NotSaved {
    pub saved: Vec<Saved>,
    error: SaveError,
}

/// A worktree to be saved, with what it takes to do so.
#[derive(Clone, Copy)]
struct Saving<'a> {
    /// What the work has left is looked at from where it was done: it can name programs that git is to run.
    git: &'a Git,
    /// Writes where the work could not.
    outside: &'a Git,
    entry: &'a Entry,
    checkout: &'a Checkout,
    /// Where the repository is, and its mirror.
    location: &'a str,
    mirror: &'a Path,
    place: Place<'a>,
    /// Whose worktree it is: that of the submodule with this number, or the attempt's own, which is 0.
    number: usize,
    /// What the submodules in it are at in what is saved.
    links: &'a [At],
}

/// Bytes that a report still has room for.
#[derive(Clone, Copy)]
struct Left {
    diff: usize,
    patches: usize,
}

/// What there is to say of how the work was taken in, and the repositories within it that were moved away for that: each with where it is.
#[derive(Default)]
struct Notes {
    said: Vec<String>,
    moved: Vec<(PathBuf, PathBuf)>,
}

/// Where others lie in a repository.
#[derive(Default)]
struct Repositories {
    /// They belong where they are, because the base commit says so.
    theirs: Vec<PathBuf>,
    /// They do not, and there is something in their folders.
    made: Vec<PathBuf>,
    /// They do, and what is in their folders is no repository.
    replaced: Vec<PathBuf>,
}

/// A branch and the commit that it is to point to.
struct Branch {
    name: String,
    commit: String,
}

impl<'a> Saving<'a> {
    /// Of the attempt's own worktree.
    fn of_work((git, outside): (&'a Git, &'a Git), (entry, checkout): (&'a Entry, &'a Checkout), index: &'a Path, links: &'a [At]) -> Self {
        let (location, mirror) = (entry.repository.as_str(), entry.mirror.as_path());
        Self { git, outside, entry, checkout, location, mirror, place: worktree::place(checkout, index), number: 0, links }
    }

    /// The same, looking into the store alone: beside its objects a repository says which history it has, and what of its files is shown.
    fn reading(self, store: &'a Path) -> Self {
        Self { place: Place::Store(store), ..self }
    }

    async fn run(&self, arguments: &[Argument<'_>]) -> Result<(), GitError> {
        self.git.run(self.place, arguments, Bounds::LOCAL).await.map(drop)
    }

    async fn ask(&self, arguments: &[Argument<'_>]) -> Result<String, GitError> {
        self.git.whole(self.place, arguments, b"", Bounds::LISTING).await.map(|output| output.text())
    }

    /// The commit that is checked out, with its tree; the base commit when the work left something that is no commit.
    async fn look(&self) -> Result<(String, Option<String>), GitError> {
        let arguments: [Argument<'_>; 2] = [&"cat-file", &"--batch-check=%(objectname)"];
        let answer = self.git.run_with_input(self.place, &arguments, b"HEAD^{commit}\nHEAD^{tree}\n", Bounds::LOCAL).await?.text();
        let found: Vec<_> = answer.lines().filter(|line| !line.contains(' ')).collect();
        match found.as_slice() {
            [head, tree] => Ok(((*head).to_owned(), Some((*tree).to_owned()))),
            _ => Ok((self.checkout.base_commit.clone(), None)),
        }
    }

    /// Everything in the worktree, as a tree.
    async fn take_in(&self, notes: &mut Notes) -> Result<String, SaveError> {
        match self.add_all().await {
            Ok(tree) if self.repositories().await?.made.is_empty() => return Ok(tree),
            Ok(_) | Err(SaveError::Nested(_)) => {}
            Err(SaveError::Git(GitError::Failed { .. })) => self.closed_file(&self.repositories().await?.theirs).await?,
            Err(error) => return Err(error),
        }
        // git would keep a repository inside the worktree as a bare commit id, and its files would be lost with the folder.
        worktree::fresh_index(self.git, self.place, &self.entry.folder, self.number).await?;
        let submodules = self.repositories().await?.theirs;
        let (path, aside) = (self.checkout.path.clone(), AttemptFolder::of(&self.entry.folder).nested(self.number));
        let (moved, done) = on_disk(move || Ok(set_repositories_aside(&path, &submodules, &aside))).await?;
        let root = self.entry.worktree.as_ref().map_or(&self.checkout.path, |own| &own.path);
        let around = self.checkout.path.strip_prefix(root).unwrap_or(Path::new(""));
        let names: Vec<_> = moved.iter().map(|(name, _)| around.join(name)).collect();
        // whatever came of the rest, these are to be put back
        notes.moved.extend(moved.into_iter().map(|(name, aside)| (self.checkout.path.join(name).join(".git"), aside)));
        done?;
        for name in names {
            notes.said.push(format!(
                "{} is a repository of its own: its files are saved, its history is not. A submodule that is to stay one is committed, and its \
                 folder then emptied, .git with it",
                name.display()
            ));
        }
        self.add_all().await
    }

    async fn add_all(&self) -> Result<String, SaveError> {
        let staged = self.begin_index().await?;
        let shut = self.shut_links().await?;
        self.folders_are_open(&shut).await?;
        self.run(&[&"add", &"--all"]).await?;
        self.forget_unseen().await?;
        let shut = self.add_staged(&staged).await?;
        if let Some(path) = self.passed_over(&staged, &shut).await?.first() {
            return Err(SaveError::Nested(shown(&String::from_utf8_lossy(path))));
        }
        self.keep_links().await?;
        // of what is in the index, and not of what the work's repository says that its folders are
        Ok(self.ask(&[&"write-tree", &"--ignore-cache-tree"]).await?)
    }

    /// A submodule is at what it is said to be at, wherever the work has left it.
    async fn keep_links(&self) -> Result<(), GitError> {
        if self.links.is_empty() {
            return Ok(());
        }
        let mut moved = String::new();
        for At { path, commit } in links_at(&self.ask(&[&"ls-files", &"--stage", &"-z"]).await?) {
            if let Some(link) = self.links.iter().find(|one| one.path == path && one.commit != commit) {
                moved.push_str(&format!("{LINK} {}\t{path}\0", link.commit));
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let arguments: [Argument<'_>; 3] = [&"update-index", &"-z", &"--index-info"];
        self.git.run_with_input(self.place, &arguments, moved.as_bytes(), Bounds::LOCAL).await.map(drop)
    }

    /// The repositories in the index. What the work has committed makes none of them belong there: only it has what is in them.
    async fn repositories(&self) -> Result<Repositories, GitError> {
        let listed = self.git.whole(self.place, &[&"ls-files", &"--stage", &"-z"], b"", Bounds::LISTING).await?;
        let now = links(&listed.bytes);
        if now.is_empty() {
            return Ok(Repositories::default());
        }
        let arguments: [Argument<'_>; 4] = [&"ls-tree", &"-r", &"-z", &self.checkout.base_commit];
        let listed = self.outside.whole(Place::Repository(self.mirror), &arguments, b"", Bounds::LISTING).await?;
        let before = links(&listed.bytes);
        let (theirs, mut made): (Vec<_>, Vec<_>) = now.into_iter().partition(|path| before.contains(path));
        let (mut replaced, mut left) = (vec![], vec![]);
        for path in theirs {
            if self.is_replaced(&path).await? { replaced.push(path) } else { left.push(path) }
        }
        made.retain(|path| has_something(&self.checkout.path, path));
        Ok(Repositories { theirs: left, made, replaced })
    }

    /// Something lies in the folder of one, and no repository: git takes in none of it while the index has one there, and says nothing of it.
    async fn is_replaced(&self, path: &Path) -> Result<bool, GitError> {
        if self.links.iter().any(|one| Path::new(&one.path) == path) || !has_something(&self.checkout.path, path) {
            return Ok(false);
        }
        let own = self.checkout.path.join(path).join(".git");
        if !fs::symlink_metadata(&own).is_ok_and(|about| about.is_dir() || about.is_file()) {
            return Ok(true);
        }
        // one may lead nowhere, and what there is may be none
        match self.run(&[&"rev-parse", &"--resolve-git-dir", &own]).await {
            Ok(()) => Ok(false),
            Err(GitError::Failed { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Made anew, as a life ended before all was saved, it is the same one: where the first was pushed, nothing is in its way.
    async fn commit(&self, tree: &str, parent: &str) -> Result<String, SaveError> {
        let file = AttemptFolder::of(&self.entry.folder).saved_at();
        let saved_at = on_disk(move || first_saved(&file)).await?;
        let message = format!("{}\n\nMuster-Task: {}\n", self.entry.title, self.entry.attempt.task_id);
        let arguments: [Argument<'_>; 4] = [&"commit-tree", &tree, &"-p", &parent];
        let output = self.git.at(saved_at).run_with_input(self.place, &arguments, message.as_bytes(), Bounds::LOCAL).await?;
        Ok(output.text())
    }

    /// Into the repository itself where it is a path; into the mirror where it is not, or does not take it.
    async fn push(&self, branches: &[Branch], large: Option<Added>) -> Result<String, GitError> {
        let names = branches.iter().map(|branch| branch.name.as_str()).collect::<Vec<_>>().join(" and ");
        let (repository, mirror) = (&self.entry.repository, self.entry.mirror.display().to_string());
        let mut why = String::new();
        // before anything names them there
        let large = self.deliver_large_files(large).await?;
        if repository.starts_with('/') {
            match self.push_to(repository, branches).await {
                Ok(()) => return Ok(format!("Saved on {names}{large}")),
                Err(error) => why = format!(", as it could not be pushed to {repository}: {error}"),
            }
        }
        self.push_to(&mirror, branches).await?;
        Ok(format!("Saved on {names} in the runner's mirror, {mirror}{why}{large}"))
    }

    /// What Git LFS is to keep, into the mirror: named there by nothing yet.
    async fn keep_large_files(&self, commits: &[&str]) -> Result<Option<Added>, GitError> {
        if !self.entry.lfs {
            return Ok(None);
        }
        self.keep_lfs(commits).await.map(Some)
    }

    /// The same, into the repository itself where that is a path. What there is to say of it.
    async fn deliver_large_files(&self, large: Option<Added>) -> Result<String, GitError> {
        let Some(Added { objects, missing }) = large else { return Ok(String::new()) };
        let (mirror, repository) = (&self.entry.mirror, &self.entry.repository);
        let mut said = match (objects.len(), missing) {
            (0, 0) => return Ok(String::new()),
            (count, 0) => format!(", with {count} files of Git LFS"),
            (count, missing) => format!(", with {count} files of Git LFS and without {missing} that are named and not there"),
        };
        if repository.starts_with('/') && !lfs::deliver(self.outside, mirror, repository, objects).await? {
            said.push_str(&format!(
                ", which are in the runner's mirror alone, {}, as the repository belongs to somebody else",
                mirror.display()
            ));
        }
        Ok(said)
    }

    /// Into the mirror, by what is in the store.
    async fn keep_lfs(&self, commits: &[&str]) -> Result<Added, GitError> {
        let store = AttemptFolder::of(&self.entry.folder).store(self.number);
        let (repositories, base) = ((store.as_path(), self.checkout.git_dir.as_path()), &self.checkout.base_commit);
        lfs::keep(self.outside, repositories, self.mirror, commits, base, self.git.longest_file()).await
    }

    async fn push_to(&self, repository: &str, branches: &[Branch]) -> Result<(), GitError> {
        let receiver = receive_as_owner(repository);
        let refs: Vec<_> = branches.iter().map(|branch| format!("{}:refs/heads/{}", branch.commit, branch.name)).collect();
        let mut arguments: Vec<Argument<'_>> = vec![&"push", &"--quiet", &receiver, &"--end-of-options", &repository];
        arguments.extend(refs.iter().map(|name| name as Argument<'_>));
        let store = AttemptFolder::of(&self.entry.folder).store(self.number);
        self.outside.run(Place::Repository(&store), &arguments, Bounds::TRANSFER).await.map(drop)
    }
}

/// As the file says, or now, which it then says.
fn first_saved(file: &Path) -> io::Result<i64> {
    if let Some(seconds) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(seconds);
    }
    let now = clock::now().timestamp();
    if let Some(folder) = file.parent() {
        private_folder(folder)?;
    }
    replace(file, now.to_string().as_bytes())?;
    Ok(now)
}

/// How a repository takes in a push. A runner of root's makes its owner do it, or the owner could not write to it any more.
pub(crate) fn receive_as_owner(repository: &str) -> String {
    let owned = fs::metadata(Path::new(repository).join(".git")).or_else(|_| fs::metadata(repository));
    match owned {
        Ok(owned) if rustix::process::geteuid().is_root() && owned.uid() != 0 => {
            let drop_to = format!("setpriv --reuid={} --regid={} --clear-groups", owned.uid(), owned.gid());
            format!("--receive-pack={drop_to} git -c core.hooksPath=/dev/null -c safe.directory=* receive-pack")
        }
        _ => "--receive-pack=git-receive-pack".to_owned(),
    }
}

/// Moves the `.git` of every repository below `path` away, and says which they were and where each is now. The worktree's own stays, and so do
/// those of its submodules.
fn set_repositories_aside(path: &Path, submodules: &[PathBuf], aside: &Path) -> (Vec<(PathBuf, PathBuf)>, io::Result<()>) {
    let mut moved = vec![];
    let done = move_repositories(path, submodules, aside, &mut moved);
    (moved, done)
}

fn move_repositories(path: &Path, submodules: &[PathBuf], aside: &Path, moved: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(path.join(&folder)) {
            // one that is closed and ignored, or nothing would have been taken in
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let inside = folder.join(entry.file_name());
            if entry.file_name() == ".git" {
                if folder != Path::new("") {
                    moved.push((folder.clone(), move_aside(&entry.path(), aside)?));
                }
            } else if entry.file_type()?.is_dir() && !submodules.contains(&inside) {
                folders.push(inside);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_set_aside_beside_those_of_a_life_that_has_ended() {
        let place = tempfile::tempdir().unwrap();
        let (work, aside) = (place.path().join("work"), place.path().join("aside"));
        let makes = |name: &str| {
            fs::create_dir_all(work.join(name).join(".git")).unwrap();
            fs::write(work.join(name).join(".git/HEAD"), name).unwrap();
        };
        for name in ["one", "two/within"] {
            makes(name);
            let (moved, done) = set_repositories_aside(&work, &[], &aside);
            done.unwrap();
            assert_eq!(moved.iter().map(|(own, _)| own.as_path()).collect::<Vec<_>>(), [Path::new(name)]);
        }
        let heads = fs::read_dir(&aside).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path().join("HEAD")).unwrap());
        let mut heads: Vec<_> = heads.collect();
        heads.sort();
        assert_eq!(heads, ["one", "two/within"]);
    }
}
