//! What a runner is told when it starts.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use domain::{
    Backend,
    agent::{
        MANIFESTS_MAX,
        words::{AGENT_WORDS, PROMPTS, words_of},
    },
    check::VERIFICATION_TIMEOUT_SECONDS,
    judgement::JUDGES,
    repository::{LFS, SEVERAL, SUBMODULES},
    runner::{BEGIN_BESIDE_SECONDS, FETCH_SECONDS, reading::READING_SECONDS},
    task::RUNNER_CAPABILITIES_MAX,
};

use crate::{AgentNetwork, Groups, Network, RoomLimits, backend::found::Found};

#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// How the server and its pages name this runner.
    pub name: String,
    /// Everything the runner keeps: journal, mirrors, the folders of running attempts. One runner at a time.
    pub state_dir: PathBuf,
    /// What it has, for tasks that need it, beside what it finds out itself: its operating system and its processor.
    pub capabilities: Vec<String>,
    /// How many attempts run at once; at least one.
    pub slots: u32,
    /// What carries out a prompt: a shell command that reads it from its standard input. Without it, prompts fail.
    pub agent_command: Option<String>,
    /// The agent programs that it drives itself.
    pub agents: AgentConfig,
    /// Which repositories that are paths it works on.
    pub paths: Paths,
    pub sandbox: SandboxConfig,
    pub landing: LandingConfig,
}

/// How results get to where their repositories came from.
#[derive(Clone, Debug, Default)]
pub struct LandingConfig {
    /// A folder with a file for each host, called as the host, which holds a token for it.
    pub tokens: Option<PathBuf>,
    /// What hosts are whose names do not say so.
    pub forges: Vec<Forge>,
}

/// A host on which pull requests are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forge {
    /// With its port, where it is reached by http.
    pub host: String,
    pub kind: ForgeKind,
    /// The address of its API, where that is not where such forges have it.
    pub api: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgeKind {
    GitHub,
    GitLab,
}

impl Forge {
    /// `code.example.org=gitlab`, with `,https://…` behind it when its API is elsewhere.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "must be HOST=github or HOST=gitlab, with ,URL behind it when its API is elsewhere";
        let (host, rest) = text.trim().split_once('=').filter(|(host, _)| !host.is_empty() && !host.contains('/')).ok_or(FORM)?;
        let (kind, api) = rest.split_once(',').map_or((rest, None), |(kind, api)| (kind, Some(api)));
        let kind = match kind {
            "github" => ForgeKind::GitHub,
            "gitlab" => ForgeKind::GitLab,
            other => return Err(format!("'{other}' is no forge that Muster knows: it {FORM}")),
        };
        if api.is_some_and(|api| !api.starts_with("https://") && !api.starts_with("http://")) {
            return Err(format!("'{}' is no address of an API: it begins with https://", api.unwrap_or_default()));
        }
        Ok(Self { host: host.to_ascii_lowercase(), kind, api: api.map(|api| api.trim_end_matches('/').to_owned()) })
    }
}

/// The agent programs of this machine.
#[derive(Clone, Default)]
pub struct AgentConfig {
    /// Claude Code: its path, or its name where the runner's own path finds it. Nothing when it is not to be used.
    pub claude_code: Option<PathBuf>,
    /// The same of Codex.
    pub codex: Option<PathBuf>,
    /// Codex is told what to do once, by its `exec`, and not spoken with: it asks nobody then.
    pub codex_is_simple: bool,
    /// The same of Gemini CLI.
    pub gemini_cli: Option<PathBuf>,
    /// The same of OpenCode.
    pub opencode: Option<PathBuf>,
    /// The folder with a manifest for each other agent. Nothing when there are to be no others.
    pub manifests: Option<PathBuf>,
    /// Where an Ollama on this machine is; nothing when none is to be looked for.
    pub ollama: Option<OllamaConfig>,
    /// What is put into the environment of agents beside what is Muster's: where their models are, and with which key. It is for them
    /// alone, and for whatever they run.
    pub environment: Vec<(OsString, OsString)>,
}

/// The endpoint of a runner's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OllamaConfig {
    pub url: String,
    /// Somebody has said so: it may be given prompts, and that it does not answer is told from the beginning, not only once it has answered.
    pub is_said: bool,
}

/// Where Ollama listens unless it is told otherwise.
pub const OLLAMA_URL: &str = "http://127.0.0.1:11434";

/// Without what is in the environment.
impl fmt::Debug for AgentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("AgentConfig")
            .field("claude_code", &self.claude_code)
            .field("codex", &self.codex)
            .field("codex_is_simple", &self.codex_is_simple)
            .field("gemini_cli", &self.gemini_cli)
            .field("opencode", &self.opencode)
            .field("manifests", &self.manifests)
            .field("ollama", &self.ollama)
            .field("environment", &names)
            .finish()
    }
}

/// What keeps the work, and what checks it, from the rest of the runner's machine.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Bubblewrap.
    pub program: PathBuf,
    /// What commands and checks reach.
    pub network: Network,
    /// What agents reach, those that judge among them: their model, unless it is said otherwise.
    pub agent_network: AgentNetwork,
    /// What is shown of this machine beside its programs: files and folders, read-only.
    pub read: Vec<PathBuf>,
    /// Folders that are never shown, whatever lies around them.
    pub hidden: Vec<PathBuf>,
    /// Muster's own program: where a network list is kept, it is what begins in a room. See [`enter_room`](crate::enter_room).
    pub own_program: Option<PathBuf>,
    /// Work runs without a sandbox where its workspace wants that.
    pub may_be_left_out: bool,
    /// How much an attempt may use.
    pub limits: RoomLimits,
    /// What keeps it below that.
    pub groups: Groups,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            program: "bwrap".into(),
            network: Network::None,
            agent_network: AgentNetwork::Provider,
            read: vec![],
            hidden: vec![],
            own_program: None,
            may_be_left_out: false,
            limits: RoomLimits::default(),
            groups: Groups::None,
        }
    }
}

/// Whoever names a path names what is on the runner's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paths {
    /// The runner shares its disk with whoever hands in tasks.
    All,
    /// The one that it was tried out with.
    Only(PathBuf),
}

impl Paths {
    /// Whether it may work there, when the location is a path at all.
    pub(crate) fn include(&self, location: &str) -> bool {
        match self {
            Self::All => true,
            // compared as it is written: a path with steps up is another
            Self::Only(own) => !location.starts_with('/') || own.as_os_str() == location,
        }
    }
}

impl RunnerConfig {
    /// How many manifests are read at most: a runner that says that it has more than fits is not taken at all.
    pub(crate) fn most_manifests(&self) -> usize {
        // its system, its processor, that it has judges, what it fetches and gives, and what its agents can do
        let others = 6 + AGENT_WORDS.len() + Backend::KNOWN.len() + self.capabilities.len();
        RUNNER_CAPABILITIES_MAX.saturating_sub(others).min(MANIFESTS_MAX)
    }

    /// All that it has, each once. Of agents, judges and what they can do those that were found, whatever it was started with: a task that needs
    /// one is given to no other. Prompts are taken by the command that it was started with as well. An agent judges in a sandbox alone. It fetches submodules and gives worktrees of several
    /// repositories as it is of a version that does, and fetches what Git LFS keeps where that is.
    pub(crate) fn all_capabilities(&self, agents: &[Found], has_sandbox: bool, has_lfs: bool) -> Vec<String> {
        let judges = (has_sandbox && agents.iter().any(|found| found.backend.may_judge())).then_some(JUDGES);
        let found = [std::env::consts::OS, std::env::consts::ARCH, SUBMODULES, SEVERAL]
            .into_iter()
            .chain(judges)
            .chain(has_lfs.then_some(LFS))
            .map(str::to_owned);
        let able = words_of(&agents.iter().map(Found::about).collect::<Vec<_>>()).into_iter().map(str::to_owned);
        let prompts = self.agent_command.is_some().then(|| PROMPTS.to_owned());
        let agents = agents.iter().map(|found| found.backend.name().into_owned());
        let is_found =
            |word: &str| [JUDGES, SUBMODULES, SEVERAL, LFS].contains(&word) || AGENT_WORDS.contains(&word) || Backend::parse(word).is_ok();
        let said = self.capabilities.iter().filter(|word| !is_found(word)).cloned();
        let mut all: Vec<_> = found.chain(agents).chain(able).chain(prompts).chain(said).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// How long the runner waits for what does not end by itself, and what it leaves to others.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From SIGINT to SIGTERM. Agents need it to write down where they stand.
    pub interrupt: Duration,
    /// From SIGTERM to SIGKILL.
    pub terminate: Duration,
    /// For processes that even SIGKILL does not end at once.
    pub kill: Duration,
    /// For pipes that something still holds open after every known process is gone.
    pub pipes: Duration,
    /// For a program to end by itself when it has said all that there was to say.
    pub goodbye: Duration,
    /// For everything that is fetched for an attempt together, from when it was taken; and for each repository beside its first so much more.
    pub begin: Duration,
    pub begin_beside: Duration,
    /// For all checks of an attempt together.
    pub verification: Duration,
    /// For everything of an attempt that has ended to be gone, once its folder is deleted. What is not is looked at again as often.
    pub gone: Duration,
    /// For a report to be stored when the runner is asked to stop.
    pub last_report: Duration,
    /// Before the second link, at most; each that does not hold doubles it, up to 30 s.
    pub reconnect: Duration,
    /// Between two looks at the machine.
    pub reading: Duration,
    /// Bytes of its disk for everything else: when there are fewer, what the work writes waits for a server that is away.
    pub left_free: u64,
    /// Between two looks at the agents that there are and at the folder of manifests: what comes or goes is known to the server within twice
    /// that.
    pub look: Duration,
    /// For the next attempt at a task to go on from one that was interrupted.
    pub kept: Duration,
}

impl Limits {
    /// For everything that is fetched for an attempt with so many repositories beside its first.
    pub fn to_begin(&self, beside: usize) -> Duration {
        self.begin.saturating_add(self.begin_beside.saturating_mul(u32::try_from(beside).unwrap_or(u32::MAX)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            interrupt: Duration::from_secs(10),
            terminate: Duration::from_secs(5),
            kill: Duration::from_secs(30),
            pipes: Duration::from_secs(5),
            goodbye: Duration::from_secs(30),
            begin: Duration::from_secs(FETCH_SECONDS.into()),
            begin_beside: Duration::from_secs(BEGIN_BESIDE_SECONDS.into()),
            verification: Duration::from_secs(VERIFICATION_TIMEOUT_SECONDS as u64),
            gone: Duration::from_secs(15),
            last_report: Duration::from_secs(5),
            reconnect: Duration::from_secs(1),
            reading: Duration::from_secs(READING_SECONDS.into()),
            left_free: 512 * 1024 * 1024,
            look: Duration::from_secs(15),
            kept: Duration::from_secs(3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::runner::BEGIN_SECONDS;

    use super::*;

    #[test]
    fn who_fetches_several_repositories_has_an_hour_more_for_each_and_ends_sooner_than_it_is_asked_to() {
        for beside in [0, 1, 7] {
            let asked = u64::from(BEGIN_SECONDS) + beside * u64::from(BEGIN_BESIDE_SECONDS);
            assert_eq!(Limits::default().to_begin(beside as usize), Duration::from_secs(asked - 600), "{beside}");
        }
    }

    #[test]
    fn a_machine_is_read_every_ten_seconds_and_looked_at_every_fifteen() {
        let Limits { reading, look, .. } = Limits::default();
        assert_eq!((reading, look), (Duration::from_secs(10), Duration::from_secs(15)), "as the README and docs/backends.md say");
    }

    #[test]
    fn an_agent_that_was_not_found_is_none_of_what_it_has() {
        let capabilities = ["gpu", "codex", "acp:goose", "own:mine", "judges", "git-lfs", "prompts", "asks", "counts-money"];
        let capabilities = capabilities.map(str::to_owned).to_vec();
        let config = RunnerConfig {
            name: "near".into(),
            state_dir: "/srv/runner".into(),
            capabilities,
            slots: 1,
            agent_command: None,
            agents: AgentConfig::default(),
            paths: Paths::All,
            sandbox: SandboxConfig::default(),
            landing: LandingConfig::default(),
        };
        let mine = Backend::parse("own:mine").unwrap();
        let found =
            Found { backend: mine, version: "1".into(), program: "/o".into(), needs: "/o".into(), manifest: None, is_simple: false };
        let mut expected = [std::env::consts::OS, std::env::consts::ARCH, "gpu", "own:mine", SUBMODULES, SEVERAL];
        expected.sort_unstable();
        assert_eq!(config.all_capabilities(std::slice::from_ref(&found), true, false), expected, "nor has it judges, nor Git LFS");
        let has_judges = |backend: Backend, has_sandbox| {
            let found = Found { backend, ..found.clone() };
            config.all_capabilities(std::slice::from_ref(&found), has_sandbox, true).contains(&"judges".to_owned())
        };
        assert!(has_judges(Backend::ClaudeCode, true) && !has_judges(Backend::Codex, true));
        assert!(!has_judges(Backend::ClaudeCode, false), "they work in a sandbox alone");
        let able = |config: &RunnerConfig, backend: Backend| {
            let all = config.all_capabilities(&[Found { backend, ..found.clone() }], true, true);
            all.into_iter().filter(|word| AGENT_WORDS.contains(&word.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(able(&config, Backend::Codex), ["asks", "counts-turns", "prompts"]);
        let commanded = RunnerConfig { agent_command: Some("agent".into()), ..config };
        assert_eq!(able(&commanded, found.backend.clone()), ["prompts"], "the command takes them, and asks and counts nothing");
    }

    #[test]
    fn a_forge_is_a_host_and_what_it_is() {
        let forge = |api: Option<&str>| Forge { host: "code.example.org".into(), kind: ForgeKind::GitLab, api: api.map(str::to_owned) };
        assert_eq!(Forge::parse("Code.example.org=gitlab"), Ok(forge(None)));
        assert_eq!(Forge::parse("code.example.org=gitlab,https://api.example.org/v4/"), Ok(forge(Some("https://api.example.org/v4"))));
        for bad in ["", "code.example.org", "=github", "https://a=github", "a=gitea", "a=github,api.example.org"] {
            assert!(Forge::parse(bad).is_err(), "{bad}");
        }
    }
}
