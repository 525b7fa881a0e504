//! The key that `muster demo` and `muster admin create-key --save` leave in the state directory, so that the command line on the
//! same machine is signed in without further ado.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::error::CliError;

pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("cli-key")
}

/// The saved key, or nothing when none was saved. One that others on the machine can read is refused, not used.
pub fn read(state_dir: &Path) -> Result<Option<String>, CliError> {
    let path = path(state_dir);
    let failed = |error: io::Error| CliError::failed(format!("cannot read the key file {}: {error}", path.display()));
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        // A state directory that belongs to somebody else holds no key of ours.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(CliError::Failed {
            message: format!("the key file {} can be read by others", path.display()),
            remedy: Some(format!("chmod 600 {}", path.display())),
        });
    }
    let key = match fs::read_to_string(&path) {
        Ok(key) => key,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let key = key.trim();
    Ok((!key.is_empty()).then(|| key.to_owned()))
}

/// Saves the key for its owner's eyes alone, in place of an earlier one. A reader sees the old key or the new one, never half.
pub fn write(state_dir: &Path, key: &str) -> Result<PathBuf, CliError> {
    let path = path(state_dir);
    let saved = || -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(format!("{key}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    saved().map_err(|error| CliError::failed(format!("cannot save the key in {}: {error}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_key_is_private_and_is_found_again() {
        let folder = std::env::temp_dir().join(format!("muster-key-file-{}", std::process::id()));
        assert!(read(&folder).unwrap().is_none());
        write(&folder, "first").unwrap();
        let path = write(&folder, "second").unwrap();
        assert_eq!(read(&folder).unwrap().as_deref(), Some("second"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&folder).unwrap_err().to_string().contains("can be read by others"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
