//! The log of a task on stdout: cleaned for a terminal, byte for byte for a pipe.

use std::io::{self, IsTerminal, Write};

use super::{output::print_text, terminal_text::TerminalText};

pub enum LogOutput {
    Terminal(Box<TerminalText>),
    Raw,
}

impl LogOutput {
    pub fn stdout() -> Self {
        if io::stdout().is_terminal() { Self::Terminal(Box::default()) } else { Self::Raw }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Terminal(text) => print_text(&text.clean(bytes)),
            Self::Raw => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
        }
    }

    /// Puts the terminal back to its own colors, before something else is written to it.
    pub fn pause(&mut self) -> io::Result<()> {
        match self {
            Self::Terminal(text) => print_text(text.reset()),
            Self::Raw => Ok(()),
        }
    }
}
