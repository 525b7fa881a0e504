//! The fake work of a task: it writes down that it begins and ends, and notices when it is not alone.

use std::{
    fs::File,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;

#[derive(Args)]
pub struct WorkArgs {
    /// Where the ledger of the work is.
    ledger: PathBuf,
    /// How long it takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    takes: u64,
    /// Attempts up to this one fail.
    #[arg(long, default_value_t = 0)]
    fails: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    Begin,
    End,
    /// Something else of the same task was at work.
    NotAlone,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct WorkEntry {
    pub task: domain::TaskId,
    pub attempt: i32,
    pub seen: Seen,
}

pub fn work(args: &WorkArgs) -> anyhow::Result<bool> {
    let task: domain::TaskId = std::env::var("MUSTER_TASK_ID")?.parse()?;
    let attempt: i32 = std::env::var("MUSTER_ATTEMPT")?.parse()?;
    let ledger = Ledger::open(&args.ledger.join("work"))?;
    let write = |seen| ledger.write(&WorkEntry { task, attempt, seen });
    // The kernel lets go of it when the process ends, however it ends.
    let lock = File::create(args.ledger.join(format!("{task}.lock"))).context("the lock of the task")?;
    if lock.try_lock().is_err() {
        write(Seen::NotAlone)?;
    }
    write(Seen::Begin)?;
    println!("begin {attempt}");
    thread::sleep(Duration::from_millis(args.takes));
    println!("end {attempt}");
    write(Seen::End)?;
    Ok(attempt > args.fails)
}

#[derive(Args)]
pub struct HoldArgs {
    /// Where the ledger of the work is.
    ledger: PathBuf,
    /// When attempt 1 ends by itself, in milliseconds; never unless given.
    #[arg(long)]
    first_ends_after: Option<u64>,
}

/// A sign of life, every tenth of a second.
#[derive(Debug, Serialize, Deserialize)]
pub struct TickEntry {
    pub attempt: i32,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// The file in the working tree that every attempt writes to.
pub const MINE: &str = "mine.txt";
/// Later attempts end after so many signs of life.
const LATER_TICKS: usize = 10;

/// Says all the time that it is there: in its ledger, on its output and in its working tree.
pub fn hold(args: &HoldArgs) -> anyhow::Result<()> {
    let attempt: i32 = std::env::var("MUSTER_ATTEMPT")?.parse()?;
    let ledger = Ledger::open(&args.ledger.join("ticks"))?;
    let began = Instant::now();
    let is_over = |ticks: usize| match (attempt, args.first_ends_after) {
        (1, Some(millis)) => began.elapsed() > Duration::from_millis(millis),
        (1, None) => false,
        _ => ticks > LATER_TICKS,
    };
    for ticks in 0.. {
        if is_over(ticks) {
            break;
        }
        ledger.write(&TickEntry { attempt, at: unix_millis()? })?;
        std::fs::write(MINE, format!("attempt {attempt}\n"))?;
        println!("attempt {attempt}, {ticks}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub fn unix_millis() -> anyhow::Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
