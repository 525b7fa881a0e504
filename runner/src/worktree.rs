//! An attempt's own checkout: a fresh worktree on a new branch, outside of everybody's way.
//!
//! It has a repository of its own that borrows the mirror's objects. Worktrees that share one repository share its stash, its
//! branches, its settings and its hooks as well, and attempts on the same repository would get into each other's way.
//!
//! Where it lies is said in [`crate::attempt::folder`].

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use domain::protocol::Assignment;

use crate::{
    attempt::folder::AttemptFolder,
    folders::{private_folder, remove},
    git::{Argument, Bounds, Git, GitError, Place, quoted},
    journal::{Checkout, Entry},
    mirror::{self, Refused},
};

/// Makes the worktree. The mirror holds what the repository holds.
pub(crate) async fn add(git: &Git, entry: &Entry, assignment: &Assignment) -> Result<Checkout, Refused> {
    let resolved = mirror::resolve(git, &entry.mirror, assignment.base_ref.as_deref());
    let (base_commit, refs) = tokio::join!(resolved, mirror::packed_refs(git, &entry.mirror));
    let checkout = Checkout {
        path: AttemptFolder::of(&entry.folder).work(),
        git_dir: AttemptFolder::of(&entry.folder).git(),
        base_commit: base_commit?,
        branch: format!("muster/{}-{}", entry.attempt.task_id.short(), entry.attempt.number),
    };
    make_repository(entry, &checkout, &refs?)?;
    let index = checkout.git_dir.join("index");
    let arguments: [Argument<'_>; 4] = [&"read-tree", &"--reset", &"-u", &checkout.base_commit];
    git.run(place(&checkout, &index), &arguments, Bounds::TRANSFER).await?;
    copy_index(&File::open(&index)?, File::create(AttemptFolder::of(&entry.folder).base_index())?)?;
    Ok(checkout)
}

/// With its time: what was written in the second of its index git reads, and what is older it takes for what the index says. By a copy that
/// is newer, what the work changed in the second of its checkout would be as it was.
fn copy_index(mut index: &File, mut copy: File) -> io::Result<()> {
    io::copy(&mut index, &mut copy)?;
    copy.set_modified(index.metadata()?.modified()?)
}

/// As `git init` would, with the mirror's objects and the repository's references.
fn make_repository(entry: &Entry, checkout: &Checkout, refs: &[u8]) -> io::Result<()> {
    let Checkout { path, git_dir, base_commit, branch } = checkout;
    let branch_file = git_dir.join("refs/heads").join(branch);
    for folder in [git_dir.join("refs/tags"), git_dir.join("info")] {
        fs::create_dir_all(folder)?;
    }
    if let Some(folder) = branch_file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(branch_file, format!("{base_commit}\n"))?;
    fs::write(git_dir.join("packed-refs"), refs)?;
    fs::write(git_dir.join("HEAD"), format!("ref: refs/heads/{branch}\n"))?;
    fs::write(path.join(".git"), format!("gitdir: {}\n", git_dir.display()))?;
    restore_now(entry, checkout)
}

/// Writes what git reads beside the history, and removes what is neither a file nor a folder. Done again before Muster looks at the work, as
/// it could make git run commands, overlook files, or read what is not the attempt's.
pub(crate) async fn restore(entry: &Entry, checkout: &Checkout) -> io::Result<()> {
    let (entry, checkout) = (entry.clone(), checkout.clone());
    tokio::task::spawn_blocking(move || restore_now(&entry, &checkout)).await.map_err(io::Error::other)?
}

fn restore_now(entry: &Entry, checkout: &Checkout) -> io::Result<()> {
    let git_dir = &checkout.git_dir;
    keep_files_and_folders(git_dir)?;
    fs::create_dir_all(git_dir.join("objects/info"))?;
    fs::create_dir_all(git_dir.join("hooks"))?;
    replace(&git_dir.join("config"), &settings(entry)?)?;
    replace(&git_dir.join("objects/info/alternates"), &alternates(entry))?;
    for name in ["info/exclude", "info/attributes", "info/grafts", "info/sparse-checkout", "shallow", "config.worktree"] {
        remove(&git_dir.join(name))?;
    }
    copy_shallow(entry, git_dir)
}

/// Where a repository of the attempt's borrows objects from.
pub(crate) fn alternates(entry: &Entry) -> String {
    format!("{}\n", entry.mirror.join("objects").display())
}

/// A repository that was cloned without its whole history borrows it from a mirror without it.
pub(crate) fn copy_shallow(entry: &Entry, git_dir: &Path) -> io::Result<()> {
    match fs::copy(entry.mirror.join("shallow"), git_dir.join("shallow")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What leads out of the repository, or would make whoever reads it wait for ever, goes.
fn keep_files_and_folders(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// With a new file, whatever was there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    remove(path)?;
    File::create_new(path)?.write_all(text.as_bytes())
}

pub(crate) fn settings(entry: &Entry) -> io::Result<String> {
    let long_ids = fs::read_to_string(entry.mirror.join("config"))?.contains("objectformat = sha256");
    let (version, extensions) = if long_ids { (1, "[extensions]\n\tobjectformat = sha256\n") } else { (0, "") };
    Ok(format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n{extensions}\
         [remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        quoted(&entry.repository)
    ))
}

/// The worktree as git is to see it, whatever the work did to its `.git` file and its index.
pub(crate) fn place<'a>(checkout: &'a Checkout, index: &'a Path) -> Place<'a> {
    Place::Worktree { git_dir: &checkout.git_dir, path: &checkout.path, index, objects: None }
}

/// Makes an index of the runner's own that holds the last commit. It knows the files as they were before the work began, so that
/// only what the work touched is read, and it has no marks that would hide a change.
pub(crate) async fn fresh_index(git: &Git, place: Place<'_>, folder: &Path) -> Result<(), GitError> {
    let (fresh, base) = (AttemptFolder::of(folder).index_folder(), AttemptFolder::of(folder).base_index());
    let made = tokio::task::spawn_blocking(move || {
        // with all that lies beside it: locks, and what programs have left that the work has named
        remove(&fresh)?;
        private_folder(&fresh)?;
        match File::open(base) {
            Ok(base) => copy_index(&base, File::create_new(fresh.join("index"))?),
            // an older runner kept it elsewhere; git makes a whole one
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    });
    made.await.map_err(io::Error::other)??;
    match git.run(place, &[&"read-tree", &"-m", &"HEAD"], Bounds::LOCAL).await {
        // The work has left no commit at HEAD; the base commit has to do.
        Err(GitError::Failed { .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::git::SETTINGS;

    /// The second is held: all is of one time, and git is told not to look at the one that nobody can set.
    #[tokio::test]
    async fn what_is_changed_in_the_second_of_its_checkout_is_seen() {
        let attempt = tempfile::tempdir().unwrap();
        let folder = AttemptFolder::of(attempt.path());
        folder.make().unwrap();
        let gitconfig = attempt.path().join("gitconfig");
        fs::write(&gitconfig, format!("{SETTINGS}[core]\n\ttrustctime = false\n")).unwrap();
        let git = Git::new(gitconfig);
        let checkout = Checkout { path: folder.work(), git_dir: folder.git(), base_commit: String::new(), branch: String::new() };
        let version = folder.work().join("VERSION");
        let of_one_time = |path: &Path| {
            let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            File::options().write(true).open(path).unwrap().set_modified(second).unwrap();
        };
        fs::write(&version, "1.2.3\n").unwrap();
        of_one_time(&version);
        let index = checkout.git_dir.join("index");
        for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message=Base"]] {
            let arguments: Vec<_> = arguments.iter().map(|argument| argument as Argument<'_>).collect();
            git.run(place(&checkout, &index), &arguments, Bounds::LOCAL).await.unwrap();
        }
        of_one_time(&index);
        copy_index(&File::open(&index).unwrap(), File::create(folder.base_index()).unwrap()).unwrap();

        fs::write(&version, "1.2.4\n").unwrap();
        of_one_time(&version);
        let own = folder.index();
        let place = place(&checkout, &own);
        fresh_index(&git, place, attempt.path()).await.unwrap();
        git.run(place, &[&"add", &"--all"], Bounds::LOCAL).await.unwrap();
        let saved = git.run(place, &[&"show", &":VERSION"], Bounds::LOCAL).await.unwrap();
        assert_eq!(saved.text(), "1.2.4");
    }
}
