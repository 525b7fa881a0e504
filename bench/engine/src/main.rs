//! Measures the engine: its throughput beside other queues and beside what its database could do, how soon a task reaches a runner,
//! and how soon an event reaches those who listen. Figures to look at, not tests: the exit status says only whether everything could be
//! measured. Every figure of a table comes from the same run on the same machine.
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
mod no_op_runner;
mod overhead;
mod peers;
mod redis;
mod run;
mod runners;
mod seen;
mod serve;
mod server_process;
mod sizes;
mod stream;
mod throughput;
mod work;

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
}

fn main() -> anyhow::Result<()> {
    let command = Cli::parse().command;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        match command {
            Command::Run(args) => run::run(args).await,
            Command::Serve(args) => serve::serve(args).await,
        }
    })
}
