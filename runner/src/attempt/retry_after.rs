//! When work that failed was told to come back: the file that `MUSTER_RETRY_AFTER` names, with a number of seconds in it.

use std::{fs, io, path::Path};

use domain::task::RETRY_AFTER_SECONDS_MAX;

/// Beside the worktree, so that it is no part of what was changed.
pub(crate) const FILE: &str = "retry_after";
/// Longer files are no number.
const LONGEST: u64 = 64;

/// Nothing when nothing was left; `Err` says why what is there does not count. What is longer than a day is a day.
pub(crate) fn read(folder: &Path) -> Result<Option<u32>, String> {
    let file = folder.join(FILE);
    // looked at without following: only a file that the work made itself counts
    let about = match fs::symlink_metadata(&file) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !about.is_file() || about.len() > LONGEST {
        return Err("it is not a file with a number of seconds in it".into());
    }
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    match text.trim().parse::<f64>() {
        // a part of a second is waited for as a whole one; the bound keeps it within the type
        Ok(seconds) if seconds >= 0.0 => Ok(Some(seconds.ceil().min(RETRY_AFTER_SECONDS_MAX.into()) as u32)),
        _ => Err(format!("“{}” is not a number of seconds", text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let read_of = |content: &str| {
            fs::write(folder.path().join(FILE), content).unwrap();
            read(folder.path())
        };
        assert_eq!(read(folder.path()), Ok(None));
        for (content, expected) in
            [("60\n", Some(60)), (" 1.2 ", Some(2)), ("0", Some(0)), ("", None), ("1e12", Some(86_400)), ("inf", Some(86_400))]
        {
            assert_eq!(read_of(content), Ok(expected), "{content}");
        }
        for wrong in ["-1", "NaN", "soon", "Wed, 25 Nov 2026 20:00:00 GMT", &"1".repeat(65)] {
            assert!(read_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc/sys/kernel/pid_max", folder.path().join(FILE)).unwrap();
        assert!(read(folder.path()).is_err());
    }
}
