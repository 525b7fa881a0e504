//! Whether the process that a `postmaster.pid` names is the Postgres of that cluster. After a crash or a reboot the same number may
//! belong to anything, even to the Postgres of somebody else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Pid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The server of the cluster.
    Ours,
    /// Nothing has that number, or a process that has ended and only waits to be noticed.
    Gone,
    /// The name of the other program.
    Other(String),
}

/// What has the number `pid`, for the cluster in `data`.
pub(super) async fn look(pid: Pid, data: &Path) -> Seen {
    if Path::new("/proc/self/stat").exists() { look_in_proc(pid, data) } else { ask_ps(pid, data).await }
}

fn look_in_proc(pid: Pid, data: &Path) -> Seen {
    let folder = Path::new("/proc").join(pid.as_raw_pid().to_string());
    let Some((name, state)) = fs::read_to_string(folder.join("stat")).ok().and_then(|stat| name_and_state(&stat)) else {
        return Seen::Gone;
    };
    if matches!(state, 'Z' | 'X') {
        return Seen::Gone;
    }
    let (Ok(process), Ok(data_folder)) = (fs::metadata(&folder), fs::metadata(data)) else { return Seen::Gone };
    if !is_postgres(&name) || process.uid() != data_folder.uid() {
        return Seen::Other(name);
    }
    let ours = match fs::metadata(folder.join("cwd")) {
        // a server lives in its data directory
        Ok(cwd) => (cwd.dev(), cwd.ino()) == (data_folder.dev(), data_folder.ino()),
        // not even root may look there in many containers
        Err(_) => fs::read(folder.join("cmdline"))
            .is_ok_and(|line| line.split(|&byte| byte == 0).any(|word| word == data.as_os_str().as_encoded_bytes())),
    };
    if ours { Seen::Ours } else { Seen::Other(name) }
}

/// Out of `4711 (a (strange) name) S 1 …`.
fn name_and_state(stat: &str) -> Option<(String, char)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name.to_owned(), after.trim_start().chars().next()?))
}

async fn ask_ps(pid: Pid, data: &Path) -> Seen {
    let mut ps = tokio::process::Command::new("/bin/ps");
    ps.args(["-ww", "-o", "uid=,stat=,command=", "-p", &pid.as_raw_pid().to_string()]);
    let output = ps.kill_on_drop(true).output().await.map(|output| output.stdout).unwrap_or_default();
    judge_ps(&String::from_utf8_lossy(&output), data, fs::metadata(data).map(|data| data.uid()).ok())
}

fn judge_ps(line: &str, data: &Path, owner: Option<u32>) -> Seen {
    let mut words = line.split_whitespace();
    let (Some(uid), Some(state), Some(program)) = (words.next(), words.next(), words.next()) else { return Seen::Gone };
    if state.starts_with('Z') {
        return Seen::Gone;
    }
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let ours = is_postgres(&name) && uid.parse().ok() == owner && line.contains(&format!(" -D {} ", data.display()));
    if ours { Seen::Ours } else { Seen::Other(name) }
}

fn is_postgres(name: &str) -> bool {
    matches!(name, "postgres" | "postmaster")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(name_and_state("4711 (postgres) S 1 4711"), Some(("postgres".into(), 'S')));
        assert_eq!(name_and_state("4711 (a) (Z) b) R 1"), Some(("a) (Z) b".into(), 'R')));
        assert_eq!(name_and_state(""), None);
    }

    #[test]
    fn what_ps_says() {
        let data = Path::new("/state/postgres");
        let ours = "  501 Ss   /opt/homebrew/bin/postgres -D /state/postgres -c port=5432\n";
        assert_eq!(judge_ps(ours, data, Some(501)), Seen::Ours);
        assert_eq!(judge_ps(ours, Path::new("/other/postgres"), Some(501)), Seen::Other("postgres".into()));
        assert_eq!(judge_ps(ours, data, Some(502)), Seen::Other("postgres".into()));
        assert_eq!(judge_ps("  501 Z   (postgres)\n", data, Some(501)), Seen::Gone);
        assert_eq!(judge_ps("  501 S   sleep 600\n", data, Some(501)), Seen::Other("sleep".into()));
        assert_eq!(judge_ps("", data, Some(501)), Seen::Gone);
    }

    #[tokio::test]
    async fn this_test_is_not_a_postgres() {
        assert!(matches!(look(rustix::process::getpid(), Path::new("/")).await, Seen::Other(_)));
    }
}
