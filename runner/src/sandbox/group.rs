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

/// The part of a group that was handed to Muster in which Muster itself is. A name that nobody else gives: a service can be called `muster`.
const OWN: &str = "muster-itself";
/// How the groups of attempts begin, and those that are made to see whether that can be.
pub(super) const ATTEMPT: &str = "attempt-";
pub(super) const TRIAL: &str = "trial-";
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

    /// Removes what an earlier life has left that nobody names any more. Of what still holds processes nothing is touched.
    pub fn clear(&self, named: &[PathBuf]) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_of_a_room = [ATTEMPT, TRIAL].iter().any(|start| name.to_string_lossy().starts_with(start));
            if is_of_a_room && !named.contains(&entry.path()) {
                // the kernel keeps one that is not empty
                let _ = fs::remove_dir(entry.path());
            }
        }
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
    mounted(mounts, inside, |kind, _| kind == "cgroup2")
}

/// The same of version 1, where its controller of memory is.
fn own_path_v1(own: &str, mounts: &str) -> Option<PathBuf> {
    let is_memory = |words: &str| words.split(',').any(|word| word == "memory");
    let inside = own.lines().find_map(|line| {
        let (controllers, inside) = line.split_once(':')?.1.split_once(':')?;
        is_memory(controllers).then_some(inside)
    })?;
    mounted(mounts, inside, |kind, options| kind == "cgroup" && is_memory(options))
}

/// Where something of a file system is that is of this kind and has these options.
fn mounted(mounts: &str, inside: &str, is_it: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = Path::new(inside).strip_prefix(root).ok()?;
        let mut about = after.split(' ');
        is_it(about.next()?, about.nth(1)?).then(|| Path::new(at).join(below))
    })
}

/// The memory that this process may use with others, as its group has it or one around that: less than the machine's, as in containers.
pub(super) fn own_memory() -> Option<u64> {
    let (own, mounts) = (fs::read_to_string("/proc/self/cgroup").ok()?, fs::read_to_string("/proc/self/mountinfo").ok()?);
    let groups = [(own_path(&own, &mounts), "memory.max"), (own_path_v1(&own, &mounts), "memory.limit_in_bytes")];
    groups.into_iter().filter_map(|(path, limit)| least(&path?, limit)).min()
}

/// Of what this file says in a folder and those around it. A word is no limit.
fn least(path: &Path, limit: &str) -> Option<u64> {
    path.ancestors().filter_map(|group| fs::read_to_string(group.join(limit)).ok()?.trim().parse::<u64>().ok()).min()
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
    // one that cannot be seen from here, as in a container, has no number
    listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0).collect()
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
                      33 31 0:30 /x /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let at = |own: &str, mounts: &str| own_path(own, mounts).map(|path| path.display().to_string());
        assert_eq!(at("9:name=systemd:/x\n0::/a/b.service\n", hybrid).as_deref(), Some("/sys/fs/cgroup/unified/a/b.service"));
        let part = "41 31 0:38 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(at("0::/a/b\n", part).as_deref(), Some("/sys/fs/cgroup/b"));
        assert_eq!(at("0::/other\n", part), None, "it is not shown here");
        assert_eq!(at("4:memory:/x\n", hybrid), None);
        let memory = own_path_v1("5:cpu,cpuacct:/x\n4:memory:/x/y\n0::/a\n", hybrid);
        assert_eq!(memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/y")));
        assert_eq!(own_path_v1("5:cpu,cpuacct:/x\n0::/a\n", hybrid), None);
    }

    #[test]
    fn the_least_memory_of_all_groups_around_counts() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(least(&inner, "memory.max"), None);
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(place.path().join("outer/memory.max"), "4096\n").unwrap();
        fs::write(place.path().join("memory.max"), "8192\n").unwrap();
        assert_eq!(least(&inner, "memory.max"), Some(4096));
    }

    const LIMITS: RoomLimits = RoomLimits { memory: Some(4096), processes: Some(64), processors: Some(150), file: Some(1) };
    const ALL: Keeps = Keeps { memory: true, processes: true, processors: true };

    /// A folder with the files of a group, as the kernel would make it.
    fn like_a_group(path: &Path) -> PathBuf {
        fs::create_dir_all(path).unwrap();
        for name in ["memory.max", "memory.swap.max", "pids.max", "cpu.max"] {
            fs::write(path.join(name), "").unwrap();
        }
        path.to_owned()
    }

    #[test]
    fn a_group_is_told_what_it_is_to_keep_and_nothing_beside() {
        let place = tempfile::tempdir().unwrap();
        let base = |keeps| Base { path: place.path().to_owned(), keeps };
        let said = |path: &Path| {
            ["memory.max", "memory.swap.max", "pids.max", "cpu.max"].map(|name| fs::read_to_string(path.join(name)).unwrap_or_default())
        };
        let path = like_a_group(&place.path().join("attempt-1"));
        let group = base(ALL).group("attempt-1", &LIMITS).unwrap();
        assert_eq!((group.path(), said(&path)), (path.as_path(), ["4096", "0", "64", "150000 100000"].map(str::to_owned)));

        let path = like_a_group(&place.path().join("attempt-2"));
        fs::remove_file(path.join("memory.swap.max")).unwrap();
        let none = RoomLimits { processes: None, processors: None, ..LIMITS };
        let _group = base(ALL).group("attempt-2", &none).unwrap();
        assert_eq!(said(&path), ["4096", "", "", ""], "the kernel counts no swap here");

        let path = like_a_group(&place.path().join("attempt-3"));
        let _group = base(Keeps::default()).group("attempt-3", &LIMITS).unwrap();
        assert_eq!(said(&path), ["", "", "", ""]);

        fs::remove_file(path.join("pids.max")).unwrap();
        let why = base(ALL).group("attempt-3", &LIMITS).unwrap_err().to_string();
        assert!(why.starts_with("pids.max of a control group cannot be set: "), "{why}");
    }

    #[test]
    fn a_group_that_nobody_knows_any_more_goes() {
        let place = tempfile::tempdir().unwrap();
        let base = Base { path: place.path().to_owned(), keeps: Keeps::default() };
        let group = base.group("attempt-1", &LIMITS).unwrap();
        assert!(base.place("attempt-1").is_dir());
        drop(group);
        assert!(!base.place("attempt-1").exists());
    }

    #[test]
    fn what_an_earlier_life_has_left_empty_goes_unless_it_is_named() {
        let place = tempfile::tempdir().unwrap();
        let base = Base { path: place.path().to_owned(), keeps: Keeps::default() };
        for name in ["attempt-1", "attempt-2", "attempt-3/holds-something", "trial-1", OWN, "somebody-elses"] {
            fs::create_dir_all(base.place(name)).unwrap();
        }
        base.clear(&[base.place("attempt-2")]);
        let mut left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, ["attempt-2", "attempt-3", OWN, "somebody-elses"]);
    }

    #[test]
    fn what_was_wanted_is_read_where_somebody_counts() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Wanted::of(place.path()), Wanted::default());
        fs::write(place.path().join("memory.events"), "low 0\nhigh 9\nmax 8\noom 3\noom_kill 2\noom_group_kill 7\n").unwrap();
        fs::write(place.path().join("pids.events"), "max 5\n").unwrap();
        assert_eq!(Wanted::of(place.path()), Wanted { ended: 2, memory: 3, processes: 5 });
        fs::write(place.path().join("cgroup.procs"), "0\n42\n0\n7\n").unwrap();
        assert_eq!(inside(place.path()), [42, 7], "what is not seen from here has no number");
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
