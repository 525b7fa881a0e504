//! The folder of the socket. Nobody but the user of Postgres (and root) may enter it.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{PostgresError, file_error};
use super::run_as::RunAs;
use super::settings::PORT;

/// Bytes of the longest socket path; the system's own limit is 107 on Linux and 103 on macOS.
const PATH_LIMIT: usize = 100;

/// The socket in a folder, under the name that Postgres and its clients agree on.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

/// `<state_dir>/run`, or a folder in `/tmp` named after the state directory where the path of the socket would be too long, or
/// holds what a line of `postmaster.pid` cannot.
pub(super) fn folder(state_dir: &Path) -> PathBuf {
    let usual = state_dir.join("run");
    let plain = usual.to_str().is_some_and(|text| !text.contains(char::is_control));
    if plain && path(&usual).as_os_str().len() <= PATH_LIMIT {
        return usual;
    }
    let hash = Sha256::digest(state_dir.as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/tmp").join(format!("muster-{name}"))
}

/// Makes the folder, or checks the one that is there: in `/tmp` anybody could have put it.
pub(super) fn prepare(state_dir: &Path, run_as: &RunAs) -> Result<PathBuf, PostgresError> {
    let folder = folder(state_dir);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => run_as.give(&folder)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check(&folder, run_as)?,
        Err(error) => return Err(file_error("create", &folder)(error)),
    }
    Ok(folder)
}

fn check(folder: &Path, run_as: &RunAs) -> Result<(), PostgresError> {
    let refuse = |problem: String| Err(PostgresError::SocketFolder { folder: folder.to_path_buf(), problem });
    let found = fs::symlink_metadata(folder).map_err(file_error("look at", folder))?;
    if !found.is_dir() {
        return refuse("it is not a folder".into());
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return refuse(format!("others may enter it (mode {mode:o})"));
    }
    if found.uid() == run_as.uid() {
        return Ok(());
    }
    if found.uid() == rustix::process::geteuid().as_raw() {
        // a Muster that was killed before it could make it over
        return run_as.give(folder);
    }
    refuse(format!("it belongs to the user with the id {}", found.uid()))
}

/// What a Postgres that was killed left behind. Only for whoever knows that nobody answers on the socket.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), PostgresError> {
    let socket = path(folder);
    let lock = folder.join(format!(".s.PGSQL.{PORT}.lock"));
    for leftover in [lock, socket] {
        match fs::remove_file(&leftover) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(file_error("remove", &leftover)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Leaves nothing in `/tmp`.
pub(super) fn tidy(state_dir: &Path, folder: &Path) {
    if !folder.starts_with(state_dir) {
        // the next start makes it again, and whatever is still in it keeps it
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_too_long_for_a_socket_moves_to_tmp() {
        assert_eq!(folder(Path::new("/var/lib/muster")), Path::new("/var/lib/muster/run"));
        // "/run/.s.PGSQL.5432" is 18 bytes
        let fits = format!("/{}", "x".repeat(81));
        let too_long = format!("/{}", "x".repeat(82));
        assert_eq!(folder(Path::new(&fits)), Path::new(&fits).join("run"));
        let short = folder(Path::new(&too_long));
        assert!(short.to_string_lossy().starts_with("/tmp/muster-") && path(&short).as_os_str().len() < 50, "{short:?}");
        assert_ne!(short, folder(Path::new(&format!("{too_long}y"))), "each state directory has its own");
        assert!(folder(Path::new("/odd\nname")).starts_with("/tmp"));
    }

    #[test]
    fn a_folder_that_others_prepared_is_refused() {
        let state = std::env::temp_dir().join(format!("muster-socket-{}", std::process::id()));
        fs::create_dir_all(&state).unwrap();
        let run = state.join("run");
        let refused = || prepare(&state, &RunAs::Myself).unwrap_err().to_string();

        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(refused().contains("others may enter it (mode 755)"), "{}", refused());

        fs::remove_dir(&run).unwrap();
        symlink("/tmp", &run).unwrap();
        assert!(refused().contains("it is not a folder"), "{}", refused());

        fs::remove_file(&run).unwrap();
        assert_eq!(prepare(&state, &RunAs::Myself).unwrap(), run);
        assert_eq!(prepare(&state, &RunAs::Myself).unwrap(), run, "and again, now that it is there");
        fs::remove_dir_all(state).unwrap();
    }
}
