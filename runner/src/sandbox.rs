//! The room in which everything of an attempt runs: the work, its checks, and git while it looks at what the work has left.
//!
//! With bubblewrap a room has user, process, mount, IPC, host name and (unless it may reach the machine's) network namespaces of its
//! own, no capabilities, no way to make further namespaces, a filter of system calls ([`filter`]), and of the machine what
//! [`machine`] lists, read-only. What is written in it lies in the attempt's folder, of which each [`Guest`] gets its own part.
//!
//! A room that cannot be made is not replaced by a worse one: the attempt fails. It ends with the process that made it, at once and
//! with all that runs in it (`--die-with-parent`), which the kernel ties to the *thread* that started it; so all of them are started by
//! one thread that lives as long as the program ([`crate::process`]).

#[cfg(target_os = "linux")]
mod filter;
#[cfg(not(target_os = "linux"))]
mod filter {
    pub(super) fn program() -> std::io::Result<Vec<u8>> {
        Err(std::io::Error::other("sandboxes are made on Linux alone"))
    }
}
pub(crate) mod group;
mod limits;
mod machine;
mod made;
mod meter;
mod repository;
mod room;

use std::{
    ffi::OsString,
    fmt::Display,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use domain::{AttemptId, Failure, FailureCode, Isolation, runner::Rooms};
use tokio::{process::Command, sync::OnceCell};
use tracing::warn;
use uuid::Uuid;

use crate::{AgentNetwork, Network, NetworkList, SandboxConfig, journal::Entry, network::bridge::Bridge, process::program_path};
pub use group::Groups;
use group::{Base, Group};
pub(crate) use limits::Overrun;
pub use limits::RoomLimits;
pub(crate) use machine::tools;
pub(crate) use made::{Made, Program, Running};
pub(crate) use meter::Meter;
use repository::Repository;
use room::Closed;
pub(crate) use room::{Guest, Room};

/// What everybody is inside, whoever runs the runner: programs that refuse to run as root do not, and nothing of it has rights there.
pub(crate) const USER: &str = "muster";
const USER_ID: &str = "1000";
/// Nobody else's: what is hidden of the machine can lie around homes that there are.
pub(crate) const HOME: &str = "/home/work";
pub(crate) const TMP: &str = "/tmp";

/// Where Muster's own program lies in a room that has a network list.
const OWN_PROGRAM: &str = "/run/muster";
/// Of what is in memory, such as what processes share.
const SHARED_BYTES: &str = "1073741824";
/// A machine that takes longer to make a room makes none.
const TRIAL: Duration = Duration::from_secs(10);

/// How this machine makes rooms. Whether it does is tried when the first is needed, and again for as long as it does not.
pub(crate) struct Sandbox {
    config: SandboxConfig,
    state_dir: PathBuf,
    /// With where attempts get their control groups.
    tried: OnceCell<Option<Base>>,
}

impl Sandbox {
    pub fn new(config: SandboxConfig, state_dir: PathBuf) -> Self {
        Self { config, state_dir, tried: OnceCell::new() }
    }

    /// One that has been tried already.
    #[cfg(test)]
    pub fn tried(config: SandboxConfig, state_dir: PathBuf) -> Self {
        Self { config, state_dir, tried: OnceCell::new_with(Some(None)) }
    }

    /// The room of an attempt.
    pub async fn room(self: &Arc<Self>, isolation: Isolation, entry: &Entry) -> Result<Room, Failure> {
        if isolation == Isolation::None && self.config.may_be_left_out {
            return Ok(Room::Open);
        }
        self.closed(entry).await.map_err(|reason| Failure::new(FailureCode::SandboxUnavailable, reason))
    }

    /// The room of an attempt that an earlier life has begun.
    pub async fn same_room(self: &Arc<Self>, entry: &Entry) -> Result<Room, String> {
        match entry.isolation {
            Isolation::None => Ok(Room::Open),
            Isolation::Sandbox => self.closed(entry).await,
        }
    }

    async fn closed(self: &Arc<Self>, entry: &Entry) -> Result<Room, String> {
        let base = self.tried.get_or_try_init(|| self.make_one()).await?;
        let group = base.as_ref().map(|base| base.group(&group_name(entry.attempt.attempt_id), &self.config.limits));
        let group = group.transpose().map_err(|error| format!("the attempt gets no control group: {error}"))?;
        let repositories = entry.parts().into_iter().map(Repository::of).collect();
        Ok(Room::Closed(Arc::new(Closed { sandbox: Arc::clone(self), folder: entry.folder.clone(), group, repositories })))
    }

    /// What attempts may use and reach, for the server; of agents, where the model of each is, by its name.
    pub fn about(&self, models: &[(String, NetworkList)]) -> Rooms {
        let SandboxConfig { limits, network, agent_network, may_be_left_out, .. } = &self.config;
        let keeps = self.tried.get().and_then(Option::as_ref).map(Base::keeps).unwrap_or_default();
        let by_kernel = (limits.memory.is_none() || keeps.memory) && (limits.processes.is_none() || keeps.processes);
        Rooms {
            memory: limits.memory,
            processes: limits.processes,
            processors: limits.processors,
            file: limits.file,
            by_kernel,
            network: network.to_string(),
            agent_network: agent_network.in_words(models),
            may_be_left_out: *may_be_left_out,
        }
    }

    /// Where the control group of an attempt is, or was.
    pub fn group_of(&self, id: AttemptId) -> Option<PathBuf> {
        Some(self.tried.get()?.as_ref()?.place(&group_name(id)))
    }

    /// Removes the control groups that earlier lives have left empty and that none of these entries names.
    pub fn clear_groups(&self, entries: &[Entry]) {
        if let Some(base) = self.tried.get().and_then(Option::as_ref) {
            base.clear(&entries.iter().filter_map(|entry| entry.group.clone()).collect::<Vec<_>>());
        }
    }

    /// Whether one was made already.
    pub fn is_known_to_be_there(&self) -> bool {
        self.tried.get().is_some()
    }

    /// Says why this machine makes no room.
    pub async fn is_there(&self) -> Result<(), String> {
        self.tried.get_or_try_init(|| self.make_one()).await.map(|_| ())
    }

    async fn make_one(&self) -> Result<Option<Base>, String> {
        machine::write_names(&self.state_dir).map_err(|error| format!("the list of who is in it cannot be written: {error}"))?;
        let base = match (Base::find(&self.config.groups), &self.config.groups) {
            (Err(error), Groups::At(_)) => return Err(format!("rooms are to have control groups: {error}")),
            (Err(error), _) => without_groups(&error),
            (Ok(base), _) => base,
        };
        let tried = self.try_all(base.as_ref()).await;
        let base = match (tried, &self.config.groups) {
            (Ok(()), _) => base,
            (Err(reason), Groups::Own) if base.is_some() => {
                self.try_all(None).await?;
                without_groups(&reason)
            }
            (Err(reason), _) => return Err(reason),
        };
        let keeps_processors = base.as_ref().is_some_and(|base| base.keeps().processors);
        if self.config.limits.processors.is_some() && !keeps_processors {
            let why = "rooms are to have a share of the processors (MUSTER_SANDBOX_CPUS), which needs a control group that keeps it";
            return Err(why.into());
        }
        Ok(base)
    }

    /// One of each kind: a room with a list needs more than the others do.
    async fn try_all(&self, base: Option<&Base>) -> Result<(), String> {
        self.try_one(base, &Network::None).await?;
        let of_agents = self.config.agent_network.list();
        let all = [Some(&self.config.network), of_agents.as_ref()];
        if let Some(listed) = all.into_iter().flatten().find(|one| matches!(one, Network::Listed(_))) {
            return self.try_one(base, listed).await.map_err(|reason| format!("with a network list {reason}"));
        }
        if let Some(warning) = self.why_agents_fail(base).await {
            warn!("{warning}");
        }
        Ok(())
    }

    /// Commands and checks have their rooms all the same. The list that is tried has nothing.
    async fn why_agents_fail(&self, base: Option<&Base>) -> Option<String> {
        if self.config.agent_network != AgentNetwork::Provider {
            return None;
        }
        let reason = self.try_one(base, &Network::Listed(NetworkList::nothing())).await.err()?;
        Some(format!(
            "Agents will fail here, as no room that reaches their model can be made: with a network list {reason}; mend that, or set \
             MUSTER_SANDBOX_AGENT_NETWORK to none or open"
        ))
    }

    async fn try_one(&self, base: Option<&Base>, network: &Network) -> Result<(), String> {
        let name = self.config.program.display();
        let not_started =
            |error: io::Error| format!("no sandbox can be made, for which setpriv and prlimit of util-linux are needed: {error}");
        let nothing = Own { home_and_tmp: None, shown: vec![], rest: Places::default() };
        let group = base.map(|base| base.group(&format!("{}{}", group::TRIAL, Uuid::now_v7()), &self.config.limits)).transpose();
        let group = group.map_err(|error| format!("a room gets no control group: {error}"))?;
        let program = self.program("true", network, (&self.config.limits, group.as_ref()), nothing, Path::new("/")).map_err(not_started)?;
        let Program { mut command, made, bridge, .. } = program;
        command.env_clear().env("PATH", program_path()).stdin(Stdio::null()).kill_on_drop(true);
        let tried = tokio::time::timeout(TRIAL, command.output()).await;
        let output =
            tried.map_err(|_| format!("{name} takes longer than {} s to make a sandbox", TRIAL.as_secs()))?.map_err(not_started)?;
        drop(command);
        if let Some(group) = &group {
            let kept = |error: io::Error| format!("the control group of a room cannot be removed: {error}");
            group::remove(group.path(), TRIAL).await.map_err(kept)?;
        }
        match made.was_made() && bridge.as_ref().is_none_or(Bridge::was_made) && output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("{name} makes no sandbox here: {}", said.trim().lines().last().unwrap_or("it does not say why")))
            }
        }
    }

    /// Where it really is, unless it is not to be shown inside.
    pub fn may_show(&self, path: &Path) -> io::Result<PathBuf> {
        machine::may_be_shown(path, &self.hidden().collect::<Vec<_>>())
    }

    /// A program in a room in which there is what the machine shows to everybody, and `own`.
    fn program(
        &self,
        name: &str,
        network: &Network,
        (limits, group): (&RoomLimits, Option<&Group>),
        own: Own,
        stands_in: &Path,
    ) -> io::Result<Program> {
        // it ends with whoever starts it, before bubblewrap sees to that
        let mut command = group.map_or_else(|| Command::new("setpriv"), |group| group.call("setpriv"));
        command.args(["--pdeathsig", "KILL"]);
        if rustix::process::geteuid().is_root() {
            command.arg("--clear-groups");
        }
        command.args(["--", "prlimit"]).args(limits::arguments(limits)).arg("--").arg(&self.config.program);
        command.args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--disable-userns"]);
        command.args(["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", USER_ID, "--gid", USER_ID]);
        if *network != Network::Open {
            command.arg("--unshare-net");
        }
        let mut places = self.places(network, own)?;
        let mut listed = None;
        if let Network::Listed(list) = network {
            let unknown = || io::Error::other("a network list takes Muster's own program, and where that is is not known");
            places.read_only(self.config.own_program.as_ref().ok_or_else(unknown)?, Path::new(OWN_PROGRAM));
            listed = Some((list, Path::new(OWN_PROGRAM)));
        }
        command.args(places.0);
        command.args(["--remount-ro", "/dev", "--remount-ro", "/", "--chdir"]).arg(stands_in);
        made::watched(command, name, Meter::new(limits, group), listed)
    }

    /// Folders that are empty but for what is the attempt's, whatever is shown around them.
    fn hidden(&self) -> impl Iterator<Item = PathBuf> {
        let others = self.config.hidden.iter().filter_map(|folder| folder.canonicalize().ok());
        let others: Vec<_> = others.filter(|folder| !folder.starts_with(&self.state_dir)).collect();
        others.into_iter().chain([self.state_dir.clone()])
    }

    fn places(&self, network: &Network, own: Own) -> io::Result<Places> {
        let hidden: Vec<_> = self.hidden().collect();
        let mut room = machine::shown(&self.state_dir, network);
        // before what may lie below them
        match own.home_and_tmp {
            Some((home, tmp)) => {
                room.writable(&home, Path::new(HOME));
                room.writable(&tmp, Path::new(TMP));
            }
            None => [HOME, TMP].map(Path::new).into_iter().for_each(|folder| room.nothing_in(folder)),
        }
        let shown: Vec<_> = self.config.read.iter().chain(&own.shown).cloned().collect();
        machine::show_tools(&mut room, &shown, &hidden)?;
        for folder in &hidden {
            room.nothing_in(folder);
        }
        room.0.extend(own.rest.0);
        for folder in &hidden {
            room.add("--remount-ro", &[folder]);
        }
        Ok(room)
    }
}

fn group_name(id: AttemptId) -> String {
    format!("{}{id}", group::ATTEMPT)
}

fn without_groups(reason: &dyn Display) -> Option<Base> {
    warn!("Rooms have no control groups, so that what they use is looked at from outside: {reason}");
    None
}

/// What there is in a room beside the machine. A home and a folder for what is temporary that are not given are empty.
struct Own {
    home_and_tmp: Option<(PathBuf, PathBuf)>,
    /// What it is shown of the machine, read-only, beside what everybody is: looked at anew, as what lies there may be something else by now.
    shown: Vec<PathBuf>,
    rest: Places,
}

/// What lies where in a room, as arguments of bubblewrap. What comes later covers what came before.
#[derive(Default)]
struct Places(Vec<OsString>);

impl Places {
    fn add(&mut self, option: &str, paths: &[&Path]) {
        self.0.push(option.into());
        self.0.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
    }

    fn writable(&mut self, source: &Path, at: &Path) {
        self.add("--bind", &[source, at]);
    }

    fn read_only(&mut self, source: &Path, at: &Path) {
        self.add("--ro-bind", &[source, at]);
    }

    fn read_only_if_there(&mut self, path: &Path) {
        self.add("--ro-bind-try", &[path, path]);
    }

    /// An empty folder that is gone with the room.
    fn nothing_in(&mut self, folder: &Path) {
        self.add("--tmpfs", &[folder]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_without_rooms_for_agents_says_so_before_one_fails() {
        let why = |agent_network| async move {
            // where Muster's own program is, nobody knows
            let config = SandboxConfig { agent_network, own_program: None, ..SandboxConfig::default() };
            Sandbox::new(config, "/srv/muster".into()).why_agents_fail(None).await
        };
        let said = why(AgentNetwork::Provider).await.unwrap();
        assert!(said.contains("Muster's own program") && said.contains("MUSTER_SANDBOX_AGENT_NETWORK"), "{said}");
        assert_eq!([why(AgentNetwork::None).await, why(AgentNetwork::Open).await], [None, None], "these have no list");
    }
}
