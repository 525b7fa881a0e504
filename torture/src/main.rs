//! Tries to make Muster lose, double or forget something. Each test draws what it does from a seed, prints it, and ends with the
//! number of runs and of broken promises.
//!
//!     cargo run -p torture -- T1 --seeds 3 --seconds 60

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod api;
mod cases;
mod check;
mod client;
mod faults;
mod follower;
mod last_words;
mod ledger;
mod memory;
mod proxy;
mod routes;
mod runs;
mod services;
mod spew;
mod t1;
mod t10;
mod t11;
mod t14;
mod t2;
mod t22;
mod t23;
mod t24;
mod t25;
mod t3;
mod t7;
mod t9;
mod terminal;
mod work;
mod world;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use runs::{Runs, Test};

#[derive(Parser)]
#[command(about = "Tries to make Muster lose, double or forget something.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The kill loop: servers, database and network fail while clients hand in work.
    #[command(name = "T1")]
    T1(Runs),
    /// The stale holder: it stands still or is cut off past its lease, another completes, and it comes back.
    #[command(name = "T2")]
    T2(Runs),
    /// The ambiguous commit: every route that changes something, cut off around its COMMIT and sent again.
    #[command(name = "T3")]
    T3(Runs),
    /// Outages and clocks: away or standing still for longer than a lease, and clocks that are wrong.
    #[command(name = "T7")]
    T7(Runs),
    /// The event stream: many writers whose commits are late, followers who hop between two servers.
    #[command(name = "T9")]
    T9(Runs),
    /// Slow consumers, and a server that hears no hint.
    #[command(name = "T10")]
    T10(Runs),
    /// Log torture: more than is kept, faster than anybody reads, and what is no text, while servers and runners die.
    #[command(name = "T11")]
    T11(Runs),
    /// Idempotency over two servers.
    #[command(name = "T14")]
    T14(Runs),
    /// The sandbox: what work tries that wants out of it, and what becomes of work where none can be made.
    #[command(name = "T22")]
    T22(Runs),
    /// Survivors: whatever work does to stay, and however it ends, nothing of it is left.
    #[command(name = "T23")]
    T23(Runs),
    /// An obedient agent: it does what anybody tells it who has a hand in what it reads, and gives nothing away.
    #[command(name = "T24")]
    T24(Runs),
    /// Forgery: work that has not done what was asked, and tries to be taken for proven.
    #[command(name = "T25")]
    T25(Runs),
    /// A runner dies when its work has ended, and before nothing is left of it.
    LastWords(Runs),
    /// A short form of each, as the tests run it.
    Short {
        /// The kill loop's seed; a random one unless given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// The fake work of a task; started by the tests themselves.
    #[command(hide = true)]
    Work(work::WorkArgs),
    /// Work that goes on until it is ended; started by the tests themselves.
    #[command(hide = true)]
    Hold(work::HoldArgs),
    /// Work that writes; started by the tests themselves.
    #[command(hide = true)]
    Spew(spew::SpewArgs),
}

/// How large a run is; what is not given is small, but for T7 and T23, which are as large as what they promise.
#[derive(Args, Clone, Copy, Debug, Default)]
struct Options {
    /// How long faults go on in one run. T11: lines, or an absence. T23: work that does nothing.
    #[arg(long)]
    seconds: Option<u64>,
    /// T7: attempts at work at once, half of them on each server or runner.
    #[arg(long)]
    live: Option<u32>,
    /// T11: what the work writes without a newline; 1024 is a gibibyte.
    #[arg(long)]
    mebibytes: Option<usize>,
    /// T9: those who write events.
    #[arg(long)]
    writers: Option<usize>,
    /// T9: those who follow the stream. T10: those who do not read it.
    #[arg(long)]
    followers: Option<usize>,
    /// T10: tasks that are handed in, an event each.
    #[arg(long)]
    events: Option<usize>,
}

fn main() -> anyhow::Result<ExitCode> {
    let runs = match Cli::parse().command {
        Command::Work(args) => return Ok(if work::work(&args)? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Hold(args) => return work::hold(&args).map(|()| ExitCode::SUCCESS),
        Command::Spew(args) => return spew::spew(&args).map(|()| ExitCode::SUCCESS),
        Command::T1(runs) => vec![(Test::T1, runs)],
        Command::T2(runs) => vec![(Test::T2, runs)],
        Command::T3(runs) => vec![(Test::T3, runs)],
        Command::T7(runs) => vec![(Test::T7, runs)],
        Command::T9(runs) => vec![(Test::T9, runs)],
        Command::T10(runs) => vec![(Test::T10, runs)],
        Command::T11(runs) => vec![(Test::T11, runs)],
        Command::T14(runs) => vec![(Test::T14, runs)],
        Command::T22(runs) => vec![(Test::T22, runs)],
        Command::T23(runs) => vec![(Test::T23, runs)],
        Command::T24(runs) => vec![(Test::T24, runs)],
        Command::T25(runs) => vec![(Test::T25, runs)],
        Command::LastWords(runs) => vec![(Test::LastWords, runs)],
        Command::Short { seed } => runs::short(seed),
    };
    // The one TLS provider of the process; it can only be refused when there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(runs::all(runs))
}
