//! Keeps git out of the repositories within one while it finds out what lands, or what is clean.
//!
//! Into each that is in the index and has files, `git add` and `git status` look, and run what its own settings name: in the room in which the index is
//! being written, where a program could put another in its place, with a tree that no check has seen. So the index says where the work has moved them, and
//! they are passed over, as is what lies outside of a sparse checkout. Whether something is changed inside of one is asked last, when nothing is read of
//! the index, or of what lies beside it, that decides anything else.

use std::{fs, os::unix::ffi::OsStrExt, path::PathBuf, pin::pin, time::Duration};

use super::{ALL_REPOSITORIES, Saving, index::paths, link::links, within};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, Git, GitError},
    journal::{Checkout, Entry},
    worktree::is_folder_below,
};

/// What is not committed, as `git status` has it. All of it ends with the time: whatever lies in the worktree may make git wait.
pub(crate) async fn status(
    (git, outside): (&Git, &Git),
    (entry, checkout): (&Entry, &Checkout),
    time: Duration,
) -> Result<String, GitError> {
    let over = git.give_up().child_token();
    let gits = (&git.until(over.clone()), &outside.until(over.clone()));
    let mut asking = pin!(ask(gits, (entry, checkout)));
    if let Ok(said) = tokio::time::timeout(time, &mut asking).await {
        return said;
    }
    over.cancel();
    match asking.await {
        Err(GitError::GivenUp) if !git.give_up().is_cancelled() => Err(GitError::TimedOut(time)),
        said => said,
    }
}

async fn ask((git, outside): (&Git, &Git), (entry, checkout): (&Entry, &Checkout)) -> Result<String, GitError> {
    let index = AttemptFolder::of(&entry.folder).index();
    let links = within::links(&[], &checkout.submodules, 0);
    let saving = Saving::of_work((git, outside), (entry, checkout), &index, &links);
    let staged = saving.begin_index().await?;
    let shut = saving.add_staged(&staged).await?;
    let passed_over = saving.passed_over(&staged, &shut).await?;
    let mut shut = saving.shut_links().await?;
    saving.forget_unseen().await?;
    let arguments: [Argument<'_>; 4] = [&"status", &"--porcelain", &"--untracked-files=normal", ALL_REPOSITORIES];
    let said = git.run(saving.place, &arguments, Bounds::LOCAL).await?;
    let mut lines: Vec<_> = String::from_utf8_lossy(&said.bytes).trim_end().lines().map(str::to_owned).collect();
    // what is around these is set aside where they are saved
    lines.extend(passed_over.iter().map(|path| format!("A  {}", String::from_utf8_lossy(path))));
    if !shut.is_empty() {
        // git would fail at what only looks like one
        let replaced = saving.repositories().await?.replaced;
        shut.retain(|link| !replaced.contains(link));
        saving.open_links(&shut).await?;
        let arguments: [Argument<'_>; 4] = [&"diff-files", &"--name-only", &"-z", ALL_REPOSITORIES];
        let changed = paths(&git.whole(saving.place, &arguments, b"", Bounds::LISTING).await?.bytes);
        let inside = shut.iter().filter(|link| changed.iter().any(|path| path == link.as_os_str().as_bytes()));
        lines.extend(inside.map(|link| format!(" M {}", link.display())));
    }
    Ok(lines.join("\n"))
}

impl Saving<'_> {
    /// Says which. Done again once something was taken in, as that may have been one.
    pub(super) async fn shut_links(&self) -> Result<Vec<PathBuf>, GitError> {
        let listed = self.git.whole(self.place, &[&"ls-files", &"--stage", &"-z"], b"", Bounds::LISTING).await?;
        let (root, mut shut) = (&self.checkout.path, links(&listed.bytes));
        // where there is something else git has nothing to look into, but by a link, which is to be taken in as one
        shut.retain(|path| {
            path.parent().is_some_and(|around| is_folder_below(root, around))
                && fs::symlink_metadata(root.join(path)).is_ok_and(|about| about.is_dir() || about.is_symlink())
        });
        self.change_entries(&"--add", &bytes(&shut)).await?;
        shut.retain(|path| is_folder_below(root, path));
        self.change_entries(&"--skip-worktree", &bytes(&shut)).await?;
        Ok(shut)
    }

    /// From now on a program of the work's may have written the index.
    pub(super) async fn open_links(&self, shut: &[PathBuf]) -> Result<(), GitError> {
        self.change_entries(&"--no-skip-worktree", &bytes(shut)).await
    }
}

fn bytes(paths: &[PathBuf]) -> Vec<&[u8]> {
    paths.iter().map(|path| path.as_os_str().as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use domain::{AttemptId, AttemptKey, Isolation, TaskId};
    use uuid::Uuid;

    use super::*;
    use crate::{git::SETTINGS, worktree};

    #[tokio::test]
    async fn whatever_makes_git_wait_ends_with_the_time() {
        let attempt = tempfile::tempdir().unwrap();
        let folder = AttemptFolder::of(attempt.path());
        folder.make().unwrap();
        let gitconfig = attempt.path().join("gitconfig");
        fs::write(&gitconfig, SETTINGS).unwrap();
        let git = Git::new(gitconfig);
        let checkout =
            Checkout { path: folder.work(), git_dir: folder.git(), base_commit: String::new(), branch: String::new(), submodules: vec![] };
        let entry = Entry {
            attempt: AttemptKey { task_id: TaskId(Uuid::now_v7()), attempt_id: AttemptId(Uuid::now_v7()), number: 1 },
            title: "Tidy up".into(),
            repository: "/srv/app".into(),
            mirror: "/srv/mirror".into(),
            folder: attempt.path().into(),
            worktree: Some(checkout.clone()),
            leader: None,
            boot: String::new(),
            isolation: Isolation::None,
            group: None,
            lfs: false,
            beside: vec![],
            spoken: None,
        };
        fs::write(checkout.path.join("a.txt"), "a\n").unwrap();
        let index = checkout.git_dir.join("index");
        for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message=Base"]] {
            let arguments: Vec<_> = arguments.iter().map(|argument| argument as Argument<'_>).collect();
            git.run(worktree::place(&checkout, &index), &arguments, Bounds::LOCAL).await.unwrap();
        }
        let clean = status((&git, &git), (&entry, &checkout), Bounds::LOCAL.time).await.unwrap();
        assert_eq!(clean, "");

        // before git is asked for the status itself
        let made = std::process::Command::new("mkfifo").arg(checkout.path.join(".gitignore")).status().unwrap();
        assert!(made.success());
        let time = Duration::from_millis(200);
        let asked = tokio::time::timeout(Duration::from_secs(60), status((&git, &git), (&entry, &checkout), time)).await;
        let said = asked.expect("nobody waits for ever");
        assert!(matches!(said, Err(GitError::TimedOut(_))), "{said:?}");
        assert!(!git.give_up().is_cancelled(), "and whoever asked goes on");
    }
}
