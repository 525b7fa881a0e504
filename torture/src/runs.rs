//! Which seeds are run, how many at once, and what is printed and written down of each.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Instant,
};

use clap::Args;
use tokio::{runtime::Builder, task::JoinSet};

use crate::{Options, check::Outcome, last_words, ledger, t1, t2, t3, t7, t9, t10, t11, t14, t22, t23, t24, t25};

#[derive(Clone, Copy, Debug)]
pub enum Test {
    T1,
    T2,
    T3,
    T7,
    T9,
    T10,
    T11,
    T14,
    T22,
    T23,
    T24,
    T25,
    LastWords,
}

#[derive(Args, Clone, Debug)]
pub struct Runs {
    /// How many seeds to run. A run that breaks a promise does not stop the next.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed; a random one unless given.
    #[arg(long, alias = "from")]
    seed: Option<u64>,
    /// How many at once, each with servers, ports and folders of its own.
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// A file that gets one line for each run.
    #[arg(long)]
    record: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// A short form of each test: what waits more than it works is run beside each other.
pub fn short(seed: Option<u64>) -> Vec<(Test, Runs)> {
    let runs = |seeds, seed, at_once| Runs { seeds, seed, at_once, record: None, options: Options::default() };
    let of = |seconds, runs: Runs| Runs { options: Options { seconds: Some(seconds), ..runs.options }, ..runs };
    let with_live = |live, runs: Runs| Runs { options: Options { live: Some(live), ..runs.options }, ..runs };
    vec![
        (Test::T1, of(20, runs(1, seed, 1))),
        (Test::T2, runs(t2::KINDS, Some(0), 3)),
        (Test::T7, with_live(6, runs(t7::KINDS, Some(0), 6))),
        (Test::T3, runs(1, seed, 1)),
        (Test::T9, of(8, runs(1, seed, 1))),
        (Test::T10, runs(1, seed, 1)),
        (Test::T14, runs(1, seed, 1)),
        (Test::T11, runs(t11::KINDS, Some(0), 2)),
        (Test::T22, runs(1, Some(0), 1)),
        (Test::T23, of(14, runs(t23::KINDS, Some(0), 2))),
        (Test::T24, runs(1, seed, 1)),
        (Test::T25, runs(1, Some(0), 1)),
        (Test::LastWords, runs(2, Some(0), 2)),
    ]
}

async fn one(test: Test, seed: u64, options: Options) -> anyhow::Result<Outcome> {
    match test {
        Test::T1 => t1::run(seed, options).await,
        Test::T2 => t2::run(seed).await,
        Test::T3 => t3::run(seed).await,
        Test::T7 => t7::run(seed, options).await,
        Test::T9 => t9::run(seed, options).await,
        Test::T10 => t10::run(seed, options).await,
        Test::T11 => t11::run(seed, options).await,
        Test::T14 => t14::run(seed).await,
        Test::T22 => t22::run(seed).await,
        Test::T23 => t23::run(seed, options).await,
        Test::T24 => t24::run(seed).await,
        Test::T25 => t25::run(seed).await,
        Test::LastWords => last_words::run(seed).await,
    }
}

pub async fn all(tests: Vec<(Test, Runs)>) -> anyhow::Result<ExitCode> {
    let (mut runs, mut violations) = (0, 0);
    for (test, wanted) in tests {
        let first = wanted.seed.unwrap_or_else(|| rand::random::<u32>().into());
        let mut waiting = (0..wanted.seeds).map(|number| first.wrapping_add(number));
        let mut running = JoinSet::new();
        loop {
            while running.len() < wanted.at_once.max(1)
                && let Some(seed) = waiting.next()
            {
                let options = wanted.options;
                running.spawn_blocking(move || {
                    let began = Instant::now();
                    // A thread of its own: what panics is one run.
                    let outcome =
                        thread::spawn(move || Builder::new_multi_thread().enable_all().build()?.block_on(one(test, seed, options)));
                    (seed, began, outcome.join())
                });
            }
            let Some(done) = running.join_next().await else { break };
            let (seed, began, outcome) = done?;
            runs += 1;
            violations += tell(test, seed, began, outcome, wanted.record.as_deref())?;
        }
    }
    println!("{runs} runs, {violations} violations");
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what a run came to, and says how many promises it broke.
fn tell(
    test: Test,
    seed: u64,
    began: Instant,
    outcome: thread::Result<anyhow::Result<Outcome>>,
    record: Option<&Path>,
) -> anyhow::Result<usize> {
    let outcome = match outcome {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => broke_off(format!("{error:#}")),
        // What it was is on standard error.
        Err(_) => broke_off("it panicked".into()),
    };
    let count = outcome.violations.len();
    let line = format!("{test:?} seed {seed}: {}, {count} violations, {:.0} s", outcome.summary, began.elapsed().as_secs_f64());
    println!("{line}");
    for violation in &outcome.violations {
        println!("  {violation}");
    }
    if let Some(folder) = &outcome.kept {
        println!("  kept in {}", folder.display());
    }
    if let Some(record) = record {
        ledger::append_line(record, &line)?;
        for violation in &outcome.violations {
            ledger::append_line(record, &format!("  {violation}"))?;
        }
    }
    Ok(count)
}

fn broke_off(why: String) -> Outcome {
    Outcome { summary: "broke off".into(), violations: vec![format!("the run broke off: {why}")], kept: None }
}
