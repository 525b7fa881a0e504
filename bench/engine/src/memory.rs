//! What a process has in memory, as its system says (`/proc/PID/status`).

use std::fs;

use anyhow::Context;

/// Now, in bytes.
pub fn resident(pid: Option<u32>) -> anyhow::Result<u64> {
    status(pid, "VmRSS:")
}

/// The most that it ever had, in bytes.
pub fn peak(pid: Option<u32>) -> anyhow::Result<u64> {
    status(pid, "VmHWM:")
}

fn status(pid: Option<u32>, wanted: &str) -> anyhow::Result<u64> {
    let pid = pid.context("a process that is measured is gone")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(wanted)).context("no memory figure")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
