//! A Postgres of somebody else, which Muster is given by `DATABASE_URL`.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use server::postgres::PrivateCluster;

use crate::machine::Machine;

/// A cluster that a person made and runs with settings of their own.
pub struct TheirCluster {
    state: PathBuf,
    program: PathBuf,
    url: String,
}

impl TheirCluster {
    /// Beside Muster's state on this machine. It is not running yet.
    pub async fn create(machine: &Machine) -> Self {
        let state = machine.folder.path().join("theirs");
        let cluster = PrivateCluster::start(&state).await.unwrap();
        let url = cluster.url();
        let pid = fs::read_to_string(state.join("postgres/postmaster.pid")).unwrap().lines().next().unwrap().to_owned();
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        cluster.stop().await.unwrap();
        fs::create_dir_all(state.join("run")).unwrap();
        let owner = fs::metadata(state.join("postgres")).unwrap();
        std::os::unix::fs::chown(state.join("run"), Some(owner.uid()), Some(owner.gid())).unwrap();
        Self { state, program, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.state.join("run/.s.PGSQL.5432")
    }

    /// As [`url`](Self::url), by another folder in which something listens.
    pub fn url_by_folder(&self, folder: &std::path::Path) -> String {
        let (before, rest) = self.url.split_once("host=").unwrap();
        let (_, after) = rest.split_once('&').unwrap();
        format!("{before}host={}&{after}", folder.display().to_string().replace('/', "%2F"))
    }

    pub fn start(&self, settings: &[&str]) -> TheirPostgres {
        self.start_with(settings, &[])
    }

    /// As [`start`](Self::start), with these in its environment.
    pub fn start_with(&self, settings: &[&str], environment: &[(String, String)]) -> TheirPostgres {
        let (data, run) = (self.state.join("postgres"), self.state.join("run"));
        let owner = fs::metadata(&data).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("-D").arg(data).args(["-c", "listen_addresses=", "-c"]).arg(format!("unix_socket_directories={}", run.display()));
        command.args(settings.iter().flat_map(|setting| ["-c", setting])).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        command.envs(environment.iter().cloned());
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        TheirPostgres(command.spawn().unwrap())
    }
}

/// Stopped when dropped.
pub struct TheirPostgres(Child);

impl TheirPostgres {
    /// For good.
    pub fn is_killed(mut self) {
        self.send(Signal::KILL);
    }

    /// Every backend leaves at once, and the next start recovers from the log.
    pub fn is_stopped_at_once(mut self) {
        self.send(Signal::QUIT);
    }

    /// Of its first process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// By itself, for example because what an earlier life left behind still ran.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    fn send(&mut self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
        let _ = self.0.wait();
    }
}

impl Drop for TheirPostgres {
    fn drop(&mut self) {
        self.send(Signal::INT);
    }
}
