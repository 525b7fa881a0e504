//! What the kernel says of this machine: how busy its processors are, its memory, and the disk that the runner works on. Where a container
//! may use less than there is, what counts is what it may use.
//!
//! It is read from `/proc` and `/sys`, so that elsewhere than on Linux only the disk is told.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use domain::runner::reading::{Amount, CpuReading};

/// What was read last, for the next to be told from.
#[derive(Clone)]
pub(super) struct Host {
    /// Of the kernel's files.
    root: PathBuf,
    state_dir: PathBuf,
    before: Option<Times>,
}

/// What had been used of processors at a moment.
#[derive(Clone, Copy)]
struct Times {
    at: Instant,
    /// Ticks of all of the machine's that were used, and all there were.
    used: u64,
    all: u64,
    /// What a container may use, in thousandths of a processor, and the microseconds that it has used.
    own: Option<(u32, u64)>,
}

type Told = (Option<CpuReading>, Option<Amount>, Option<Amount>);

impl Host {
    /// From now on.
    pub async fn new(state_dir: &Path) -> Self {
        Self::below(Path::new("/"), state_dir).await
    }

    async fn below(root: &Path, state_dir: &Path) -> Self {
        let mut host = Self { root: root.to_owned(), state_dir: state_dir.to_owned(), before: None };
        let root = host.root.clone();
        // whatever cannot be read now may be later
        host.before = tokio::task::spawn_blocking(move || times(&root, Instant::now())).await.ok().flatten();
        host
    }

    /// Processors since the last time, memory, and disk.
    pub async fn look(&mut self) -> Told {
        let host = self.clone();
        let Ok((times, told)) = tokio::task::spawn_blocking(move || host.read(Instant::now())).await else { return (None, None, None) };
        self.before = times;
        told
    }

    fn read(&self, now: Instant) -> (Option<Times>, Told) {
        let times = times(&self.root, now);
        let cpu = self.before.zip(times).and_then(|(before, times)| cpu(&self.root, before, times));
        (times, (cpu, memory(&self.root), disk(&self.state_dir)))
    }
}

fn times(root: &Path, at: Instant) -> Option<Times> {
    let stat = fs::read_to_string(root.join("proc/stat")).ok()?;
    let first = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user, nice, system, idle, waiting for a disk, interrupts of two kinds, and what another machine on the same hardware took
    let ticks: Vec<u64> = first.split_whitespace().take(8).map_while(|number| number.parse().ok()).collect();
    let idle: u64 = ticks.get(3..5)?.iter().sum();
    let all: u64 = ticks.iter().sum();
    Some(Times { at, used: all - idle, all, own: processor_limit(root) })
}

/// Of what the container may use when that is less than the machine has.
fn cpu(root: &Path, before: Times, now: Times) -> Option<CpuReading> {
    let stat = fs::read_to_string(root.join("proc/stat")).ok()?;
    let is_one = |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let machine = u32::try_from(stat.lines().filter(is_one).count()).ok()?.checked_mul(1000).filter(|all| *all > 0)?;
    let load_percent = load(root);
    if let (Some((_, then)), Some((millicores, own))) = (before.own, now.own.filter(|(limit, _)| *limit < machine)) {
        let elapsed = u64::try_from(now.at.duration_since(before.at).as_micros()).ok()?;
        let there_was = elapsed.saturating_mul(millicores.into()) / 1000;
        let percent = percent(own.saturating_sub(then), there_was)?;
        return Some(CpuReading { percent, millicores, is_limited: true, load_percent });
    }
    let percent = percent(now.used.saturating_sub(before.used), now.all.saturating_sub(before.all))?;
    Some(CpuReading { percent, millicores: machine, is_limited: false, load_percent })
}

/// Nothing of nothing: no time has passed.
fn percent(used: u64, all: u64) -> Option<u32> {
    let percent = u128::from(used) * 100 / u128::from((all > 0).then_some(all)?);
    Some(u32::try_from(percent).unwrap_or(100).min(100))
}

fn load(root: &Path) -> Option<u32> {
    let text = fs::read_to_string(root.join("proc/loadavg")).ok()?;
    let (whole, part) = text.split_whitespace().next()?.split_once('.')?;
    let part: u32 = part.get(..2)?.parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part)
}

fn memory(root: &Path) -> Option<Amount> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let total = kib("MemTotal")?;
    let limited = memory_limit(root).filter(|limited| limited.total < total);
    Some(limited.unwrap_or(Amount { used: total.saturating_sub(kib("MemAvailable")?), total, is_limited: false }))
}

/// As `df` counts it: what is kept for the system's own user is neither used nor there.
fn disk(state_dir: &Path) -> Option<Amount> {
    let about = rustix::fs::statvfs(state_dir).ok()?;
    let used = about.f_blocks.saturating_sub(about.f_bfree).saturating_mul(about.f_frsize);
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let total = used.saturating_add(free);
    (total > 0).then_some(Amount { used, total, is_limited: false })
}

/// The control group that this process is in, and those around it, as far as they can be seen from here.
fn groups(root: &Path, controller: &str) -> Vec<PathBuf> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mount = root.join("sys/fs/cgroup");
    let mut groups = vec![];
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(own)) = (parts.next(), parts.next()) else { continue };
        // the second version has one tree for all, the first a tree for each
        let tree = match controllers.is_empty() {
            true => mount.clone(),
            false if controllers.split(',').any(|name| name == controller) => mount.join(controller),
            false => continue,
        };
        let own = Path::new(own.trim_start_matches('/'));
        groups.extend(own.ancestors().map(|part| tree.join(part)));
    }
    groups
}

fn number(file: PathBuf) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn entry(file: PathBuf, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

/// The least that any of the groups may use, and what that one uses, without what the kernel would give up at once.
fn memory_limit(root: &Path) -> Option<Amount> {
    const NAMES: [[&str; 3]; 2] =
        [["memory.max", "memory.current", "inactive_file"], ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"]];
    let limit = |group: &PathBuf| {
        NAMES.into_iter().find_map(|[most, used, spare]| {
            let (total, used) = (number(group.join(most))?, number(group.join(used))?);
            let spare = entry(group.join("memory.stat"), spare).unwrap_or(0);
            Some(Amount { used: used.saturating_sub(spare), total, is_limited: true })
        })
    };
    groups(root, "memory").iter().filter_map(limit).min_by_key(|limit| limit.total)
}

/// The least that any of the groups may use, in thousandths of a processor, and the microseconds that it has used.
fn processor_limit(root: &Path) -> Option<(u32, u64)> {
    let limit = |(group, counts): (PathBuf, PathBuf)| {
        let (quota, period) = match fs::read_to_string(group.join("cpu.max")) {
            Ok(text) => {
                let mut parts = text.split_whitespace().map(|part| part.parse::<u64>().ok());
                (parts.next()??, parts.next()??)
            }
            // no limit is -1 there, which is no number here
            Err(_) => (number(group.join("cpu.cfs_quota_us"))?, number(group.join("cpu.cfs_period_us"))?),
        };
        let used = entry(group.join("cpu.stat"), "usage_usec").or_else(|| Some(number(counts.join("cpuacct.usage"))? / 1000))?;
        Some((u32::try_from(quota.checked_mul(1000)?.checked_div(period)?).ok()?, used))
    };
    groups(root, "cpu").into_iter().zip(groups(root, "cpuacct")).filter_map(limit).min_by_key(|(millicores, _)| *millicores)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn with(files: &[(&str, &str)]) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            files.iter().for_each(|(path, text)| machine.write(path, text));
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn host(&self, before: Option<Times>) -> Host {
            Host { root: self.0.path().to_owned(), state_dir: self.0.path().to_owned(), before }
        }
    }

    const MEMINFO: &str = "MemTotal:       8388608 kB\nMemFree:  1 kB\nMemAvailable:   6291456 kB\n";

    fn stat(used: u64, idle: u64) -> String {
        format!("cpu  {used} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 0 0 1\ncpu1 1 0 0 1\ncpu2 1 0 0 1\ncpu3 1 0 0 1\nintr 5\n")
    }

    #[test]
    fn a_machine_is_read_as_a_whole_where_nothing_limits_it() {
        let machine =
            Machine::with(&[("proc/stat", stat(100, 300).as_str()), ("proc/meminfo", MEMINFO), ("proc/loadavg", "1.41 2.31 4.11 2/1 5")]);
        let now = Instant::now();
        let (before, (cpu, memory, disk)) = machine.host(None).read(now);
        assert_eq!(cpu, None, "how busy they are is told of a stretch of time");
        assert_eq!(memory, Some(Amount { used: 2 << 30, total: 8 << 30, is_limited: false }));
        assert!(disk.is_some_and(|disk| disk.total >= disk.used && disk.used > 0), "{disk:?}");
        machine.write("proc/stat", &stat(130, 370));
        let (_, (cpu, ..)) = machine.host(before).read(now + Duration::from_secs(10));
        assert_eq!(cpu, Some(CpuReading { percent: 30, millicores: 4000, is_limited: false, load_percent: Some(141) }));
    }

    #[test]
    fn a_container_counts_what_it_may_use() {
        let machine = Machine::with(&[
            ("proc/stat", stat(100, 300).as_str()),
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/agents/own\n"),
            ("sys/fs/cgroup/agents/own/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/agents/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/agents/cpu.stat", "usage_usec 1000000\nuser_usec 1\n"),
            ("sys/fs/cgroup/agents/own/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/agents/own/memory.current", "805306368\n"),
            ("sys/fs/cgroup/agents/own/memory.stat", "anon 1\ninactive_file 268435456\n"),
            ("sys/fs/cgroup/agents/memory.max", "max\n"),
        ]);
        let now = Instant::now();
        let (before, (_, memory, _)) = machine.host(None).read(now);
        assert_eq!(memory, Some(Amount { used: 512 << 20, total: 1 << 30, is_limited: true }));
        machine.write("proc/stat", &stat(500, 300));
        machine.write("sys/fs/cgroup/agents/cpu.stat", "usage_usec 4000000\n");
        let (_, (cpu, ..)) = machine.host(before).read(now + Duration::from_secs(10));
        assert_eq!(cpu, Some(CpuReading { percent: 20, millicores: 1500, is_limited: true, load_percent: None }));
    }

    #[test]
    fn a_limit_of_the_first_version_counts_as_well_and_one_above_the_machine_does_not() {
        let machine = Machine::with(&[
            ("proc/stat", stat(100, 300).as_str()),
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "5:memory:/\n4:cpu,cpuacct:/gone\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpuacct/cpuacct.usage", "1000000000\n"),
        ]);
        let now = Instant::now();
        let (before, (_, memory, _)) = machine.host(None).read(now);
        assert!(memory.is_some_and(|memory| !memory.is_limited));
        machine.write("sys/fs/cgroup/cpuacct/cpuacct.usage", "6000000000\n");
        let (_, (cpu, ..)) = machine.host(before).read(now + Duration::from_secs(10));
        assert_eq!(cpu.map(|cpu| (cpu.percent, cpu.millicores, cpu.is_limited)), Some((25, 2000, true)));
    }

    #[test]
    fn what_is_not_there_is_not_told() {
        let machine = Machine::with(&[]);
        let (times, (cpu, memory, disk)) = machine.host(None).read(Instant::now());
        assert!(times.is_none() && cpu.is_none() && memory.is_none() && disk.is_some());
        let gone = Host { state_dir: "/no/such/folder".into(), ..machine.host(None) };
        assert_eq!(gone.read(Instant::now()).1.2, None);
    }
}
