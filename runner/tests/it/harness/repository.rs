//! A repository to work on, and what is asked for there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use domain::{AttemptId, AttemptKey, CheckKind, CheckSpec, Isolation, TaskId, Work, protocol::Assignment};
use tempfile::TempDir;
use uuid::Uuid;

/// A git repository with one commit, as a user would have it.
pub struct Repository {
    _folder: TempDir,
    pub path: PathBuf,
}

impl Repository {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("project");
        fs::create_dir(&path).unwrap();
        let repository = Self { _folder: folder, path };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit(files);
        repository
    }

    pub fn sample() -> Self {
        Self::with(&[("README.md", "# Sample\n"), ("Makefile", "test:\n\t@echo tests ran\n")])
    }

    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.path.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--allow-empty", "-m", "Commit"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments).unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
    }

    /// A file as it is on a branch.
    pub fn show(&self, branch: &str, path: &str) -> Option<String> {
        git(&self.path, &["show", &format!("{branch}:{path}")]).ok()
    }

    pub fn branches(&self) -> Vec<String> {
        self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/muster"]).lines().map(str::to_owned).collect()
    }

    /// An attempt to carry out a command here.
    pub fn command(&self, command: &str) -> Assignment {
        Assignment {
            correlation_id: None,
            attempt: AttemptKey { task_id: TaskId(Uuid::now_v7()), attempt_id: AttemptId(Uuid::now_v7()), number: 1 },
            title: "Tidy up".into(),
            work: Work::Command(command.into()),
            agent: Default::default(),
            repository: self.path.to_str().unwrap().into(),
            base_ref: None,
            repositories: vec![],
            submodules: false,
            lfs: false,
            files: vec![],
            success_criteria: vec![],
            checks: vec![],
            inputs: Default::default(),
            timeout_seconds: 60,
            tier: Default::default(),
            failed_checks: vec![],
            isolation: usual_isolation(),
            credentials: Default::default(),
            endpoint: None,
            continues: None,
        }
    }
}

/// The tests run twice: what holds for work in a sandbox has to hold for work without one, and the other way round.
fn usual_isolation() -> Isolation {
    match std::env::var_os("MUSTER_TEST_SANDBOX") {
        Some(_) => Isolation::Sandbox,
        None => Isolation::None,
    }
}

/// For what can only be seen of work that reaches the rest of the machine.
pub fn without_a_sandbox(assignment: Assignment) -> Assignment {
    Assignment { isolation: Isolation::None, ..assignment }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub fn checks(specs: &[(CheckKind, Option<&str>)]) -> Vec<CheckSpec> {
    specs.iter().map(|(kind, target)| CheckSpec::new(*kind, target.map(str::to_owned))).collect()
}
