//! Repositories of work that is really carried out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

pub fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("git").args(arguments).current_dir(folder).output().context("git")?;
    ensure!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// A new one in this folder, of so many files in one commit.
pub fn make(folder: &Path, files: usize) -> anyhow::Result<PathBuf> {
    let path = folder.join("repository");
    for number in 0..files {
        let file = path.join(format!("src/{}/{number}.txt", number % 50));
        fs::create_dir_all(file.parent().context("it has a parent")?)?;
        fs::write(file, format!("file {number}\n").repeat(50))?;
    }
    git(&path, &["init", "--quiet"])?;
    git(&path, &["add", "--all"])?;
    git(&path, &["-c", "user.name=Bench", "-c", "user.email=bench@example.org", "commit", "--quiet", "--message", "A beginning"])?;
    Ok(path)
}
