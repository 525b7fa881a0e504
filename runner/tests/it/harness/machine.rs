//! What there is on the machine while and after a runner works on it: processes and files.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// Whether a process does anything still; one that only nobody has waited for does not.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}

/// The process numbers that a command has written into a file, one a line.
pub fn pids(path: &Path) -> Vec<i32> {
    fs::read_to_string(path).unwrap().lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Until it is so; nothing tells of it but the machine itself.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Until none of the processes with these numbers does anything.
pub async fn until_gone(pids: &[i32]) {
    until(&format!("the end of {pids:?}"), || !pids.iter().any(|pid| is_alive(*pid))).await;
}

pub async fn until_there(path: &Path) {
    until(&format!("{}", path.display()), || path.exists()).await;
}

pub async fn until_away(path: &Path) {
    until(&format!("the end of {}", path.display()), || !path.exists()).await;
}
