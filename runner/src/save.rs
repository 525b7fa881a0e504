//! Saves what an attempt changed: onto its branch, into the repository it came from where that is a path, and as a diff.
//!
//! It works from an index of its own, so that neither a lock nor a mark that the work left in its index hides a change, and makes
//! the commit without hooks. It promises that on success everything that git does not ignore is on the branch.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    slice,
};

use domain::{TaskId, artifact::ARTIFACT_LIMIT};
use thiserror::Error;

use crate::{
    git::{Argument, Bounds, Git, GitError, Place},
    journal::{Checkout, Entry},
    mirror::restore_settings,
};

/// For lists of all files of a repository.
const LISTING: Bounds = Bounds { output: 256 * 1024 * 1024, ..Bounds::LOCAL };

pub(crate) struct Saved {
    /// The branch's tip; nothing when the work changed nothing.
    pub commit: Option<String>,
    /// From the base commit to the tip, cut at [`ARTIFACT_LIMIT`]; empty when there is no difference.
    pub diff: Vec<u8>,
    /// What a reader of the attempt's log should know.
    pub notes: Vec<String>,
}

#[derive(Debug, Error)]
pub(crate) enum SaveError {
    #[error("{0}")]
    Git(#[from] GitError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("git cannot take in {0}")]
    LeftOver(String),
}

/// A worktree to be saved, with what it takes to do so.
#[derive(Clone, Copy)]
struct Saving<'a> {
    git: &'a Git,
    place: Place<'a>,
    mirror: &'a Path,
    checkout: &'a Checkout,
}

pub(crate) async fn save(git: &Git, entry: &Entry, checkout: &Checkout) -> Result<Saved, SaveError> {
    restore_settings(&entry.mirror)?;
    // Work that removed its own folder has deleted every file.
    fs::create_dir_all(&checkout.path)?;
    let index = entry.folder.join("index");
    let saving = Saving { git, place: place(entry, checkout, &index), mirror: &entry.mirror, checkout };
    let mut notes = vec![];
    let before = saving.look().await?;
    let tree = saving.take_in(&entry.folder, before.tree.as_deref(), &mut notes).await?;
    let tip = if before.tree.as_ref() == Some(&tree) {
        before.head.clone()
    } else {
        saving.commit(&tree, &before.head, &entry.title, entry.attempt.task_id).await?
    };
    saving.nothing_is_left().await?;
    let left = saving.move_branch(&before, &tip, &mut notes).await?;
    let branches: Vec<_> = (tip != checkout.base_commit).then(|| checkout.branch.clone()).into_iter().chain(left).collect();
    let diff = if tip == checkout.base_commit { vec![] } else { saving.diff(&tip).await? };
    if branches.contains(&checkout.branch) {
        notes.push(saving.push(&entry.repository, &branches).await);
        Ok(Saved { commit: Some(tip), diff, notes })
    } else {
        // A branch on which nothing happened helps nobody.
        saving.delete_branches(slice::from_ref(&checkout.branch)).await?;
        if !branches.is_empty() {
            notes.push(saving.push(&entry.repository, &branches).await);
        }
        Ok(Saved { commit: None, diff, notes })
    }
}

/// The worktree as git is to see it: whatever the work did to its `.git` file and its index.
pub(crate) fn place<'a>(entry: &'a Entry, checkout: &'a Checkout, index: &'a Path) -> Place<'a> {
    Place::Worktree { mirror: &entry.mirror, git_dir: &checkout.git_dir, path: &checkout.path, index }
}

/// Starts the runner's own index from the last commit, so that everything in the worktree is compared by content.
pub(crate) async fn fresh_index(git: &Git, place: Place<'_>) -> Result<(), GitError> {
    if let Place::Worktree { index, .. } = place {
        for path in [index.to_owned(), index.with_extension("lock")] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    match git.run(place, &[&"read-tree", &"HEAD"], Bounds::LOCAL).await {
        // The work has left no commit at HEAD: everything counts as new.
        Err(GitError::Failed { .. }) => git.run(place, &[&"read-tree", &"--empty"], Bounds::LOCAL).await.map(drop),
        other => other.map(drop),
    }
}

/// How the work left its commits.
struct Before {
    /// What is checked out; the base commit when the work left something that is no commit.
    head: String,
    /// The content of `head`.
    tree: Option<String>,
    /// Where the attempt's branch points.
    branch: Option<String>,
}

impl Saving<'_> {
    async fn run(&self, arguments: &[Argument<'_>]) -> Result<(), GitError> {
        self.git.run(self.place, arguments, Bounds::LOCAL).await.map(drop)
    }

    async fn ask(&self, arguments: &[Argument<'_>]) -> Result<String, GitError> {
        self.git.run(self.place, arguments, Bounds::LOCAL).await.map(|output| output.text())
    }

    async fn look(&self) -> Result<Before, GitError> {
        let question = format!("HEAD^{{commit}}\nHEAD^{{tree}}\nrefs/heads/{}^{{commit}}\n", self.checkout.branch);
        let arguments: [Argument<'_>; 2] = [&"cat-file", &"--batch-check=%(objectname)"];
        let answer = self.git.run_with_input(self.place, &arguments, question.as_bytes(), Bounds::LOCAL).await?.text();
        let mut found = answer.lines().map(|line| (!line.contains(' ')).then(|| line.to_owned()));
        let mut next = || found.next().flatten();
        let (head, tree, branch) = (next(), next(), next());
        Ok(Before { head: head.unwrap_or_else(|| self.checkout.base_commit.clone()), tree, branch })
    }

    /// Everything in the worktree, as a tree.
    async fn take_in(&self, folder: &Path, before: Option<&str>, notes: &mut Vec<String>) -> Result<String, SaveError> {
        match self.add_all().await {
            Ok(tree) if before == Some(&tree) || !self.has_new_repositories().await? => return Ok(tree),
            Ok(_) | Err(GitError::Failed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // git would keep a repository inside the worktree as a bare commit id, and its files would be lost with the folder.
        fresh_index(self.git, self.place).await?;
        let submodules = self.submodules().await?;
        let (path, aside) = (self.checkout.path.clone(), folder.join("nested"));
        let moved = tokio::task::spawn_blocking(move || set_repositories_aside(&path, &submodules, &aside));
        for name in moved.await.map_err(io::Error::other)?? {
            notes.push(format!("{} is a repository of its own: its files are saved, its history is not", name.display()));
        }
        Ok(self.add_all().await?)
    }

    async fn add_all(&self) -> Result<String, GitError> {
        fresh_index(self.git, self.place).await?;
        self.run(&[&"add", &"--all"]).await?;
        self.ask(&[&"write-tree"]).await
    }

    /// Repositories that belong where they are, because the last commit says so.
    async fn submodules(&self) -> Result<Vec<PathBuf>, GitError> {
        let staged = self.git.run(self.place, &[&"ls-files", &"--stage"], LISTING).await?.text();
        let paths = staged.lines().filter(|line| line.starts_with("160000")).filter_map(|line| line.split_once('\t'));
        Ok(paths.map(|(_, path)| PathBuf::from(path)).collect())
    }

    /// Whether the index holds repositories that the last commit did not.
    async fn has_new_repositories(&self) -> Result<bool, GitError> {
        let arguments: [Argument<'_>; 6] = [&"diff-index", &"--cached", &"--raw", &"--no-renames", &"--diff-filter=AT", &"HEAD"];
        match self.git.run(self.place, &arguments, LISTING).await {
            Ok(raw) => Ok(raw.text().lines().any(|line| line.split(' ').nth(1) == Some("160000"))),
            Err(GitError::Failed { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn commit(&self, tree: &str, parent: &str, title: &str, task: TaskId) -> Result<String, GitError> {
        let message = format!("{title}\n\nMuster-Task: {task}\n");
        let arguments: [Argument<'_>; 4] = [&"commit-tree", &tree, &"-p", &parent];
        let output = self.git.run_with_input(self.place, &arguments, message.as_bytes(), Bounds::LOCAL).await?;
        Ok(output.text())
    }

    /// Whatever the worktree holds is in the index now; only a submodule with changes of its own can still differ.
    async fn nothing_is_left(&self) -> Result<(), SaveError> {
        let left = self.ask(&[&"diff-files", &"--name-only", &"--ignore-submodules=none"]).await?;
        match left.lines().next() {
            None => Ok(()),
            Some(path) => Err(SaveError::LeftOver(format!("{path}, which has changes of its own that are not committed"))),
        }
    }

    /// Points the attempt's branch to what was checked out. Commits that would fall off it stay on a branch beside it, which is
    /// returned.
    async fn move_branch(&self, before: &Before, tip: &str, notes: &mut Vec<String>) -> Result<Option<String>, GitError> {
        let branch = &self.checkout.branch;
        if before.branch.as_deref() == Some(tip) {
            return Ok(None);
        }
        let mut left = None;
        if let Some(old) = before.branch.as_deref().filter(|old| *old != before.head && *old != self.checkout.base_commit)
            && !self.is_ancestor(old, tip).await?
        {
            let beside = format!("{branch}-left");
            self.run(&[&"update-ref", &format!("refs/heads/{beside}"), &old]).await?;
            notes.push(format!("The work made commits on {branch} and then checked out something else; they are on {beside}"));
            left = Some(beside);
        }
        self.run(&[&"update-ref", &"-m", &"muster: saved", &format!("refs/heads/{branch}"), &tip]).await?;
        Ok(left)
    }

    async fn is_ancestor(&self, old: &str, new: &str) -> Result<bool, GitError> {
        match self.run(&[&"merge-base", &"--is-ancestor", &old, &new]).await {
            Ok(()) => Ok(true),
            Err(GitError::Failed { code: Some(1), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn diff(&self, tip: &str) -> Result<Vec<u8>, GitError> {
        let arguments: [Argument<'_>; 8] =
            [&"diff", &"--no-color", &"--no-ext-diff", &"--no-textconv", &"-M", &self.checkout.base_commit, &tip, &"--"];
        let marker = format!("\nMuster: the diff is longer than {ARTIFACT_LIMIT} bytes; the rest is on {}\n", self.checkout.branch);
        let bounds = Bounds { output: ARTIFACT_LIMIT, ..Bounds::LOCAL };
        let mut diff = self.git.run(Place::Mirror(self.mirror), &arguments, bounds).await?;
        if diff.cut {
            diff.bytes.truncate(ARTIFACT_LIMIT - marker.len());
            diff.bytes.extend_from_slice(marker.as_bytes());
        }
        Ok(diff.bytes)
    }

    /// Into the repository itself where it is a path, else the branches stay in the mirror. A push that fails loses nothing.
    async fn push(&self, repository: &str, branches: &[String]) -> String {
        let names = branches.join(" and ");
        let kept = format!("kept in the runner's mirror, {}", self.mirror.display());
        if !repository.starts_with('/') {
            return format!("Saved on {names}, {kept}");
        }
        let receiver = receive_as_owner(repository);
        let refs: Vec<_> = branches.iter().map(|branch| format!("refs/heads/{branch}:refs/heads/{branch}")).collect();
        let mut arguments: Vec<Argument<'_>> = vec![&"push", &"--quiet", &receiver, &"--end-of-options", &repository];
        arguments.extend(refs.iter().map(|name| name as Argument<'_>));
        if let Err(error) = self.git.run(Place::Mirror(self.mirror), &arguments, Bounds::TRANSFER).await {
            return format!("Saved on {names}, {kept}; it could not be pushed to {repository}: {error}");
        }
        // It comes back with the next fetch, as one of the repository's own.
        match self.delete_branches(branches).await {
            Ok(()) => format!("Saved on {names}"),
            Err(error) => format!("Saved on {names}, also {kept}: {error}"),
        }
    }

    async fn delete_branches(&self, branches: &[String]) -> Result<(), GitError> {
        let orders: String = branches.iter().map(|branch| format!("delete refs/heads/{branch}\n")).collect();
        let place = Place::Mirror(self.mirror);
        self.git.run_with_input(place, &[&"update-ref", &"--stdin"], orders.as_bytes(), Bounds::LOCAL).await.map(drop)
    }
}

/// How a repository takes in a push. A runner of root's makes its owner do it, or the owner could not write to it any more.
fn receive_as_owner(repository: &str) -> String {
    let git_dir = Path::new(repository).join(".git");
    let owned = fs::metadata(&git_dir).or_else(|_| fs::metadata(repository));
    match owned {
        Ok(owned) if rustix::process::geteuid().is_root() && owned.uid() != 0 => {
            let (user, group) = (owned.uid(), owned.gid());
            let drop_to = format!("setpriv --reuid={user} --regid={group} --clear-groups");
            format!("--receive-pack={drop_to} git -c core.hooksPath=/dev/null -c safe.directory=* receive-pack")
        }
        _ => "--receive-pack=git-receive-pack".to_owned(),
    }
}

/// Moves the `.git` of every repository below `path` away, and says which they were. The worktree's own stays, and so do those of
/// its submodules.
fn set_repositories_aside(path: &Path, submodules: &[PathBuf], aside: &Path) -> io::Result<Vec<PathBuf>> {
    let mut moved = vec![];
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path.join(&folder))? {
            let entry = entry?;
            let inside = folder.join(entry.file_name());
            if entry.file_name() == ".git" {
                if folder != Path::new("") {
                    fs::create_dir_all(aside)?;
                    fs::rename(entry.path(), aside.join(moved.len().to_string()))?;
                    moved.push(folder.clone());
                }
            } else if entry.file_type()?.is_dir() && !submodules.contains(&inside) {
                folders.push(inside);
            }
        }
    }
    Ok(moved)
}
