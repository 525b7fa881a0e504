//! What can be set, from flags or the environment.

mod sandbox;

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chrono::TimeDelta;
use clap::{Args, ValueEnum, builder::TypedValueParser, error::ErrorKind};
use domain::{
    Backend,
    agent::words::{ASKS, COUNTS_MONEY, COUNTS_TURNS, PROMPTS},
    endpoint::address,
    judgement::JUDGES,
    repository::{LFS, SEVERAL, SUBMODULES},
    runner::{END_SECONDS, STUCK_MINUTES, owner_of},
};
use engine::{Keep, SharedPulls};
use runner::{AgentConfig, Forge, LandingConfig, OLLAMA_URL, OllamaConfig};
use serde::{Deserialize, Serialize};

pub use crate::postgres::default_state_dir;
pub use sandbox::{SandboxArgs, WithoutSandbox};

/// Where Muster keeps its state; every command that opens it needs this.
#[derive(Args, Clone)]
pub struct StateConfig {
    /// Where Muster keeps its database, mirrors and keys.
    #[arg(long, env = "MUSTER_STATE_DIR", value_name = "FOLDER", default_value_os_t = default_state_dir())]
    pub state_dir: PathBuf,
    /// A Postgres to use instead of Muster's own.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

/// The agent programs on this machine that Muster drives itself. Where their models are and with which key is taken from the environment,
/// by the names that the programs give to it: `ANTHROPIC_API_KEY`, `OPENAI_API_KEY`, `GEMINI_API_KEY`, `ANTHROPIC_BASE_URL`, …
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[command(next_help_heading = "Agents")]
pub struct AgentArgs {
    /// Claude Code: its path, or its name on the PATH; `none` when it is not to be used [default: claude].
    #[arg(long = "claude-code", env = "MUSTER_CLAUDE_CODE", value_name = "PROGRAM")]
    #[serde(default)]
    pub claude_code: Option<PathBuf>,
    /// Codex: its path, or its name on the PATH; `none` when it is not to be used [default: codex].
    #[arg(long = "codex", env = "MUSTER_CODEX", value_name = "PROGRAM")]
    #[serde(default)]
    pub codex: Option<PathBuf>,
    /// How Codex is driven: by its `app-server`, or by `exec`, the simple mode, in which it asks nobody, hears nothing while it works and counts
    /// no turns [default: app-server].
    #[arg(long = "codex-mode", env = "MUSTER_CODEX_MODE", value_name = "MODE")]
    #[serde(default)]
    pub codex_mode: Option<CodexMode>,
    /// Gemini CLI: its path, or its name on the PATH; `none` when it is not to be used [default: gemini].
    #[arg(long = "gemini-cli", env = "MUSTER_GEMINI_CLI", value_name = "PROGRAM")]
    #[serde(default)]
    pub gemini_cli: Option<PathBuf>,
    /// OpenCode: its path, or its name on the PATH; `none` when it is not to be used [default: opencode].
    #[arg(long = "opencode", env = "MUSTER_OPENCODE", value_name = "PROGRAM")]
    #[serde(default)]
    pub opencode: Option<PathBuf>,
    /// The folder with a manifest for each other agent; `none` when there are to be no others [default: agents, in the runner's own folder].
    #[arg(long = "agents-dir", env = "MUSTER_AGENTS_DIR", value_name = "FOLDER", value_parser = parse_folder)]
    #[serde(default)]
    pub agents_dir: Option<PathBuf>,
    /// Where an Ollama on this machine is, which Muster looks at, has models pulled by, and tells agents of; `none` when it is not to be looked
    /// for. Without this it is looked for at http://127.0.0.1:11434, and agents are not told of it.
    #[arg(long = "ollama-url", env = "MUSTER_OLLAMA_URL", value_name = "URL", hide_env_values = true, value_parser = OllamaUrl)]
    #[serde(default)]
    pub ollama_url: Option<String>,
}

/// How Codex is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodexMode {
    AppServer,
    Exec,
}

/// In the folder of a runner: where people put the manifests of agents, unless they name another place.
pub const MANIFESTS: &str = "agents";

/// What agents are given of the environment: names that begin so, and names.
const AGENTS_VARIABLES: [&str; 3] = ["ANTHROPIC_", "OPENAI_", "GEMINI_"];
const AGENTS_VARIABLE: [&str; 10] = [
    "CLAUDE_CODE_OAUTH_TOKEN",
    "GOOGLE_GEMINI_BASE_URL",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
];

/// Whether agents are given the variable of this name.
pub fn is_for_agents(name: &str) -> bool {
    AGENTS_VARIABLE.contains(&name) || AGENTS_VARIABLES.iter().any(|start| name.starts_with(start))
}

impl AgentArgs {
    /// What is said here, else what was said before.
    pub fn or(&self, before: &Self) -> Self {
        let or = |said: &Option<PathBuf>, before: &Option<PathBuf>| said.clone().or_else(|| before.clone());
        Self {
            claude_code: or(&self.claude_code, &before.claude_code),
            codex: or(&self.codex, &before.codex),
            codex_mode: self.codex_mode.or(before.codex_mode),
            gemini_cli: or(&self.gemini_cli, &before.gemini_cli),
            opencode: or(&self.opencode, &before.opencode),
            agents_dir: or(&self.agents_dir, &before.agents_dir),
            ollama_url: self.ollama_url.clone().or_else(|| before.ollama_url.clone()),
        }
    }

    /// Of a runner with this folder.
    pub fn config(&self, state_dir: &Path) -> AgentConfig {
        let program = |said: &Option<PathBuf>, usual: &str| match said {
            Some(path) if path.as_os_str().is_empty() => Some(usual.into()),
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path.clone()),
            None => Some(usual.into()),
        };
        let environment = std::env::vars_os().filter(|(name, value)| name.to_str().is_some_and(is_for_agents) && !value.is_empty());
        AgentConfig {
            claude_code: program(&self.claude_code, "claude"),
            codex: program(&self.codex, "codex"),
            codex_is_simple: self.codex_mode == Some(CodexMode::Exec),
            gemini_cli: program(&self.gemini_cli, "gemini"),
            opencode: program(&self.opencode, "opencode"),
            manifests: match &self.agents_dir {
                Some(folder) if folder.as_os_str() == "none" => None,
                Some(folder) if !folder.as_os_str().is_empty() => Some(folder.clone()),
                _ => Some(state_dir.join(MANIFESTS)),
            },
            ollama: self.ollama(),
            environment: environment.collect(),
        }
    }

    fn ollama(&self) -> Option<OllamaConfig> {
        match self.ollama_url.as_deref().map(str::trim) {
            None | Some("") => Some(OllamaConfig { url: OLLAMA_URL.into(), is_said: false }),
            Some("none") => None,
            Some(url) => Some(OllamaConfig { url: url.to_owned(), is_said: true }),
        }
    }
}

/// The address of an Ollama, as it is kept. It is shown to whoever sees the endpoint, so it holds no password; and what is wrong with it is said
/// without it, as it may hold one.
#[derive(Clone)]
struct OllamaUrl;

impl TypedValueParser for OllamaUrl {
    type Value = String;

    fn parse_ref(&self, command: &clap::Command, _: Option<&clap::Arg>, value: &OsStr) -> Result<String, clap::Error> {
        let wrong = |why: String| {
            let message = format!("--ollama-url (MUSTER_OLLAMA_URL) is not such as http://127.0.0.1:11434: {why}");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        };
        match value.to_string_lossy().trim() {
            word @ ("" | "none") => Ok(word.to_owned()),
            url => address::checked(url).map_err(|(_, why)| wrong(format!("it {why}"))),
        }
    }
}

/// How results get from this machine to where their repositories came from.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[command(next_help_heading = "Landing")]
pub struct LandingArgs {
    /// A folder with a file for each host, called as the host (github.com), which holds a token for git and for pull requests there;
    /// in a server those of other workspaces than the first are in a folder called as the workspace.
    #[arg(long = "git-tokens", env = "MUSTER_GIT_TOKENS", value_name = "FOLDER")]
    #[serde(default)]
    pub tokens: Option<PathBuf>,
    /// What a host is whose name does not say so: HOST=github or HOST=gitlab, with ,URL behind it when its API is elsewhere.
    #[arg(long = "forge", env = "MUSTER_FORGES", value_name = "HOST=KIND", value_delimiter = ' ', value_parser = parse_forge)]
    #[serde(default)]
    pub forges: Option<Vec<String>>,
}

/// As it was written; one that is there and empty says nothing.
fn parse_forge(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    Forge::parse(text).map(|_| text.trim().to_owned())
}

impl LandingArgs {
    /// What is said here, else what was said before.
    pub fn or(&self, before: &Self) -> Self {
        Self {
            tokens: self.tokens.clone().or_else(|| before.tokens.clone()),
            forges: self.forges.clone().or_else(|| before.forges.clone()),
        }
    }

    pub fn config(&self) -> LandingConfig {
        LandingConfig {
            tokens: self.tokens.clone().filter(|folder| !folder.as_os_str().is_empty()),
            forges: self.forges.iter().flatten().filter_map(|text| Forge::parse(text).ok()).collect(),
        }
    }
}

#[derive(Args, Clone)]
pub struct ServeConfig {
    #[command(flatten)]
    pub state: StateConfig,
    /// Where to listen. Port 0 picks a free one.
    #[arg(long, env = "MUSTER_ADDR", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7878")]
    pub addr: SocketAddr,
    /// How people reach it, when that is not where it listens; with https the cookies are kept to https.
    #[arg(long, env = "MUSTER_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Attempts carried out at once on this machine; 0 for none, when runners elsewhere do the work.
    #[arg(long, env = "MUSTER_SLOTS", value_name = "N", default_value_t = default_slots())]
    pub slots: u32,
    /// What this machine has, for tasks that need it, such as gpu,docker; its operating system and processor are known.
    #[arg(long = "capability", env = "MUSTER_CAPABILITIES", value_name = "WORD", value_delimiter = ',', value_parser = parse_own_capability)]
    pub capabilities: Vec<String>,
    /// The agent that is given prompts: a shell command that reads the prompt from its standard input.
    #[arg(long, env = "MUSTER_AGENT_COMMAND", value_name = "COMMAND")]
    pub agent_command: Option<String>,
    #[command(flatten)]
    pub agents: AgentArgs,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    #[command(flatten)]
    pub landing: LandingArgs,
    /// Whether endpoints that people register may be on this server's own machine, where it asks nobody otherwise. The one that its own runner
    /// finds there is looked at all the same.
    #[arg(long = "endpoints-here", env = "MUSTER_ENDPOINTS_HERE", value_name = "WORD", value_enum, default_value_t = EndpointsHere::Refused)]
    pub endpoints_here: EndpointsHere,
    /// Whether workspaces may have models pulled by the Ollama of this machine, which serves all of them and fills one disk: always, never, or as long
    /// as there is one workspace alone.
    #[arg(long = "shared-pulls", env = "MUSTER_SHARED_PULLS", value_name = "WORD", value_enum, default_value_t = SharedPullsArg::Alone)]
    pub shared_pulls: SharedPullsArg,
    /// Days after which what has ended is deleted, with its log, checks and history; `never`, or 0, keeps it.
    #[arg(long, env = "MUSTER_KEEP_DAYS", value_name = "DAYS", default_value = "365", value_parser = parse_days)]
    pub keep_days: Days,
    /// As --keep-days, for what was set aside for a person to look at.
    #[arg(long, env = "MUSTER_KEEP_DEAD_DAYS", value_name = "DAYS", default_value = "never", value_parser = parse_days)]
    pub keep_dead_days: Days,
    /// Minutes that an attempt may go on after its time is over, before its runner is asked to end it, and as many again that it has for that before
    /// somebody else is given the task: 5 to 1440.
    #[arg(long, env = "MUSTER_STUCK_MINUTES", value_name = "MINUTES", default_value_t = END_SECONDS / 60, value_parser = parse_stuck_minutes)]
    pub stuck_minutes: u32,
    /// How the log on standard error is written.
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

fn parse_stuck_minutes(text: &str) -> Result<u32, String> {
    let fits = text.parse::<u32>().ok().filter(|minutes| STUCK_MINUTES.contains(minutes));
    fits.ok_or_else(|| {
        let (least, most) = (STUCK_MINUTES.start(), STUCK_MINUTES.end());
        format!("must be {least} to {most} minutes: a runner that is asked to end an attempt saves what was done first")
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EndpointsHere {
    Allowed,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SharedPullsArg {
    Alone,
    Allowed,
    Refused,
}

impl From<SharedPullsArg> for SharedPulls {
    fn from(said: SharedPullsArg) -> Self {
        match said {
            SharedPullsArg::Alone => Self::Alone,
            SharedPullsArg::Allowed => Self::Allowed,
            SharedPullsArg::Refused => Self::Refused,
        }
    }
}

/// So many days, or for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(Option<TimeDelta>);

fn parse_days(text: &str) -> Result<Days, String> {
    const WRONG: &str = "must be a number of days, or never";
    if text == "never" {
        return Ok(Days(None));
    }
    let days: u32 = text.parse().map_err(|_| WRONG.to_owned())?;
    Ok(Days((days > 0).then(|| TimeDelta::days(days.into()))))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// One for every processor, and at least two, so that a task that waits does not hold up the next.
pub fn default_slots() -> u32 {
    std::thread::available_parallelism().map_or(2, |count| u32::try_from(count.get()).unwrap_or(2)).max(2)
}

/// A word that tasks can need.
pub fn parse_capability(text: &str) -> Result<String, &'static str> {
    let word = text.trim();
    domain::task::check_tag(word).map(|()| word.to_owned())
}

/// By its whole path: what is remembered is used from elsewhere.
fn parse_folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" | "none" => Ok(text.into()),
        folder => std::path::absolute(folder).map_err(|error| error.to_string()),
    }
}

/// As [`parse_capability`]; a setting that is there and empty says nothing. What stands for one runner is given by Muster.
pub fn parse_own_capability(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Ok(String::new()),
        word if owner_of(word).is_some() => Err("stands for one runner, and is given to it by Muster"),
        word if Backend::parse(word).is_ok() => Err("is an agent, which a runner has when it has found it"),
        JUDGES => Err("is what a runner has that has found an agent that can judge, and makes sandboxes"),
        PROMPTS => Err("is what a runner has that has found an agent, or is given a command for prompts"),
        ASKS | COUNTS_TURNS | COUNTS_MONEY => Err("is what a runner has that has found an agent that does it"),
        SUBMODULES | SEVERAL => Err("is what every runner of this version has"),
        LFS => Err("is what a runner has that has found the program git-lfs"),
        _ => parse_capability(text),
    }
}

impl ServeConfig {
    /// For how long what has ended is kept.
    pub fn keep(&self) -> Keep {
        Keep { ended: self.keep_days.0, dead: self.keep_dead_days.0 }
    }

    /// How people reach it, without a slash at the end.
    pub fn origin(&self, listening: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{listening}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_in_the_runners_own_folder_unless_another_is_named() {
        let manifests = |said: Option<&str>| {
            let args = AgentArgs { agents_dir: said.map(PathBuf::from), ..AgentArgs::default() };
            args.config(Path::new("/srv/runner")).manifests
        };
        assert_eq!([manifests(None), manifests(Some(""))], [Some(PathBuf::from("/srv/runner/agents")), Some("/srv/runner/agents".into())]);
        assert_eq!([manifests(Some("/etc/agents")), manifests(Some("none"))], [Some("/etc/agents".into()), None]);
    }

    #[test]
    fn codex_is_driven_as_was_said_last() {
        let args = |codex_mode| AgentArgs { codex_mode, ..AgentArgs::default() };
        let is_simple = |args: &AgentArgs| args.config(Path::new("/srv/runner")).codex_is_simple;
        assert_eq!([None, Some(CodexMode::AppServer), Some(CodexMode::Exec)].map(|mode| is_simple(&args(mode))), [false, false, true]);
        assert!(is_simple(&args(None).or(&args(Some(CodexMode::Exec)))), "what a machine has joined with holds");
        assert!(!is_simple(&args(Some(CodexMode::AppServer)).or(&args(Some(CodexMode::Exec)))));
        let kept = |text: &str| serde_json::from_str::<AgentArgs>(text).unwrap().codex_mode;
        assert_eq!(
            [kept("{}"), kept(r#"{"codex_mode": "exec"}"#)],
            [None, Some(CodexMode::Exec)],
            "as earlier versions have kept it, and this one"
        );
    }

    #[test]
    fn an_ollama_is_looked_for_where_it_usually_is_unless_somebody_says_otherwise() {
        let ollama = |said: Option<&str>| AgentArgs { ollama_url: said.map(str::to_owned), ..AgentArgs::default() }.ollama();
        let usual = Some(OllamaConfig { url: OLLAMA_URL.into(), is_said: false });
        assert_eq!([ollama(None), ollama(Some(""))], [usual.clone(), usual]);
        assert_eq!(ollama(Some("none")), None);
        assert_eq!(ollama(Some("http://gpu:1")), Some(OllamaConfig { url: "http://gpu:1".into(), is_said: true }));
    }

    #[test]
    fn the_address_of_an_ollama_is_one_and_what_is_wrong_with_it_is_said_without_it() {
        let parse = |text: &str| OllamaUrl.parse_ref(&clap::Command::new("muster"), None, OsStr::new(text));
        for (said, kept) in [("", ""), (" none ", "none"), ("http://GPU-box:11434/", "http://gpu-box:11434")] {
            assert_eq!(parse(said).unwrap(), kept);
        }
        for (wrong, why) in
            [("http://ada:secret@box", "a name or a password"), ("box:11434", "http://gpu-box"), ("http://box:22", "port 22")]
        {
            let error = parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation);
            let told = error.to_string();
            assert!(told.contains(why) && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn how_long_something_may_be_stuck_is_said_in_minutes() {
        #[derive(clap::Parser)]
        struct Serve {
            #[command(flatten)]
            config: ServeConfig,
        }
        let parse = |args: &[&str]| {
            let parsed = <Serve as clap::Parser>::try_parse_from(["muster"].iter().chain(args));
            parsed.map(|serve| serve.config.stuck_minutes).map_err(|error| error.to_string())
        };
        assert_eq!(parse(&[]), Ok(15));
        assert_eq!([parse(&["--stuck-minutes", "5"]), parse(&["--stuck-minutes", "1440"])], [Ok(5), Ok(1440)]);
        for wrong in ["4", "1441", "never", "-5"] {
            let refused = parse(&[&format!("--stuck-minutes={wrong}")]).unwrap_err();
            assert!(refused.contains("must be 5 to 1440 minutes"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn what_was_said_of_forges_holds_until_something_else_is() {
        let before = LandingArgs { tokens: Some("/etc/tokens".into()), forges: Some(vec!["a.example.org=github".into(), String::new()]) };
        let (nothing, other) = (LandingArgs::default(), LandingArgs { tokens: Some("/srv/tokens".into()), forges: None });
        assert_eq!(nothing.or(&before), before);
        let config = other.or(&before).config();
        assert_eq!((config.tokens, config.forges.len()), (Some("/srv/tokens".into()), 1));
        assert_eq!(LandingArgs { tokens: Some("".into()), forges: None }.config().tokens, None);
        assert!(parse_forge("a.example.org=gitea").is_err());
    }

    #[test]
    fn nobody_says_of_a_machine_that_it_has_an_agent() {
        for agent in ["codex", "acp:goose", " own:mine "] {
            assert!(parse_own_capability(agent).unwrap_err().contains("is an agent"), "{agent}");
        }
        assert!(parse_own_capability("judges").is_err_and(|why| why.contains("an agent that can judge")));
        assert!(parse_own_capability("prompts").is_err_and(|why| why.contains("a command for prompts")));
        assert!(["asks", "counts-turns", "counts-money"].into_iter().all(|word| parse_own_capability(word).is_err()));
        assert!(parse_own_capability("git-lfs").is_err_and(|why| why.contains("has found the program")));
        assert!(parse_own_capability("submodules").is_err() && parse_own_capability("several-repositories").is_err());
        assert_eq!([parse_own_capability(""), parse_own_capability("gpu")], [Ok(String::new()), Ok("gpu".to_owned())]);
        assert_eq!(parse_capability("acp:goose").as_deref(), Ok("acp:goose"), "a task may need it");
    }

    #[test]
    fn days_are_a_number_or_never() {
        assert_eq!(parse_days("14"), Ok(Days(Some(TimeDelta::days(14)))));
        assert_eq!([parse_days("never"), parse_days("0")], [Ok(Days(None)), Ok(Days(None))]);
        assert!(["", "-1", "1.5", "soon", "99999999999"].into_iter().all(|bad| parse_days(bad).is_err()));
    }
}
