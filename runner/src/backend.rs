//! What does the work inside an attempt. A backend says which processes to start and with what around them, and what their words mean;
//! starting, logging and ending them is the same for all.

pub(crate) mod agent;
pub(crate) mod claude_code;
pub(crate) mod environment;
pub(crate) mod found;
pub(crate) mod identity;
pub(crate) mod prompt;
pub(crate) mod shell;

use std::{ffi::OsString, process::ExitStatus};

use domain::{Failure, SessionEventKind};

/// What a line of an agent program comes to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub events: Vec<SessionEventKind>,
    /// Lines for its standard input.
    pub answers: Vec<String>,
    /// Its turn is over: nothing more is said to it.
    pub is_over: bool,
    /// It is no message of the agent's, but something that it printed.
    pub is_output: bool,
}

/// How a conversation with an agent program is begun.
pub(crate) struct Opening {
    pub arguments: Vec<OsString>,
    pub variables: Vec<(&'static str, OsString)>,
    /// The first lines for its standard input.
    pub lines: Vec<String>,
}

/// A conversation with an agent program, without any I/O: what is said to it, what its lines mean, and how it went.
pub(crate) trait Dialogue: Send {
    fn hear(&mut self, line: &str) -> Heard;
    /// Whether the work is done, as far as the agent goes. How its process ended is the least of what counts.
    fn verdict(&self, ended: ExitStatus) -> Result<(), Failure>;
}
