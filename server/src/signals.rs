//! Being asked to stop: by Ctrl-C, or by the signal that service managers send. One listener for the whole life of the process, so
//! that no signal falls between two of them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on the two signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the operating system does not let the process listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next time that either arrives.
    pub async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
