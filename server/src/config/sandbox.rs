//! What sandboxes on a machine are like, from flags, the environment, or what was said when the machine joined.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use runner::{AgentNetwork, Groups, Network, RoomLimits, SandboxConfig};
use serde::{Deserialize, Serialize};

/// What sandboxes on this machine are like. What is not given is as it was before, or as it says.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[command(next_help_heading = "Sandbox")]
pub struct SandboxArgs {
    /// What commands and checks reach from inside: `none` but a loopback of their own, `open` for all that this machine reaches, or a list
    /// of hosts, such as example.org,*.example.net:8443 [default: none].
    #[arg(long = "sandbox-network", env = "MUSTER_SANDBOX_NETWORK", value_name = "NETWORK")]
    #[serde(default)]
    pub network: Option<Network>,
    /// The same for agents, those that judge among them: `provider` for the hosts where the model of each is and nothing beside, a list of hosts
    /// that they reach as well, `none`, or `open` for all that this machine reaches [default: provider].
    #[arg(long = "sandbox-agent-network", env = "MUSTER_SANDBOX_AGENT_NETWORK", value_name = "NETWORK")]
    #[serde(default)]
    pub agent_network: Option<AgentNetwork>,
    /// Files and folders of this machine that are shown inside, read-only, beside its programs.
    #[arg(long = "sandbox-read", env = "MUSTER_SANDBOX_READ", value_name = "PATH", value_delimiter = ':')]
    #[serde(default)]
    pub read: Option<Vec<PathBuf>>,
    /// Memory that an attempt may use, such as 4GiB or 512MiB, or `none` for no limit [default: half of what there is].
    #[arg(long = "sandbox-memory", env = "MUSTER_SANDBOX_MEMORY", value_name = "SIZE", value_parser = parse_memory)]
    #[serde(default)]
    pub memory: Option<Most>,
    /// Processes and threads that an attempt may have at one time, or `none` [default: 4096].
    #[arg(long = "sandbox-processes", env = "MUSTER_SANDBOX_PROCESSES", value_name = "N", value_parser = parse_processes)]
    #[serde(default)]
    pub processes: Option<Most>,
    /// Processors that an attempt may keep busy, such as 1.5, or `none`; this takes a control group [default: none].
    #[arg(long = "sandbox-cpus", env = "MUSTER_SANDBOX_CPUS", value_name = "N", value_parser = parse_processors)]
    #[serde(default)]
    pub processors: Option<Most>,
    /// How large a file may be that an attempt writes, or `none` [default: 32GiB].
    #[arg(long = "sandbox-file-size", env = "MUSTER_SANDBOX_FILE_SIZE", value_name = "SIZE", value_parser = parse_file_size)]
    #[serde(default)]
    pub file_size: Option<Most>,
    /// Where attempts get control groups of version 2, which keep these limits: `own` below the one that this process was started in
    /// and that was handed to it (`Delegate=yes` of systemd), a folder, or `none`, where what they use is looked at [default: none].
    #[arg(long = "sandbox-cgroup", env = "MUSTER_SANDBOX_CGROUP", value_name = "WHERE", value_parser = parse_groups)]
    #[serde(default)]
    pub groups: Option<Groups>,
    /// Whether work runs on this machine without a sandbox where its workspace wants that [default: allowed for the server's own runner,
    /// refused on a machine that has joined].
    #[arg(long, env = "MUSTER_WITHOUT_SANDBOX", value_name = "WORD", value_enum)]
    #[serde(default)]
    pub without_sandbox: Option<WithoutSandbox>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutSandbox {
    Allowed,
    Refused,
}

/// A limit that was said: so much, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Most {
    Unlimited,
    Of(u64),
}

impl Most {
    fn limit(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Of(most) => Some(most),
        }
    }
}

impl SandboxArgs {
    /// What is said here, else what was said before.
    pub fn or(&self, before: &Self) -> Self {
        Self {
            network: self.network.clone().or_else(|| before.network.clone()),
            agent_network: self.agent_network.clone().or_else(|| before.agent_network.clone()),
            read: self.read.clone().or_else(|| before.read.clone()),
            memory: self.memory.or(before.memory),
            processes: self.processes.or(before.processes),
            processors: self.processors.or(before.processors),
            file_size: self.file_size.or(before.file_size),
            groups: self.groups.clone().or_else(|| before.groups.clone()),
            without_sandbox: self.without_sandbox.or(before.without_sandbox),
        }
    }

    pub fn config(&self, unless_said: WithoutSandbox) -> SandboxConfig {
        let usual = SandboxConfig::default();
        let read = self.read.iter().flatten().filter(|path| !path.as_os_str().is_empty());
        let limit = |said: Option<Most>, usual| said.map_or(usual, Most::limit);
        let limits = RoomLimits {
            memory: limit(self.memory, usual.limits.memory),
            processes: limit(self.processes, usual.limits.processes),
            processors: limit(self.processors, usual.limits.processors),
            file: limit(self.file_size, usual.limits.file),
        };
        SandboxConfig {
            network: self.network.clone().unwrap_or(usual.network),
            agent_network: self.agent_network.clone().unwrap_or(usual.agent_network),
            read: read.cloned().collect(),
            own_program: std::env::current_exe().ok(),
            may_be_left_out: self.without_sandbox.unwrap_or(unless_said) == WithoutSandbox::Allowed,
            limits,
            groups: self.groups.clone().unwrap_or(usual.groups),
            ..usual
        }
    }
}

const NONE: &str = "none";

/// What takes less does not even come to start a shell.
const LEAST_MEMORY: u64 = 16 << 20;
const LEAST_PROCESSES: u64 = 8;

fn parse_memory(text: &str) -> Result<Most, String> {
    parse_size(text, LEAST_MEMORY, "16MiB")
}

fn parse_file_size(text: &str) -> Result<Most, String> {
    parse_size(text, 1 << 20, "1MiB")
}

fn parse_size(text: &str, least: u64, named: &str) -> Result<Most, String> {
    const UNITS: [(&str, u32); 7] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("K", 10), ("M", 20), ("G", 30)];
    if text.trim() == NONE {
        return Ok(Most::Unlimited);
    }
    let wrong = || format!("must be a size of at least {named}, such as 4GiB or 512MiB, or {NONE}");
    let (number, shift) =
        UNITS.into_iter().find_map(|(unit, shift)| Some((text.trim().strip_suffix(unit)?, shift))).unwrap_or((text.trim(), 0));
    let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes >= least);
    bytes.map(Most::Of).ok_or_else(wrong)
}

fn parse_processes(text: &str) -> Result<Most, String> {
    if text.trim() == NONE {
        return Ok(Most::Unlimited);
    }
    let most = text.trim().parse::<u64>().ok().filter(|most| *most >= LEAST_PROCESSES);
    most.map(Most::Of).ok_or_else(|| format!("must be a number of at least {LEAST_PROCESSES}, or {NONE}"))
}

/// In hundredths.
fn parse_processors(text: &str) -> Result<Most, String> {
    if text.trim() == NONE {
        return Ok(Most::Unlimited);
    }
    let wrong = || format!("must be a number of processors from 0.01 to 10000, such as 2 or 1.5, or {NONE}");
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
    let hundredths = whole.checked_mul(100).and_then(|whole| whole.checked_add(part)).filter(|all| (1..=1_000_000).contains(all));
    hundredths.map(Most::Of).ok_or_else(wrong)
}

fn parse_groups(text: &str) -> Result<Groups, String> {
    match text.trim() {
        NONE => Ok(Groups::None),
        "own" => Ok(Groups::Own),
        path if path.starts_with('/') => Ok(Groups::At(path.into())),
        _ => Err(format!("must be own, {NONE}, or a folder by its whole path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_is_in_bytes() {
        let gib = 1 << 30;
        assert_eq!(parse_memory("4GiB"), Ok(Most::Of(4 * gib)));
        assert_eq!(parse_memory(" 4G "), Ok(Most::Of(4 * gib)));
        assert_eq!(parse_memory("1 TiB"), Ok(Most::Of(1024 * gib)));
        assert_eq!(parse_memory("67108864"), Ok(Most::Of(64 << 20)));
        assert_eq!(parse_memory("none"), Ok(Most::Unlimited));
        for bad in ["", "4", "15MiB", "-4GiB", "4 cats", "GiB", "99999999999GiB", "1.5GiB"] {
            assert!(parse_memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn processors_are_counted_in_hundredths() {
        let said = ["2", "1.5", "0.25", "none"].map(parse_processors);
        assert_eq!(said, [Ok(Most::Of(200)), Ok(Most::Of(150)), Ok(Most::Of(25)), Ok(Most::Unlimited)]);
        // the last is one hundredth more than a number of 64 bits holds
        for bad in ["", "0", "0.001", "-1", "1.", ".5", "two", "10001", "184467440737095516.16"] {
            assert!(parse_processors(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn processes_are_so_many_that_a_shell_can_start() {
        assert_eq!([" 8 ", "4096", "none"].map(parse_processes), [Ok(Most::Of(8)), Ok(Most::Of(4096)), Ok(Most::Unlimited)]);
        for bad in ["", "7", "-8", "8.5", "many"] {
            assert!(parse_processes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_said_once_holds_until_something_else_is_said() {
        let before = SandboxArgs { memory: Some(Most::Of(1 << 30)), processes: Some(Most::Unlimited), ..SandboxArgs::default() };
        let now = SandboxArgs { memory: Some(Most::Unlimited), groups: Some(Groups::Own), ..SandboxArgs::default() };
        let written = serde_json::to_string(&now.or(&before)).unwrap();
        let read: SandboxArgs = serde_json::from_str(&written).unwrap();
        let config = read.config(WithoutSandbox::Refused);
        assert_eq!((config.limits.memory, config.limits.processes, config.groups), (None, None, Groups::Own));
        assert_eq!(config.limits.file, RoomLimits::default().file, "what nobody says is as usual");
        assert_eq!(
            (config.network, config.agent_network),
            (Network::None, AgentNetwork::Provider),
            "nobody is in the machine's network unasked"
        );
        // as a machine has it that has joined before there were limits and lists
        let before = serde_json::from_str::<SandboxArgs>(r#"{"network": "open", "agent_network": "open"}"#).unwrap();
        assert_eq!((before.network, before.agent_network), (Some(Network::Open), Some(AgentNetwork::Open)));
        let listed = SandboxArgs { network: Some("example.org:8443".parse().unwrap()), ..SandboxArgs::default() };
        assert_eq!(serde_json::from_str::<SandboxArgs>(&serde_json::to_string(&listed).unwrap()).unwrap(), listed);
    }
}
