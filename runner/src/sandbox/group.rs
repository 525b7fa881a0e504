//! The control group of an attempt: what everything in its rooms uses together is kept below its limits by the kernel, counted, and ended
//! at once.
//!
//! Only version 2 is spoken, below a group that was handed to Muster ([`Groups`]). As no group of which others are made may hold
//! processes of its own, the runner itself moves into a part of it first ([`OWN`]).

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::Instant};

use super::limits::{Overrun, RoomLimits, field};

/// Where rooms get control groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Groups {
    /// Nowhere: what they use is looked at from outside.
    None,
    /// Below the runner's own, which was handed to it; as [`None`](Self::None) where that cannot be.
    Own,
    /// Below this one. Where that cannot be, there are no rooms.
    At(PathBuf),
}

/// The part of a group that was handed to Muster in which Muster itself is.
const OWN: &str = "muster";
/// Looks until nothing joins the group any more that is to be left.
const LOOKS: usize = 100;
/// Between two attempts to remove a group whose processes end.
const LOOK: Duration = Duration::from_millis(5);
/// What a share of the processors is counted by, in microseconds.
const PERIOD: u64 = 100_000;

/// A group below which groups are made.
#[derive(Clone, Debug)]
pub(super) struct Base {
    path: PathBuf,
    keeps: Keeps,
}

/// What the groups below it keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keeps {
    pub memory: bool,
    pub processes: bool,
    pub processors: bool,
}

impl Base {
    /// Nothing when there is to be none.
    pub fn find(groups: &Groups) -> io::Result<Option<Self>> {
        match groups {
            Groups::None => Ok(None),
            Groups::Own => Self::at(&own_group()?).map(Some),
            Groups::At(path) => {
                let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                Self::at(path).map(Some).map_err(about)
            }
        }
    }

    fn at(path: &Path) -> io::Result<Self> {
        let there = fs::read_to_string(path.join("cgroup.controllers"));
        let there = there.map_err(|error| io::Error::new(error.kind(), format!("it is no control group of version 2: {error}")))?;
        for controller in ["memory", "pids", "cpu"].into_iter().filter(|name| has(&there, name)) {
            // what is not let go of is kept in another way
            let _ = put(&path.join("cgroup.subtree_control"), &format!("+{controller}"));
        }
        let below = fs::read_to_string(path.join("cgroup.subtree_control"))?;
        let keeps = Keeps { memory: has(&below, "memory"), processes: has(&below, "pids"), processors: has(&below, "cpu") };
        Ok(Self { path: path.to_owned(), keeps })
    }

    pub fn keeps(&self) -> Keeps {
        self.keeps
    }

    /// Where the one with this name is.
    pub fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// One with this name, whether it is there already or not.
    pub fn group(&self, name: &str, limits: &RoomLimits) -> io::Result<Group> {
        let group = Group { path: self.place(name), keeps: self.keeps };
        match fs::create_dir(&group.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Some(most) = limits.memory.filter(|_| self.keeps.memory) {
            group.set("memory.max", &most.to_string())?;
            match group.set("memory.swap.max", "0") {
                // the kernel does not count it, so that there is none
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if let Some(most) = limits.processes.filter(|_| self.keeps.processes) {
            group.set("pids.max", &most.to_string())?;
        }
        if let Some(hundredths) = limits.processors.filter(|_| self.keeps.processors) {
            group.set("cpu.max", &format!("{} {PERIOD}", hundredths * PERIOD / 100))?;
        }
        Ok(group)
    }
}

/// Into a file that there is.
fn put(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

fn has(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

/// The group that this process was started in, without processes of its own from now on.
fn own_group() -> io::Result<PathBuf> {
    let (own, mounts) = (fs::read_to_string("/proc/self/cgroup")?, fs::read_to_string("/proc/self/mountinfo")?);
    let own = own_path(&own, &mounts).ok_or_else(|| io::Error::other("this process is in no control group of version 2"))?;
    // an earlier look has moved it
    let path = if own.ends_with(OWN) { own.parent().unwrap_or(&own).to_owned() } else { own };
    if !path.join("cgroup.events").exists() {
        return Err(io::Error::other("this process is in the group of all groups, which is not Muster's to divide"));
    }
    let part = path.join(OWN);
    match fs::create_dir(&part) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for _ in 0..LOOKS {
        let inside = fs::read_to_string(path.join("cgroup.procs"))?;
        if inside.trim().is_empty() {
            return Ok(path);
        }
        for process in inside.lines() {
            match put(&part.join("cgroup.procs"), process) {
                // it has ended meanwhile
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                other => other?,
            }
        }
    }
    Err(io::Error::other("processes keep joining its control group"))
}

/// Where the group of version 2 is that a process says to be in, by what is mounted where.
fn own_path(own: &str, mounts: &str) -> Option<PathBuf> {
    let inside = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = Path::new(inside).strip_prefix(root).ok()?;
        (after.split(' ').next()? == "cgroup2").then(|| Path::new(at).join(below))
    })
}

/// One attempt's. When nobody knows it any more, everything in it ends, and it goes.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    keeps: Keeps,
}

/// How often something in a group has wanted too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Ended by the kernel, as there was no memory left for it.
    ended: u64,
    /// The times that all of the memory was used.
    memory: u64,
    processes: u64,
}

impl Group {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keeps(&self) -> Keeps {
        self.keeps
    }

    fn set(&self, name: &str, value: &str) -> io::Result<()> {
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{name} of a control group cannot be set: {error}"));
        put(&self.path.join(name), value).map_err(about)
    }

    /// A call of this program from inside: who starts it is in the group before anything of it is, and whatever it starts.
    pub(super) fn call(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo 0 > "$0" && exec "$@""#]).arg(self.path.join("cgroup.procs")).arg(program);
        command
    }
}

impl Wanted {
    /// Nothing where nobody counts.
    pub fn of(group: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(group.join(name)).unwrap_or_default();
        let (memory, processes) = (read("memory.events"), read("pids.events"));
        let number = |text: &str, name: &str| field(text, name).unwrap_or_default();
        Self { ended: number(&memory, "oom_kill "), memory: number(&memory, "oom "), processes: number(&processes, "max ") }
    }

    /// What was run into since then. That the machine has no memory left is not the room's limit.
    pub fn since(self, before: Self, limits: &RoomLimits) -> Option<Overrun> {
        let memory = (self.ended > before.ended && self.memory > before.memory).then_some(limits.memory).flatten().map(Overrun::Memory);
        memory.or_else(|| (self.processes > before.processes).then_some(limits.processes).flatten().map(Overrun::Processes))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        end(&self.path);
        // what takes longer to end is found by the journal
        let _ = fs::remove_dir(&self.path);
    }
}

/// Ends everything in a group at once; a kernel that is older than 5.14 does not know how.
pub(crate) fn end(path: &Path) {
    let _ = put(&path.join("cgroup.kill"), "1");
}

/// The processes in a group.
pub(crate) fn inside(path: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Until it is gone, with everything in it; an error when that takes longer.
pub(crate) async fn remove(path: &Path, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        end(path);
        match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(LOOK).await,
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_below_whatever_is_mounted() {
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let at = |own: &str, mounts: &str| own_path(own, mounts).map(|path| path.display().to_string());
        assert_eq!(at("9:name=systemd:/x\n0::/a/b.service\n", hybrid).as_deref(), Some("/sys/fs/cgroup/unified/a/b.service"));
        let part = "41 31 0:38 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(at("0::/a/b\n", part).as_deref(), Some("/sys/fs/cgroup/b"));
        assert_eq!(at("0::/other\n", part), None, "it is not shown here");
        assert_eq!(at("4:memory:/x\n", hybrid), None);
    }

    #[test]
    fn what_was_wanted_before_is_not_wanted_again() {
        let limits = RoomLimits { memory: Some(1), processes: Some(2), processors: None, file: None };
        let before = Wanted { ended: 1, memory: 1, processes: 1 };
        assert_eq!(before.since(before, &limits), None);
        assert_eq!(Wanted { memory: 2, ..before }.since(before, &limits), None, "all were waited for");
        assert_eq!(Wanted { ended: 2, ..before }.since(before, &limits), None, "the machine's, and not the room's");
        assert_eq!(Wanted { ended: 2, memory: 2, ..before }.since(before, &limits), Some(Overrun::Memory(1)));
        assert_eq!(Wanted { processes: 2, ..before }.since(before, &limits), Some(Overrun::Processes(2)));
    }
}
