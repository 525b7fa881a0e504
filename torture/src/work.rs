//! The fake work of a task: it writes down that it begins and ends, and notices when it is not alone.

use std::{fs::File, path::PathBuf, thread, time::Duration};

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
