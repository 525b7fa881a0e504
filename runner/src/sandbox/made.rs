//! Whether a room was made: bubblewrap says so on a pipe of its own, so that its failure is not taken for the work's.

use std::{
    io::{self, PipeReader, Read, Write, pipe},
    os::fd::OwnedFd,
    path::Path,
    process::ExitStatus,
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::io::ioctl_fionbio;
use tokio::process::{Child, Command};

use super::meter::Meter;
use crate::{
    NetworkList,
    network::bridge::{Bridge, ENTER, ENTRANCE, TERMS, WITH_ENTRANCE, doors_of, not_asked_for},
    process::{self, Trace},
};

/// A program that is about to be started.
pub(crate) struct Program {
    pub command: Command,
    pub made: Made,
    /// What it may use of the machine.
    pub meter: Meter,
    /// What it reaches by a list.
    pub bridge: Option<Bridge>,
}

/// One that was started.
pub(crate) struct Running {
    pub child: Child,
    pub made: Made,
    pub meter: Meter,
    pub bridge: Option<Bridge>,
}

pub(crate) enum Made {
    /// There is no room to be made.
    Open,
    /// What bubblewrap says about it.
    Closed(PipeReader),
}

const STATUS: i32 = 3;
const FILTER: i32 = 4;

/// Completes a call of bubblewrap that is complete but for what it runs. Where a list says what is reached, that is Muster's own program
/// first, where it lies inside.
pub(super) fn watched(mut command: Command, name: &str, meter: Meter, listed: Option<(&NetworkList, &Path)>) -> io::Result<Program> {
    let (status, said) = pipe()?;
    // bubblewrap is done with its pipe before it is waited for
    ioctl_fionbio(&status, true)?;
    let filter = super::filter::program()?;
    let (read, mut write) = pipe()?;
    // small enough for a pipe to hold
    write.write_all(&filter)?;
    drop(write);
    let mut mapped = vec![(OwnedFd::from(said), STATUS), (OwnedFd::from(read), FILTER)];
    command.args(["--json-status-fd", "3", "--seccomp", "4", "--"]);
    let mut bridge = None;
    if let Some((list, own_program)) = listed {
        let (ours, entrance) = Bridge::new(list.clone())?;
        mapped.push((entrance, ENTRANCE));
        command.args(["sh", "-c", WITH_ENTRANCE]).arg(own_program).args([ENTER, TERMS, &not_asked_for(list), &doors_of(list)]);
        bridge = Some(ours);
    }
    let mapped = mapped.into_iter().map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mapped.collect()).map_err(io::Error::other)?;
    command.arg(name);
    Ok(Program { command, made: Made::Closed(status), meter, bridge })
}

impl Program {
    /// As [`process::start`].
    pub async fn start(self, trace: &mut Trace) -> io::Result<Running> {
        let Self { command, made, meter, bridge } = self;
        Ok(Running { child: process::start(command, trace).await?, made, meter, bridge })
    }
}

impl Made {
    /// What ended so never began, as there was no room for it, or none with what it is to reach. One that was ended by a signal has said
    /// nothing of it.
    pub fn fails(self, ended: ExitStatus, bridge: Option<&Bridge>) -> bool {
        ended.code().is_some() && !(self.was_made() && bridge.is_none_or(Bridge::was_made))
    }

    /// Bubblewrap tells how a program ended only when it has come to start it.
    pub(super) fn was_made(self) -> bool {
        let Self::Closed(mut pipe) = self else { return true };
        let mut said = vec![];
        // whatever is there by now; it never blocks
        let _ = pipe.read_to_end(&mut said);
        String::from_utf8_lossy(&said).contains("\"exit-code\"")
    }
}
