//! An attempt's own checkout: a fresh worktree on a new branch, outside of everybody's way.
//!
//! It has a repository of its own that borrows the mirror's objects. Worktrees that share one repository share its stash, its
//! branches, its settings and its hooks as well, and attempts on the same repository would get into each other's way.
//!
//! In the attempt's folder: `work` is the worktree, `git` its repository, `index.base` the index as it was before the work began.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use domain::protocol::Assignment;

use crate::{
    git::{Argument, Bounds, Git, GitError, Place},
    journal::{Checkout, Entry},
    mirror::{self, Refused},
};

/// Makes the worktree. The mirror holds what the repository holds.
pub(crate) async fn add(git: &Git, entry: &Entry, assignment: &Assignment) -> Result<Checkout, Refused> {
    let resolved = mirror::resolve(git, &entry.mirror, assignment.base_ref.as_deref());
    let (base_commit, refs) = tokio::join!(resolved, mirror::packed_refs(git, &entry.mirror));
    let checkout = Checkout {
        path: entry.folder.join("work"),
        git_dir: entry.folder.join("git"),
        base_commit: base_commit?,
        branch: format!("muster/{}-{}", entry.attempt.task_id.short(), entry.attempt.number),
    };
    make_repository(entry, &checkout, &refs?)?;
    let index = checkout.git_dir.join("index");
    let arguments: [Argument<'_>; 4] = [&"read-tree", &"--reset", &"-u", &checkout.base_commit];
    git.run(place(&checkout, &index), &arguments, Bounds::TRANSFER).await?;
    fs::copy(&index, base_index(&entry.folder))?;
    Ok(checkout)
}

/// As `git init` would, with the mirror's objects and the repository's references.
fn make_repository(entry: &Entry, checkout: &Checkout, refs: &[u8]) -> io::Result<()> {
    let Checkout { path, git_dir, base_commit, branch } = checkout;
    let branch_file = git_dir.join("refs/heads").join(branch);
    for folder in [path, &git_dir.join("objects/info"), &git_dir.join("refs/tags"), &git_dir.join("info")] {
        fs::create_dir_all(folder)?;
    }
    if let Some(folder) = branch_file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(branch_file, format!("{base_commit}\n"))?;
    fs::write(git_dir.join("packed-refs"), refs)?;
    fs::write(git_dir.join("HEAD"), format!("ref: refs/heads/{branch}\n"))?;
    fs::write(path.join(".git"), format!("gitdir: {}\n", git_dir.display()))?;
    restore(entry, checkout)
}

/// Writes what git reads beside the history. Done again before Muster looks at the work, which could make git run commands or
/// overlook files by it.
pub(crate) fn restore(entry: &Entry, checkout: &Checkout) -> io::Result<()> {
    let git_dir = &checkout.git_dir;
    fs::write(git_dir.join("config"), settings(entry)?)?;
    fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", entry.mirror.join("objects").display()))?;
    for name in ["info/exclude", "info/attributes", "info/grafts", "info/sparse-checkout", "shallow", "config.worktree"] {
        match fs::remove_file(git_dir.join(name)) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Err(error),
            _ => {}
        }
    }
    // A repository that was cloned without its whole history borrows it from a mirror without it.
    match fs::copy(entry.mirror.join("shallow"), git_dir.join("shallow")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn settings(entry: &Entry) -> io::Result<String> {
    let long_ids = fs::read_to_string(entry.mirror.join("config"))?.contains("objectformat = sha256");
    let (version, extensions) = if long_ids { (1, "[extensions]\n\tobjectformat = sha256\n") } else { (0, "") };
    Ok(format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n{extensions}\
         [remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        quoted(&entry.repository)
    ))
}

/// As a value in git's settings.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The worktree as git is to see it, whatever the work did to its `.git` file and its index.
pub(crate) fn place<'a>(checkout: &'a Checkout, index: &'a Path) -> Place<'a> {
    Place::Worktree { git_dir: &checkout.git_dir, path: &checkout.path, index }
}

/// Makes an index of the runner's own that holds the last commit. It knows the files as they were before the work began, so that
/// only what the work touched is read, and it has no marks that would hide a change.
pub(crate) async fn fresh_index(git: &Git, place: Place<'_>, folder: &Path) -> Result<(), GitError> {
    if let Place::Worktree { index, .. } = place {
        match fs::remove_file(index.with_extension("lock")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::copy(base_index(folder), index)?;
    }
    match git.run(place, &[&"read-tree", &"-m", &"HEAD"], Bounds::LOCAL).await {
        // The work has left no commit at HEAD; the base commit has to do.
        Err(GitError::Failed { .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

fn base_index(folder: &Path) -> PathBuf {
    folder.join("index.base")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_cannot_add_settings() {
        assert_eq!(quoted("/srv/a\"\n[core]\n\\x"), r#""/srv/a\"\n[core]\n\\x""#);
    }
}
