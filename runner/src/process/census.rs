//! Finds the processes of an attempt, and signals them.
//!
//! On Linux a process counts as the attempt's when it is in the leader's session or process group, descends from one that counts,
//! carries the attempt's mark in its environment, stands in the attempt's folder without a terminal, or is in the attempt's control
//! group. Together they find what left the session (`setsid`), what lost its parent (double fork) and what dropped its environment
//! (`env -i`). A process that did all three and moved away is not found without a control group; that takes a namespace. Elsewhere the
//! process group has to do.

use rustix::process::{Pid, Signal, kill_process_group};

use super::Trace;
use crate::sandbox::group;

/// Their numbers. Zombies do not count: nothing of them runs.
pub(crate) async fn take(trace: &Trace) -> Vec<i32> {
    let trace = trace.clone();
    let found = tokio::task::spawn_blocking(move || platform::find(&trace)).await;
    found.unwrap_or_default().iter().map(|process| process.pid).collect()
}

/// The same without the sandbox itself.
pub(crate) async fn take_inside(trace: &Trace) -> Vec<i32> {
    let trace = trace.clone();
    let found = tokio::task::spawn_blocking(move || platform::split(platform::find(&trace), &trace).1);
    found.await.unwrap_or_default().iter().map(|process| process.pid).collect()
}

/// To the leader's group as a whole, and to each process that is not in it. A sandbox ends with the first of what runs in it, and all
/// the rest at once with that: so that a signal that asks to end leaves everybody their time, it is held open first.
pub(crate) async fn signal(trace: &Trace, signal: Signal) {
    let trace = trace.clone();
    let done = tokio::task::spawn_blocking(move || {
        if signal == Signal::KILL
            && let Some(group) = &trace.group
        {
            group::end(group);
        }
        let found = platform::find(&trace);
        if trace.in_sandbox && signal != Signal::KILL {
            let (sandbox, inside) = platform::split(found, &trace);
            sandbox.iter().for_each(|process| platform::signal(process, Signal::STOP));
            inside.iter().for_each(|process| platform::signal(process, signal));
            return;
        }
        // As long as one of them is in it, the group is still the attempt's.
        let group = trace.leader.map(|leader| leader.pid).filter(|group| found.iter().any(|process| process.group == *group));
        if let Some(group) = group.and_then(Pid::from_raw) {
            // Whoever is gone meanwhile needs no signal.
            let _ = kill_process_group(group, signal);
        }
        for process in found.iter().filter(|process| Some(process.group) != group) {
            platform::signal(process, signal);
        }
    });
    // The next census tells what came of it.
    let _ = done.await;
}

pub(crate) use platform::{boot, start_of};

#[cfg(target_os = "linux")]
mod platform {
    use std::{
        collections::HashSet,
        fs,
        path::{Path, PathBuf},
    };

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use crate::{
        process::{Leader, MARKER, Trace},
        sandbox::group,
    };

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Process {
        pub pid: i32,
        pub parent: i32,
        pub group: i32,
        pub session: i32,
        pub terminal: i32,
        pub start: u64,
        pub alive: bool,
    }

    /// Names this start of the machine.
    pub fn boot() -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    }

    /// 0 when there is no such process.
    pub fn start_of(pid: i32) -> u64 {
        read(pid).map_or(0, |process| process.start)
    }

    pub fn find(trace: &Trace) -> Vec<Process> {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let all = everything(own);
        let session = trace.leader.filter(|leader| is_still_its(*leader, trace, &all));
        // Only what started later can have come of it.
        let since = trace.leader.map_or(0, |leader| leader.start);
        let marked = |process: &Process| process.start >= since && (carries_mark(process.pid, trace) || stands_in(process, &trace.folder));
        let in_session = |process: &Process| session.is_some_and(|leader| process.session == leader.pid || process.group == leader.pid);
        let grouped: HashSet<i32> = trace.group.iter().flat_map(|path| group::inside(path)).collect();
        let is_its = |process: &Process| grouped.contains(&process.pid) || in_session(process) || marked(process);
        let mut found: HashSet<i32> = all.iter().filter(|process| is_its(process)).map(|process| process.pid).collect();
        loop {
            let more: Vec<_> =
                all.iter().filter(|process| found.contains(&process.parent) && !found.contains(&process.pid)).map(|p| p.pid).collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        all.into_iter().filter(|process| process.alive && found.contains(&process.pid)).collect()
    }

    /// Whether a session with this number is the attempt's. A number is used again only when nothing is left of its session, so
    /// another process with it, or an earlier life's leader that is gone, proves nothing any more.
    fn is_still_its(leader: Leader, trace: &Trace, all: &[Process]) -> bool {
        match all.iter().find(|process| process.pid == leader.pid) {
            Some(process) => process.start == leader.start,
            None => trace.of_this_life,
        }
    }

    /// Every process but this one, and the kernel's.
    fn everything(own: i32) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid != own).filter_map(read).filter(|process| process.pid > 2 && process.parent != 2).collect()
    }

    fn read(pid: i32) -> Option<Process> {
        parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (name) state parent group session terminal …`; the name may hold anything.
    pub(super) fn parse(pid: i32, stat: &str) -> Option<Process> {
        let fields: Vec<_> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<i32>().ok();
        // A leader whose other threads run on shows as a zombie.
        let alive = !matches!(*fields.first()?, "Z" | "X") || number(17)? > 1;
        let start = fields.get(19)?.parse().ok()?;
        Some(Process { pid, parent: number(1)?, group: number(2)?, session: number(3)?, terminal: number(4)?, start, alive })
    }

    /// What makes the sandbox, and what runs in it. The leader watches from outside; its child is the first process inside, which takes in
    /// those that lose their parents.
    pub fn split(found: Vec<Process>, trace: &Trace) -> (Vec<Process>, Vec<Process>) {
        let is_the_sandbox =
            |process: &Process| trace.leader.is_some_and(|leader| process.pid == leader.pid || process.parent == leader.pid);
        found.into_iter().partition(is_the_sandbox)
    }

    fn carries_mark(pid: i32, trace: &Trace) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        let mark = format!("{MARKER}={}", trace.attempt);
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    }

    /// A person who looks around in the folder does so from a terminal.
    fn stands_in(process: &Process, folder: &Path) -> bool {
        process.terminal == 0 && fs::read_link(format!("/proc/{}/cwd", process.pid)).is_ok_and(|cwd: PathBuf| cwd.starts_with(folder))
    }

    /// Only if the number still means that process.
    pub fn signal(process: &Process, signal: Signal) {
        let Some(pid) = Pid::from_raw(process.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if start_of(process.pid) == process.start {
            // It may have ended by itself.
            let _ = pidfd_send_signal(handle, signal);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use rustix::process::{Pid, Signal, test_kill_process_group};

    use crate::process::Trace;

    pub struct Process {
        pub pid: i32,
        pub group: i32,
    }

    pub fn boot() -> String {
        String::new()
    }

    pub fn start_of(_: i32) -> u64 {
        0
    }

    /// The group stands for all of it. An earlier life's is left alone, as its number may mean something else by now.
    pub fn find(trace: &Trace) -> Vec<Process> {
        let leader = trace.leader.filter(|_| trace.of_this_life);
        let group = leader.filter(|leader| Pid::from_raw(leader.pid).is_some_and(|group| test_kill_process_group(group).is_ok()));
        group.into_iter().map(|leader| Process { pid: leader.pid, group: leader.pid }).collect()
    }

    pub fn signal(_: &Process, _: Signal) {}

    /// There are no sandboxes.
    pub fn split(found: Vec<Process>, _: &Trace) -> (Vec<Process>, Vec<Process>) {
        (vec![], found)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::PathBuf;

    use super::{platform::parse, *};
    use crate::process::Leader;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) b (c) S 7 42 40 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 136621 3133440 360";
        let process = parse(42, stat).unwrap();
        assert_eq!((process.parent, process.group, process.session, process.start, process.alive), (7, 42, 40, 136_621, true));
        assert!(!parse(42, &stat.replace(" S ", " Z ")).unwrap().alive);
        assert_eq!(parse(42, "42 (a"), None);
    }

    #[tokio::test]
    async fn a_number_that_means_another_process_by_now_finds_nothing() {
        let init = Leader { pid: 1, start: u64::MAX };
        let trace = Trace {
            attempt: "nobody".into(),
            folder: PathBuf::from("/nonexistent"),
            leader: Some(init),
            of_this_life: true,
            in_sandbox: false,
            group: None,
        };
        assert_eq!(take(&trace).await, Vec::<i32>::new());
    }
}
