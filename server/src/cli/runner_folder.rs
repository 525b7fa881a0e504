//! What a runner on this machine keeps beside its key: which server it has joined and how it works, and, while it joins, how far it is.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use domain::RunnerId;
use reqwest::Url;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{error::CliError, runner::RunArgs, runner_environment::ENVIRONMENT};
use crate::config::{AgentArgs, LandingArgs, LogFormat, MANIFESTS, SandboxArgs};

/// What a runner knows of its server.
#[derive(Clone, Serialize, Deserialize)]
pub struct Membership {
    pub id: RunnerId,
    #[serde(with = "url_as_text")]
    pub url: Url,
    pub name: String,
    /// Slug of its workspace.
    pub workspace: String,
    /// Whether it works on repositories that are paths.
    pub paths: bool,
    pub settings: Settings,
}

/// How a runner works.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    pub slots: Option<u32>,
    pub capabilities: Vec<String>,
    pub agent_command: Option<String>,
    #[serde(default)]
    pub agents: AgentArgs,
    #[serde(default)]
    pub sandbox: SandboxArgs,
    #[serde(default)]
    pub landing: LandingArgs,
    #[serde(default)]
    pub log_format: Option<LogFormat>,
}

/// What was asked for when the machine began to join: enough to go on from wherever it was cut short.
#[derive(Clone, Serialize, Deserialize)]
pub struct Joining {
    #[serde(with = "url_as_text")]
    pub url: Url,
    pub token: String,
    pub name: Option<String>,
    pub paths: bool,
    pub settings: Settings,
}

impl Settings {
    /// What was said now, else what was said before.
    pub fn with(&self, args: &RunArgs) -> Self {
        let capabilities = args.capabilities.as_ref().map(|words| words.iter().filter(|word| !word.is_empty()).cloned().collect());
        Self {
            slots: args.slots.or(self.slots),
            capabilities: capabilities.unwrap_or_else(|| self.capabilities.clone()),
            agent_command: args.agent_command.clone().or_else(|| self.agent_command.clone()),
            agents: args.agents.or(&self.agents),
            sandbox: args.sandbox.or(&self.sandbox),
            landing: args.landing.or(&self.landing),
            log_format: args.log_format.or(self.log_format),
        }
    }
}

const MEMBERSHIP: &str = "server.json";
const JOINING: &str = "joining.json";

/// Nothing when this machine has not joined.
pub fn membership(folder: &Path) -> Result<Option<Membership>, CliError> {
    read(&folder.join(MEMBERSHIP))
}

pub fn remember_membership(folder: &Path, known: &Membership) -> Result<(), CliError> {
    write(folder, MEMBERSHIP, known)
}

/// Nothing when no join was begun, or it has come to its end.
pub fn joining(folder: &Path) -> Result<Option<Joining>, CliError> {
    read(&folder.join(JOINING))
}

/// It holds the token: for its owner's eyes alone.
pub fn remember_joining(folder: &Path, joining: &Joining) -> Result<(), CliError> {
    write(folder, JOINING, joining)
}

pub fn forget_joining(folder: &Path) -> Result<(), CliError> {
    match fs::remove_file(folder.join(JOINING)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot_use(folder, &error)),
        _ => Ok(()),
    }
}

/// What lies in the folder of a runner.
const NAMES: [&str; 21] = [
    MEMBERSHIP,
    "server.json.new",
    JOINING,
    "joining.json.new",
    "key",
    "key.new",
    "identity",
    "identity.new",
    "lock",
    "gitconfig",
    "gitconfig.credentials",
    "gitconfig.workspaces",
    "inside",
    "journal",
    "outbox",
    "kept",
    "mirrors",
    "attempts",
    "trash",
    "trial",
    ENVIRONMENT,
];

/// Whether a runner makes what has this name, so that it may be removed with it.
pub fn is_a_runners(name: &OsStr) -> bool {
    NAMES.iter().any(|own| name == *own)
}

/// Whether people put it there for the runner: it may lie there before the machine joins, and stays when it leaves.
pub fn is_for_a_runner(name: &OsStr) -> bool {
    name == MANIFESTS
}

/// A path of the runner's own with a small repository in it, for its trial.
pub fn trial_folder(folder: &Path) -> PathBuf {
    folder.join("trial")
}

pub fn cannot_use(folder: &Path, error: &io::Error) -> CliError {
    CliError::Failed {
        message: format!("the runner cannot use its folder {}: {error}", folder.display()),
        remedy: Some("see that it belongs to you and has room, or name another with --runner-dir".into()),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CliError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_use(path, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| CliError::failed(format!("{} cannot be read: {error}", path.display())))
}

/// Whoever reads it finds all of it or what was there before.
fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| CliError::failed(error.to_string()))?;
    let written = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let draft = folder.join(format!("{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(name))?;
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|error| cannot_use(folder, &error))
}

mod url_as_text {
    use reqwest::Url;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(url.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
        Url::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
