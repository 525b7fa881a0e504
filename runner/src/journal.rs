//! What the runner has to clear up if it dies: one small file for each attempt, written before the server is told that it is here and removed
//! when its report is stored. What was said about the attempt is in the [`outbox`](crate::outbox).

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use domain::{AttemptId, AttemptKey, Isolation, crash};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{
    attempt::folder::AttemptFolder,
    disk::on_disk,
    interrupted::Spoken,
    process::{Leader, Trace, boot},
    submodule::Submodule,
};

/// How the extension of a file begins that is not complete.
const UNFINISHED: &str = "unfinished";
/// The extension of one that is set aside.
pub(crate) const UNREADABLE: &str = "unreadable";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub attempt: AttemptKey,
    pub title: String,
    /// Where the repository is, and the runner's mirror of it.
    pub repository: String,
    pub mirror: PathBuf,
    /// Everything of the attempt lies below it.
    pub folder: PathBuf,
    /// Absent until there is one; nothing has been done before.
    pub worktree: Option<Checkout>,
    /// The first process of the work, once it runs.
    pub leader: Option<Leader>,
    /// Which start of the machine the process numbers belong to.
    pub boot: String,
    /// How it runs. What an older runner has written down ran as its user.
    #[serde(default = "without_a_sandbox")]
    pub isolation: Isolation,
    /// The control group of what runs in its rooms.
    #[serde(default)]
    pub group: Option<PathBuf>,
    /// Git LFS keeps files for it, which the work is given.
    #[serde(default)]
    pub lfs: bool,
    /// The repositories beside the first, in the order of the assignment.
    #[serde(default)]
    pub beside: Vec<Beside>,
    /// How it speaks with its agent, once that has a session.
    #[serde(default)]
    pub spoken: Option<Spoken>,
}

/// A repository of an attempt beside its first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// What its worktree is called.
    pub name: String,
    pub repository: String,
    pub mirror: PathBuf,
    pub worktree: Option<Checkout>,
}

/// One repository of an attempt, as if the attempt had no other: what Muster keeps for it lies in a folder of its own.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What its worktree is called; absent for the first.
    pub name: Option<String>,
    pub entry: Entry,
    /// Where its worktree is, or is to be.
    pub work: PathBuf,
}

impl Part {
    /// For messages: which repository it is about, where there are others.
    pub fn says(&self, message: &str) -> String {
        self.name.as_ref().map_or_else(|| message.to_owned(), |name| format!("{name}: {message}"))
    }
}

fn without_a_sandbox() -> Isolation {
    Isolation::None
}

impl Entry {
    /// Its repositories, the first one first.
    pub fn parts(&self) -> Vec<Part> {
        let folder = AttemptFolder::of(&self.folder);
        let first = Part { name: None, entry: Self { beside: vec![], ..self.clone() }, work: folder.work() };
        let beside = self.beside.iter().enumerate().map(|(index, one)| Part {
            name: Some(one.name.clone()),
            entry: Self {
                repository: one.repository.clone(),
                mirror: one.mirror.clone(),
                folder: folder.beside(index + 1),
                worktree: one.worktree.clone(),
                beside: vec![],
                ..self.clone()
            },
            work: folder.work_beside(&one.name),
        });
        std::iter::once(first).chain(beside).collect()
    }

    /// Notes where the worktrees of its parts are, in their order.
    pub fn keep(&mut self, checkouts: Vec<Checkout>) {
        let mut checkouts = checkouts.into_iter();
        self.worktree = checkouts.next();
        for one in &mut self.beside {
            one.worktree = checkouts.next();
        }
    }

    /// What the attempt's processes have in common. Of an earlier start of the machine none are left.
    pub fn trace(&self) -> Trace {
        Trace {
            attempt: self.attempt.attempt_id.to_string(),
            folder: self.folder.clone(),
            leader: self.leader.filter(|_| self.boot == boot()),
            of_this_life: false,
            in_sandbox: self.isolation == Isolation::Sandbox,
            group: self.group.clone(),
        }
    }
}

/// A worktree, as far as it takes to save what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkout {
    pub path: PathBuf,
    /// The attempt's own repository.
    pub git_dir: PathBuf,
    pub base_commit: String,
    pub branch: String,
    #[serde(default)]
    pub submodules: Vec<Submodule>,
}

#[derive(Clone)]
pub(crate) struct Journal {
    folder: PathBuf,
}

impl Journal {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// On return the entry survives a crash of the machine.
    pub async fn write(&self, entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(entry)?;
        let path = self.path(entry.attempt.attempt_id);
        crash::point("journal.before");
        on_disk(move || replace(&path, &text)).await?;
        crash::point("journal.after");
        Ok(())
    }

    /// A file that stays by mistake costs one superfluous `lost`, which the server knows to ignore.
    pub async fn remove(&self, id: AttemptId) {
        let path = self.path(id);
        let file = path.clone();
        match on_disk(move || fs::remove_file(file)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => warn!("Could not remove {}: {error}", path.display()),
            _ => {}
        }
    }

    pub async fn read(&self, id: AttemptId) -> Option<Entry> {
        let path = self.path(id);
        let text = on_disk(move || fs::read(path)).await.ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Everything that earlier lives have left. A file that cannot be read is set aside, so that a person can look at it.
    pub async fn entries(&self) -> Vec<Entry> {
        let folder = self.folder.clone();
        on_disk(move || Ok(read_all(&folder))).await.unwrap_or_default()
    }

    /// Whether nothing of the attempt with this name is here, readable or not. A folder that does not say has forgotten nothing.
    pub fn has_forgotten(&self, name: &OsStr) -> bool {
        let is_gone = |extension| matches!(self.folder.join(name).with_extension(extension).try_exists(), Ok(false));
        ["json", UNREADABLE].into_iter().all(is_gone)
    }

    fn path(&self, id: AttemptId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// Writes a file so that at any moment either the old or the new content is there.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // Several may write the same file at once; the last one counts.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let fresh = path.with_extension(format!("{UNFINISHED}{}", WRITES.fetch_add(1, Ordering::Relaxed)));
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn read_all(folder: &Path) -> Vec<Entry> {
    let Ok(files) = fs::read_dir(folder) else { return vec![] };
    let mut entries = vec![];
    for path in files.flatten().map(|file| file.path()) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => entries.extend(read_or_set_aside(&path)),
            // Written when the runner died; what it was to replace is still there.
            Some(extension) if extension.starts_with(UNFINISHED) => drop(fs::remove_file(&path)),
            _ => {}
        }
    }
    // in the order in which they were given, whatever the folder's is
    entries.sort_by_key(|entry| entry.attempt.attempt_id);
    entries
}

fn read_or_set_aside(path: &Path) -> Option<Entry> {
    let text = fs::read(path).ok()?;
    match serde_json::from_slice(&text) {
        Ok(entry) => Some(entry),
        Err(error) => {
            let aside = path.with_extension(UNREADABLE);
            warn!("The journal's {} cannot be read ({error}); it is now {}", path.display(), aside.display());
            // Failing that it is found again at the next start.
            let _ = fs::rename(path, &aside);
            None
        }
    }
}
