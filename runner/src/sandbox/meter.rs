//! What a program in a room uses, with all that came of it. What the attempt's control group keeps, the kernel refuses or ends, and is
//! asked for afterwards; what nobody keeps is looked at from outside every now and then, and whoever looks says when it is too much.

use std::{
    collections::HashMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    group::{Group, Wanted},
    limits::{Overrun, RoomLimits, field},
};
use crate::lock;

/// Between two looks. What happens between them is not seen, so that a limit has to leave the machine some room.
const LOOK: Duration = Duration::from_millis(500);
/// So long a look at all processes is good enough for other rooms as well.
const SHARED: Duration = Duration::from_millis(100);

pub(crate) struct Meter {
    limits: RoomLimits,
    /// The group that keeps some of it, and what was wanted in it before the program began.
    group: Option<(PathBuf, Wanted)>,
    /// What it does not keep.
    watched: Watched,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Watched {
    memory: Option<u64>,
    processes: Option<u64>,
}

impl Meter {
    /// For what runs without a room.
    pub fn off() -> Self {
        let limits = RoomLimits { memory: None, processes: None, processors: None, file: None };
        Self { limits, group: None, watched: Watched::default() }
    }

    pub(super) fn new(limits: &RoomLimits, group: Option<&Group>) -> Self {
        let keeps = group.map(Group::keeps).unwrap_or_default();
        let watched = Watched { memory: limits.memory.filter(|_| !keeps.memory), processes: limits.processes.filter(|_| !keeps.processes) };
        Self { limits: *limits, group: group.map(|group| (group.path().to_owned(), Wanted::of(group.path()))), watched }
    }

    /// Returns when more is used than may be, and nobody else ends it. The leader is the process that was started.
    pub async fn too_much(&self, leader: i32) -> Overrun {
        let watched = self.watched;
        if watched == Watched::default() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = tokio::task::spawn_blocking(move || watched.overrun(leader)).await;
            if let Ok(Some(overrun)) = looked {
                return overrun;
            }
        }
    }

    /// What it has run into, whatever came of that. How it ended says so of a file, whoever looks.
    pub fn run_into(&self, ended: Option<ExitStatus>) -> Option<Overrun> {
        let wanted = self.group.as_ref().and_then(|(path, before)| Wanted::of(path).since(*before, &self.limits));
        wanted.or_else(|| self.limits.file.filter(|_| ended.is_some_and(wrote_too_much)).map(Overrun::File))
    }
}

/// By the signal for that; a shell, and bubblewrap, hand it on as a status.
fn wrote_too_much(ended: ExitStatus) -> bool {
    let signal = Signal::XFSZ.as_raw();
    ended.signal() == Some(signal) || ended.code() == Some(128 + signal)
}

impl Watched {
    fn overrun(self, leader: i32) -> Option<Overrun> {
        let all = everybody();
        let family = family(&all, leader);
        if let Some(most) = self.processes
            && family.iter().map(|process| process.threads).sum::<u64>() > most
        {
            return Some(Overrun::Processes(most));
        }
        let most = self.memory?;
        // what several share is in this once for each of them, and it is quickly read
        if family.iter().map(|process| own_memory(process.pid)).sum::<u64>() <= most {
            return None;
        }
        (family.iter().map(|process| share_of_memory(process.pid)).sum::<u64>() > most).then_some(Overrun::Memory(most))
    }
}

struct Process {
    pid: i32,
    parent: i32,
    threads: u64,
}

/// All processes of the machine, as somebody has found them a moment ago.
fn everybody() -> Arc<[Process]> {
    static LAST: Mutex<Option<(Instant, Arc<[Process]>)>> = Mutex::new(None);
    let mut last = lock(&LAST);
    if let Some((at, found)) = &*last
        && at.elapsed() < SHARED
    {
        return Arc::clone(found);
    }
    let found: Arc<[Process]> = look().into();
    *last = Some((Instant::now(), Arc::clone(&found)));
    found
}

fn look() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// A process and all that came of it: in a room whoever loses their parent gets the room's first process for one.
fn family(all: &[Process], leader: i32) -> Vec<&Process> {
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    let mut found = vec![];
    for process in all {
        match process.pid == leader {
            true => found.push(process),
            false => children.entry(process.parent).or_default().push(process),
        }
    }
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let of_it = children.remove(&process.pid);
        found.extend(of_it.into_iter().flatten());
        next += 1;
    }
    found
}

fn read(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

/// `pid (name) state parent …`; the name may hold anything.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(1);
    Some(Process { pid, parent: fields.next()?.parse().ok()?, threads: fields.nth(15)?.parse().ok()? })
}

/// In memory or swapped out, without what comes from files. What nobody has mapped is in none of these numbers, as files in memory and what
/// waits in pipes.
fn own_memory(pid: i32) -> u64 {
    let about = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ["RssAnon:", "RssShmem:", "VmSwap:"].into_iter().filter_map(|name| field(&about, name)).sum::<u64>() * 1024
}

/// As [`own_memory`], of what several share its part.
fn share_of_memory(pid: i32) -> u64 {
    let about = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let shares = ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"].map(|name| field(&about, name));
    // a kernel that is older than 5.4 does not tell them apart
    let all: Option<u64> = shares.into_iter().sum();
    all.map_or_else(|| own_memory(pid), |kibibytes| kibibytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) 1 (b c) S 7 42 40 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 5 0 136621 3133440 360";
        let process = parse(42, stat).unwrap();
        assert_eq!((process.parent, process.threads), (7, 5));
    }

    #[test]
    fn a_file_that_is_too_large_is_known_by_how_the_program_ended() {
        let limits = RoomLimits { memory: None, processes: None, processors: None, file: Some(1 << 20) };
        let [signal, status, other] = [25, (128 + 25) << 8, 1 << 8].map(ExitStatus::from_raw);
        let said = |meter: &Meter, ended| meter.run_into(Some(ended));
        let room = Meter::new(&limits, None);
        assert_eq!([signal, status].map(|ended| said(&room, ended)), [Some(Overrun::File(1 << 20)); 2]);
        assert_eq!((said(&room, other), room.run_into(None)), (None, None));
        assert_eq!(said(&Meter::off(), signal), None, "it is not the runner's limit");
    }

    #[test]
    fn a_process_is_counted_with_its_children_and_what_it_holds() {
        let held = vec![1_u8; 64 * 1024 * 1024];
        let own = i32::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let all = look();
        let family = family(&all, own);
        assert!(family.iter().any(|process| i64::from(process.pid) == i64::from(child.id())));
        assert!(own_memory(own) >= 64 * 1024 * 1024 && share_of_memory(own) >= 64 * 1024 * 1024);
        let watched = |memory, processes| Watched { memory, processes }.overrun(own);
        assert_eq!(watched(Some(1024 * 1024), None), Some(Overrun::Memory(1024 * 1024)));
        assert_eq!(watched(None, Some(1)), Some(Overrun::Processes(1)));
        assert_eq!(watched(Some(u64::MAX), Some(u64::MAX)), None);
        assert_eq!(held.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 64 * 1024 * 1024);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
