//! What lies where in an attempt's folder. In a sandbox the work writes in [`work`](AttemptFolder::work), [`git`](AttemptFolder::git),
//! [its home and `/tmp`](AttemptFolder::home_and_tmp) and [`left`](AttemptFolder::left), and sees the rest not at all or read-only. Worktrees of
//! further repositories lie in [`more`](AttemptFolder::more), and what belongs to each of them [in a folder like this one](AttemptFolder::beside).

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{folders::private_folder, sandbox::Guest};

pub(crate) struct AttemptFolder<'a>(&'a Path);

impl<'a> AttemptFolder<'a> {
    pub fn of(folder: &'a Path) -> Self {
        Self(folder)
    }

    /// Makes it, with all that has to be there before the work begins.
    pub fn make(&self) -> io::Result<()> {
        for folder in [self.work(), self.git(), self.tmp(), self.left(), self.given(), self.index_folder(), self.kept()] {
            private_folder(&folder)?;
        }
        Ok(())
    }

    /// As [`make`](Self::make), for what belongs to a repository beside the first, the worktree of which is `work`.
    pub fn make_beside(&self, work: &Path) -> io::Result<()> {
        for folder in [work.to_owned(), self.git(), self.index_folder(), self.kept()] {
            private_folder(&folder)?;
        }
        Ok(())
    }

    /// The worktrees of the repositories beside the first, each by its name.
    pub fn more(&self) -> PathBuf {
        self.0.join("more")
    }

    /// The worktree of the one of this name.
    pub fn work_beside(&self, name: &str) -> PathBuf {
        self.more().join(name)
    }

    /// What belongs to the one with this number, from 1 on, but for its worktree.
    pub fn beside(&self, number: usize) -> PathBuf {
        self.0.join("beside").join(number.to_string())
    }

    /// The worktree.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Its repository.
    pub fn git(&self) -> PathBuf {
        self.0.join("git")
    }

    /// What a guest takes for its home in a sandbox, and what for `/tmp`. A check's and a judge's are those that nobody else has seen.
    pub fn home_and_tmp(&self, guest: Guest) -> Option<(PathBuf, PathBuf)> {
        match guest {
            Guest::Command | Guest::Agent => Some((self.home(), self.tmp())),
            Guest::Check { round, number } => {
                let own = self.0.join(format!("check-{round}-{number}"));
                Some((own.join("home"), own.join("tmp")))
            }
            Guest::Git { .. } => None,
            Guest::Judge { round, number, .. } => {
                let own = self.of_judge(round, number);
                Some((own.join("home"), own.join("tmp")))
            }
        }
    }

    /// All that a judge has of its own.
    pub fn of_judge(&self, round: i32, number: usize) -> PathBuf {
        self.0.join(format!("judge-{round}-{number}"))
    }

    /// The work's.
    pub fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// What the work leaves for others.
    pub fn left(&self) -> PathBuf {
        self.0.join("left")
    }

    /// What the work is given.
    pub fn given(&self) -> PathBuf {
        self.0.join("given")
    }

    /// Of the runner's own, what git writes in while it looks at the work. Programs that the work has named may run beside it.
    pub fn index_folder(&self) -> PathBuf {
        self.0.join("index")
    }

    /// The index with which the runner looks at the work.
    pub fn index(&self) -> PathBuf {
        self.index_folder().join("index")
    }

    /// Of the runner's own, what no room shows.
    fn kept(&self) -> PathBuf {
        self.0.join("kept")
    }

    /// The index as it was before the work began: of the worktree itself, which is 0, or of the submodule with this number.
    pub fn base_index(&self, number: usize) -> PathBuf {
        self.kept().join(if number == 0 { "index.base".to_owned() } else { format!("index.base.{number}") })
    }

    /// Of the runner's own: what the work has made, each object as its id says; in the worktree itself, which is 0, or in the submodule with this
    /// number. git sees it while it looks, and nobody can change it then.
    pub fn store(&self, number: usize) -> PathBuf {
        self.0.join(if number == 0 { "store".to_owned() } else { format!("store.{number}") })
    }

    /// That one, once what was taken is not to be touched any more.
    pub fn kept_store(&self, number: usize) -> PathBuf {
        self.kept().join(if number == 0 { "store".to_owned() } else { format!("store.{number}") })
    }

    /// When it was first saved, in seconds since 1970.
    pub fn saved_at(&self) -> PathBuf {
        self.kept().join("saved-at")
    }

    /// What is on its way there.
    pub fn taken(&self) -> PathBuf {
        self.kept().join("taken.pack")
    }

    /// The files of what is judged, as a judge reads them.
    pub fn judged(&self) -> PathBuf {
        self.0.join("judged")
    }

    /// The index with which they are written.
    pub fn judged_index(&self) -> PathBuf {
        self.kept().join("judged.index")
    }

    /// Repositories that the work left inside its worktree, or inside that of a submodule.
    pub fn nested(&self, number: usize) -> PathBuf {
        self.kept().join(if number == 0 { "nested".to_owned() } else { format!("nested.{number}") })
    }
}
