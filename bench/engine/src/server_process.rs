//! The measured server as whoever measures sees it.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{memory, seen::Seen};

/// Runners that do nothing, for the figures that need any. Each is heard one message at a time, as every runner is.
pub const RUNNERS: u32 = 16;
pub const SLOTS: u32 = 32;

/// Killed when dropped: there is nothing in it that has to be kept.
pub struct ServerProcess {
    child: Child,
    pub address: String,
    /// An admin's.
    pub key: String,
    /// What the runners inside it have come to.
    pub seen: Seen,
    _reader: AbortOnDropHandle<()>,
}

impl ServerProcess {
    /// On this database, with so many runners; what it logs goes to a file in the folder.
    pub async fn start(database_url: &str, runners: u32, folder: &Path) -> anyhow::Result<Self> {
        Self::start_at("127.0.0.1:0", database_url, runners, folder).await
    }

    /// As [`start`](Self::start), at this address.
    pub async fn start_at(address: &str, database_url: &str, runners: u32, folder: &Path) -> anyhow::Result<Self> {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--say-given", "--addr", address, "--database-url", database_url, "--runners", &runners.to_string()]);
        command.args(["--slots", &SLOTS.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("the server has no output")?).lines();
        let first =
            lines.next_line().await?.ok_or_else(|| anyhow!("the server did not start; see {}", folder.join("server.log").display()))?;
        let (address, key) = first.strip_prefix("serves ").and_then(|rest| rest.split_once(' ')).context("the server did not say where")?;
        let (address, key) = (address.to_owned(), key.to_owned());
        let seen = Seen::default();
        let reader = TaskTracker::new().spawn(read(lines, seen.clone()));
        Ok(Self { child, address, key, seen, _reader: AbortOnDropHandle::new(reader) })
    }

    /// Waits until so many attempts have ended since it started.
    pub async fn has_ended(&self, count: u64) -> anyhow::Result<()> {
        self.seen.until_ended(count).await
    }

    pub fn ended(&self) -> u64 {
        self.seen.ended()
    }

    pub fn take_given(&self) -> std::collections::HashMap<String, u128> {
        self.seen.take_given()
    }

    /// Bytes of memory.
    pub fn resident(&self) -> anyhow::Result<u64> {
        memory::resident(self.child.id())
    }

    /// The most that it ever had of it.
    pub fn peak(&self) -> anyhow::Result<u64> {
        memory::peak(self.child.id())
    }

    /// Processor time that it has used since it started (`/proc/PID/stat`, in hundredths of a second).
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let pid = self.child.id().context("the server is gone")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<_> = stat.rsplit_once(')').context("no figures of the process")?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).context("no processor time");
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, seen: Seen) {
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["ended", count] => drop(count.parse().map(|count| seen.have_ended(count))),
            ["given", task, at] => drop(at.parse().map(|at| seen.is_given(task.to_owned(), at))),
            _ => {}
        }
    }
}
