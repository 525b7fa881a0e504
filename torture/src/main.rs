//! Tries to make Muster lose, double or forget something. Each test draws what it does from a seed, prints it, and ends with the
//! number of runs and of broken promises.
//!
//!     cargo run -p torture -- T1 --seeds 3 --seconds 60

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod check;
mod client;
mod faults;
mod ledger;
mod proxy;
mod t1;
mod work;
mod world;

use std::{process::ExitCode, time::Instant};

use clap::{Args, Parser, Subcommand};

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
    /// The fake work of a task; started by the tests themselves.
    #[command(hide = true)]
    Work(work::WorkArgs),
}

#[derive(Args)]
struct Runs {
    /// How many seeds to run, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed; a random one unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on in one run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Work(args) => Ok(if work::work(&args)? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::T1(runs) => {
            // The one TLS provider of the process; it can only be refused when there is one already.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(t1(runs))
        }
    }
}

async fn t1(runs: Runs) -> anyhow::Result<ExitCode> {
    let first = runs.seed.unwrap_or_else(rand::random);
    let mut violations = 0;
    for seed in (0..runs.seeds).map(|number| first.wrapping_add(number)) {
        let began = Instant::now();
        let outcome = t1::run(seed, runs.seconds).await?;
        println!(
            "T1 seed {seed}: {} tasks, {} attempts, {} faults, {} violations, {:.0} s",
            outcome.tasks,
            outcome.attempts,
            outcome.faults,
            outcome.violations.len(),
            began.elapsed().as_secs_f64()
        );
        for violation in &outcome.violations {
            println!("  {violation}");
        }
        if let Some(folder) = outcome.kept {
            println!("  kept in {}", folder.display());
        }
        violations += outcome.violations.len();
    }
    println!("{} runs, {violations} violations", runs.seeds);
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
