//! What can go wrong with the private Postgres. Every message is for the person at the terminal: what happened, why, what to do.

use std::fmt::Write as _;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The major versions that Muster works with.
pub(super) const SUPPORTED: RangeInclusive<u32> = 15..=18;

/// The reason stands in the message itself, so none of these has a `source()`.
#[derive(Debug, Error)]
pub enum PostgresError {
    #[error(
        "Another Muster{} already serves from {}. Stop it first, or give this one a folder of its own with MUSTER_STATE_DIR.",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        state_dir.display()
    )]
    AlreadyServing { state_dir: PathBuf, pid: Option<u32> },

    #[error(
        "Another Muster process has been starting or stopping the Postgres in {} for {seconds} seconds. Wait for it, or look for a process \
         that holds {}.",
        state_dir.display(),
        lock.display()
    )]
    Busy { state_dir: PathBuf, lock: PathBuf, seconds: u64 },

    #[error(
        "Muster could not {act} {}: {reason}. Check who owns it and whether the disk is full, or set MUSTER_STATE_DIR to another folder.",
        path.display()
    )]
    File { act: &'static str, path: PathBuf, reason: io::Error },

    #[error(
        "Postgres refuses to run as root, and /etc/passwd has neither a user `postgres` nor `nobody` to run it as. Create one \
         (`useradd --system postgres`), start Muster as an ordinary user, or set DATABASE_URL."
    )]
    NoUser,

    #[error(
        "Postgres refuses to run as root, so Muster runs it as the user {user}, who may not enter {}. Set MUSTER_STATE_DIR to a folder that \
         every user can reach, such as /var/lib/muster, or start Muster as an ordinary user.",
        folder.display()
    )]
    Unreachable { user: String, folder: PathBuf },

    #[error(
        "The Postgres cluster in {} belongs to root, as which Postgres refuses to run. Give it back to the user who made it, for example \
         with `chown -R postgres: {}`.",
        data.display(),
        data.display()
    )]
    OwnedByRoot { data: PathBuf },

    #[error(
        "The Postgres cluster in {} belongs to the user with the id {owner}, but Muster runs as the one with the id {me}. Start Muster as \
         that user, or set MUSTER_STATE_DIR to another folder.",
        data.display()
    )]
    OwnedByAnother { data: PathBuf, owner: u32, me: u32 },

    #[error("{}", no_binaries(.wanted, .looked))]
    NoBinaries { wanted: Option<u32>, looked: Vec<String> },

    #[error(
        "MUSTER_POSTGRES_BIN is {}, and {problem}. Set it to the folder that holds `initdb` and `postgres` of version 15 to 18, or unset it.",
        folder.display()
    )]
    ExplicitBinaries { folder: PathBuf, problem: String },

    #[error(
        "{} exists, but it is not a Postgres cluster: it has no PG_VERSION. Move it away, or set MUSTER_STATE_DIR to another folder.",
        data.display()
    )]
    NotACluster { data: PathBuf },

    #[error("{}", wrong_version(.data, *.cluster, .found))]
    WrongVersion { data: PathBuf, cluster: u32, found: Vec<(u32, PathBuf)> },

    #[error(
        "The password of the Postgres cluster is missing from {}. Restore that file from a backup; without one, write a new password into \
         it and give the role `muster` the same one in single-user mode (`postgres --single -D {} postgres`).",
        file.display(),
        data.display()
    )]
    NoPassword { file: PathBuf, data: PathBuf },

    #[error("The folder {} cannot hold the Postgres socket: {problem}. Remove it, or set MUSTER_STATE_DIR to a shorter path.", folder.display())]
    SocketFolder { folder: PathBuf, problem: String },

    #[error("Muster could not run {}: {reason}. Check that the user who runs Postgres may execute it.", program.display())]
    Spawn { program: PathBuf, reason: io::Error },

    #[error("Postgres could not create its cluster. Nothing is left of it; put right what it says and start Muster again:\n{output}")]
    Create { output: String },

    #[error(
        "Postgres did not start. The data in {} is as it was; put right what it says (the whole of it is in {}):\n{output}",
        data.display(),
        log.display()
    )]
    Start { data: PathBuf, log: PathBuf, output: String },

    #[error(
        "Postgres (process {pid}) has been recovering for {seconds} seconds and does not accept connections yet. It goes on by itself: start \
         Muster again later, and see {}.",
        log.display()
    )]
    StillRecovering { pid: i32, seconds: u64, log: PathBuf },

    #[error(
        "A Postgres answers on {}, but it is not a process that Muster can see: perhaps it runs in a container that shares this folder, or \
         its postmaster.pid was deleted. Stop it there and start Muster again. Nothing was changed.",
        socket.display()
    )]
    Stranger { socket: PathBuf },

    #[error(
        "Postgres (process {pid}) is still shutting down after {seconds} seconds. It will end by itself; do not kill it with -9, and see {}.",
        log.display()
    )]
    Stop { pid: i32, seconds: u64, log: PathBuf },
}

/// For `map_err`: what was tried with which file.
pub(super) fn file_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.to_path_buf();
    move |reason| PostgresError::File { act, path, reason }
}

/// The last lines of what a program wrote, for a message.
pub(super) fn last_lines(output: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(count)).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn install(version: u32) -> String {
    format!("Debian and Ubuntu: `apt-get install postgresql-{version}`, macOS: `brew install postgresql@{version}`")
}

fn no_binaries(wanted: &Option<u32>, looked: &[String]) -> String {
    let mut text = match wanted {
        Some(version) => format!(
            "Muster's Postgres cluster is of version {version}, and no binaries of it were found. Install them ({})",
            install(*version)
        ),
        None => "No usable Postgres was found; Muster needs `initdb` and `postgres` of version 15 to 18. Install it (Debian and Ubuntu: \
                 `apt-get install postgresql`, macOS: `brew install postgresql@17`)"
            .to_owned(),
    };
    text.push_str(", point MUSTER_POSTGRES_BIN at a folder with them, or set DATABASE_URL. Looked in:");
    for place in looked {
        let _ = write!(text, "\n  {place}");
    }
    text
}

fn wrong_version(data: &Path, cluster: u32, found: &[(u32, PathBuf)]) -> String {
    let here: Vec<String> = found.iter().map(|(version, folder)| format!("{version} ({})", folder.display())).collect();
    let newest = found.iter().map(|(version, _)| *version).filter(|version| SUPPORTED.contains(version)).max();
    let mut text = format!(
        "The Postgres cluster in {} is of version {cluster}, and the binaries found here are of version {}. Nothing was changed. ",
        data.display(),
        here.join(", ")
    );
    if SUPPORTED.contains(&cluster) {
        let _ = write!(text, "Install version {cluster} ({}) or point MUSTER_POSTGRES_BIN at it", install(cluster));
    } else {
        let _ = write!(text, "Muster works with versions 15 to 18");
    }
    match newest {
        Some(newest) if newest > cluster => {
            let _ = write!(text, "; or bring the cluster to version {newest} with pg_upgrade, or with a dump and restore.");
        }
        Some(newest) => {
            let _ = write!(text, "; or dump the data with version {cluster} and restore it into a new cluster of version {newest}.");
        }
        None => text.push('.'),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_which_side_is_older() {
        let data = Path::new("/state/postgres");
        let fifteen = [(15, PathBuf::from("/usr/lib/postgresql/15/bin"))];
        assert_eq!(
            wrong_version(data, 14, &fifteen),
            "The Postgres cluster in /state/postgres is of version 14, and the binaries found here are of version 15 \
             (/usr/lib/postgresql/15/bin). Nothing was changed. Muster works with versions 15 to 18; or bring the cluster to version 15 with \
             pg_upgrade, or with a dump and restore."
        );
        assert_eq!(
            wrong_version(data, 17, &fifteen),
            "The Postgres cluster in /state/postgres is of version 17, and the binaries found here are of version 15 \
             (/usr/lib/postgresql/15/bin). Nothing was changed. Install version 17 (Debian and Ubuntu: `apt-get install postgresql-17`, macOS: \
             `brew install postgresql@17`) or point MUSTER_POSTGRES_BIN at it; or dump the data with version 17 and restore it into a new \
             cluster of version 15."
        );
    }

    #[test]
    fn without_binaries_the_command_to_install_comes_before_the_list() {
        let error = PostgresError::NoBinaries { wanted: None, looked: vec!["PATH: nothing".into(), "/opt: version 13".into()] };
        assert_eq!(
            error.to_string(),
            "No usable Postgres was found; Muster needs `initdb` and `postgres` of version 15 to 18. Install it (Debian and Ubuntu: \
             `apt-get install postgresql`, macOS: `brew install postgresql@17`), point MUSTER_POSTGRES_BIN at a folder with them, or set \
             DATABASE_URL. Looked in:\n  PATH: nothing\n  /opt: version 13"
        );
    }

    #[test]
    fn output_is_cut_to_its_last_lines() {
        assert_eq!(last_lines(b"one\ntwo\n\nthree\n", 2), "  two\n  three");
        assert_eq!(last_lines(b"", 2), "");
    }
}
