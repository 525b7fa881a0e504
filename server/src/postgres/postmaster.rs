//! The server process: adopting one that runs, starting one, waiting for it, stopping it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tracing::{info, warn};

use super::binaries::Binaries;
use super::error::{PostgresError, file_error, last_lines};
use super::places::Places;
use super::probe::{Answer, probe};
use super::process::{Seen, look};
use super::run_as::RunAs;
use super::{settings, socket};

const POLL: Duration = Duration::from_millis(10);

/// How long a server that runs may stay silent.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// How long a server that answers "not yet" may recover before Muster gives up waiting. It goes on recovering.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How long sessions of a server that was killed may hold its memory: as long as their statement runs.
const ORPHANS_LIMIT: Duration = Duration::from_secs(60);

const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Between two lines that say that somebody is still waiting.
const PROGRESS: Duration = Duration::from_secs(3);

/// A log above this size becomes `postgres.log.1` at the next start.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;

pub(super) struct Running {
    pub postmaster: Postmaster,
    pub socket_folder: PathBuf,
}

pub(super) struct Postmaster {
    pid: Pid,
    places: Places,
    origin: Origin,
}

enum Origin {
    /// Kept, so that it does not stay a zombie when it ends.
    Started(Child),
    Adopted,
}

enum Outcome {
    Accepting,
    Gone,
}

/// The server of this cluster that runs already, once it accepts connections. Otherwise clears away what a killed one left, so
/// that a new one can start.
pub(super) async fn adopt(places: &Places) -> Result<Option<Running>, PostgresError> {
    let usual = socket::folder(&places.state_dir);
    while let Some(pid_file) = PidFile::read(places).await? {
        let seen = match pid_file.pid {
            Some(pid) => look(pid, &places.data()).await,
            None => Seen::Gone,
        };
        if let (Seen::Ours, Some(pid)) = (&seen, pid_file.pid) {
            let mut postmaster = Postmaster { pid, places: places.clone(), origin: Origin::Adopted };
            let socket_folder = pid_file.socket_folder.unwrap_or_else(|| usual.clone());
            match wait_until_accepting(&mut postmaster, &socket_folder).await? {
                Outcome::Accepting => return Ok(Some(Running { postmaster, socket_folder })),
                // it was shutting down: look again
                Outcome::Gone => continue,
            }
        }
        refuse_stranger(&usual).await?;
        match seen {
            Seen::Other(name) => info!("postmaster.pid is stale: its number belongs to `{name}` now; removing it"),
            _ => info!("postmaster.pid is stale: no such process; removing it"),
        }
        pid_file.remove(places)?;
    }
    refuse_stranger(&usual).await?;
    socket::remove_leftovers(&usual)?;
    Ok(None)
}

/// Starts a server of its own process group, which outlives Muster, and waits until it accepts connections.
pub(super) async fn start(places: &Places, run_as: &RunAs, binaries: &Binaries) -> Result<Running, PostgresError> {
    let socket_folder = socket::prepare(&places.state_dir, run_as)?;
    let program = binaries.folder.join("postgres");
    let began = Instant::now();
    let mut told = false;
    loop {
        let (log, offset) = open_log(places, run_as)?;
        let again = log.try_clone().map_err(file_error("write", &places.log()))?;
        let mut command = run_as.command(&program);
        command.args(settings::arguments(&places.data(), &socket_folder)).stdout(Stdio::from(log)).stderr(Stdio::from(again));
        let child = command.spawn().map_err(|reason| PostgresError::Spawn { program: program.clone(), reason })?;
        let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { continue };

        let mut postmaster = Postmaster { pid, places: places.clone(), origin: Origin::Started(child) };
        let mut stop_when_cancelled = StopOnDrop(Some(pid));
        match wait_until_accepting(&mut postmaster, &socket_folder).await {
            Ok(Outcome::Accepting) => {
                stop_when_cancelled.0 = None;
                return Ok(Running { postmaster, socket_folder });
            }
            Ok(Outcome::Gone) => stop_when_cancelled.0 = None,
            Err(error) => {
                if matches!(error, PostgresError::StillRecovering { .. }) {
                    stop_when_cancelled.0 = None;
                }
                return Err(error);
            }
        }
        let output = log_since(places, offset);
        if !waits_for_orphans(&output) || began.elapsed() > ORPHANS_LIMIT {
            return Err(PostgresError::Start { data: places.data(), log: places.log(), output: last_lines(&output, 12) });
        }
        if !told {
            told = true;
            warn!("Sessions of a Postgres that was killed are still at work; waiting for them to end");
        }
        tokio::time::sleep(POLL * 10).await;
    }
}

impl Postmaster {
    /// Fast shutdown.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        if self.is_gone().await {
            warn!("Muster's own Postgres (process {}) had ended already; see {}", self.pid.as_raw_pid(), self.places.log().display());
            return Ok(());
        }
        // gone in this very moment is fine, too
        let _ = kill_process(self.pid, Signal::INT);
        let began = Instant::now();
        while !self.is_gone().await {
            if began.elapsed() > STOP_LIMIT {
                return Err(PostgresError::Stop { pid: self.pid.as_raw_pid(), seconds: STOP_LIMIT.as_secs(), log: self.places.log() });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    pub async fn is_gone(&mut self) -> bool {
        match &mut self.origin {
            Origin::Started(child) => !matches!(child.try_wait(), Ok(None)),
            Origin::Adopted => look(self.pid, &self.places.data()).await != Seen::Ours,
        }
    }
}

async fn wait_until_accepting(postmaster: &mut Postmaster, socket_folder: &Path) -> Result<Outcome, PostgresError> {
    let socket = socket::path(socket_folder);
    let pid = postmaster.pid.as_raw_pid();
    let began = Instant::now();
    let (mut heard, mut told) = (began, began);
    loop {
        let answer = probe(&socket).await;
        if answer == Answer::Accepting {
            return Ok(Outcome::Accepting);
        }
        if postmaster.is_gone().await {
            return Ok(Outcome::Gone);
        }
        if let Answer::NotYet(_) = answer {
            heard = Instant::now();
        }
        if heard.elapsed() > ANSWER_LIMIT {
            return Err(silent(postmaster));
        }
        if began.elapsed() > RECOVERY_LIMIT {
            return Err(PostgresError::StillRecovering { pid, seconds: RECOVERY_LIMIT.as_secs(), log: postmaster.places.log() });
        }
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            let words = if let Answer::NotYet(words) = &answer { words } else { "no answer" };
            info!("Waiting for Postgres (process {pid}) since {} s: {words}", began.elapsed().as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

fn silent(postmaster: &Postmaster) -> PostgresError {
    let places = &postmaster.places;
    let output = format!("  (process {} runs, but did not answer for {} seconds)", postmaster.pid.as_raw_pid(), ANSWER_LIMIT.as_secs());
    PostgresError::Start { data: places.data(), log: places.log(), output }
}

/// Somebody who answers although no process of ours does is a server that must not get a second one beside it.
async fn refuse_stranger(socket_folder: &Path) -> Result<(), PostgresError> {
    let socket = socket::path(socket_folder);
    if probe(&socket).await == Answer::Silent { Ok(()) } else { Err(PostgresError::Stranger { socket }) }
}

/// Postgres will not start beside them, and it says so at once. They end with their statement, because their socket is gone.
fn waits_for_orphans(output: &[u8]) -> bool {
    String::from_utf8_lossy(output).contains("is still in use")
}

/// Stops a server nobody waits for any more.
struct StopOnDrop(Option<Pid>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // not waited for yet, so the number is still its own
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

struct PidFile {
    text: String,
    pid: Option<Pid>,
    socket_folder: Option<PathBuf>,
}

impl PidFile {
    async fn read(places: &Places) -> Result<Option<Self>, PostgresError> {
        let path = places.pid_file();
        let began = Instant::now();
        loop {
            let text = match fs::read(&path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(file_error("read", &path)(error)),
            };
            let pid_file = parse(text);
            // between creating the file and writing it a server is not to be taken for dead
            if pid_file.pid.is_some() || began.elapsed() > Duration::from_secs(1) {
                return Ok(Some(pid_file));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn remove(&self, places: &Places) -> Result<(), PostgresError> {
        let path = places.pid_file();
        let now = fs::read(&path).unwrap_or_default();
        if String::from_utf8_lossy(&now) != self.text {
            // a server has just written its own: look again
            return Ok(());
        }
        fs::remove_file(&path).map_err(file_error("remove", &path))
    }
}

/// Lines: pid, data directory, start time, port, socket folder, TCP address, …
fn parse(text: String) -> PidFile {
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok()).filter(|pid| *pid > 1).and_then(Pid::from_raw);
    let socket_folder = lines.nth(3).map(PathBuf::from).filter(|folder| folder.is_absolute());
    PidFile { text, pid, socket_folder }
}

/// Open for writing, and how long it is already.
fn open_log(places: &Places, run_as: &RunAs) -> Result<(File, u64), PostgresError> {
    let path = places.log();
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT) {
        fs::rename(&path, path.with_added_extension("1")).map_err(file_error("rename", &path))?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(file_error("write", &path))?;
    run_as.give(&path)?;
    let length = log.metadata().map_err(file_error("read", &path))?.len();
    Ok((log, length))
}

fn log_since(places: &Places, offset: u64) -> Vec<u8> {
    let read = || {
        let mut log = File::open(places.log())?;
        log.seek(SeekFrom::Start(offset))?;
        let mut output = Vec::new();
        log.take(64 * 1024).read_to_end(&mut output)?;
        std::io::Result::Ok(output)
    };
    read().unwrap_or_else(|error| format!("({} could not be read: {error})", places.log().display()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_names_the_process_and_its_socket() {
        let whole = parse("4711\n/state/postgres\n1763640000\n5432\n/state/run\n\n  1234 5\nready   \n".into());
        assert_eq!(whole.pid, Pid::from_raw(4711));
        assert_eq!(whole.socket_folder, Some(PathBuf::from("/state/run")));
        let early = parse("4711\n/state/postgres\n1763640000\n5432\n".into());
        assert_eq!((early.pid, early.socket_folder), (Pid::from_raw(4711), None));
    }

    #[test]
    fn a_broken_pid_file_names_nobody() {
        for broken in ["", "\n", "postgres\n", "0\n", "-1\n", "1\n", "99999999999\n"] {
            assert_eq!(parse(broken.into()).pid, None, "{broken:?}");
        }
    }
}
