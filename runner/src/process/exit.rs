//! How a process ended, in words: what its status says, and what such a status usually means.
//!
//! A shell hands on the end of what it called as a status of its own (POSIX 2.8.2: 126, 127, and more than 128 for a signal), which
//! says little to whoever does not know that by heart.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;

use crate::sandbox::Overrun;

/// "ended with exit status 1", "ended with exit status 127: a program that it calls was not found",
/// "was ended by signal 15 (SIGTERM)"
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    let (what, means) = (what_happened(status), what_it_means(status));
    match means {
        Some(means) => format!("{what}: {means}"),
        None => what,
    }
}

/// As [`how_it_ended`]; where a limit is known that it has run into, nobody has to guess.
pub(crate) fn why_it_ended(status: ExitStatus, overrun: Option<Overrun>) -> String {
    match overrun {
        Some(overrun) => format!("{overrun}, and {}", what_happened(status)),
        None => how_it_ended(status),
    }
}

fn what_happened(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {}", named(signal)),
        (None, None) => "ended in a way that the system does not tell".into(),
    }
}

fn what_it_means(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(code), _) => status_means(code),
        (None, Some(signal)) => signal_means(signal).map(str::to_owned),
        (None, None) => None,
    }
}

/// Only what is agreed upon: other numbers mean what each program says they mean.
fn status_means(code: i32) -> Option<String> {
    match code {
        124 => Some("what `timeout` says when the time that it was given ran out".into()),
        126 => Some("a program that it calls was found but cannot be run; is it executable, and made for this machine?".into()),
        127 => Some("a program that it calls was not found; is it installed, and on the runner's PATH?".into()),
        129..=192 => {
            let signal = code - 128;
            let means = signal_means(signal).map(|means| format!("; {means}")).unwrap_or_default();
            signal_name(signal).map(|_| format!("something that it calls was ended by signal {}{means}", named(signal)))
        }
        _ => None,
    }
}

fn signal_means(signal: i32) -> Option<&'static str> {
    let signal = Signal::from_named_raw(signal)?;
    match signal {
        Signal::KILL => Some("when nobody did that, the machine ran out of memory"),
        Signal::SEGV | Signal::BUS | Signal::ILL | Signal::FPE => Some("it crashed"),
        Signal::ABORT => Some("it gave itself up, which programs do when they find themselves in a state that cannot be"),
        Signal::PIPE => Some("it wrote to a pipe that nobody read any more"),
        Signal::XCPU => Some("it used more processor time than it may"),
        Signal::XFSZ => Some("it wrote to a file that is as large as a file may be"),
        _ => None,
    }
}

fn named(signal: i32) -> String {
    match signal_name(signal) {
        Some(name) => format!("{signal} ({name})"),
        None => signal.to_string(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
    ];
    names.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_it_usually_means_and_nothing_where_it_means_nothing() {
        let exited = |code: i32| how_it_ended(ExitStatus::from_raw(code << 8));
        assert_eq!(exited(0), "ended with exit status 0");
        assert_eq!(exited(3), "ended with exit status 3");
        assert_eq!(exited(128), "ended with exit status 128");
        assert_eq!(exited(255), "ended with exit status 255");
        let not_found = "ended with exit status 127: a program that it calls was not found; is it installed, and on the runner's PATH?";
        assert_eq!(exited(127), not_found);
        let killed = "ended with exit status 137: something that it calls was ended by signal 9 (SIGKILL); when nobody did that, the machine ran \
                      out of memory";
        assert_eq!(exited(137), killed);
        assert_eq!(exited(143), "ended with exit status 143: something that it calls was ended by signal 15 (SIGTERM)");
        // a number that would be no signal
        assert_eq!(exited(192), "ended with exit status 192");
    }

    #[test]
    fn a_signal_is_named_and_explained() {
        let ended_by = |signal: i32| how_it_ended(ExitStatus::from_raw(signal));
        assert_eq!(ended_by(9), "was ended by signal 9 (SIGKILL): when nobody did that, the machine ran out of memory");
        assert_eq!(ended_by(11), "was ended by signal 11 (SIGSEGV): it crashed");
        assert_eq!(ended_by(15), "was ended by signal 15 (SIGTERM)");
        assert_eq!(ended_by(40), "was ended by signal 40");
        assert_eq!(ended_by(25), "was ended by signal 25 (SIGXFSZ): it wrote to a file that is as large as a file may be");
    }

    #[test]
    fn nobody_guesses_where_a_limit_is_known() {
        let killed = ExitStatus::from_raw(9);
        let known = "used more than 4 GiB of memory (the runner's MUSTER_SANDBOX_MEMORY), and was ended by signal 9 (SIGKILL)";
        assert_eq!(why_it_ended(killed, Some(Overrun::Memory(4 * 1024 * 1024 * 1024))), known);
        assert_eq!(why_it_ended(killed, None), how_it_ended(killed));
        let status = ExitStatus::from_raw(153 << 8);
        let known = "wrote more than 1 MiB to one file (the runner's MUSTER_SANDBOX_FILE_SIZE), and ended with exit status 153";
        assert_eq!(why_it_ended(status, Some(Overrun::File(1024 * 1024))), known);
    }
}
