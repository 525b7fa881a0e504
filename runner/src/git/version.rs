//! Which git there is on this machine, and whether it does what the runner asks of one.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use crate::{RunnerError, process::program_path};

/// Of `git add --sparse`. GIT_CONFIG_GLOBAL is of 2.32 and GIT_CONFIG_COUNT of 2.31: an older git passes over them without a word, and with
/// them over all that keeps it from what a repository says.
const NEEDED: (u32, u32) = (2, 34);
/// Of what it says of itself, in an error.
const SHOWN: usize = 100;
/// What stands on the PATH by this name may be anything, and nothing else of the runner has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// An error when there is none, or one that is too old.
pub(crate) async fn is_new_enough() -> Result<(), RunnerError> {
    let mut asked = Command::new("git");
    // the one that is called later
    asked.arg("version").env("PATH", program_path());
    check(&said_by(asked, PATIENCE).await?)
}

async fn said_by(mut asked: Command, patience: Duration) -> Result<String, RunnerError> {
    asked.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    let said = tokio::time::timeout(patience, asked.output()).await.map_err(|_| RunnerError::GitSilent(patience))?;
    Ok(String::from_utf8_lossy(&said.map_err(RunnerError::GitMissing)?.stdout).into_owned())
}

fn check(said: &str) -> Result<(), RunnerError> {
    match version_in(said) {
        Some((_, version)) if version >= NEEDED => Ok(()),
        Some((word, _)) => Err(RunnerError::GitTooOld(word.to_owned())),
        None => {
            let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
            Err(RunnerError::GitTooOld(format!("one that says “{}” of its version", said.trim())))
        }
    }
}

/// The first word that begins with two numbers, as in `git version 2.39.5 (Apple Git-154)`.
fn version_in(said: &str) -> Option<(&str, (u32, u32))> {
    said.split_whitespace().find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some((word, (major.parse().ok()?, rest[..end].parse().ok()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_is_new_enough_by_its_first_two_numbers_whoever_has_built_it() {
        for said in [
            "git version 2.34.0\n",
            "git version 2.39.5 (Apple Git-154)\n",
            "git version 2.47.3.windows.1\n",
            "git version 2.34.GIT\n",
            "git version 2.50-rc1\n",
            "git version 2.100.1\n",
            "git version 3.0\n",
        ] {
            assert!(check(said).is_ok(), "{said}");
        }
    }

    #[test]
    fn one_that_is_too_old_or_has_no_version_is_named() {
        for (said, found) in [
            ("git version 2.33.8\n", "2.33.8"),
            ("git version 2.30.2 (Apple Git-130)\n", "2.30.2"),
            ("git version 2.9.0.windows.1\n", "2.9.0.windows.1"),
            ("git version 1.99\n", "1.99"),
            ("", "one that says “” of its version"),
            ("git version next.release\n", "one that says “git version next.release” of its version"),
            ("git version 2.x\n", "one that says “git version 2.x” of its version"),
        ] {
            let refused = check(said).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("the runner needs git 2.34 or newer, and found {found}: ")), "{refused}");
        }
    }

    #[tokio::test]
    async fn the_git_of_this_machine_is_new_enough() {
        assert!(is_new_enough().await.is_ok());
    }

    #[tokio::test]
    async fn one_that_does_not_say_its_version_is_not_waited_for() {
        let mut silent = Command::new("sleep");
        silent.arg("600");
        let error = said_by(silent, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, RunnerError::GitSilent(_)), "{error}");
    }
}
