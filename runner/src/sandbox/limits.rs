//! How much of the machine a room may use, and what is said when it wanted more.
//!
//! The kernel counts some of it for each process or for the runner's user ([`arguments`]). What everything in a room uses together is kept
//! by a control group ([`super::group`]) where there is one, and else looked at from outside ([`super::meter`]).

use std::{fmt, fs};

use domain::runner::rooms::size_in_words;
use rustix::process::{Resource, Rlimit, getrlimit};

use super::group;

/// What everything of an attempt may use at one time. Nothing is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes, threads included.
    pub processes: Option<u64>,
    /// Hundredths of a processor.
    pub processors: Option<u64>,
    /// Bytes of one file.
    pub file: Option<u64>,
}

/// Half of the memory that there is for the runner, so that what asks for more than that does not take the runner along; a file that is larger
/// is nobody's result.
impl Default for RoomLimits {
    fn default() -> Self {
        Self { memory: half_of_the_memory(), processes: Some(USERS_PROCESSES), processors: None, file: Some(32 * GIB) }
    }
}

impl RoomLimits {
    /// For the runner's own git, which saves what was done however little the work may use. It holds what is usual all the same: what git reads
    /// may be made to be too much.
    pub(super) fn for_git(&self) -> Self {
        let usual = Self::default();
        let wider = |limit: Option<u64>, usual: Option<u64>| limit.map(|most| most.max(usual.unwrap_or(most)));
        Self { memory: wider(self.memory, usual.memory), processes: wider(self.processes, usual.processes), processors: None, file: None }
    }
}

const GIB: u64 = 1024 * 1024 * 1024;
/// Of the runner's user, threads included; root's are not counted. It is for all rooms together, so that it is no smaller when one room
/// may have fewer.
const USERS_PROCESSES: u64 = 4096;
/// Open files of one process. A limit that is lower already stays.
const OPEN_FILES: u64 = 65_536;

/// Of the machine's, or of what the runner's own group may use of it. Nothing where the machine does not say how much there is.
fn half_of_the_memory() -> Option<u64> {
    let about = fs::read_to_string("/proc/meminfo").ok()?;
    let all = field(&about, "MemTotal:")? * 1024;
    Some(group::own_memory().map_or(all, |own| own.min(all)) / 2)
}

/// The number behind a name, as in files of the kernel's.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// As arguments of prlimit. A limit that is lower already cannot be raised.
pub(super) fn arguments(limits: &RoomLimits) -> Vec<String> {
    let lowest = |most: u64, now: Option<u64>| now.map_or(most, |now| now.min(most));
    let fixed = |name: &str, resource, most: Option<u64>| {
        let most = lowest(most?, getrlimit(resource).maximum);
        Some(format!("--{name}={most}:{most}"))
    };
    // how many a program may open without asking stays as it is: some are lost when it is more than they know
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let open = lowest(OPEN_FILES, maximum);
    // 1 means none for those as well that the kernel would hand to a program
    let mut all = vec!["--core=1:1".into(), format!("--nofile={}:{open}", lowest(open, current))];
    all.extend(fixed("fsize", Resource::Fsize, limits.file));
    all.extend(fixed("nproc", Resource::Nproc, limits.processes.map(|most| most.max(USERS_PROCESSES))));
    all
}

/// What a room wanted more of than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overrun {
    Memory(u64),
    Processes(u64),
    File(u64),
}

/// Goes on after who did it.
impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(most) => write!(f, "used more than {} of memory (the runner's MUSTER_SANDBOX_MEMORY)", size_in_words(*most)),
            Self::Processes(most) => write!(f, "wanted more than {most} processes and threads (the runner's MUSTER_SANDBOX_PROCESSES)"),
            Self::File(most) => write!(f, "wrote more than {} to one file (the runner's MUSTER_SANDBOX_FILE_SIZE)", size_in_words(*most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_may_have_few_processes_leaves_the_users_others_alone() {
        let limits = RoomLimits { memory: None, processes: Some(10), processors: None, file: None };
        let own = getrlimit(Resource::Nproc).maximum.map_or(USERS_PROCESSES, |maximum| maximum.min(USERS_PROCESSES));
        let said = arguments(&limits);
        assert!(said.contains(&format!("--nproc={own}:{own}")), "{said:?}");
        assert!(!said.iter().any(|argument| argument.starts_with("--fsize")), "{said:?}");
        assert!(!arguments(&RoomLimits { processes: None, ..limits }).iter().any(|argument| argument.starts_with("--nproc")));
    }

    #[test]
    fn git_has_no_less_than_is_usual() {
        let (few, usual) =
            (RoomLimits { memory: Some(1), processes: Some(10), processors: Some(50), file: Some(1) }, RoomLimits::default());
        let git = few.for_git();
        assert_eq!((git.memory.max(usual.memory), git.processes, git.processors, git.file), (git.memory, usual.processes, None, None));
        let many = RoomLimits { memory: Some(u64::MAX), processes: None, ..few }.for_git();
        assert_eq!((many.memory, many.processes), (Some(u64::MAX), None));
    }

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let about = "MemTotal:       24684096 kB\nMemFree:  1 kB\noom 3\noom_kill 2\n";
        assert_eq!([field(about, "MemTotal:"), field(about, "oom_kill "), field(about, "oom ")], [Some(24_684_096), Some(2), Some(3)]);
        assert_eq!(field(about, "SwapTotal:"), None);
    }
}
