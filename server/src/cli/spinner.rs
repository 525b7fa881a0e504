//! What a person sees while there is nothing to say, on a terminal only.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// On stderr, with the time since the start. Nothing where stderr is no terminal.
pub fn spinner(message: String, started: Instant) -> Option<ProgressBar> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(message).with_elapsed(started.elapsed());
    spinner.enable_steady_tick(Duration::from_millis(100));
    Some(spinner)
}
