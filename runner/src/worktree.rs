//! An attempt's own checkout: a fresh worktree on a new branch, outside of everybody's way.
//!
//! It has a repository of its own that borrows the mirror's objects. Worktrees that share one repository share its stash, its
//! branches, its settings and its hooks as well, and attempts on the same repository would get into each other's way.
//!
//! Where it lies is said in [`crate::attempt::folder`].

mod pipe;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use domain::{Failure, FailureCode};
use uuid::Uuid;

use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    folders::{private_folder, remove},
    git::{Argument, Bounds, Git, GitError, Place, quoted},
    journal::{Checkout, Entry, Part},
    lfs,
    mirror::{self, Refused},
    submodule::{self, Submodule},
};
use pipe::remove_pipes;

/// How a repository is called that was in the place of a submodule's.
const SET_ASIDE: &str = "own-";

/// What the worktree is to be.
pub(crate) fn planned(Part { entry, work, .. }: &Part, base_commit: String, submodules: Vec<Submodule>) -> Checkout {
    Checkout {
        path: work.clone(),
        git_dir: AttemptFolder::of(&entry.folder).git(),
        base_commit,
        branch: format!("muster/{}-{}", entry.attempt.task_id.short(), entry.attempt.number),
        submodules,
    }
}

/// Makes the worktree. The mirrors hold what the repositories hold, of which `refs` are the worktree's own. It is `checks_out` that writes its
/// files, which may run what git is told to put them through.
pub(crate) async fn add(git: &Git, checks_out: &Git, entry: &Entry, checkout: &Checkout, refs: &[u8]) -> Result<(), Refused> {
    make_repository(checkout, refs)?;
    for submodule in &checkout.submodules {
        make_submodule(checkout, submodule, &mirror::packed_refs(git, &submodule.mirror).await?)?;
    }
    // all of them, before anything looks at one
    restore_now(entry, checkout, &checkout.submodules)?;
    let index = checkout.git_dir.join("index");
    read_tree(checks_out, place(checkout, &index), &checkout.base_commit).await?;
    copy_index(&File::open(&index)?, File::create(AttemptFolder::of(&entry.folder).base_index(0))?)?;
    for submodule in &checkout.submodules {
        let folder = checkout.path.join(&submodule.path);
        // whatever the repository around it has put in its way
        if !is_folder_below(&checkout.path, &submodule.path) || fs::read_dir(&folder)?.next().is_some() {
            let why = format!("the submodule {} does not lie in an empty folder", submodule::shown(&submodule.path));
            return Err(Refused::Task(Failure::new(FailureCode::SubmoduleUnavailable, why)));
        }
        let git_dir = submodule.git_dir(&checkout.git_dir);
        fs::write(folder.join(".git"), format!("gitdir: {}\n", git_dir.display()))?;
        let index = git_dir.join("index");
        let place = Place::Worktree { git_dir: &git_dir, path: &folder, index: &index };
        read_tree(checks_out, place, &submodule.commit).await?;
        copy_index(&File::open(&index)?, File::create(AttemptFolder::of(&entry.folder).base_index(submodule.number))?)?;
    }
    Ok(())
}

/// Makes the files of a worktree in which nobody has worked those of a commit, as if they had been changed there: of the index and the history
/// nothing is another. It has no submodules.
pub(crate) async fn change_to(writes: &Git, entry: &Entry, checkout: &Checkout, commit: &str) -> Result<(), GitError> {
    let index = checkout.git_dir.join("index");
    read_tree(writes, place(checkout, &index), commit).await?;
    let base = AttemptFolder::of(&entry.folder).base_index(0);
    // what was written since is not as this one says, and git looks at it
    on_disk(move || copy_index(&File::open(base)?, File::create(index)?)).await.map_err(GitError::from)
}

async fn read_tree(git: &Git, place: Place<'_>, commit: &str) -> Result<(), GitError> {
    let arguments: [Argument<'_>; 4] = [&"read-tree", &"--reset", &"-u", &commit];
    git.run(place, &arguments, Bounds::TRANSFER).await.map(drop)
}

/// Whether it is a folder, and all on the way to it are: a link would lead whoever writes there out of the worktree.
pub(crate) fn is_folder_below(root: &Path, path: impl AsRef<Path>) -> bool {
    let mut at = root.to_owned();
    path.as_ref().components().all(|part| {
        at.push(part);
        matches!(part, Component::Normal(_)) && fs::symlink_metadata(&at).is_ok_and(|about| about.is_dir())
    })
}

/// Whether a folder of the worktree is there and not empty. One that cannot be read may hold anything.
pub(crate) fn has_something(root: &Path, path: &Path) -> bool {
    is_folder_below(root, path) && !fs::read_dir(root.join(path)).is_ok_and(|mut entries| entries.next().is_none())
}

/// With its time: what was written in the second of its index git reads, and what is older it takes for what the index says. By a copy that
/// is newer, what the work changed in the second of its checkout would be as it was.
fn copy_index(mut index: &File, mut copy: File) -> io::Result<()> {
    io::copy(&mut index, &mut copy)?;
    copy.set_modified(index.metadata()?.modified()?)
}

/// As `git init` would, with the mirror's objects and the repository's references.
fn make_repository(checkout: &Checkout, refs: &[u8]) -> io::Result<()> {
    let Checkout { path, git_dir, base_commit, branch, .. } = checkout;
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
    fs::write(path.join(".git"), format!("gitdir: {}\n", git_dir.display()))
}

/// The same for a submodule, at its commit and on no branch.
fn make_submodule(checkout: &Checkout, submodule: &Submodule, refs: &[u8]) -> io::Result<()> {
    let git_dir = submodule.git_dir(&checkout.git_dir);
    for folder in ["refs/heads", "refs/tags", "info"] {
        fs::create_dir_all(git_dir.join(folder))?;
    }
    fs::write(git_dir.join("packed-refs"), refs)?;
    fs::write(git_dir.join("HEAD"), format!("{}\n", submodule.commit))
}

/// Writes what git reads beside the history, and removes what is neither a file nor a folder there. Done again before Muster looks at the work, as
/// it could make git run commands, overlook files, wait, or read what is not the attempt's. Those of the submodules that are `still` ones are found
/// again. Says which pipes it has removed from the worktree.
pub(crate) async fn restore(entry: &Entry, checkout: &Checkout, still: &Checkout) -> io::Result<Vec<PathBuf>> {
    let (entry, checkout, still) = (entry.clone(), checkout.clone(), still.submodules.clone());
    on_disk(move || restore_now(&entry, &checkout, &still)).await
}

/// The checkout with those of its submodules that the work has not put files of its own in the place of: then nothing leads to the submodule's
/// repository from there any more, and the file that names submodules does not name it. Asked before [`restore`], which puts that back.
pub(crate) async fn still(git: &Git, entry: &Entry, checkout: &Checkout) -> Result<Checkout, GitError> {
    let mut still = Checkout { submodules: vec![], ..checkout.clone() };
    for submodule in &checkout.submodules {
        let around = still.submodules.iter().find(|one| one.number == submodule.within).map(|one| checkout.path.join(&one.path));
        let around = match (submodule.within, around) {
            (0, _) => checkout.path.clone(),
            (_, Some(around)) => around,
            // it is among the files that are in the place of that
            (_, None) => continue,
        };
        let path = Path::new(&submodule.path);
        let is_left = !has_something(&checkout.path, path) || fs::symlink_metadata(checkout.path.join(path).join(".git")).is_ok();
        if is_left || submodule::names(git, &entry.mirror, &around.join(".gitmodules"), &submodule.inner_path).await? {
            still.submodules.push(submodule.clone());
        }
    }
    Ok(still)
}

fn restore_now(entry: &Entry, checkout: &Checkout, still: &[Submodule]) -> io::Result<Vec<PathBuf>> {
    keep_files_and_folders(&checkout.git_dir)?;
    settle(&entry.mirror, &checkout.git_dir, &own_settings(entry, checkout)?)?;
    for submodule in &checkout.submodules {
        let git_dir = submodule.git_dir(&checkout.git_dir);
        settle(&submodule.mirror, &git_dir, &settings_of(entry, checkout, submodule)?)?;
        let folder = checkout.path.join(&submodule.path);
        // one that is gone, or was emptied, is a change as any other
        if still.contains(submodule) && is_folder_below(&checkout.path, &submodule.path) && fs::read_dir(&folder)?.next().is_some() {
            lead_to_repository(entry, checkout, submodule)?;
        }
    }
    remove_pipes(&checkout.path)
}

/// From the folder of a submodule, whatever is there in the place of what does.
pub(crate) fn lead_to_repository(entry: &Entry, checkout: &Checkout, submodule: &Submodule) -> io::Result<()> {
    let own = checkout.path.join(&submodule.path).join(".git");
    set_aside(&own, &AttemptFolder::of(&entry.folder).nested(submodule.number))?;
    replace(&own, &format!("gitdir: {}\n", submodule.git_dir(&checkout.git_dir).display()))
}

/// A repository that the work has made in the place of a submodule's.
fn set_aside(own: &Path, aside: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(own).is_ok_and(|about| about.is_dir()) {
        return Ok(());
    }
    fs::create_dir_all(aside)?;
    fs::rename(own, aside.join(format!("{SET_ASIDE}{}", Uuid::now_v7())))
}

/// Whether there has been one, in this look at the work or in an earlier one.
pub(crate) fn was_set_aside(aside: &Path) -> io::Result<bool> {
    match fs::read_dir(aside) {
        Ok(mut entries) => Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(SET_ASIDE)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What git reads of a repository that is nobody's history.
fn settle(mirror: &Path, git_dir: &Path, settings: &str) -> io::Result<()> {
    fs::create_dir_all(git_dir.join("objects/info"))?;
    fs::create_dir_all(git_dir.join("hooks"))?;
    replace(&git_dir.join("config"), settings)?;
    replace(&git_dir.join("objects/info/alternates"), &alternates(mirror))?;
    for name in ["info/exclude", "info/attributes", "info/grafts", "info/sparse-checkout", "shallow", "config.worktree", "commondir"] {
        remove(&git_dir.join(name))?;
    }
    copy_shallow(mirror, git_dir)
}

/// Where a repository of the attempt's borrows objects from.
pub(crate) fn alternates(mirror: &Path) -> String {
    format!("{}\n", mirror.join("objects").display())
}

/// A repository that was cloned without its whole history borrows it from a mirror without it.
pub(crate) fn copy_shallow(mirror: &Path, git_dir: &Path) -> io::Result<()> {
    match fs::copy(mirror.join("shallow"), git_dir.join("shallow")) {
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

fn own_settings(entry: &Entry, checkout: &Checkout) -> io::Result<String> {
    Ok(settings(&entry.repository, &entry.mirror, "")? + &more_settings(entry, checkout, 0))
}

fn settings_of(entry: &Entry, checkout: &Checkout, submodule: &Submodule) -> io::Result<String> {
    let folder = checkout.path.join(&submodule.path);
    let own = format!("\tworktree = {}\n", quoted(&folder.display().to_string()));
    Ok(settings(&submodule.location, &submodule.mirror, &own)? + &more_settings(entry, checkout, submodule.number))
}

pub(crate) fn settings(location: &str, mirror: &Path, core: &str) -> io::Result<String> {
    let long_ids = fs::read_to_string(mirror.join("config"))?.contains("objectformat = sha256");
    let (version, extensions) = if long_ids { (1, "[extensions]\n\tobjectformat = sha256\n") } else { (0, "") };
    Ok(format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n{core}{extensions}\
         [remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        quoted(location)
    ))
}

/// What it is put through, and what lies in it: whatever its own files say of how a submodule is brought up to date, it is checked out.
fn more_settings(entry: &Entry, checkout: &Checkout, number: usize) -> String {
    let mut text = if entry.lfs { lfs::SETTINGS.to_owned() } else { String::new() };
    for submodule in checkout.submodules.iter().filter(|one| one.within == number) {
        let (name, url) = (quoted(&submodule.name), quoted(&submodule.location));
        text.push_str(&format!("[submodule {name}]\n\tactive = true\n\turl = {url}\n\tupdate = checkout\n"));
    }
    text
}

/// The worktree as git is to see it, whatever the work did to its `.git` file and its index.
pub(crate) fn place<'a>(checkout: &'a Checkout, index: &'a Path) -> Place<'a> {
    Place::Worktree { git_dir: &checkout.git_dir, path: &checkout.path, index }
}

/// Makes an index of the runner's own that holds the last commit. It knows the files as they were before the work began, so that
/// only what the work touched is read, and it has no marks that would hide a change. `number` is that of the submodule whose index it is; 0
/// stands for the worktree itself.
pub(crate) async fn fresh_index(git: &Git, place: Place<'_>, folder: &Path, number: usize) -> Result<(), GitError> {
    no_index(folder).await?;
    let (fresh, base) = (AttemptFolder::of(folder).index(), AttemptFolder::of(folder).base_index(number));
    on_disk(move || match File::open(base) {
        Ok(base) => copy_index(&base, File::create_new(fresh)?),
        // an older runner kept it elsewhere; git makes a whole one
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    })
    .await?;
    // the index alone: what the worktree was like at first is no matter, or whatever the work has changed and committed would be in the way
    match git.run(place, &[&"read-tree", &"-i", &"-m", &"HEAD"], Bounds::LOCAL).await {
        // The base commit has to do.
        Err(GitError::Failed { .. }) if !is_at_a_commit(git, place).await? => Ok(()),
        read => read.map(drop),
    }
}

/// Throws the runner's own index away with all that lies beside it: locks, and what programs have left that the work has named.
pub(crate) async fn no_index(folder: &Path) -> io::Result<()> {
    let folder = AttemptFolder::of(folder).index_folder();
    on_disk(move || remove(&folder).and_then(|()| private_folder(&folder))).await
}

/// Whether the work has left a commit at HEAD.
async fn is_at_a_commit(git: &Git, place: Place<'_>) -> Result<bool, GitError> {
    let arguments: [Argument<'_>; 2] = [&"cat-file", &"--batch-check=%(objectname)"];
    let answer = git.run_with_input(place, &arguments, b"HEAD^{tree}\n", Bounds::LOCAL).await?.text();
    // what is missing is said with its name
    Ok(!answer.contains(' '))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::git::SETTINGS;

    /// An attempt with these files in its base commit, and git as it calls it.
    async fn begun(attempt: &Path, settings: &str, files: &[(&str, &str)], at: Option<SystemTime>) -> (Git, Checkout) {
        let folder = AttemptFolder::of(attempt);
        folder.make().unwrap();
        let gitconfig = attempt.join("gitconfig");
        fs::write(&gitconfig, format!("{SETTINGS}{settings}")).unwrap();
        let git = Git::new(gitconfig);
        let checkout =
            Checkout { path: folder.work(), git_dir: folder.git(), base_commit: String::new(), branch: String::new(), submodules: vec![] };
        for (name, content) in files {
            let file = checkout.path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            if let Some(at) = at {
                set_time(&file, at);
            }
        }
        let index = checkout.git_dir.join("index");
        for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message=Base"]] {
            run(&git, place(&checkout, &index), arguments).await.unwrap();
        }
        if let Some(at) = at {
            set_time(&index, at);
        }
        copy_index(&File::open(&index).unwrap(), File::create(folder.base_index(0)).unwrap()).unwrap();
        (git, checkout)
    }

    fn set_time(path: &Path, at: SystemTime) {
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    async fn run(git: &Git, place: Place<'_>, arguments: &[&str]) -> Result<String, GitError> {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument as Argument<'_>).collect();
        git.run(place, &arguments, Bounds::LOCAL).await.map(|output| output.text())
    }

    /// The second is held: all is of one time, and git is told not to look at the one that nobody can set.
    #[tokio::test]
    async fn what_is_changed_in_the_second_of_its_checkout_is_seen() {
        let attempt = tempfile::tempdir().unwrap();
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let settings = "[core]\n\ttrustctime = false\n";
        let (git, checkout) = begun(attempt.path(), settings, &[("VERSION", "1.2.3\n")], Some(second)).await;

        let version = checkout.path.join("VERSION");
        fs::write(&version, "1.2.4\n").unwrap();
        set_time(&version, second);
        let own = AttemptFolder::of(attempt.path()).index();
        let place = place(&checkout, &own);
        fresh_index(&git, place, attempt.path(), 0).await.unwrap();
        run(&git, place, &["add", "--all"]).await.unwrap();
        assert_eq!(run(&git, place, &["show", ":VERSION"]).await.unwrap(), "1.2.4");
    }

    #[tokio::test]
    async fn a_fresh_index_is_that_of_the_last_commit_and_of_no_other_while_there_is_one() {
        let attempt = tempfile::tempdir().unwrap();
        let (git, checkout) = begun(attempt.path(), "", &[("a.txt", "a\n"), ("sub/b.txt", "b\n")], None).await;
        let (own, works) = (AttemptFolder::of(attempt.path()).index(), checkout.git_dir.join("index"));
        let (own, works) = (place(&checkout, &own), place(&checkout, &works));
        fs::write(checkout.path.join("sub/b.txt"), "changed\n").unwrap();
        run(&git, works, &["commit", "--quiet", "--all", "--message=Change"]).await.unwrap();
        fresh_index(&git, own, attempt.path(), 0).await.unwrap();
        assert_eq!(run(&git, own, &["show", ":sub/b.txt"]).await.unwrap(), "changed");
        assert_eq!(run(&git, own, &["status", "--porcelain"]).await.unwrap(), "");

        // one that cannot be read is not one that is not there
        let folder = run(&git, works, &["rev-parse", "HEAD:sub"]).await.unwrap();
        fs::remove_file(checkout.git_dir.join("objects").join(&folder[..2]).join(&folder[2..])).unwrap();
        let read = fresh_index(&git, own, attempt.path(), 0).await;
        assert!(matches!(read, Err(GitError::Failed { .. })), "{read:?}");

        run(&git, works, &["symbolic-ref", "HEAD", "refs/heads/none"]).await.unwrap();
        fresh_index(&git, own, attempt.path(), 0).await.unwrap();
        assert_eq!(run(&git, own, &["show", ":sub/b.txt"]).await.unwrap(), "b", "the base commit has to do");
    }
}
