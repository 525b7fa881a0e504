//! The room of one attempt: who is in it, what each of them sees there of the attempt and what they reach.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::Isolation;
use tokio::process::Command;

use super::{
    Made, Meter, Own, Places, Program, Sandbox,
    group::{self, Group},
    repository::Repository,
};
use crate::{
    AgentNetwork, Network, NetworkList, attempt::folder::AttemptFolder, backend::found::Found, folders::private_folder,
    submodule::Submodule,
};

/// Where the processes of one attempt run.
#[derive(Clone)]
pub(crate) enum Room {
    /// As the user that runs the runner.
    Open,
    Closed(Arc<Closed>),
}

pub(crate) struct Closed {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) folder: PathBuf,
    pub(super) group: Option<Group>,
    /// The repositories of the attempt, the first one first.
    pub(super) repositories: Vec<Repository>,
}

/// Who is in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    Command,
    Agent,
    /// A check, with its number in its round.
    Check {
        round: i32,
        number: usize,
    },
    /// The runner's own git, which what the work has left could make run commands. It writes the files of the worktree before the work begins,
    /// and no more after that.
    Git {
        writes: bool,
    },
    /// Who judges what the work has left, with the number of that check in its round. It can change none of it, and sees the files when it
    /// reads, without a repository.
    Judge {
        round: i32,
        number: usize,
        reads: bool,
    },
}

impl Room {
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// From now on, what the submodules of the attempt's repository with this number borrow is there as well. Of an attempt they stay the same.
    pub fn show_submodules(&self, number: usize, submodules: &[Submodule]) {
        if let Self::Closed(closed) = self
            && let Some(repository) = closed.repositories.get(number)
        {
            repository.show_submodules(submodules);
        }
    }

    /// What the journal has to know.
    pub fn isolation(&self) -> Isolation {
        match self {
            Self::Open => Isolation::None,
            Self::Closed(_) => Isolation::Sandbox,
        }
    }

    /// The control group of what is in it, where there is one.
    pub fn group(&self) -> Option<&Path> {
        match self {
            Self::Open => None,
            Self::Closed(closed) => closed.group.as_ref().map(Group::path),
        }
    }

    /// Nothing is done in it any more: its control group goes.
    pub async fn let_go(&self, patience: Duration) -> io::Result<()> {
        match self.group() {
            Some(path) => group::remove(path, patience).await,
            None => Ok(()),
        }
    }

    /// This program, standing in the worktree.
    pub fn program(&self, name: &str, guest: Guest, worktree: &Path) -> io::Result<Program> {
        self.program_that_needs(name, None, guest, worktree)
    }

    /// An agent program, with what it needs of the machine and the hosts where its model is: only who runs it has that.
    pub fn agent(&self, found: &Found, model: &NetworkList, guest: Guest, worktree: &Path) -> io::Result<Program> {
        let name = found.program.to_str().ok_or_else(|| io::Error::other("the path of the agent is not UTF-8"))?;
        self.program_that_needs(name, Some((found, model)), guest, worktree)
    }

    fn program_that_needs(&self, name: &str, agent: Option<(&Found, &NetworkList)>, guest: Guest, worktree: &Path) -> io::Result<Program> {
        let mut program = match self {
            Self::Open => Program { command: Command::new(name), made: Made::Open, meter: Meter::off(), bridge: None },
            Self::Closed(closed) => closed.program(name, guest, worktree, agent)?,
        };
        // outside nobody stands where the work can put programs
        program.command.current_dir(if self.is_closed() { Path::new("/") } else { worktree });
        Ok(program)
    }

    /// Bytes of the longest file that anybody may write in it.
    pub fn longest_file(&self) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::Closed(closed) => closed.sandbox.config.limits.file,
        }
    }

    /// For the log of the attempt. The model of who is no agent is nowhere.
    pub fn about(&self, guest: Guest, model: &NetworkList) -> String {
        match self {
            Self::Open => "Without a sandbox, as the workspace wants it".into(),
            Self::Closed(closed) => match closed.network(guest, model) {
                Network::None if guest == Guest::Agent && closed.sandbox.config.agent_network == AgentNetwork::Provider => {
                    "In a sandbox in which the agent reaches nothing, as nobody has said where its model is: whoever runs the runner's \
                     machine can add hosts = [\"api.example.org\"] to its manifest, or set MUSTER_SANDBOX_AGENT_NETWORK"
                        .into()
                }
                Network::None => "In a sandbox without a network".into(),
                Network::Listed(list) => format!("In a sandbox that reaches what the network list has: {list}"),
                Network::Open => "In a sandbox with the machine's network".into(),
            },
        }
    }
}

impl Closed {
    fn network(&self, guest: Guest, model: &NetworkList) -> Network {
        match guest {
            Guest::Command | Guest::Check { .. } => self.sandbox.config.network.clone(),
            Guest::Agent | Guest::Judge { .. } => self.sandbox.config.agent_network.with(model),
            Guest::Git { .. } => Network::None,
        }
    }

    fn program(&self, name: &str, guest: Guest, worktree: &Path, agent: Option<(&Found, &NetworkList)>) -> io::Result<Program> {
        let mut own = self.places(guest, worktree)?;
        let network = match agent {
            Some((_, model)) => self.network(guest, model),
            None => self.network(guest, &NetworkList::nothing()),
        };
        if let Some((found, _)) = agent {
            own.shown = found.shown().to_vec();
            own.rest.read_only(&found.needs, &found.needs);
        }
        let limits = &self.sandbox.config.limits;
        match guest {
            // what was done is saved however little the work may use, which is what its group keeps
            Guest::Git { .. } => self.sandbox.program(name, &network, (&limits.for_git(), None), own, worktree),
            _ => self.sandbox.program(name, &network, (limits, self.group.as_ref()), own, worktree),
        }
    }

    /// Those that somebody who stands there sees. git looks at one of them, or at what was taken of it: nothing that it runs of the work's
    /// reaches into another.
    fn seen(&self, guest: Guest, worktree: &Path) -> impl Iterator<Item = &Repository> {
        let looks = matches!(guest, Guest::Git { .. });
        self.repositories.iter().filter(move |one| !looks || one.is_at(worktree))
    }

    /// What there is of the attempt.
    fn places(&self, guest: Guest, worktree: &Path) -> io::Result<Own> {
        let folder = AttemptFolder::of(&self.folder);
        let mut room = Places::default();
        let home_and_tmp = folder.home_and_tmp(guest);
        if let Some((home, tmp)) = &home_and_tmp {
            private_folder(home)?;
            private_folder(tmp)?;
        }
        match guest {
            Guest::Command | Guest::Agent => {
                room.writable(&folder.left(), &folder.left());
                room.read_only(&folder.given(), &folder.given());
            }
            Guest::Check { .. } => room.read_only(&folder.given(), &folder.given()),
            // not what its user has added to it, which is how it proves who it is elsewhere
            Guest::Git { .. } => room.read_only_if_there(&self.sandbox.state_dir.join("gitconfig")),
            // it is told all that it needs
            Guest::Judge { reads, .. } => {
                if reads {
                    room.read_only(&folder.judged(), &folder.work());
                }
                return Ok(Own { home_and_tmp, shown: vec![], rest: room });
            }
        }
        self.seen(guest, worktree).try_for_each(|repository| repository.show(guest, &mut room))?;
        Ok(Own { home_and_tmp, shown: vec![], rest: room })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::SandboxConfig;

    #[test]
    fn git_sees_the_repository_that_it_looks_at_and_the_work_sees_all() {
        let sandbox = Arc::new(Sandbox::new(SandboxConfig::default(), "/srv/muster".into()));
        let repository = |(work, folder): (&str, &str)| Repository {
            work: work.into(),
            folder: folder.into(),
            mirror: "/srv/muster/mirrors/1".into(),
            submodules: OnceLock::new(),
        };
        let repositories = [("/a/work", "/a"), ("/a/more/api", "/a/beside/1"), ("/a/more/api2", "/a/beside/2")].map(repository).into();
        let closed = Closed { sandbox, folder: "/a".into(), group: None, repositories };
        let seen =
            |guest, worktree: &str| closed.seen(guest, Path::new(worktree)).map(|one| one.work.display().to_string()).collect::<Vec<_>>();
        for writes in [true, false] {
            assert_eq!(seen(Guest::Git { writes }, "/a/work/vendor/lib"), ["/a/work"]);
            assert_eq!(seen(Guest::Git { writes }, "/a/more/api"), ["/a/more/api"]);
            // and in what was taken of it
            assert_eq!(seen(Guest::Git { writes }, "/a/store.1"), ["/a/work"]);
            assert_eq!(seen(Guest::Git { writes }, "/a/beside/1/store"), ["/a/more/api"]);
        }
        for guest in [Guest::Command, Guest::Agent, Guest::Check { round: 1, number: 1 }] {
            assert_eq!(seen(guest, "/a/work").len(), 3, "{guest:?}");
        }
    }

    #[test]
    fn who_judges_reaches_what_agents_reach() {
        let (list, model) = ("packages.example.org".parse().unwrap(), NetworkList::of_a_model("https://api.example.org", false));
        let agents: Network = "packages.example.org,api.example.org:443".parse().unwrap();
        let config = SandboxConfig { network: Network::None, agent_network: AgentNetwork::Listed(list), ..SandboxConfig::default() };
        let sandbox = Arc::new(Sandbox::new(config, "/srv/muster".into()));
        let closed = Closed { sandbox, folder: "/srv/muster/attempts/1".into(), group: None, repositories: vec![] };
        let judge = |reads| Guest::Judge { round: 1, number: 1, reads };
        for guest in [Guest::Agent, judge(true), judge(false)] {
            assert_eq!(closed.network(guest, &model), agents, "{guest:?}");
        }
        for guest in [Guest::Command, Guest::Check { round: 1, number: 1 }, Guest::Git { writes: false }] {
            assert_eq!(closed.network(guest, &model), Network::None, "{guest:?}");
        }
    }

    #[test]
    fn an_agent_of_which_nobody_knows_where_its_model_is_reaches_nothing_and_says_what_to_do() {
        let sandbox = Arc::new(Sandbox::new(SandboxConfig::default(), "/srv/muster".into()));
        let closed = Closed { sandbox, folder: "/srv/muster/attempts/1".into(), group: None, repositories: vec![] };
        let room = Room::Closed(Arc::new(closed));
        let about = |guest| room.about(guest, &NetworkList::nothing());
        assert!(about(Guest::Agent).contains("add hosts = [") && about(Guest::Agent).contains("MUSTER_SANDBOX_AGENT_NETWORK"));
        assert_eq!(about(Guest::Command), "In a sandbox without a network");
        let model = NetworkList::of_a_model("https://api.example.org", false);
        assert!(room.about(Guest::Agent, &model).ends_with("what the network list has: api.example.org:443"));
    }
}
