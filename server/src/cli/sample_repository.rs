//! The small git repository that the demo works on: a word counter in shell with one fault in it, and tests that `sh` alone can run.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::error::CliError;

const FILES: [(&str, &str); 4] = [
    (
        "README.md",
        "# Word counter\n\n\
         Counts the words that come in on stdin:\n\n    \
         printf 'one two three' | sh count.sh\n\n\
         `sh test.sh` runs the tests.\n",
    ),
    (
        "count.sh",
        "#!/bin/sh\n\
         # Prints how many words come in on stdin.\n\
         tr -s '[:space:]' '\\n' | grep -c .\n",
    ),
    (
        "test.sh",
        "#!/bin/sh\n\
         # Runs every test; each is a script that exits with 0 when it passes.\n\
         failed=0\n\
         for test in tests/*.sh; do\n  \
           if sh \"$test\"; then echo \"passed  $test\"; else echo \"FAILED  $test\"; failed=1; fi\n\
         done\n\
         exit $failed\n",
    ),
    (
        "tests/words.sh",
        "counted=$(printf 'one two\\n\\nthree ' | sh count.sh)\n\
         [ \"$counted\" = 3 ] || { echo \"expected 3 words, got $counted\"; exit 1; }\n",
    ),
];

/// Where [`make_sample_repository`] makes it.
pub fn sample_place(folder: &Path) -> PathBuf {
    folder.join("word-counter")
}

/// Makes the repository in this folder, unless an earlier demo left it there, and gives its place.
pub fn make_sample_repository(folder: &Path) -> Result<PathBuf, CliError> {
    let place = sample_place(folder);
    let make = || -> io::Result<()> {
        if place.exists() {
            return git(&place, &["rev-parse", "--quiet", "--verify", "HEAD"]);
        }
        // Made aside and moved into place, so that a half-made one is never worked on.
        let aside = folder.join("word-counter.new");
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::create_dir_all(aside.join("tests"))?;
        for (name, content) in FILES {
            fs::write(aside.join(name), content)?;
        }
        git(&aside, &["init", "--quiet", "--template="])?;
        git(&aside, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
        git(&aside, &["add", "--all"])?;
        git(&aside, &["commit", "--quiet", "--message", "A word counter with its tests"])?;
        fs::rename(&aside, &place)
    };
    make().map_err(|error| CliError::Failed {
        message: format!("cannot make the sample repository {}: {error}", place.display()),
        remedy: Some(format!("see that git is installed, remove {} if it is there, and try again", place.display())),
    })?;
    fs::canonicalize(&place).map_err(CliError::Output)
}

/// Git with nothing of this machine's settings that could sign, hook or rename what it does here.
fn git(folder: &Path, arguments: &[&str]) -> io::Result<()> {
    let settings = [
        "user.name=Muster demo",
        "user.email=demo@muster.invalid",
        "commit.gpgSign=false",
        "core.hooksPath=/dev/null",
        "core.autocrlf=false",
    ];
    let mut command = Command::new("git");
    command.current_dir(folder).stdin(Stdio::null());
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"] {
        command.env_remove(name);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    let done = command.args(arguments).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("git {}: {}", arguments[0], said.trim().lines().last().unwrap_or("it failed"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_a_commit_and_its_tests_pass_and_it_is_made_once() {
        let folder = std::env::temp_dir().join(format!("muster-sample-{}", std::process::id()));
        let place = make_sample_repository(&folder).unwrap();
        assert_eq!(make_sample_repository(&folder).unwrap(), place);
        git(&place, &["diff", "--exit-code", "main"]).unwrap();
        let tested = Command::new("sh").arg("test.sh").current_dir(&place).output().unwrap();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
        fs::remove_dir_all(&folder).unwrap();
    }
}
