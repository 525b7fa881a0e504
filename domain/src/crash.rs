//! Places at which a process can be made to die, for the tests that try to lose something (`torture`).
//!
//! `MUSTER_CRASH_AT=answer.committed:3` ends the process the third time it comes to that place, as a kill would: nothing is unwound,
//! flushed or said. Only debug builds with the feature `crash-points` have it, and only the tests ask for the feature; in every other
//! build the functions here are empty. They are here because engine, runner and server have nothing else in common.

/// Every place, in the order in which a task comes by them. The tests draw from this list.
pub const POINTS: [&str; 21] = [
    // a request's answer is stored, not yet committed; committed, not yet sent
    "answer.kept",
    "answer.committed",
    // any transaction of the engine
    "commit.before",
    "commit.after",
    // a claim is committed, the runner has not been told; has been told
    "assign.before",
    "assign.after",
    "journal.before",
    "journal.after",
    // the work's first process runs
    "work.started",
    // a piece of its log
    "log.before",
    "log.after",
    "save.before",
    "save.after",
    // the runner's last word is on its disk, and not sent; is sent, and nobody has answered
    "report.kept",
    "report.sent",
    // settled events were read, and are not handed out yet; are handed out
    "events.before",
    "events.after",
    // what a runner said is carried out, the runner does not know; knows
    "stored.before",
    "stored.after",
    // the answer to the runner's last word has come, and its journal has the attempt still; has it no more, and what was said is there
    "report.answered",
    "report.forgotten",
];

/// Those that a runner comes by which is a process of its own.
pub const RUNNER_POINTS: [&str; 9] = [
    "journal.before",
    "journal.after",
    "work.started",
    "save.before",
    "save.after",
    "report.kept",
    "report.sent",
    "report.answered",
    "report.forgotten",
];

/// Those of them that come after the work: whoever dies there has lost nothing.
pub const LAST_WORD_POINTS: [&str; 4] = ["report.kept", "report.sent", "report.answered", "report.forgotten"];

/// The places of a piece of a log in its runner: it is on the disk, and not sent; it is on its way.
pub const PIECE_POINTS: [&str; 2] = ["piece.kept", "piece.sent"];

/// The places of a machine that joins, in their order: what is to be joined is on the disk; the server has answered, and nothing of it is
/// on the disk; it is; a trial was asked for.
pub const JOIN_POINTS: [&str; 4] = ["join.begun", "join.answered", "join.remembered", "join.tried"];

/// The places of a result that lands: the branch is pushed, and nothing else is done; all is done, and the server does not know.
pub const LANDING_POINTS: [&str; 2] = ["landing.pushed", "landing.done"];

/// Dies here, when this is the chosen place and its time has come.
#[inline]
pub fn point(name: &str) {
    #[cfg(all(feature = "crash-points", debug_assertions))]
    armed::point(name);
    let _ = name;
}

/// What a test has set in the environment instead of a constant.
#[inline]
pub fn setting(name: &str) -> Option<u32> {
    #[cfg(all(feature = "crash-points", debug_assertions))]
    return std::env::var(name).ok()?.parse().ok();
    #[cfg(not(all(feature = "crash-points", debug_assertions)))]
    {
        let _ = name;
        None
    }
}

#[cfg(all(feature = "crash-points", debug_assertions))]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    /// The place, and how often it is still passed before the process dies there.
    static CHOSEN: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let chosen = std::env::var("MUSTER_CRASH_AT").ok()?;
        let (name, count) = chosen.split_once(':').unwrap_or((&chosen, "1"));
        Some((name.to_owned(), AtomicU32::new(count.parse().ok()?)))
    });

    pub fn point(name: &str) {
        if let Some((chosen, left)) = &*CHOSEN
            && chosen == name
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}
