//! Where things lie in the state directory, and how it comes to be.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::{PostgresError, file_error};

/// The state directory for whoever sets no `MUSTER_STATE_DIR`: `/var/lib/muster` for root, otherwise `$XDG_STATE_HOME/muster` or
/// `~/.local/state/muster`.
pub fn default_state_dir() -> PathBuf {
    state_dir_of(rustix::process::geteuid().is_root(), std::env::var_os("XDG_STATE_HOME"), std::env::home_dir())
}

fn state_dir_of(root: bool, xdg_state_home: Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    if root {
        return PathBuf::from("/var/lib/muster");
    }
    // the XDG specification says that a relative path is to be ignored
    let state_home = xdg_state_home.map(PathBuf::from).filter(|folder| folder.is_absolute());
    state_home.unwrap_or_else(|| home.unwrap_or_else(|| PathBuf::from("/")).join(".local/state")).join("muster")
}

/// The state directory, absolute and without symbolic links, and what lies in it.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub state_dir: PathBuf,
}

impl Places {
    /// Creates the state directory where it is missing. One that exists keeps its mode, whatever it is.
    pub fn prepare(state_dir: &Path) -> Result<Self, PostgresError> {
        let absolute = std::path::absolute(state_dir).map_err(file_error("find", state_dir))?;
        // everybody may pass through root's, because Postgres runs as somebody else; nobody may list it
        let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
        create_folders(&absolute, mode)?;
        let state_dir = fs::canonicalize(&absolute).map_err(file_error("find", &absolute))?;
        Ok(Self { state_dir })
    }

    pub fn data(&self) -> PathBuf {
        self.state_dir.join("postgres")
    }

    pub fn password(&self) -> PathBuf {
        self.state_dir.join("postgres-password")
    }

    pub fn log(&self) -> PathBuf {
        self.state_dir.join("postgres.log")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }
}

fn create_folders(folder: &Path, mode: u32) -> Result<(), PostgresError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(folder) {
            // only what was made here: the umask may have taken away what others need to pass
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(mode)).map_err(file_error("create", folder))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file_error("create", folder)(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_state_dir_is_the_systems_for_root_and_the_users_own_otherwise() {
        let home = || Some(PathBuf::from("/home/ada"));
        assert_eq!(state_dir_of(true, Some("/x".into()), home()), Path::new("/var/lib/muster"));
        assert_eq!(state_dir_of(false, Some("/x".into()), home()), Path::new("/x/muster"));
        assert_eq!(state_dir_of(false, Some("relative".into()), home()), Path::new("/home/ada/.local/state/muster"));
        assert_eq!(state_dir_of(false, Some("".into()), home()), Path::new("/home/ada/.local/state/muster"));
        assert_eq!(state_dir_of(false, None, home()), Path::new("/home/ada/.local/state/muster"));
    }
}
