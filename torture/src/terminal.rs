//! A terminal that whoever is started in it holds, as what a person starts by hand does.

use std::{
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

/// Nobody has it who was not given it.
const FLAGS: OpenptFlags = OpenptFlags::RDWR.union(OpenptFlags::NOCTTY).union(OpenptFlags::CLOEXEC);

/// It is there until this is dropped.
pub struct Terminal(OwnedFd);

impl Terminal {
    pub fn open() -> anyhow::Result<Self> {
        let near = openpt(FLAGS)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        Ok(Self(near))
    }

    /// `setsid` becomes the program that is named next, in a session of its own whose terminal this is. It stays the same process.
    pub fn begins(&self, setsid: &mut Command) -> anyhow::Result<()> {
        setsid.arg("--ctty").stdin(Stdio::from(ioctl_tiocgptpeer(&self.0, FLAGS)?));
        Ok(())
    }
}
