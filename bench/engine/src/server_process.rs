//! The measured server as whoever measures sees it.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, anyhow};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::watch,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Runners that do nothing, for the figures that need any. Each is heard one message at a time, as every runner is.
pub const RUNNERS: u32 = 16;
pub const SLOTS: u32 = 32;

/// Killed when dropped: there is nothing in it that has to be kept.
pub struct ServerProcess {
    child: Child,
    pub address: String,
    pub key: String,
    ended: watch::Receiver<u64>,
    given: Arc<Mutex<HashMap<String, u128>>>,
    _reader: AbortOnDropHandle<()>,
}

impl ServerProcess {
    /// On this database, with so many runners; what it logs goes to a file in the folder.
    pub async fn start(database_url: &str, runners: u32, folder: &Path) -> anyhow::Result<Self> {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--say-given", "--database-url", database_url, "--runners", &runners.to_string()]);
        command.args(["--slots", &SLOTS.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("the server has no output")?).lines();
        let first =
            lines.next_line().await?.ok_or_else(|| anyhow!("the server did not start; see {}", folder.join("server.log").display()))?;
        let (address, key) = first.strip_prefix("serves ").and_then(|rest| rest.split_once(' ')).context("the server did not say where")?;
        let (address, key) = (address.to_owned(), key.to_owned());
        let (sender, ended) = watch::channel(0);
        let given = Arc::new(Mutex::new(HashMap::new()));
        let reader = TaskTracker::new().spawn(read(lines, sender, given.clone()));
        Ok(Self { child, address, key, ended, given, _reader: AbortOnDropHandle::new(reader) })
    }

    /// Waits until so many attempts have ended since it started.
    pub async fn has_ended(&self, count: u64) -> anyhow::Result<()> {
        self.ended.clone().wait_for(|ended| *ended >= count).await.context("the server is gone")?;
        Ok(())
    }

    pub fn ended(&self) -> u64 {
        *self.ended.borrow()
    }

    /// When each task was given to its runner, in nanoseconds since 1970; what was told before is forgotten.
    pub fn take_given(&self) -> HashMap<String, u128> {
        std::mem::take(&mut *self.given.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of memory.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let pid = self.child.id().context("the server is gone")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory figure")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, ended: watch::Sender<u64>, given: Arc<Mutex<HashMap<String, u128>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["ended", count] => drop(count.parse().map(|count| ended.send_replace(count))),
            ["given", task, at] => {
                if let Ok(at) = at.parse() {
                    given.lock().unwrap_or_else(PoisonError::into_inner).insert(task.to_owned(), at);
                }
            }
            _ => {}
        }
    }
}
