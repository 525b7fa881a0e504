//! What a process has in memory, as its system says.

use std::fs;

/// Now, in bytes.
pub fn resident(pid: Option<u32>) -> anyhow::Result<u64> {
    status(pid, "VmRSS:")
}

/// The most it ever had, in bytes.
pub fn peak(pid: Option<u32>) -> anyhow::Result<u64> {
    status(pid, "VmHWM:")
}

fn status(pid: Option<u32>, wanted: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.unwrap_or_default()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(wanted)).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
