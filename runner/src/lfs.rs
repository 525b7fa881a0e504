//! Git LFS: files that a repository names by their SHA-256, and that are kept beside its history.
//!
//! They are fetched outside of every sandbox into the mirror, with what the runner's machine proves itself with. The worktree gets them where
//! git looks at the work, so that `git-lfs` itself runs in the sandbox and reaches nothing; the attempt's repository finds them in the mirror
//! and puts what is new beside its own objects. From there it is taken over into the mirror: only what commits name, and only what is what
//! its name says. A landing pushes it before the branch, as a branch that names what is not there is of use to nobody.

mod beside;
mod kept;
mod lookalike;

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{Failure, FailureCode};
use tokio_util::sync::CancellationToken;

use crate::{
    disk::on_disk,
    git::{Argument, Bounds, Git, GitError, Place, without_credentials},
    mirror::Refused,
    within,
};

pub(crate) use beside::put_beside;
pub(crate) use kept::clear_drafts;
use kept::{copy, is_kept, is_there, object, replace};
pub(crate) use lookalike::lookalike;

/// For an attempt's repository, as `git lfs install` would write them, and without what git-lfs would write itself.
pub(crate) const SETTINGS: &str = "[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n\
                                   \tprocess = git-lfs filter-process\n\trequired = true\n[lfs]\n\trepositoryformatversion = 0\n";
/// Bytes of the longest file that is taken for a pointer, as git-lfs has it.
const LONGEST_POINTER: u64 = 1024;
/// How one begins.
const BEGINNING: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:";
/// So many are named in one call.
const AT_ONCE: usize = 200;

/// What stands for a file in a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    /// The SHA-256 of the file.
    pub oid: String,
    /// Its bytes.
    pub size: u64,
}

/// Whether the program is on this machine.
pub(crate) async fn is_here(git: &Git, folder: &Path) -> bool {
    // what is played has no programs
    #[cfg(test)]
    if crate::simulation::is_on() {
        return false;
    }
    git.run(Place::Folder(folder), &[&"lfs", &"version"], Bounds::LOOK).await.is_ok()
}

pub(crate) fn missing() -> Refused {
    let message = "the task wants the files of Git LFS, and the program git-lfs is not on this machine";
    Refused::Task(Failure::new(FailureCode::LfsMissing, message))
}

/// Brings what the files of a commit name into the mirror. The caller has its turn.
pub(crate) async fn fetch(git: &Git, mirror: &Path, location: &str, commit: &str) -> Result<(), Refused> {
    let arguments: [Argument<'_>; 4] = [&"lfs", &"fetch", &"origin", &commit];
    match git.run(Place::Repository(mirror), &arguments, Bounds::TRANSFER).await {
        Ok(_) => Ok(()),
        Err(GitError::GivenUp) => Err(Refused::GivenUp),
        Err(error) => {
            let code = if location.starts_with('/') { FailureCode::RepositoryUnavailable } else { FailureCode::RepositoryUnreachable };
            let message = format!("cannot fetch the files of Git LFS of {}: {error}", without_credentials(location));
            Err(Refused::Task(Failure::new(code, message)))
        }
    }
}

/// What an attempt has added.
pub(crate) struct Added {
    /// What its commits name and is in the mirror now.
    pub objects: Vec<Pointer>,
    /// How many they name that are nowhere on this machine.
    pub missing: usize,
}

/// Takes what commits name that the base commit does not from the attempt's repository into the mirror, as far as nothing of it is longer than
/// the work's files may be. The commits are read from one in which every object is what its id says.
pub(crate) async fn keep(
    git: &Git,
    (commits_of, git_dir): (&Path, &Path),
    mirror: &Path,
    commits: &[&str],
    base: &str,
    longest: Option<u64>,
) -> Result<Added, GitError> {
    let named = named(git, commits_of, commits, &[base]).await?;
    let (from, to) = (git_dir.to_owned(), mirror.to_owned());
    until_given_up(git, move |give_up| {
        let mut added = Added { objects: vec![], missing: 0 };
        for one in named {
            match one.is_at_most(longest) && copy(&from, &to, &one, give_up)? {
                true => added.objects.push(one),
                false => added.missing += 1,
            }
        }
        Ok(added)
    })
    .await
}

/// Puts objects of the mirror where git-lfs looks for them in a repository that is a path. Whether it is the runner's own to write to.
pub(crate) async fn deliver(git: &Git, mirror: &Path, repository: &str, objects: Vec<Pointer>) -> Result<bool, GitError> {
    let asked: [Argument<'_>; 3] = [&"rev-parse", &"--path-format=absolute", &"--git-common-dir"];
    let git_dir = PathBuf::from(git.run(Place::Folder(Path::new(repository)), &asked, Bounds::LOCAL).await?.text());
    let from = mirror.to_owned();
    until_given_up(git, move |give_up| {
        // what root would write there its owner could not change, and its owner says where links lead
        if fs::metadata(&git_dir)?.uid() != rustix::process::geteuid().as_raw() {
            return Ok(false);
        }
        objects.iter().try_for_each(|one| copy(&from, &git_dir, one, give_up).map(drop))?;
        Ok(true)
    })
    .await
}

/// Files can be long, and who waits for them may have to end.
async fn until_given_up<T: Send + 'static>(
    git: &Git,
    work: impl FnOnce(&CancellationToken) -> io::Result<T> + Send + 'static,
) -> Result<T, GitError> {
    let give_up = git.give_up().clone();
    let done = on_disk({
        let give_up = give_up.clone();
        move || work(&give_up)
    });
    match done.await {
        Err(_) if give_up.is_cancelled() => Err(GitError::GivenUp),
        done => Ok(done?),
    }
}

/// Pushes what a commit names that the repository did not when it was fetched, in so much time for all of it. What is there by then is there
/// the next time.
pub(crate) async fn push(git: &Git, mirror: &Path, remote: &str, commit: &str, time: Duration) -> Result<(), GitError> {
    let give_up = git.give_up().child_token();
    let until = git.until(give_up.clone());
    match within(time, &give_up, push_all(&until, mirror, remote, commit)).await {
        // nobody has told it to end: its time was over
        Err(GitError::GivenUp) if !git.give_up().is_cancelled() => Err(GitError::TimedOut(time)),
        done => done,
    }
}

async fn push_all(git: &Git, mirror: &Path, remote: &str, commit: &str) -> Result<(), GitError> {
    let objects = named(git, mirror, &[commit], &["--remotes", "--tags"]).await?;
    let here: Vec<_> = objects.into_iter().filter(|one| is_there(mirror, one)).collect();
    if remote.starts_with('/') {
        return deliver(git, mirror, remote, here).await.map(drop);
    }
    for objects in here.chunks(AT_ONCE) {
        let mut arguments: Vec<Argument<'_>> = vec![&"lfs", &"push", &"--object-id", &remote];
        arguments.extend(objects.iter().map(|one| &one.oid as Argument<'_>));
        git.run(Place::Repository(mirror), &arguments, Bounds::TRANSFER).await?;
    }
    Ok(())
}

/// Puts these into the place of what stands for them in these files, which are some that Git LFS keeps. What is in neither of these
/// repositories, is longer than the work's files may be, or is not what its name says, stays as it is. Says which were.
pub(crate) async fn put_in_place(
    git: &Git,
    files: Vec<PathBuf>,
    repositories: [PathBuf; 2],
    objects: BTreeSet<Pointer>,
    longest: Option<u64>,
) -> Result<BTreeSet<Pointer>, GitError> {
    until_given_up(git, move |give_up| {
        let mut put = BTreeSet::new();
        for file in files {
            let Some(one) = pointer(&file)?.filter(|one| objects.contains(one) && one.is_at_most(longest)) else { continue };
            if put_from(&repositories, &file, &one, give_up)? {
                put.insert(one);
            }
        }
        Ok(put)
    })
    .await
}

/// Into this file, from the first of these repositories that has it. Whether it is there now.
fn put_from(repositories: &[PathBuf], file: &Path, one: &Pointer, give_up: &CancellationToken) -> io::Result<bool> {
    for git_dir in repositories {
        if is_kept(git_dir, one) && replace(&object(git_dir, &one.oid), file, one, give_up)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of what commits name, what is pushed with them and is not among what was `shown`: files that one of them adds and the next takes out.
pub(crate) fn unseen(
    named: &BTreeSet<Pointer>,
    shown: &BTreeSet<Pointer>,
    (own, mirror): (&Path, &Path),
    longest: Option<u64>,
) -> Option<Pointer> {
    let is_pushed = |one: &&Pointer| is_there(mirror, one) || one.is_at_most(longest) && is_kept(own, one);
    named.difference(shown).find(is_pushed).cloned()
}

/// What a file stands for, where it stands for anything.
fn pointer(file: &Path) -> io::Result<Option<Pointer>> {
    if fs::symlink_metadata(file)?.len() > LONGEST_POINTER {
        return Ok(None);
    }
    Ok(pointed_to(&fs::read(file)?))
}

/// What commits and trees name, and what is before them does not.
pub(crate) async fn named(git: &Git, git_dir: &Path, commits: &[&str], before: &[&str]) -> Result<BTreeSet<Pointer>, GitError> {
    if commits.is_empty() {
        return Ok(BTreeSet::new());
    }
    let place = Place::Repository(git_dir);
    let mut arguments: Vec<Argument<'_>> = vec![&"rev-list", &"--objects", &"--no-object-names"];
    arguments.extend(commits.iter().map(|commit| commit as Argument<'_>));
    arguments.push(&"--not");
    arguments.extend(before.iter().map(|commit| commit as Argument<'_>));
    let all = git.whole(place, &arguments, b"", Bounds::LISTING).await?.bytes;
    let about: [Argument<'_>; 2] = [&"cat-file", &"--batch-check=%(objecttype) %(objectsize) %(objectname)"];
    let about = git.whole(place, &about, &all, Bounds::LISTING).await?.text();
    let small = about.lines().filter_map(small_file).flat_map(|id| [id, "\n"]).collect::<String>();
    let contents = git.whole(place, &[&"cat-file", &"--batch"], small.as_bytes(), Bounds::LISTING).await?.bytes;
    let contents = each(&contents).ok_or_else(|| io::Error::other("what git has said of files that may be pointers cannot be read"))?;
    Ok(contents.into_iter().filter_map(pointed_to).collect())
}

/// What each object holds, of what `cat-file --batch` says: a line that ends with the size, all of it, and the end of a line.
fn each(mut said: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = vec![];
    while !said.is_empty() {
        let (head, rest) = said.split_at(said.iter().position(|byte| *byte == b'\n')?);
        let size: usize = std::str::from_utf8(head).ok()?.rsplit(' ').next()?.parse().ok()?;
        all.push(rest.get(1..=size)?);
        said = rest.get(size + 2..)?;
    }
    Some(all)
}

/// Its id, of what may be a pointer.
fn small_file(line: &str) -> Option<&str> {
    let mut words = line.split(' ');
    let (kind, size, id) = (words.next()?, words.next()?.parse::<u64>().ok()?, words.next()?);
    (kind == "blob" && size <= LONGEST_POINTER).then_some(id)
}

/// What it stands for, when all of it is a pointer as git-lfs writes them. What only has such a line among others lands as it is, and what git-lfs
/// takes for one all the same is a [`lookalike()`].
fn pointed_to(content: &[u8]) -> Option<Pointer> {
    let rest = std::str::from_utf8(content).ok()?.strip_prefix(BEGINNING)?;
    let (oid, size) = rest.strip_suffix('\n')?.split_once("\nsize ")?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let bytes = size.parse::<u64>().ok().filter(|bytes| bytes.to_string() == size)?;
    (oid.len() == 64 && oid.bytes().all(is_hex)).then(|| Pointer { oid: oid.to_owned(), size: bytes })
}

impl Pointer {
    fn is_at_most(&self, longest: Option<u64>) -> bool {
        longest.is_none_or(|longest| self.size <= longest)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{kept::folder, *};

    pub(super) fn sum(content: &[u8]) -> String {
        Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn put(git_dir: &Path, oid: &str, content: &[u8]) {
        let path = object(git_dir, oid);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn one(oid: &str, size: u64) -> Pointer {
        Pointer { oid: oid.to_owned(), size }
    }

    pub(super) fn copied(from: &Path, to: &Path, one: &Pointer) -> bool {
        copy(from, to, one, &CancellationToken::new()).unwrap()
    }

    pub(super) fn git() -> Git {
        Git::new(PathBuf::new())
    }

    #[tokio::test]
    async fn all_that_is_pushed_has_one_time() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = folder.path().join("mirror");
        fs::create_dir(&mirror).unwrap();
        // git waits for whoever would write it
        let made = std::process::Command::new("mkfifo").arg(mirror.join("HEAD")).status().unwrap();
        assert!(made.success());
        let stop = CancellationToken::new();
        let git = git().until(stop.clone());
        let pushed = async |time| push(&git, &mirror, "https://forge.test/a.git", "0123456789abcdef", time).await;
        let short = Duration::from_millis(100);
        assert!(matches!(pushed(short).await, Err(GitError::TimedOut(time)) if time == short));
        assert!(!stop.is_cancelled(), "the rest of it goes on");
        stop.cancel();
        assert!(matches!(pushed(Duration::from_secs(600)).await, Err(GitError::GivenUp)));
    }

    /// It would be another repository's, which whoever reads the result may not see.
    #[tokio::test]
    async fn a_link_on_the_way_to_a_file_leads_nobody_out() {
        let place = tempfile::tempdir().unwrap();
        let [other, own, mirror] = ["other", "own", "mirror"].map(|name| place.path().join(name));
        let (oid, file) = (sum(b"theirs\n"), place.path().join("file"));
        put(&other, &oid, b"theirs\n");
        let below = ["lfs".to_owned(), "lfs/objects".to_owned(), format!("lfs/objects/{}", &oid[..2]), folder(&oid)];
        for name in below {
            let link = own.join(&name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(other.join(&name), &link).unwrap();
            assert_eq!(fs::read(object(&own, &oid)).unwrap(), b"theirs\n", "without that this shows nothing");
            assert!(!copied(&own, &mirror, &one(&oid, 7)) && !object(&mirror, &oid).exists(), "{name}");
            fs::write(&file, format!("{BEGINNING}{oid}\nsize 7\n")).unwrap();
            let wanted = BTreeSet::from([one(&oid, 7)]);
            let put = put_in_place(&git(), vec![file.clone()], [own.clone(), mirror.clone()], wanted, None).await.unwrap();
            assert_eq!(put, BTreeSet::new(), "{name}");
            assert!(fs::read_to_string(&file).unwrap().starts_with(BEGINNING), "{name}");
            fs::remove_dir_all(&own).unwrap();
        }
    }

    #[tokio::test]
    async fn what_stands_for_something_is_replaced_by_it_where_that_is_wanted() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let [own, mirror] = ["own", "mirror"].map(|name| folder.path().join(name));
        let (new, known, old, long) = (sum(b"new\n"), sum(b"known\n"), sum(b"old\n"), sum(b"longer\n"));
        put(&own, &new, b"new\n");
        put(&own, &known, b"other\n");
        put(&mirror, &known, b"known\n");
        put(&mirror, &old, b"old\n");
        put(&own, &long, b"longer\n");
        let files = ["a.sh", "b", "c", "d", "e"].map(|name| folder.path().join(name));
        let [new, known, old, nowhere, long] = [one(&new, 4), one(&known, 6), one(&old, 4), one(&sum(b"nowhere"), 6), one(&long, 7)];
        for (file, Pointer { oid, size }) in files.iter().zip([&new, &known, &old, &nowhere, &long]) {
            fs::write(file, format!("{BEGINNING}{oid}\nsize {size}\n")).unwrap();
        }
        fs::set_permissions(&files[0], fs::Permissions::from_mode(0o755)).unwrap();
        let (wanted, shown) = (BTreeSet::from([new.clone(), known.clone(), nowhere, long.clone()]), BTreeSet::from([new, known.clone()]));
        let put = put_in_place(&git(), files.to_vec(), [own.clone(), mirror.clone()], wanted.clone(), Some(6)).await.unwrap();
        assert_eq!(put, shown);
        // what is nowhere, or longer than the work's files may be, goes nowhere either
        let unseen = |shown: &BTreeSet<_>, longest| unseen(&wanted, shown, (&own, &mirror), longest);
        assert_eq!((unseen(&shown, Some(6)), unseen(&shown, None)), (None, Some(long)));
        assert_eq!(unseen(&BTreeSet::from([one(&sum(b"new\n"), 4)]), Some(6)), Some(known), "only a commit on the way names it");
        let read = |at: usize| fs::read_to_string(&files[at]).unwrap();
        assert_eq!((read(0), read(1)), ("new\n".to_owned(), "known\n".to_owned()));
        assert!(read(2).contains("oid sha256") && read(3).contains("oid sha256"), "the one was there before, the other is nowhere");
        assert!(read(4).contains("oid sha256"), "the work may have no such file");
        assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_pointer_names_a_hash_and_is_nothing_else() {
        let oid = "0".repeat(64);
        let with = |oid: &str, size: &str| format!("{BEGINNING}{oid}\nsize {size}\n");
        assert_eq!(pointed_to(with(&oid, "12").as_bytes()), Some(one(&oid, 12)));
        let fits = with(&oid, "12");
        for other in [
            with(&format!("{oid}0"), "12"),
            with(&format!("../{}", &oid[3..]), "12"),
            with(&"A".repeat(64), "12"),
            with(&oid, "+12"),
            with(&oid, "012"),
            with(&oid, ""),
            format!("{fits}rm -rf /\n"),
            format!("#!/bin/sh\n{fits}"),
            fits.trim_end().to_owned(),
            fits.replace('\n', "\r\n"),
            format!("echo evil\noid sha256:{oid}\n"),
            oid,
        ] {
            assert_eq!(pointed_to(other.as_bytes()), None, "{other}");
        }
        assert_eq!(small_file("blob 130 abc"), Some("abc"));
        assert_eq!([small_file("tree 130 abc"), small_file("blob 1025 abc"), small_file("abc missing")], [None; 3]);
    }

    #[test]
    fn each_object_is_read_by_itself_and_to_its_end() {
        let (oid, other) = ("0".repeat(64), "1".repeat(64));
        let (pointer, script) = (format!("{BEGINNING}{oid}\nsize 6\n"), format!("echo\n{BEGINNING}{other}\nsize 6\n"));
        let object = |content: &str| format!("abc blob {}\n{content}\n", content.len());
        // one that ends as a pointer begins makes none of what comes behind it
        let said = [object(&script), object(""), object("version 1"), object(&pointer)].concat();
        let contents = each(said.as_bytes()).unwrap();
        assert_eq!(contents, [script.as_bytes(), b"", b"version 1", pointer.as_bytes()]);
        assert_eq!(contents.into_iter().filter_map(pointed_to).collect::<Vec<_>>(), [one(&oid, 6)]);
        assert_eq!(each(&said.as_bytes()[..said.len() - 2]), None, "what is cut is nothing");
        assert_eq!(each(b"abc missing\n"), None);
    }
}
