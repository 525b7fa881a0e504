//! Executes attempts: takes an assignment, prepares a worktree, does the work in it, checks the result, saves what changed and
//! reports.
//!
//! It knows the `domain` alone and speaks [`domain::protocol`] over a [`Link`], so the same code runs inside `muster serve` and,
//! over a socket, on another machine. What it promises:
//!
//! * Before the server hears that an attempt is here, and before its work starts, the journal names it. One that was cut short is given up by
//!   the next life, or `lost` in its `Hello` when nothing was ever said about it.
//! * A link that closes changes nothing for what runs. What was said about it and not answered is said again over the next one, and, as it is
//!   on the disk, by the next life: what has come to its end is not done twice because its runner died. See `outbox.rs`.
//! * When an attempt has ended, for whatever reason, nothing of it runs any more; see `process.rs`.
//! * What the work changed is on the attempt's branch before its folder goes, or the folder stays and the report says where; see
//!   `save.rs`.
//! * Checks come from the assignment and run after the work's processes are gone; see `verify.rs`.
//!
//! The walk of one attempt is in `attempt/walk.rs`. Nothing here stores anything but the files below `state_dir`.

mod attempt;
mod backend;
pub mod clock;
mod config;
mod credentials;
mod dial;
mod disk;
mod fits;
mod folders;
mod git;
mod heartbeat;
mod held;
mod interrupted;
mod journal;
mod key;
mod landing;
mod lfs;
mod life;
mod log;
mod mirror;
mod network;
pub mod ollama;
mod outbox;
mod process;
mod pulls;
mod reading;
mod recover;
mod rejections;
mod remains;
mod sandbox;
mod save;
mod session;
#[cfg(test)]
mod simulation;
mod slots;
mod socket;
mod submodule;
mod talk;
mod tellings;
mod verify;
mod worktree;

use std::{
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

pub use backend::known::{AgentHere, agents_here};
pub use config::{AgentConfig, Forge, ForgeKind, LandingConfig, Limits, OLLAMA_URL, OllamaConfig, Paths, RunnerConfig, SandboxConfig};
pub use dial::{Backoff, Link, NotLinked};
pub use folders::{own_folder, remember_identity, remove};
pub use key::Key;
pub use network::{AgentNetwork, Network, NetworkList, bridge::enter as enter_room};
pub use process::program_path;
pub use sandbox::{Groups, RoomLimits};
pub use socket::dial;

/// Why a runner could not begin or go on. What goes wrong in one attempt is reported about that attempt and never ends the runner.
#[derive(Debug, Error)]
pub enum RunnerError {
    #[error("the runner cannot use its folder {path}; see that it exists, belongs to this user and has room")]
    State {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another runner uses the folder {0}; end that one, or give this one a folder of its own")]
    InUse(PathBuf),
    #[error("the runner needs git, and could not start it; install git and see that it is on the PATH")]
    GitMissing(#[source] io::Error),
    #[error(
        "`git version` has said nothing within {} s; see that the git which comes first on the PATH works, and that the disk it is on answers",
        .0.as_secs()
    )]
    GitSilent(Duration),
    /// With what was found.
    #[error(
        "the runner needs git 2.34 or newer, and found {0}: an older one passes over what keeps repositories from starting programs here; \
         install a newer one and see that it comes first on the PATH"
    )]
    GitTooOld(String),
    #[error("the runner could not start the thread that ends its work when nobody answers; see how many threads this user may have")]
    NoFence(#[source] io::Error),
    #[error(
        "the thread that ends the runner's work when nobody answers has failed, which is an error in Muster: what was done is saved, and \
         begun again when the runner is started again"
    )]
    FenceGone,
    #[error("the server does not take this runner: {0}")]
    Unfit(String),
    /// It was removed, or is another's.
    #[error("the server does not know this runner: {0}")]
    Unknown(String),
    #[error("the server has not heard this runner within {} s", .0.as_secs())]
    NotHeard(Duration),
}

/// Runs until `stop` is cancelled or the server refuses it; returns when nothing of any attempt is left running. `dial` opens a link; it is
/// asked for the next one when a link has closed.
///
/// On stop no new work is taken. What still runs is ended and saved, and the server is told that it was, so that it starts it again. Where that
/// is not heard it stays in the journal, and the next life gives it up.
pub async fn run<D, F>(config: RunnerConfig, dial: D, stop: CancellationToken) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    run_with(config, Limits::default(), dial, stop).await
}

/// Ends and saves what earlier lives have left, says the rest of it, and tells the server that this machine is a runner no longer: its key is
/// dead then. Tries for so long, the first half of it to say the rest; on an error nothing is lost, and the runner is one as before.
pub async fn leave<D, F>(config: RunnerConfig, dial: D, patience: Duration) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    life::leave_for_good(config, dial, patience).await
}

/// As [`run`], with other limits than the usual ones.
pub async fn run_with<D, F>(config: RunnerConfig, limits: Limits, dial: D, stop: CancellationToken) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    life::run(config, limits, dial, stop).await
}

/// The guarded value, also after a panic elsewhere: every guarded section leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something that can be cut short: when its time is over it hears of it through `give_up`, and is seen to its end all the same.
pub(crate) async fn within<T>(time: Duration, give_up: &CancellationToken, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(time) => give_up.cancel(),
    }
    work.await
}
