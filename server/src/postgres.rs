//! Muster's own Postgres: a private cluster in `<state_dir>/postgres`, for whoever has no `DATABASE_URL`.
//!
//! `muster serve` and the admin commands start it here and connect with [`PrivateCluster::url`]; nothing in this module speaks SQL.
//! Everything it owns lies in the state directory:
//!
//! | path | what |
//! |---|---|
//! | `postgres/` | the data; made beside it as `postgres.new-*` and moved into place when complete |
//! | `postgres-password` | password of the superuser `muster`, mode 0600 |
//! | `postgres.log` | what Postgres writes; the one before is `postgres.log.1` |
//! | `run/` | the socket, mode 0700 (`/tmp/muster-<hash>` where the path would be too long for one) |
//! | `muster.lock` | held by the one Muster that serves |
//! | `postgres-turn.lock`, `postgres-use.lock` | one process starts or stops at a time; the last user stops |
//!
//! It promises: no TCP, fsync on, checksums on; no folder that a person made is ever chmod-ed; a cluster of a version without
//! binaries is refused and left as it is; a kill -9 of Muster, of Postgres or of the creation is repaired by the next start, one of
//! Postgres while Muster serves within a second.
//! Postgres does not run as root: started as root, it drops to the owner of the cluster, or `postgres`, or `nobody`.

mod binaries;
mod cluster;
mod error;
mod keeper;
mod lock;
mod places;
mod postmaster;
mod probe;
mod process;
mod run_as;
mod settings;
mod socket;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::info;

pub use error::PostgresError;
pub use keeper::KeptCluster;
pub use lock::StateLock;
pub use places::default_state_dir;

use binaries::Search;
use lock::{Turn, Use};
use places::Places;
use postmaster::{Postmaster, Running};
use run_as::RunAs;

/// A Postgres cluster of Muster's own in `<state_dir>/postgres`, running and accepting connections.
///
/// Dropping it leaves Postgres running, as a killed Muster does; the next [`start`](Self::start) adopts it.
pub struct PrivateCluster {
    places: Places,
    socket_folder: PathBuf,
    password: String,
    was_running: bool,
    postmaster: Postmaster,
    in_use: Use,
}

impl PrivateCluster {
    /// Finds the binaries, creates the cluster the first time, starts it or adopts the one that is already running, and waits until it
    /// accepts connections.
    ///
    /// # Errors
    /// Every [`PostgresError`] but `AlreadyServing` and `Stop`. After an error nothing that this call started is left running, except
    /// a Postgres that is still recovering: it goes on, and a later start finds it further ahead.
    pub async fn start(state_dir: &Path) -> Result<Self, PostgresError> {
        let places = Places::prepare(state_dir)?;
        let turn = Turn::take(&places).await?;
        let in_use = Use::begin(&turn, &places)?;
        let raised = raise(&turn, &places).await?;
        let Raised { running: Running { postmaster, socket_folder }, was_running, password } = raised;
        Ok(Self { places, socket_folder, password, was_running, postmaster, in_use })
    }

    /// Whether the server has ended although it is in use: killed by a person, by the kernel for its memory, by a fault.
    async fn has_ended(&mut self) -> bool {
        self.postmaster.is_gone().await
    }

    /// After [`has_ended`](Self::has_ended). The address stays the same.
    async fn start_again(&mut self) -> Result<(), PostgresError> {
        let turn = Turn::take(&self.places).await?;
        let raised = raise(&turn, &self.places).await?;
        self.postmaster = raised.running.postmaster;
        Ok(())
    }

    /// For sqlx; holds the password, so it must not be logged.
    pub fn url(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let password = percent_encoded(self.password.as_bytes());
        let folder = percent_encoded(self.socket_folder.as_os_str().as_bytes());
        // port and sslmode are spelled out, so that PGPORT and PGSSLMODE of the environment do not count
        format!("postgres://{}:{password}@localhost/postgres?host={folder}&port={}&sslmode=disable", settings::SUPERUSER, settings::PORT)
    }

    /// Whether it ran already: another Muster uses it, or one was killed without stopping it.
    pub fn was_running(&self) -> bool {
        self.was_running
    }

    /// Stops Postgres (fast shutdown: transactions in progress are rolled back) and waits until it is gone. When another Muster
    /// process still uses the cluster it is left running, and that one stops it: whoever is last.
    ///
    /// # Errors
    /// `Busy` and `File` when the locks cannot be had, `Stop` when Postgres is not gone after a minute.
    pub async fn stop(self) -> Result<(), PostgresError> {
        let turn = Turn::take(&self.places).await?;
        if !self.in_use.was_last(&turn, &self.places)? {
            info!("Another Muster process uses the private Postgres; it is left running");
            return Ok(());
        }
        self.postmaster.stop().await?;
        socket::tidy(&self.places.state_dir, &self.socket_folder);
        info!("Muster's own Postgres stopped");
        Ok(())
    }
}

struct Raised {
    running: Running,
    was_running: bool,
    password: String,
}

/// The running server of the cluster: the one that is there, or a new one, on a new cluster the first time.
async fn raise(_turn: &Turn, places: &Places) -> Result<Raised, PostgresError> {
    let began = Instant::now();
    let run_as = RunAs::for_cluster(&places.data())?;
    run_as.check_reach(&places.state_dir)?;
    let explicit = std::env::var_os("MUSTER_POSTGRES_BIN").and_then(|folder| std::path::absolute(folder).ok());
    let search = Search { explicit, path: std::env::var_os("PATH"), state_dir: places.state_dir.clone() };
    let binaries = binaries::find(&search, &run_as, &places.data(), cluster::version(&places.data())?).await?;

    let running = postmaster::adopt(places).await?;
    let was_running = running.is_some();
    let password = cluster::password(places)?;
    let running = match running {
        Some(running) => running,
        None => {
            cluster::sweep(places);
            if cluster::version(&places.data())?.is_none() {
                cluster::create(places, &run_as, &binaries, &password).await?;
            }
            postmaster::start(places, &run_as, &binaries).await?
        }
    };
    let act = if was_running { "already ran" } else { "started" };
    info!(version = binaries.version, was_running, "Muster's own Postgres {act}, ready after {} ms", began.elapsed().as_millis());
    Ok(Raised { running, was_running, password })
}

impl fmt::Debug for PrivateCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateCluster")
            .field("state_dir", &self.places.state_dir)
            .field("socket_folder", &self.socket_folder)
            .field("was_running", &self.was_running)
            .finish_non_exhaustive()
    }
}

fn percent_encoded(bytes: &[u8]) -> String {
    let one = |&byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_plainest_characters_is_encoded() {
        assert_eq!(percent_encoded("/var/lib/müster p@ss:w&rd".as_bytes()), "%2Fvar%2Flib%2Fm%C3%BCster%20p%40ss%3Aw%26rd");
        assert_eq!(percent_encoded(b"aZ0-._~"), "aZ0-._~");
    }
}
