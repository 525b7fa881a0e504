//! Who may do what with a state directory at the same time. The kernel drops these locks with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::info;

use super::error::{PostgresError, file_error};
use super::places::Places;

/// How long a start or stop by another process is waited for; above what a recovery may take it.
const TURN_LIMIT: Duration = Duration::from_secs(11 * 60);
const POLL: Duration = Duration::from_millis(20);

/// Held by the one Muster that serves from a state directory. Dropping it gives the directory free.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Creates the state directory where it is missing.
    ///
    /// # Errors
    /// `AlreadyServing` when another process holds the lock; `File` when the directory or the lock file cannot be made.
    pub fn take(state_dir: &Path) -> Result<Self, PostgresError> {
        let places = Places::prepare(state_dir)?;
        let path = places.state_dir.join("muster.lock");
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // whoever took it may not have written its pid yet
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(PostgresError::AlreadyServing { state_dir: places.state_dir, pid });
            }
            Err(TryLockError::Error(error)) => return Err(file_error("lock", &path)(error)),
        }
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write().map_err(file_error("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// The right to start or stop Postgres: one process at a time.
pub(super) struct Turn {
    _file: File,
}

impl Turn {
    pub async fn take(places: &Places) -> Result<Self, PostgresError> {
        let path = places.state_dir.join("postgres-turn.lock");
        let file = open(&path)?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(file_error("lock", &path)(error)),
            }
            if began.elapsed() > TURN_LIMIT {
                return Err(PostgresError::Busy { state_dir: places.state_dir.clone(), lock: path, seconds: TURN_LIMIT.as_secs() });
            }
            if !told && began.elapsed() > Duration::from_secs(1) {
                told = true;
                info!("Waiting for another Muster process that is starting or stopping the private Postgres");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Says that this process uses the cluster, so that nobody else stops it.
pub(super) struct Use {
    shared: File,
}

impl Use {
    pub fn begin(_turn: &Turn, places: &Places) -> Result<Self, PostgresError> {
        let path = places.state_dir.join("postgres-use.lock");
        let shared = open(&path)?;
        // nobody holds it alone but within a turn, and the turn is ours
        shared.lock_shared().map_err(file_error("lock", &path))?;
        Ok(Self { shared })
    }

    /// Ends the use; true when nobody else has one.
    pub fn was_last(self, _turn: &Turn, places: &Places) -> Result<bool, PostgresError> {
        drop(self.shared);
        let path = places.state_dir.join("postgres-use.lock");
        match open(&path)?.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(file_error("lock", &path)(error)),
        }
    }
}

fn open(path: &Path) -> Result<File, PostgresError> {
    // not truncated: the pid in it belongs to whoever holds the lock
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(file_error("open", path))
}
