//! An agent program on this machine. It is asked for its version: one that does not answer is not there.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use domain::{Backend, BackendFound, endpoint::ModelFormat};
use tokio::{process::Command, time::timeout};

use super::manifest::Manifest;
use crate::process::program_path;

/// For a program to say its version.
const ANSWERS: Duration = Duration::from_secs(20);
/// After this a program that did not say its version is asked again: the machine may have been busy, or an update of it at work.
pub(super) const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// An agent program that answered.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub backend: Backend,
    pub version: String,
    /// The whole path of the file itself.
    pub program: PathBuf,
    /// What of the machine it needs beside the system's own: itself, or the packages that it came with.
    pub needs: PathBuf,
    /// What says how it is started and spoken with, where Muster does not know that itself.
    pub manifest: Option<Arc<Manifest>>,
    /// It is told what to do once, and asks and hears nothing while it works: Codex, where this machine says so.
    pub is_simple: bool,
}

impl Found {
    /// Whether it can be stopped once its model has answered too often.
    pub fn counts_turns(&self) -> bool {
        self.backend.counts_turns() && !self.is_simple
    }

    /// Whether people can be asked before it does something.
    pub fn asks(&self) -> bool {
        self.manifest.as_ref().map_or(!self.is_simple, |manifest| manifest.asks())
    }

    /// Whether it is given prompts that name no agent.
    pub fn is_known(&self) -> bool {
        self.manifest.is_none()
    }

    /// What of the machine it is shown beside itself.
    pub fn shown(&self) -> &[PathBuf] {
        self.manifest.as_ref().map(|manifest| manifest.needs.as_slice()).unwrap_or_default()
    }

    /// Whether its session says what tools it uses.
    pub fn tells_of_tools(&self) -> bool {
        self.manifest.as_ref().is_none_or(|manifest| manifest.tells_of_tools())
    }

    /// In which format it asks an endpoint that was chosen for its task; nothing when it cannot be told of one.
    pub fn endpoint_format(&self) -> Option<ModelFormat> {
        self.manifest.as_ref().map_or_else(|| self.backend.endpoint_format(), |manifest| manifest.endpoint_format())
    }

    pub fn about(&self) -> BackendFound {
        let (backend, version) = (self.backend.clone(), self.version.clone());
        BackendFound { backend, version, is_simple: self.is_simple, endpoint_format: self.endpoint_format() }
    }
}

/// Nothing when there is no such program. It is told nothing of the runner's environment but where programs are.
pub(super) async fn ask(backend: Backend, program: &Path, version: &[impl AsRef<OsStr>]) -> Result<Option<Found>, String> {
    let Some(program) = whole_path(program) else { return Ok(None) };
    let mut command = Command::new(&program);
    command.args(version).env_clear().env("PATH", program_path()).current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    let answered = timeout(ANSWERS, command.output()).await;
    let output = answered.map_err(|_| format!("it does not say its version within {} s", ANSWERS.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("asked for its version it fails: {}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let version = version_in(&said).ok_or("what it says of its version has none in it")?;
    Ok(Some(Found { backend, version, needs: needs(&program), program, manifest: None, is_simple: false }))
}

/// A program, so that another one in its place is seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stamp {
    path: PathBuf,
    file: u64,
    bytes: u64,
    changed: Option<SystemTime>,
}

/// Nothing when there is no such program.
pub(super) fn stamp(program: &Path) -> Option<Stamp> {
    let path = whole_path(program)?;
    let about = fs::metadata(&path).ok()?;
    Some(Stamp { file: about.ino(), bytes: about.len(), changed: about.modified().ok(), path })
}

/// As it is named, or as the runner's path finds it.
fn whole_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.canonicalize().ok();
    }
    let places = program_path();
    std::env::split_paths(&places).find_map(|folder| folder.join(program).canonicalize().ok().filter(|path| path.is_file()))
}

/// A program of npm's is in a folder of packages that it may need.
fn needs(program: &Path) -> PathBuf {
    let packages = program.ancestors().filter(|folder| folder.ends_with("node_modules")).last();
    packages.unwrap_or(program).to_owned()
}

/// The first word that begins with a digit.
fn version_in(text: &str) -> Option<String> {
    let word =
        text.split_whitespace().map(|word| word.trim_start_matches('v')).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    (word.len() <= 100).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("agent");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_program_is_there_when_it_says_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let ask_for = |script: &str| {
            let program = program(folder.path(), script);
            async move { ask(Backend::ClaudeCode, &program, &["--version"]).await.map(|found| found.unwrap().version) }
        };
        assert_eq!(ask_for("echo '2.1.328 (Claude Code)'").await.as_deref(), Ok("2.1.328"));
        assert_eq!(ask_for("echo agent v1.2-beta").await.as_deref(), Ok("1.2-beta"));
        assert!(ask_for("echo hello").await.unwrap_err().contains("has none in it"));
        assert!(ask_for("echo 1.0; exit 1").await.unwrap_err().contains("it fails"));
        assert!(matches!(ask(Backend::ClaudeCode, Path::new("/no/such/agent"), &["--version"]).await, Ok(None)));
    }

    #[test]
    fn a_program_of_npms_needs_its_packages() {
        let at = |path: &str| needs(Path::new(path)).display().to_string();
        assert_eq!(at("/srv/tools/node_modules/@a/b/node_modules/c/bin/c.exe"), "/srv/tools/node_modules");
        assert_eq!(at("/home/ada/.local/share/claude/2.1"), "/home/ada/.local/share/claude/2.1");
    }
}
