//! Measures the engine: its throughput beside other queues and beside what its database could do, how soon a task reaches a runner,
//! how soon an event reaches those who listen, and how much work can write. Figures to look at, not tests: the exit status says only
//! whether everything could be measured. Every figure of a table comes from the same run on the same machine.
//!
//!     cargo run --release -p bench-engine -- run --short

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

mod bloat;
mod cluster;
mod far_runner;
mod figures;
mod fill;
mod graphs;
mod http_client;
mod latency;
mod limit;
mod load;
mod log;
mod memory;
mod no_op_runner;
mod overhead;
mod peers;
mod readings;
mod redis;
mod repository;
mod run;
mod runner_process;
mod runners;
mod seen;
mod serve;
mod server_process;
mod sizes;
mod stream;
mod throughput;
mod work;
mod writer;

use clap::{Parser, Subcommand};

/// What the server allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the engine beside its peers.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything, prints the table and writes it to bench.json.
    Run(run::RunArgs),
    /// The server that is measured, in a process of its own; started by `run`.
    #[command(hide = true)]
    Serve(serve::ServeArgs),
    /// A runner that has joined it, in a process of its own; started by `run`.
    #[command(hide = true)]
    Runner(runner_process::RunnerArgs),
    /// Work that writes; started by the runner.
    #[command(hide = true)]
    Write(writer::Amount),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(args) => in_runtime(run::run(args)),
        Command::Serve(args) => in_runtime(serve::serve(args)),
        Command::Runner(args) => in_runtime(runner_process::work(args)),
        Command::Write(amount) => writer::write(amount),
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
