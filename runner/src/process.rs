//! Processes of attempts: starts them in a session of their own, sees them through, and ends everything that came of them.
//!
//! The first process, the leader, decides how the work ended. When it is gone, or is to go, everything that came of it is ended as
//! well, wherever it moved: see [`census`]. Nothing here returns while a known process of the attempt lives, except after
//! [`Limits::kill`] with its number in the error.

mod census;
mod exit;
mod starter;
mod time;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    process::ExitStatus,
    time::Duration,
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Limits,
    held::{Order, Orders},
    sandbox::{Meter, Overrun},
};

pub(crate) use census::boot;
pub(crate) use exit::{how_it_ended, why_it_ended};
pub(crate) use starter::start as start_alone;
pub(crate) use time::Time;

/// The environment variable that marks every process of an attempt.
pub(crate) const MARKER: &str = "MUSTER_ATTEMPT_ID";

/// How often a census is taken while processes are waited for.
const LOOK: Duration = Duration::from_millis(25);

/// Where programs are looked for: the runner's own path, but for what depends on the folder that somebody stands in.
pub fn program_path() -> OsString {
    whole_paths(&std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into()))
}

const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn whole_paths(path: &OsStr) -> OsString {
    let whole: Vec<_> = std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
    match std::env::join_paths(&whole) {
        Ok(path) if !whole.is_empty() => path,
        // one that is empty is where one stands
        _ => USUAL_PATH.into(),
    }
}

/// The first process of a session. The start time (in the kernel's ticks since boot) tells it from a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leader {
    pub pid: i32,
    pub start: u64,
}

/// What the processes of an attempt have in common.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The value of [`MARKER`].
    pub attempt: String,
    /// Nobody else has business below it.
    pub folder: PathBuf,
    pub leader: Option<Leader>,
    /// The leader was this life's own child, so its number cannot have become somebody else's session meanwhile.
    pub of_this_life: bool,
    /// The leader and its child are the sandbox, and what runs in it comes below them.
    pub in_sandbox: bool,
    /// The control group that all of them are in, where they have one.
    pub group: Option<PathBuf>,
}

/// What processes may take.
pub(crate) struct Allowance<'a> {
    pub time: Time,
    pub meter: &'a Meter,
}

/// How the leader's time ended.
#[derive(Debug)]
pub(crate) enum End {
    Exited(ExitStatus),
    /// It had said all that there was to say, and would not go.
    SaidAll,
    TimedOut,
    TookTooMuch(Overrun),
    Told(Order),
}

#[derive(Debug, Error)]
#[error("these processes could not be ended: {}", .0.iter().map(i32::to_string).collect::<Vec<_>>().join(", "))]
pub(crate) struct Survivors(Vec<i32>);

/// Starts a command in a session and process group of its own. Its leader is put into the trace.
pub(crate) async fn start(command: Command, trace: &mut Trace) -> io::Result<Child> {
    let child = starter::start(command).await?;
    trace.leader = child.id().and_then(|id| i32::try_from(id).ok()).map(|pid| Leader { pid, start: census::start_of(pid) });
    trace.of_this_life = true;
    Ok(child)
}

/// Waits until the leader ends, its time is over or the attempt is told to end, and then until nothing of it is left.
async fn see_through(
    child: &mut Child,
    trace: &Trace,
    Allowance { time, meter }: Allowance<'_>,
    orders: &mut Orders,
    limits: &Limits,
    said_all: &CancellationToken,
) -> Result<io::Result<End>, Survivors> {
    let leader = trace.leader.map_or(0, |leader| leader.pid);
    let lingers = async {
        said_all.cancelled().await;
        tokio::time::sleep(limits.goodbye).await;
    };
    let end = tokio::select! {
        biased;
        status = child.wait() => status.map(End::Exited),
        order = orders.told() => Ok(End::Told(order)),
        () = lingers => Ok(End::SaidAll),
        () = time.used_up() => Ok(End::TimedOut),
        overrun = meter.too_much(leader) => Ok(End::TookTooMuch(overrun)),
    };
    let steps: &[(Signal, Duration)] = match &end {
        // What it left in the background has no say any more.
        Ok(End::Exited(_)) => &[(Signal::TERM, limits.terminate)],
        // while it is asked it would take more
        Ok(End::TookTooMuch(_)) => &[],
        _ => &[(Signal::INT, limits.interrupt), (Signal::TERM, limits.terminate)],
    };
    finish(Some(child), trace, steps, || !orders.is_anothers(), limits).await?;
    Ok(end)
}

/// As [`see_through`], while `reading` takes in what the processes write. `over` is cancelled when everything is gone and something
/// unknown holds the pipes open still, for longer than is worth waiting. `said_all` is cancelled by whoever reads when the program has no
/// more to say: it has a moment then to end by itself.
pub(crate) async fn attend(
    child: &mut Child,
    trace: &Trace,
    allowance: Allowance<'_>,
    orders: &mut Orders,
    limits: &Limits,
    reading: impl Future<Output = ()>,
    (over, said_all): (&CancellationToken, &CancellationToken),
) -> Result<io::Result<End>, Survivors> {
    let gone = CancellationToken::new();
    let work = async {
        let end = see_through(child, trace, allowance, orders, limits, said_all).await;
        gone.cancel();
        end
    };
    let reading = async {
        tokio::pin!(reading);
        let patience = async {
            gone.cancelled().await;
            tokio::time::sleep(limits.pipes).await;
        };
        tokio::select! {
            () = &mut reading => return,
            () = patience => over.cancel(),
        }
        reading.await;
    };
    tokio::join!(work, reading).0
}

/// The processes that are there of an attempt.
pub(crate) async fn left_of(trace: &Trace) -> Vec<i32> {
    left(&mut None, trace).await
}

/// Ends everything of an attempt at once. For what an earlier life left.
pub(crate) async fn kill(trace: &Trace, limits: &Limits) -> Result<(), Survivors> {
    // what is played has no processes
    #[cfg(test)]
    if crate::simulation::is_on() {
        return Ok(());
    }
    finish(None, trace, &[], || false, limits).await
}

/// Asks as long as it may, and then kills.
async fn finish(
    mut child: Option<&mut Child>,
    trace: &Trace,
    steps: &[(Signal, Duration)],
    may_ask: impl Fn() -> bool,
    limits: &Limits,
) -> Result<(), Survivors> {
    if left(&mut child, trace).await.is_empty() {
        return Ok(());
    }
    'asking: for (signal, patience) in steps {
        let deadline = Instant::now() + *patience;
        if !may_ask() {
            break;
        }
        census::signal(trace, *signal).await;
        while Instant::now() < deadline && may_ask() {
            tokio::time::sleep(LOOK.min(*patience)).await;
            if left(&mut child, trace).await.is_empty() {
                return Ok(());
            }
            if trace.in_sandbox && census::take_inside(trace).await.is_empty() {
                // only the sandbox itself is left, held open by the first signal
                break 'asking;
            }
        }
    }
    let deadline = Instant::now() + limits.kill;
    loop {
        census::signal(trace, Signal::KILL).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let left = left(&mut child, trace).await;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Survivors(left));
        }
    }
}

/// What is left, its leader included. A process that forks and ends while the census is taken can be missed with its child, so
/// that only a second look that finds nothing counts.
async fn left(child: &mut Option<&mut Child>, trace: &Trace) -> Vec<i32> {
    if let Some(child) = child {
        // It has to be waited for, or it stays as a zombie.
        if let Ok(None) = child.try_wait() {
            return child.id().and_then(|id| i32::try_from(id).ok()).into_iter().collect();
        }
    }
    for _ in 0..2 {
        let found = census::take(trace).await;
        if !found.is_empty() {
            return found;
        }
    }
    vec![]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_not_looked_for_where_one_stands() {
        assert_eq!(whole_paths(OsStr::new(":.:/usr/bin::bin:/bin:")), "/usr/bin:/bin");
        assert_eq!(whole_paths(OsStr::new(".")), USUAL_PATH);
    }
}
